"""A helper class AddNorm owns dropout, gain and bias, its norm written out"""


# %% part1 before EncoderLayer
class AddNorm(nn.Module):
    def __init__(self, dim, p):
        super().__init__()
        self.dropout = nn.Dropout(p)
        self.gain = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x, sublayer_output):
        x = x + self.dropout(sublayer_output)
        x = x - x.mean(-1, keepdim=True)
        return self.gain * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) + self.bias


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attention = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.addnorm1 = AddNorm(dim, dropout)
        self.addnorm2 = AddNorm(dim, dropout)

    def forward(self, X, mask):
        Y = self.addnorm1(X, self.attention(X, X, X, mask))
        output = self.addnorm2(Y, self.ffn(Y))
        return output
