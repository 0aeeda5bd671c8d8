"""The given code in a base class of another cell, and the written code in a subclass, which counts its calls"""


# %% part1 before MultiHeadAttention
calls = 0


class GivenAttention(nn.Module):
    def __init__(self, dim, head_num):
        super().__init__()
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num

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


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(GivenAttention):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for layer in 'qkvo':
            self.add_module(f'W_{layer}', nn.Linear(self.dim, self.dim))

    def scaled_dot_product(self, Q, K, V, mask=None):
        global calls
        calls += 1
        if calls <= 10:
            print('call', calls, Q.shape, K.shape, V.shape, mask)
        mask = mask.repeat(1, Q.size(1), 1, 1) if mask != None else mask
        scores = torch.matmul(Q, torch.transpose(K, -1, -2)) / math.sqrt(self.word_dim)
        if mask != None: scores = scores.masked_fill_(mask == False, float('-inf'))
        heads = torch.matmul(F.softmax(scores, dim=-1, dtype=torch.float32).type_as(V), V)
        return heads
