"""Positional encoding by torch.where over even and odd columns"""


# %% part1 replace PositionalEncoding
class PositionalEncoding(nn.Module):
    def __init__(self, dim, seq_len_max):
        super().__init__()
        PE = torch.zeros(seq_len_max, dim)
        row, column = torch.meshgrid(torch.arange(seq_len_max), torch.arange(dim), indexing="ij")
        odd = column % 2
        angle = row * torch.exp2(-(column - odd) / dim * math.log2(10000))
        PE.add_(torch.where(odd.bool(), angle.cos(), angle.sin()))
        self.register_buffer("PE", PE.unsqueeze(0))

    def forward(self, X):
        return X + self.PE[:, : X.size(1)]
