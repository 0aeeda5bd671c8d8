"""Decoder layer with nine tensors of hand-written norms: beta before gamma, eps inside the root"""


# %% part1 before DecoderLayer
class 층정규화(nn.Module):
    """평균 0, 분산 1로 만든 다음 감마를 곱하고 베타를 더한다."""

    def __init__(self, 차원, eps=1e-6):
        super().__init__()
        self.베타 = nn.Parameter(torch.zeros(차원))
        self.감마 = nn.Parameter(torch.ones(차원))
        self.eps = eps

    def forward(self, x):
        평균 = x.mean(dim=-1, keepdim=True)
        분산 = x.var(dim=-1, unbiased=False, keepdim=True)
        return (x - 평균) / torch.sqrt(분산 + self.eps) * self.감마 + self.베타


# %% part1 replace DecoderLayer
class DecoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.n1, self.n2, self.n3 = [층정규화(dim) for _ in range(3)]
        self.attn1 = MultiHeadAttention(dim, head_num)
        self.attn2 = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, X, enc_output, cross_attn_mask, self_attn_mask):
        def 더하고_정규화(norm, x, y):
            return norm(x + self.drop(y))

        X = 더하고_정규화(self.n1, X, self.attn1(X, X, X, self_attn_mask))
        X = 더하고_정규화(self.n2, X, self.attn2(X, enc_output, enc_output, cross_attn_mask))
        output = 더하고_정규화(self.n3, X, self.ffn(X))
        return output
