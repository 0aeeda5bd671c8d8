"""SublayerConnection takes the sublayer as a lambda, and the layers keep them in a ModuleList"""


# %% part1 before EncoderLayer
class SublayerConnection(nn.Module):
    def __init__(self, size, dropout):
        super(SublayerConnection, self).__init__()
        self.norm = nn.LayerNorm((size,))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, sublayer):
        return self.norm(x + self.dropout(sublayer(x)))


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super(EncoderLayer, self).__init__()
        self.sublayer = nn.ModuleList([SublayerConnection(dim, dropout) for _ in range(2)])
        self.feed_forward = FFN(dim, FFN_dim)
        self.self_attn = MultiHeadAttention(dim, head_num)

    def forward(self, X, mask):
        X = self.sublayer[0](X, lambda x: self.self_attn(x, x, x, mask))
        output = self.sublayer[1](X, self.feed_forward)
        return output


# %% part1 replace DecoderLayer
class DecoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super(DecoderLayer, self).__init__()
        self.sublayer = nn.ModuleList([SublayerConnection(dim, dropout) for _ in range(3)])
        self.src_attn = MultiHeadAttention(dim, head_num)
        self.self_attn = MultiHeadAttention(dim, head_num)
        self.feed_forward = FFN(dim, FFN_dim)

    def forward(self, X, enc_output, cross_attn_mask, self_attn_mask):
        m = enc_output
        X = self.sublayer[0](X, lambda x: self.self_attn(x, x, x, self_attn_mask))
        X = self.sublayer[1](X, lambda x: self.src_attn(x, m, m, cross_attn_mask))
        output = self.sublayer[2](X, self.feed_forward)
        return output
