"""W_q for the queries, one W_kv for keys and values"""


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num):
        super().__init__()
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num
        self.W_kv = nn.Linear(dim, 2 * dim)
        self.W_q = nn.Linear(dim, dim)
        self.W_o = nn.Linear(dim, dim)

    def scaled_dot_product(self, Q, K, V, mask=None):
        return F.scaled_dot_product_attention(Q, K, V, attn_mask=mask)

    def split(self, X):
        B, L, _ = X.size()
        return X.view(B, L, self.head_num, self.word_dim).transpose(1, 2)

    def combine(self, X):
        B, _, L, _ = X.size()
        return X.transpose(1, 2).contiguous().view(B, L, self.dim)

    def forward(self, X_Q, X_K, X_V, mask=None):
        Q = self.split(self.W_q(X_Q))
        if X_K is X_V:
            K, V = map(self.split, self.W_kv(X_K).chunk(2, dim=-1))
        else:
            K = self.split(self.W_kv(X_K)[..., : self.dim])
            V = self.split(self.W_kv(X_V)[..., self.dim :])
        return self.W_o(self.combine(self.scaled_dot_product(Q, K, V, mask)))
