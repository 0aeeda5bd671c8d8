"""Mlp that keeps the class of the activation and makes one in forward"""


# %% part2 replace Mlp
class Mlp(nn.Module):
    def __init__(self, in_features, hidden_features=None, out_features=None, act_layer=nn.GELU):
        super().__init__()
        out_features = out_features or in_features
        hidden_features = hidden_features or in_features
        self.act_layer = act_layer
        self.lin2 = nn.Linear(hidden_features, out_features)
        self.lin1 = nn.Linear(in_features, hidden_features)

    def forward(self, x):
        x = self.lin1(x)
        x = self.act_layer()(x)
        x = self.lin2(x)
        return x
