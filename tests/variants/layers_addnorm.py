"""A helper class AddNorm owns norm and dropout, and serves both layers"""


# %% part1 before EncoderLayer
class AddNorm(nn.Module):
    def __init__(self, dim, p):
        super().__init__()
        self.dropout = nn.Dropout(p)
        self.ln = nn.LayerNorm([dim])

    def forward(self, X, Y):
        return self.ln(self.dropout(Y) + X)


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attention = MultiHeadAttention(dim, head_num)
        self.addnorm1 = AddNorm(dim, dropout)
        self.ffn = FFN(dim, FFN_dim)
        self.addnorm2 = AddNorm(dim, dropout)

    def forward(self, X, mask):
        Y = self.addnorm1(X, self.attention(X, X, X, mask))
        output = self.addnorm2(Y, self.ffn(Y))
        return output


# %% part1 replace DecoderLayer
class DecoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attention1 = MultiHeadAttention(dim, head_num)
        self.addnorm1 = AddNorm(dim, dropout)
        self.attention2 = MultiHeadAttention(dim, head_num)
        self.addnorm2 = AddNorm(dim, dropout)
        self.ffn = FFN(dim, FFN_dim)
        self.addnorm3 = AddNorm(dim, dropout)

    def forward(self, X, enc_output, cross_attn_mask, self_attn_mask):
        Y = self.addnorm1(X, self.attention1(X, X, X, self_attn_mask))
        Z = self.addnorm2(Y, self.attention2(Y, enc_output, enc_output, cross_attn_mask))
        output = self.addnorm3(Z, self.ffn(Z))
        return output
