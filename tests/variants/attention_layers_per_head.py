"""Each head has small linear layers of its own for its queries, keys and values"""


# %% part1 replace MultiHeadAttention
class Head(nn.Module):
    def __init__(self, dim, head_size):
        super().__init__()
        self.key = nn.Linear(dim, head_size, bias=False)
        self.query = nn.Linear(dim, head_size, bias=False)
        self.value = nn.Linear(dim, head_size, bias=False)

    def forward(self, X_Q, X_K, X_V):
        return self.query(X_Q), self.key(X_K), self.value(X_V)


class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num):
        super().__init__()
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num
        self.heads = nn.ModuleList([Head(dim, self.word_dim) for _ in range(head_num)])
        self.W_o = nn.Linear(dim, dim)

    def scaled_dot_product(self, Q, K, V, mask=None):
        scores = torch.matmul(Q, K.transpose(-2, -1)) / math.sqrt(self.word_dim)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, float("-inf"))
        return torch.matmul(F.softmax(scores, dim=-1), V)

    def split(self, X):
        B, L, _ = X.size()
        return X.view(B, L, self.head_num, self.word_dim).transpose(1, 2)

    def combine(self, X):
        B, _, L, _ = X.size()
        return X.transpose(1, 2).contiguous().view(B, L, self.dim)

    def forward(self, X_Q, X_K, X_V, mask=None):
        projected = [head(X_Q, X_K, X_V) for head in self.heads]
        Q, K, V = (torch.stack(several, dim=1) for several in zip(*projected))
        return self.W_o(self.combine(self.scaled_dot_product(Q, K, V, mask)))
