"""Mlp as one nn.Sequential with a dropout of zero"""


# %% part2 replace Mlp
class Mlp(nn.Module):
    def __init__(self, in_features, hidden_features=None, out_features=None, act_layer=nn.GELU):
        super().__init__()
        out_features = out_features or in_features
        hidden_features = hidden_features or in_features
        self.net = nn.Sequential(
            nn.Linear(in_features, hidden_features),
            act_layer(),
            nn.Dropout(0.0),
            nn.Linear(hidden_features, out_features),
            nn.Dropout(0.0),
        )

    def forward(self, x):
        return self.net(x)
