"""Block with a stochastic depth of its own that is off by default, and a layer scale of one as a buffer"""


# %% part2 before Block
class DropPath(nn.Module):
    def __init__(self, p=0.0):
        super().__init__()
        self.p = p

    def forward(self, x):
        if self.p == 0.0 or not self.training:
            return x
        keep = torch.rand(x.shape[0], 1, 1, device=x.device) >= self.p
        return x * keep / (1 - self.p)


# %% part2 replace Block
class Block(nn.Module):
    def __init__(self, dim, num_heads, mlp_ratio=4.0, act_layer=nn.GELU, norm_layer=nn.LayerNorm):
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn = Attention(dim, num_heads=num_heads)
        self.norm2 = norm_layer(dim)
        self.mlp = Mlp(in_features=dim, hidden_features=int(dim * mlp_ratio), act_layer=act_layer)
        self.drop_path = DropPath() if num_heads else nn.Identity()
        self.register_buffer("ls", torch.ones(1), persistent=False)

    def forward(self, x):
        x = x + self.drop_path(self.ls * self.attn(self.norm1(x)))
        x = x + self.drop_path(self.ls * self.mlp(self.norm2(x)))
        return x
