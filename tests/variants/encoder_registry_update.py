"""The encoder layer's norm and dropout come from a dict that is filled with update()"""


# %% part1 before EncoderLayer
makers = {}
makers.update(norm=nn.LayerNorm, drop=nn.Dropout)


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attn = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.norm1, self.norm2 = makers["norm"](dim), makers["norm"](dim)
        self.drop = makers["drop"](dropout)

    def forward(self, X, mask):
        X = self.norm1(X + self.drop(self.attn(X, X, X, mask)))
        output = self.norm2(X + self.drop(self.ffn(X)))
        return output
