# Not attention: an average over the tokens, so that the block around it can be judged alone.
import torch
import torch.nn as nn


class Attention(nn.Module):
    def __init__(self, dim, num_heads=8, *unused, **also_unused):
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        a, b, c = self.qkv(x).chunk(3, dim=-1)
        return self.proj(torch.sin(a) + (torch.tanh(b) * c).mean(dim=1, keepdim=True))
