"""Mlp with its layers in a ModuleList, the last one defined first"""


# %% part2 replace Mlp
class Mlp(nn.Module):
    def __init__(self, in_features, hidden_features=None, out_features=None, act_layer=nn.GELU):
        super().__init__()
        out_features = out_features or in_features
        hidden_features = hidden_features or in_features
        layers = [nn.Linear(hidden_features, out_features), act_layer(), nn.Linear(in_features, hidden_features)]
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        for layer in reversed(self.layers):
            x = layer(x)
        return x
