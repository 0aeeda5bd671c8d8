"""The decoder layer inherits from the encoder layer and adds cross-attention"""


# %% part1 replace DecoderLayer
class DecoderLayer(EncoderLayer):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__(dim, head_num, FFN_dim, dropout)
        self.cross_attn = MultiHeadAttention(dim, head_num)
        self.norm3 = nn.LayerNorm(dim)

    def forward(self, X, enc_output, cross_attn_mask, self_attn_mask):
        X = self.norm1(X + self.dropout(self.self_attn(X, X, X, self_attn_mask)))
        X = self.norm3(X + self.dropout(self.cross_attn(X, enc_output, enc_output, cross_attn_mask)))
        output = self.norm2(X + self.dropout(self.ffn(X)))
        return output
