"""Attention over the keys in blocks of two, with a running maximum, as FlashAttention does it"""


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num):
        super().__init__()
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num
        self.W_q = nn.Linear(dim, dim)
        self.W_k = nn.Linear(dim, dim)
        self.W_v = nn.Linear(dim, dim)
        self.W_o = nn.Linear(dim, dim)

    def scaled_dot_product(self, Q, K, V, mask=None, block=2):
        total = torch.zeros_like(Q)
        norm = Q.new_zeros(*Q.shape[:3], 1)
        largest = Q.new_full((*Q.shape[:3], 1), -1e30)
        for start in range(0, K.size(2), block):
            part = slice(start, start + block)
            scores = Q @ K[:, :, part].mT * self.word_dim**-0.5
            if mask is not None:
                scores = scores.masked_fill(~mask[..., part], -1e30)
            new = torch.maximum(largest, scores.amax(-1, keepdim=True))
            shrink, e = torch.exp(largest - new), torch.exp(scores - new)
            total = total * shrink + e @ V[:, :, part]
            norm = norm * shrink + e.sum(-1, keepdim=True)
            largest = new
        return total / norm

    def split(self, X):
        B, L, _ = X.size()
        return X.view(B, L, self.head_num, self.word_dim).transpose(1, 2)

    def combine(self, X):
        B, _, L, _ = X.size()
        return X.transpose(1, 2).contiguous().view(B, L, self.dim)

    def forward(self, X_Q, X_K, X_V, mask=None):
        Q = self.split(self.W_q(X_Q))
        K = self.split(self.W_k(X_K))
        V = self.split(self.W_v(X_V))
        heads = self.scaled_dot_product(Q, K, V, mask)
        heads = self.W_o(self.combine(heads))
        return heads
