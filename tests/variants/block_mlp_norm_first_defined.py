"""Block with its parts defined in reverse and run from a list of steps"""


# %% part2 replace Block
class Block(nn.Module):
    def __init__(self, dim, num_heads, mlp_ratio=4., act_layer=nn.GELU, norm_layer=nn.LayerNorm):
        super().__init__()
        self.mlp = Mlp(dim, int(dim * mlp_ratio), act_layer=act_layer)
        self.norm2 = norm_layer(dim)
        self.attn = Attention(dim, num_heads)
        self.norm1 = norm_layer(dim)
        self.steps = [lambda x: self.attn(self.norm1(x)), lambda x: self.mlp(self.norm2(x))]

    def forward(self, x):
        for step in self.steps:
            y = step(x)
            y += x
            x = y
        return x
