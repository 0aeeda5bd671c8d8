"""One head's attention as a plain function, spread over batch and heads by torch.vmap"""


# %% part1 before MultiHeadAttention
def one_head(q, k, v, hidden):
    scores = (q @ k.T) / math.sqrt(q.shape[-1])
    return torch.softmax(scores.masked_fill(hidden, -1e30), dim=-1) @ v


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
        shape = (Q.size(0), Q.size(1), Q.size(2), K.size(2))
        hidden = torch.zeros(shape, dtype=torch.bool, device=Q.device) if mask is None else ~mask.expand(shape)
        return torch.vmap(torch.vmap(one_head))(Q, K, V, hidden)

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
