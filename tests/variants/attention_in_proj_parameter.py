"""The fused projection is a bare nn.Parameter, as in PyTorch's own nn.MultiheadAttention"""


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num):
        super().__init__()
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def scaled_dot_product(self, Q, K, V, mask=None):
        attn = (Q @ K.mT) / math.sqrt(self.word_dim)
        if mask is not None:
            attn = attn.masked_fill(mask.logical_not(), -1e4)
        return attn.softmax(-1) @ V

    def split(self, X):
        B, L, _ = X.size()
        return X.view(B, L, self.head_num, self.word_dim).transpose(1, 2)

    def combine(self, X):
        B, _, L, _ = X.size()
        return X.transpose(1, 2).contiguous().view(B, L, self.dim)

    def forward(self, X_Q, X_K, X_V, mask=None):
        projected = []
        for i, X in enumerate((X_Q, X_K, X_V)):
            rows = slice(i * self.dim, (i + 1) * self.dim)
            projected.append(self.split(F.linear(X, self.in_proj_weight[rows], self.in_proj_bias[rows])))
        Q, K, V = projected
        return self.out_proj(self.combine(self.scaled_dot_product(Q, K, V, mask)))
