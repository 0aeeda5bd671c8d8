"""The encoder's sublayers are attributes, and stand in a ModuleList that forward loops over"""


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.self_attention = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.sublayers = nn.ModuleList([self.self_attention, self.ffn])
        self.norms = nn.ModuleList([self.norm1, self.norm2])
        self.dropout = nn.Dropout(dropout)

    def forward(self, X, mask):
        for sublayer, norm in zip(self.sublayers, self.norms):
            out = sublayer(X, X, X, mask) if sublayer is self.self_attention else sublayer(X)
            X = norm(X + self.dropout(out))
        return X
