# Not the Mlp of the assignment: one layer with another nonlinearity, so that the block around it can be judged alone.
import torch
import torch.nn as nn


class Mlp(nn.Module):
    def __init__(self, in_features, hidden_features=None, out_features=None, act_layer=nn.GELU, *unused, **also_unused):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features or in_features)

    def forward(self, x):
        return torch.sin(self.layer(x))
