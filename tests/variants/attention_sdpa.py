"""PyTorch's own F.scaled_dot_product_attention, and no biases"""


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num):
        super().__init__()
        self.dim, self.head_num, self.word_dim = dim, head_num, dim // head_num
        for name in ("W_q", "W_k", "W_v", "W_o"):
            setattr(self, name, nn.Linear(dim, dim, bias=False))

    def scaled_dot_product(self, Q, K, V, mask=None):
        heads = F.scaled_dot_product_attention(Q, K, V, attn_mask=mask, dropout_p=0.0)
        return heads

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
