"""Dropout written by hand: a random mask, and the survivors divided by 1 - p"""


# %% part1 before EncoderLayer
class MyDropout(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return torch.zeros_like(x)
        mask = (torch.rand_like(x) > self.p).float()
        return x * mask / (1 - self.p)


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attn = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = MyDropout(dropout)

    def forward(self, X, mask):
        X = self.norm1(X + self.dropout(self.attn(X, X, X, mask)))
        output = self.norm2(X + self.dropout(self.ffn(X)))
        return output
