"""Positional encoding whose base is found by a loop with append at module level"""


# %% part1 before PositionalEncoding
powers = []
for k in range(5):
    powers.append(10**k)


# %% part1 replace PositionalEncoding
class PositionalEncoding(nn.Module):
    def __init__(self, dim, seq_len_max):
        super().__init__()
        PE = torch.zeros(seq_len_max, dim)
        pos = torch.arange(seq_len_max, dtype=torch.float).unsqueeze(1)
        angle = pos / powers[-1] ** (torch.arange(0, dim, 2) / dim)
        PE[:, 0::2] = torch.sin(angle)
        PE[:, 1::2] = torch.cos(angle)
        self.register_buffer("PE", PE.unsqueeze(0))

    def forward(self, X):
        return X + self.PE[:, : X.size(1)]
