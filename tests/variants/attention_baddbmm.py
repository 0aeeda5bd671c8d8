"""Batch and heads flattened for baddbmm, with an additive mask"""


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

    def scaled_dot_product(self, Q, K, V, mask=None):
        B, H, Lq, D = Q.shape
        Lk = K.size(2)
        bias = Q.new_zeros(B, H, Lq, Lk)
        if mask is not None:
            bias.masked_fill_(torch.logical_not(mask), torch.finfo(Q.dtype).min)
        q, k, v = (t.reshape(B * H, -1, D) for t in (Q, K, V))
        scores = torch.baddbmm(bias.view(B * H, Lq, Lk), q, k.mT, beta=1.0, alpha=1 / math.sqrt(D))
        return torch.bmm(scores.softmax(dim=-1), v).view(B, H, Lq, D)

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
