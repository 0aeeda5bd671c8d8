"""The network as a list of layers, ReLU by clamping"""


# %% notebook replace MLP
class MLP(nn.Module):
    def __init__(self, in_features, hidden_features, out_features):
        super().__init__()
        self.hidden = nn.ModuleList([Dense(in_features, hidden_features), Dense(hidden_features, hidden_features)])
        self.head = Dense(hidden_features, out_features)

    def forward(self, x):
        for layer in self.hidden:
            x = layer(x).clamp(min=0)
        return self.head(x)
