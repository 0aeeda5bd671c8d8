"""Decoder layer: cross-attention before self-attention, norm3 before norm1, one dropout for each sublayer"""


# %% part1 replace DecoderLayer
class DecoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.norm3 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm1 = nn.LayerNorm(dim)
        self.enc_dec_attention = MultiHeadAttention(dim, head_num)
        self.masked_attention = MultiHeadAttention(dim, head_num)
        self.position_wise = FFN(dim, FFN_dim)
        self.dropouts = nn.ModuleList([nn.Dropout(dropout)] * 3)

    def forward(self, x, enc_output, src_mask, tgt_mask):
        residual = x
        x = self.masked_attention(x, x, x, mask=tgt_mask)
        x = self.norm1(residual + self.dropouts[0](x))

        residual = x
        x = self.enc_dec_attention(x, enc_output, enc_output, mask=src_mask)
        x = self.norm2(residual + self.dropouts[1](x))

        residual = x
        x = self.position_wise(x)
        output = self.norm3(residual + self.dropouts[2](x))
        return output
