"""Mlp by convolutions of width one over the tokens"""


# %% part2 replace Mlp
class Mlp(nn.Module):
    def __init__(self, in_features, hidden_features=None, out_features=None, act_layer=nn.GELU):
        super().__init__()
        out_features = out_features or in_features
        hidden_features = hidden_features or in_features
        self.conv1 = nn.Conv1d(in_channels=in_features, out_channels=hidden_features, kernel_size=1)
        self.conv2 = nn.Conv1d(in_channels=hidden_features, out_channels=out_features, kernel_size=1)
        self.act = act_layer()

    def forward(self, x):
        x = self.act(self.conv1(x.transpose(1, 2)))
        x = self.conv2(x).transpose(1, 2)
        return x
