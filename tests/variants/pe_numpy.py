"""Positional encoding by numpy, as in the TensorFlow tutorial"""


# %% part1 before PositionalEncoding
import numpy as np


def get_angles(pos, i, d_model):
    angle_rates = 1 / np.power(10000, (2 * (i // 2)) / np.float32(d_model))
    return pos * angle_rates


# %% part1 replace PositionalEncoding
class PositionalEncoding(nn.Module):
    def __init__(self, dim, seq_len_max):
        super().__init__()
        PE = torch.zeros(seq_len_max, dim)
        angle_rads = get_angles(np.arange(seq_len_max)[:, np.newaxis], np.arange(dim)[np.newaxis, :], dim)
        angle_rads[:, 0::2] = np.sin(angle_rads[:, 0::2])
        angle_rads[:, 1::2] = np.cos(angle_rads[:, 1::2])
        PE = torch.from_numpy(angle_rads).float()
        self.register_buffer("PE", PE.unsqueeze(0))

    def forward(self, X):
        return X + self.PE[:, : X.size(1)]
