"""A class of one's own named LayerNorm wraps nn.LayerNorm"""


# %% part1 before EncoderLayer
class LayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.layer = nn.LayerNorm(dim, eps=eps)

    def forward(self, x):
        return self.layer(x)


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attn = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.norm1 = LayerNorm(dim)
        self.norm2 = LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, X, mask):
        X = self.norm1(X + self.dropout(self.attn(X, X, X, mask)))
        output = self.norm2(X + self.dropout(self.ffn(X)))
        return output
