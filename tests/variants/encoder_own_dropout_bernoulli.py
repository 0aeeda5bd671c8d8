"""Dropout written by hand with torch.bernoulli, without a special case for p = 1"""


# %% part1 before EncoderLayer
def drop(x, p, training):
    if not training:
        return x
    keep = torch.bernoulli(torch.full_like(x, 1 - p))
    return x * keep / (1 - p)


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attn = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.p = dropout

    def forward(self, X, mask):
        X = self.norm1(X + drop(self.attn(X, X, X, mask), self.p, self.training))
        output = self.norm2(X + drop(self.ffn(X), self.p, self.training))
        return output
