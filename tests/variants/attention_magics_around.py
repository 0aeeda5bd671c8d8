"""Magics, help and shell lines above an indented cell with tabs; a broken cell before it"""


# %% part1 before MultiHeadAttention
def scaled_dot(Q, K, V:
    return Q @ K.T


# %% part1 replace MultiHeadAttention
%load_ext autoreload
%autoreload 2
%env CUDA_VISIBLE_DEVICES = 0
files = !ls -l
nn.Linear?
class MultiHeadAttention(nn.Module):
	def __init__(self, dim, head_num):
		super().__init__(); self.dim = dim; self.head_num = head_num
		self.word_dim = dim // head_num
		self.W_q, self.W_k = nn.Linear(dim, dim), nn.Linear(dim, dim)
		self.W_v, self.W_o = nn.Linear(dim, dim), nn.Linear(dim, dim)

	def scaled_dot_product(self, Q, K, V, mask=None):
		s = Q @ K.transpose(-2, -1) \
			/ math.sqrt(self.word_dim)
		if mask is not None: s = s.masked_fill(mask == 0, -1e9)
		return s.softmax(-1) @ V

	def split(self, X):
		B, L, _ = X.size()
		return X.view(B, L, self.head_num, self.word_dim).transpose(1, 2)

	def combine(self, X):
		B, _, L, _ = X.size()
		return X.transpose(1, 2).contiguous().view(B, L, self.dim)

	def forward(self, X_Q, X_K, X_V, mask=None):
		Q = self.split(self.W_q(X_Q)); K = self.split(self.W_k(X_K)); V = self.split(self.W_v(X_V))
		return self.W_o(self.combine(self.scaled_dot_product(Q, K, V, mask)))
