"""A wrapper module holds the sublayer itself, its dropout and its norm"""


# %% part1 before EncoderLayer
class Residual(nn.Module):
    def __init__(self, sublayer, dim, p):
        super().__init__()
        self.sublayer, self.p = sublayer, p
        self.norm = nn.LayerNorm(dim)

    def forward(self, X, *args):
        return self.norm(X + F.dropout(self.sublayer(X, *args), self.p, self.training))


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attend = Residual(MultiHeadAttention(dim, head_num), dim, dropout)
        self.think = Residual(FFN(dim, FFN_dim), dim, dropout)

    def forward(self, X, mask):
        return self.think(self.attend(X, X, X, mask))


# %% part1 replace DecoderLayer
class DecoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.think = Residual(FFN(dim, FFN_dim), dim, dropout)
        self.look = Residual(MultiHeadAttention(dim, head_num), dim, dropout)
        self.attend = Residual(MultiHeadAttention(dim, head_num), dim, dropout)

    def forward(self, X, enc_output, cross_attn_mask, self_attn_mask):
        X = self.attend(X, X, X, self_attn_mask)
        return self.think(self.look(X, enc_output, enc_output, cross_attn_mask))
