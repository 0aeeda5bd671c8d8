"""The encoder layer owns gains and biases itself and calls F.layer_norm"""


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attn = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.gamma1 = nn.Parameter(torch.ones(dim))
        self.beta1 = nn.Parameter(torch.zeros(dim))
        self.gamma2 = nn.Parameter(torch.ones(dim))
        self.beta2 = nn.Parameter(torch.zeros(dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, X, mask):
        size = X.shape[-1:]
        X = F.layer_norm(X + self.dropout(self.attn(X, X, X, mask)), size, self.gamma1, self.beta1)
        output = F.layer_norm(X + self.dropout(self.ffn(X)), size, self.gamma2, self.beta2)
        return output
