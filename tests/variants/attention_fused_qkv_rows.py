"""One layer of 3 * dim rows for q, k and v, its rows one after another"""


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num):
        super().__init__()
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num
        self.in_proj = nn.Linear(dim, 3 * dim)
        self.W_o = nn.Linear(dim, dim)

    def scaled_dot_product(self, Q, K, V, mask=None):
        scores = Q @ K.transpose(-1, -2) / self.word_dim**0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        return F.softmax(scores, -1) @ V

    def split(self, X):
        B, L, _ = X.size()
        return X.view(B, L, self.head_num, self.word_dim).transpose(1, 2)

    def combine(self, X):
        B, _, L, _ = X.size()
        return X.transpose(1, 2).contiguous().view(B, L, self.dim)

    def forward(self, X_Q, X_K, X_V, mask=None):
        wq, wk, wv = self.in_proj.weight.chunk(3)
        bq, bk, bv = self.in_proj.bias.chunk(3)
        Q = self.split(F.linear(X_Q, wq, bq))
        K = self.split(F.linear(X_K, wk, bk))
        V = self.split(F.linear(X_V, wv, bv))
        return self.W_o(self.combine(self.scaled_dot_product(Q, K, V, mask)))
