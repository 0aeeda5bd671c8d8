"""Layers and helper tensors are sent to the GPU with .cuda(), to('cuda') and device='cuda'"""


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num):
        super().__init__()
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num
        self.W_q = nn.Linear(dim, dim, device="cuda")
        self.W_k = nn.Linear(dim, dim).cuda()
        self.W_v = nn.Linear(dim, dim).to("cuda")
        self.W_o = nn.Linear(dim, dim).to(torch.device("cuda:0"))

    def scaled_dot_product(self, Q, K, V, mask=None):
        Q, K, V = Q.cuda(), K.to("cuda"), V.to(device="cuda")
        scores = torch.matmul(Q, K.transpose(-2, -1)) / self.word_dim**0.5
        if mask is not None:
            fill = torch.full_like(scores, -1e9, device="cuda")
            scores = torch.where(mask.to("cuda", non_blocking=True), scores, fill)
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
