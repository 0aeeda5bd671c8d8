"""GroupNorm with one group over single words, which is LayerNorm"""


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attn = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.norm1 = nn.GroupNorm(1, dim)
        self.norm2 = nn.GroupNorm(1, dim)
        self.dropout = nn.Dropout(dropout)

    def normed(self, norm, X):
        return norm(X.reshape(-1, X.size(-1))).view_as(X)

    def forward(self, X, mask):
        X = self.normed(self.norm1, X + self.dropout(self.attn(X, X, X, mask)))
        output = self.normed(self.norm2, X + self.dropout(self.ffn(X)))
        return output
