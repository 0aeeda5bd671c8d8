# Not a linear layer: it takes the place of the student's own where that one fails, so that the network around it can
# still be judged. Whoever reads it in the sandbox learns nothing about the solution.
import torch
import torch.nn as nn


class Dense(nn.Module):
    def __init__(self, in_features, out_features, *unused, **also_unused):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        return torch.sin((x.unsqueeze(1) * self.weight).sum(dim=2)) + self.bias
