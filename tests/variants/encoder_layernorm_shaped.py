"""A hand-written LayerNorm whose gamma and beta have shape (1, 1, dim)"""


# %% part1 before EncoderLayer
class MyLayerNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, 1, dim))
        self.beta = nn.Parameter(torch.zeros(1, 1, dim))
        self.eps = eps

    def forward(self, x):
        mu = x.mean(dim=-1, keepdim=True)
        var = ((x - mu) ** 2).mean(dim=-1, keepdim=True)
        return self.gamma * (x - mu) / torch.sqrt(var + self.eps) + self.beta


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attn = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.ln1 = MyLayerNorm(dim)
        self.ln2 = MyLayerNorm(dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, X, mask):
        X = self.ln1(X + self.drop(self.attn(X, X, X, mask)))
        output = self.ln2(X + self.drop(self.ffn(X)))
        return output
