"""nn.Softmax as a submodule, the scale as a buffer, np.sqrt"""


# %% part1 before MultiHeadAttention
import numpy as np


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num):
        super().__init__()
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num
        self.softmax = nn.Softmax(dim=-1)
        self.register_buffer("scale", torch.tensor(np.sqrt(self.word_dim), dtype=torch.float32))
        self.W_o = nn.Linear(dim, dim)
        self.W_v = nn.Linear(dim, dim)
        self.W_k = nn.Linear(dim, dim)
        self.W_q = nn.Linear(dim, dim)

    def scaled_dot_product(self, Q, K, V, mask=None):
        scores = torch.matmul(Q, K.transpose(2, 3)) / self.scale
        if mask is not None:
            scores = scores.masked_fill(mask == False, np.finfo(np.float32).min.item())
        attention = self.softmax(scores)
        heads = torch.matmul(attention, V)
        return heads

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
