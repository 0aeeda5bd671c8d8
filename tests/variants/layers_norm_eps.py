"""LayerNorm with eps=1e-12, as BERT has it, in both layers"""


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attn = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.norm1 = nn.LayerNorm(dim, eps=1e-12)
        self.norm2 = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, X, mask):
        X = self.norm1(X + self.dropout(self.attn(X, X, X, mask)))
        output = self.norm2(X + self.dropout(self.ffn(X)))
        return output


# %% part1 replace DecoderLayer
class DecoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attn = MultiHeadAttention(dim, head_num)
        self.cross = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.norms = nn.ModuleList([nn.LayerNorm(dim, eps=1e-12) for _ in range(3)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, X, enc_output, cross_attn_mask, self_attn_mask):
        X = self.norms[0](X + self.dropout(self.attn(X, X, X, self_attn_mask)))
        X = self.norms[1](X + self.dropout(self.cross(X, enc_output, enc_output, cross_attn_mask)))
        return self.norms[2](X + self.dropout(self.ffn(X)))
