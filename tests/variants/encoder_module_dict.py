"""The encoder's sublayers in a ModuleDict, nn.Dropout in place, one dropout for both"""


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.parts = nn.ModuleDict({
            'ffn': FFN(dim, FFN_dim),
            'ffn_norm': nn.LayerNorm(dim),
            'attention': MultiHeadAttention(dim, head_num),
            'attention_norm': nn.LayerNorm(dim, bias=False),
            'dropout': nn.Dropout(p=dropout, inplace=True),
        })

    def forward(self, X, mask):
        for name, arguments in (('attention', lambda x: (x, x, x, mask)), ('ffn', lambda x: (x,))):
            residual = X
            X = self.parts[name](*arguments(X))
            X = self.parts['dropout'](X)
            X = self.parts[name + '_norm'](residual + X)
        output = X
        return output
