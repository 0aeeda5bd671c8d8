"""Type hints everywhere, from __future__ import annotations, keyword-only helpers"""


# %% part1 start
from __future__ import annotations
from typing import Final, Optional

from torch import Tensor


# %% part1 replace MultiHeadAttention
class MultiHeadAttention(nn.Module):
    dim: int
    head_num: int
    word_dim: int
    FILL: Final[float] = float("-inf")

    def __init__(self, dim: int, head_num: int) -> None:
        super().__init__()
        self.dim = dim
        self.head_num = head_num
        self.word_dim = dim // head_num
        self.W_q: nn.Linear = nn.Linear(dim, dim)
        self.W_k: nn.Linear = nn.Linear(dim, dim)
        self.W_v: nn.Linear = nn.Linear(dim, dim)
        self.W_o: nn.Linear = nn.Linear(dim, dim)

    def scaled_dot_product(self, Q: Tensor, K: Tensor, V: Tensor, mask: Optional[BoolTensor] = None) -> Tensor:
        scores: Tensor = (Q * self.word_dim**-0.5) @ K.mT
        if mask is not None:
            scores = self._hide(scores, where=~mask)
        return scores.softmax(dim=-1) @ V

    def _hide(self, scores: Tensor, *, where: Tensor) -> Tensor:
        return scores.masked_fill(where, self.FILL)

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
