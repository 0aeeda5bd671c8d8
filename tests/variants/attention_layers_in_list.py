"""The four layers are clones in a ModuleList, and W_q, W_k, W_v, W_o are properties"""


# %% part1 before MultiHeadAttention
import copy


def clones(module, N):
    "N copies of one module"
    return nn.ModuleList([copy.deepcopy(module) for _ in range(N)])


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num):
        super(MultiHeadAttention, self).__init__()
        assert dim % head_num == 0
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num
        self.linears = clones(nn.Linear(dim, dim), 4)

    W_q = property(lambda self: self.linears[0])
    W_k = property(lambda self: self.linears[1])
    W_v = property(lambda self: self.linears[2])

    @property
    def W_o(self):
        return self.linears[-1]

    def scaled_dot_product(self, Q, K, V, mask=None):
        scores = torch.matmul(Q, K.transpose(-2, -1)) / math.sqrt(self.word_dim)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        return torch.matmul(F.softmax(scores, dim=-1), V)

    def split(self, X):
        B, L, _ = X.size()
        return X.view(B, L, self.head_num, self.word_dim).transpose(1, 2)

    def combine(self, X):
        B, _, L, _ = X.size()
        return X.transpose(1, 2).contiguous().view(B, L, self.dim)

    def forward(self, X_Q, X_K, X_V, mask=None):
        Q = self.split(self.W_q(X_Q))
        K = self.split(self.W_k(X_K))
        V = self.split(self.W_v(X_V))
        heads = self.scaled_dot_product(Q, K, V, mask)
        heads = self.W_o(self.combine(heads))
        return heads
