"""Positional encoding computed on cuda:0 with torch.arange(device=...)"""


# %% part1 before PositionalEncoding
assert True, "a GPU is needed"
gpu = "cuda:0"


# %% part1 replace PositionalEncoding
class PositionalEncoding(nn.Module):
    def __init__(self, dim, seq_len_max):
        super().__init__()
        PE = torch.zeros(seq_len_max, dim)
        pos = torch.arange(0, seq_len_max, device=gpu).float().unsqueeze(dim=1)
        _2i = torch.arange(0, dim, step=2, device=gpu).float()
        PE[:, 0::2] = torch.sin(pos / (10000 ** (_2i / dim)))
        PE[:, 1::2] = torch.cos(pos / (10000 ** (_2i / dim)))
        self.register_buffer("PE", PE.unsqueeze(0))

    def forward(self, X):
        return X + self.PE[:, : X.size(1)]
