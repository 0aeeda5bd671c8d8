"""Positional encoding filled by two nested loops with math.sin"""


# %% part1 replace PositionalEncoding
class PositionalEncoding(nn.Module):
    def __init__(self, dim, seq_len_max):
        super().__init__()
        PE = torch.zeros(seq_len_max, dim)
        for pos in range(seq_len_max):
            for i in range(0, dim, 2):
                PE[pos, i] = math.sin(pos / (10000 ** (i / dim)))
                PE[pos, i + 1] = math.cos(pos / (10000 ** (i / dim)))
        self.register_buffer("PE", PE.unsqueeze(0))

    def forward(self, X):
        return X + self.PE[:, : X.size(1)]
