"""Encoder and decoder layer share a base class that makes norms and dropouts"""


# %% part1 before EncoderLayer
class PostNormLayer(nn.Module):
    sublayers = 0

    def __init__(self, dim, dropout):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(self.sublayers))
        self.drops = nn.ModuleList(nn.Dropout(dropout) for _ in range(self.sublayers))

    def add_and_norm(self, i, X, Y):
        return self.norms[i](X + self.drops[i](Y))


# %% part1 replace EncoderLayer
class EncoderLayer(PostNormLayer):
    sublayers = 2

    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__(dim, dropout)
        self.attn = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)

    def forward(self, X, mask):
        X = self.add_and_norm(0, X, self.attn(X, X, X, mask))
        output = self.add_and_norm(1, X, self.ffn(X))
        return output


# %% part1 replace DecoderLayer
class DecoderLayer(PostNormLayer):
    sublayers = 3

    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__(dim, dropout)
        self.cross = MultiHeadAttention(dim, head_num)
        self.attn = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)

    def forward(self, X, enc_output, cross_attn_mask, self_attn_mask):
        X = self.add_and_norm(0, X, self.attn(X, X, X, self_attn_mask))
        X = self.add_and_norm(1, X, self.cross(X, enc_output, enc_output, cross_attn_mask))
        output = self.add_and_norm(2, X, self.ffn(X))
        return output
