"""Positional encoding by torch.outer, its sines and cosines stacked and flattened"""


# %% part1 replace PositionalEncoding
class PositionalEncoding(nn.Module):
    def __init__(self, dim, seq_len_max):
        super().__init__()
        PE = torch.zeros(seq_len_max, dim)
        frequency = 10000 ** (-torch.arange(0, dim, 2) / dim)
        angle = torch.outer(torch.arange(seq_len_max).float(), frequency)
        PE = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)
        self.register_buffer("PE", PE.unsqueeze(0))

    def forward(self, X):
        return X + self.PE[:, : X.size(1)]
