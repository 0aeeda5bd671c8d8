"""Positional encoding computed in float64 and copied into the float32 table"""


# %% part1 replace PositionalEncoding
class PositionalEncoding(nn.Module):
    def __init__(self, dim, seq_len_max):
        super().__init__()
        PE = torch.zeros(seq_len_max, dim)
        pos = torch.arange(seq_len_max, dtype=torch.float64)
        i = torch.arange(dim // 2, dtype=torch.float64)
        angle = torch.einsum("p,i->pi", pos, torch.pow(10000.0, -2 * i / dim))
        PE[:, ::2].copy_(angle.sin())
        PE[:, 1::2].copy_(angle.cos())
        self.register_buffer("PE", PE.unsqueeze(0))

    def forward(self, X):
        return X + self.PE[:, : X.size(1)]
