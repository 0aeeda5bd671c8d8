# Not attention: an average over the visible keys. It takes part where the student's own attention fails, so that
# the layer around it can still be judged; whoever reads it in the sandbox learns nothing about the solution.
import torch
import torch.nn as nn


class MultiHeadAttention(nn.Module):
    def __init__(self, dim, head_num, *unused, **also_unused):
        super().__init__()
        self.dim, self.head_num, self.word_dim = dim, head_num, dim // head_num
        self.W_q, self.W_k, self.W_v, self.W_o = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, X_Q, X_K, X_V, mask=None):
        values = torch.tanh(self.W_k(X_K)) * self.W_v(X_V)
        shape = (X_Q.size(0), 1, X_Q.size(1), X_K.size(1))
        seen = torch.ones(shape) if mask is None else mask.expand(shape).to(values.dtype)
        seen = seen[:, 0]
        mean = seen @ values / seen.sum(dim=-1, keepdim=True).clamp(min=1)
        return self.W_o(torch.sin(self.W_q(X_Q)) + mean)
