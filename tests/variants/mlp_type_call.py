"""Mlp made by calling type() with functions from another cell"""


# %% part2 before Mlp
def mlp_init(self, in_features, hidden_features=None, out_features=None, act_layer=nn.GELU):
    nn.Module.__init__(self)
    hidden = in_features if hidden_features is None else hidden_features
    out = in_features if out_features is None else out_features
    self.up, self.act, self.down = nn.Linear(in_features, hidden), act_layer(), nn.Linear(hidden, out)


# %% part2 replace Mlp
Mlp = type("Mlp", (nn.Module,), {"__init__": mlp_init, "forward": lambda self, x: self.down(self.act(self.up(x)))})
