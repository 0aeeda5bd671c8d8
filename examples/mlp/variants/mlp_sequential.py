"""The network as one nn.Sequential"""


# %% notebook replace MLP
class MLP(nn.Module):
    def __init__(self, in_features, hidden_features, out_features):
        super().__init__()
        sizes = (in_features, hidden_features, hidden_features, out_features)
        layers = []
        for a, b in zip(sizes, sizes[1:]):
            layers += [Dense(a, b), nn.ReLU()]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.net(x)
