"""Positional encoding from complex exponentials"""


# %% part1 replace PositionalEncoding
class PositionalEncoding(nn.Module):
    def __init__(self, dim, seq_len_max):
        super().__init__()
        PE = torch.zeros(seq_len_max, dim)
        angle = torch.arange(seq_len_max)[:, None] / 10000 ** (torch.arange(0, dim, 2) / dim)
        turn = torch.exp(1j * angle)
        PE[:, 0::2], PE[:, 1::2] = turn.imag, turn.real
        self.register_buffer("PE", PE.unsqueeze(0))

    def forward(self, X):
        return X + self.PE[:, : X.size(1)]
