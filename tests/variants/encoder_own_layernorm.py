"""Encoder layer with a hand-written LayerNorm (a_2 and b_2) from another cell"""


# %% part1 before EncoderLayer
class LayerNorm(nn.Module):
    "Construct a layernorm module."

    def __init__(self, features, eps=1e-6):
        super(LayerNorm, self).__init__()
        self.b_2 = nn.Parameter(torch.zeros(features))
        self.a_2 = nn.Parameter(torch.ones(features))
        self.eps = eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        std = x.std(-1, keepdim=True, unbiased=False)
        return self.a_2 * (x - mean) / (std + self.eps) + self.b_2


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.layer_norm1 = LayerNorm(dim)
        self.layer_norm2 = LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, head_num)
        self.ff = FFN(dim, FFN_dim)
        self.dropout1 = nn.Dropout(dropout)
        self.dropout2 = nn.Dropout(dropout)

    def forward(self, X, mask):
        X = self.layer_norm1(X + self.dropout1(self.attention(X, X, X, mask)))
        output = self.layer_norm2(X + self.dropout2(self.ff(X)))
        return output
