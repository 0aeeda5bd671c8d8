"""One layer for q, k and v, whose rows go q, k, v, q, k, v within each head"""


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num):
        super().__init__()
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num
        self.W_qkv = nn.Linear(dim, dim * 3)
        self.W_o = nn.Linear(dim, dim)

    def scaled_dot_product(self, Q, K, V, mask=None):
        scores = torch.einsum("bhid,bhjd->bhij", Q, K) / self.word_dim**0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return torch.einsum("bhij,bhjd->bhid", torch.softmax(scores, dim=-1), V)

    def split(self, X):
        B, L, _ = X.size()
        return X.view(B, L, self.head_num, self.word_dim).transpose(1, 2)

    def combine(self, X):
        B, _, L, _ = X.size()
        return X.transpose(1, 2).contiguous().view(B, L, self.dim)

    def forward(self, X_Q, X_K, X_V, mask=None):
        def part(X, which):
            B, L, _ = X.shape
            return self.W_qkv(X).view(B, L, self.head_num, self.word_dim, 3)[..., which].transpose(1, 2)

        heads = self.scaled_dot_product(part(X_Q, 0), part(X_K, 1), part(X_V, 2), mask)
        return self.W_o(self.combine(heads))
