"""Positional encoding with div_term, by exp and log, star imports only"""


# %% part1 start
from torch import *
from torch.nn import *
from math import *


# %% part1 replace PositionalEncoding
class PositionalEncoding(Module):
    def __init__(self, dim, seq_len_max):
        super().__init__()
        PE = zeros(seq_len_max, dim)
        position = arange(0, seq_len_max).float().unsqueeze(1)
        div_term = torch.exp(arange(0, dim, 2).float() * -(log(10000.0) / dim))
        PE[:, 0::2] = torch.sin(position * div_term)
        PE[:, 1::2] = torch.cos(position * div_term)
        self.register_buffer("PE", PE.unsqueeze(0))

    def forward(self, X):
        return X + self.PE[:, : X.size(1)]
