"""One layer for q, k and v, whose rows alternate head by head"""


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num):
        super().__init__()
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def project(self, X):
        B, L, _ = X.shape
        return self.qkv(X).view(B, L, self.head_num, 3 * self.word_dim).transpose(1, 2).chunk(3, dim=-1)

    def scaled_dot_product(self, Q, K, V, mask=None):
        scores = torch.matmul(Q * self.word_dim**-0.5, K.transpose(-2, -1))
        if mask is not None:
            scores = torch.where(mask, scores, torch.tensor(-1e9))
        return torch.matmul(torch.softmax(scores, -1), V)

    def split(self, X):
        B, L, _ = X.size()
        return X.view(B, L, self.head_num, self.word_dim).transpose(1, 2)

    def combine(self, X):
        B, _, L, _ = X.size()
        return X.transpose(1, 2).contiguous().view(B, L, self.dim)

    def forward(self, X_Q, X_K, X_V, mask=None):
        Q = self.project(X_Q)[0]
        K = self.project(X_K)[1]
        V = self.project(X_V)[2]
        return self.out(self.combine(self.scaled_dot_product(Q, K, V, mask)))
