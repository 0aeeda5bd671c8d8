"""Attention computed one query at a time, over the keys that it may see"""


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num):
        super().__init__()
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num
        self.W_q = nn.Linear(dim, dim)
        self.W_k = nn.Linear(dim, dim)
        self.W_v = nn.Linear(dim, dim)
        self.W_o = nn.Linear(dim, dim)

    def scaled_dot_product(self, Q, K, V, mask=None):
        B, H, Lq, D = Q.shape
        Lk = K.shape[2]
        if mask is None:
            mask = torch.ones(1, 1, 1, Lk, dtype=torch.bool, device=Q.device)
        mask = mask.expand(B, H, Lq, Lk)
        heads = torch.zeros(B, H, Lq, D, device=Q.device)
        for b in range(B):
            for h in range(H):
                for i in range(Lq):
                    visible = mask[b, h, i].nonzero().squeeze(-1)
                    keys, values = K[b, h, visible], V[b, h, visible]
                    weights = torch.softmax(keys @ Q[b, h, i] / D**0.5, dim=0)
                    heads[b, h, i] = weights @ values
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
