"""Encoder layer with F.dropout(x, p, self.training), norms defined first, norm2 before norm1"""


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super(EncoderLayer, self).__init__()
        self.norm_2 = nn.LayerNorm(dim, eps=1e-6)
        self.norm_1 = nn.LayerNorm(dim, eps=1e-6)
        self.feed_forward = FFN(dim, FFN_dim)
        self.mha = MultiHeadAttention(dim, head_num)
        self.p = dropout

    def forward(self, X, mask):
        Z = F.dropout(self.mha(X, X, X, mask), self.p, self.training)
        Z += X
        X = self.norm_1(Z)
        Z = F.dropout(self.feed_forward(X), p=self.p, training=self.training)
        Z += X
        output = self.norm_2(Z)
        return output
