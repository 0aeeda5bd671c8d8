"""Mlp by matrix products with bare parameters, each weight stored as (in, out)"""


# %% part2 replace Mlp
class Mlp(nn.Module):
    def __init__(self, in_features, hidden_features=None, out_features=None, act_layer=nn.GELU):
        super().__init__()
        out_features = out_features or in_features
        hidden_features = hidden_features or in_features
        self.W1 = nn.Parameter(torch.randn(in_features, hidden_features) * 0.02)
        self.b1 = nn.Parameter(torch.zeros(hidden_features))
        self.W2 = nn.Parameter(torch.randn(hidden_features, out_features) * 0.02)
        self.b2 = nn.Parameter(torch.zeros(out_features))
        self.act = act_layer()

    def forward(self, x):
        return self.act(x @ self.W1 + self.b1) @ self.W2 + self.b2
