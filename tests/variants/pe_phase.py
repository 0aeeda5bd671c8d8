"""Positional encoding where the cosine is a sine shifted by pi/2, filled row by row from a comprehension"""


# %% part1 before PositionalEncoding
PI = math.acos(-1)

def angle_of(pos, j, dim):
    return pos / 10000 ** (2 * (j // 2) / dim) + (PI / 2 if j % 2 else 0)


# %% part1 replace PositionalEncoding
class PositionalEncoding(nn.Module):
    def __init__(self, dim, seq_len_max):
        super().__init__()
        PE = torch.zeros(seq_len_max, dim)
        for pos, row in enumerate(PE):
            row[:] = torch.tensor([math.sin(angle_of(pos, j, dim)) for j in range(dim)])
        self.register_buffer("PE", PE.unsqueeze(0))

    def forward(self, X):
        return X + self.PE[:, : X.size(1)]
