"""Decoder layer with sublayers added by add_module and looked up with getattr"""


# %% part1 replace DecoderLayer
class DecoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        for i in (2, 0, 1):
            self.add_module(f"layernorm{i}", nn.LayerNorm(dim))
            self.add_module(f"dropout{i}", nn.Dropout(dropout))
        for name in ("encoder_attention", "self_attention"):
            setattr(self, name, MultiHeadAttention(dim, head_num))
        self.feedforward = FFN(dim, FFN_dim)

    def forward(self, X, enc_output, cross_attn_mask=None, self_attn_mask=None):
        steps = [
            lambda x: self.self_attention(x, x, x, self_attn_mask),
            lambda x: self.encoder_attention(x, enc_output, enc_output, cross_attn_mask),
            self.feedforward,
        ]
        for i, step in enumerate(steps):
            X = getattr(self, f"layernorm{i}")(getattr(self, f"dropout{i}")(step(X)) + X)
        output = X
        return output
