# Not a Transformer block: tokens mixed by their mean, so that what is built of blocks can be judged alone.
import torch
import torch.nn as nn


class Block(nn.Module):
    def __init__(self, dim, num_heads=8, mlp_ratio=4.0, *unused, **also_unused):
        super().__init__()
        self.mix = nn.Linear(dim, dim)

    def forward(self, x):
        return x + torch.sin(self.mix(x) + x.mean(dim=1, keepdim=True))
