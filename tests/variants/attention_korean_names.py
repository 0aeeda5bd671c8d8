"""한글 이름과 주석으로 쓴 어텐션 (Korean identifiers and comments)"""


# %% part1 before MultiHeadAttention
아주_작은_값 = -1e9


def 가중치_계산(점수, 마스크=None):
    """점수에 마스크를 씌우고 소프트맥스를 취한다."""
    if 마스크 is not None:
        점수 = 점수.masked_fill(마스크 == 0, 아주_작은_값)  # 가려진 단어는 보지 않는다
    return F.softmax(점수, dim=-1)


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
        # 쿼리와 키를 내적하고 루트 차원으로 나눈다
        점수 = torch.matmul(Q, K.transpose(-2, -1)) / math.sqrt(self.word_dim)
        가중치 = 가중치_계산(점수, mask)
        heads = torch.matmul(가중치, V)
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
