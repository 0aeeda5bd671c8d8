"""Block as a fold over its two halves"""


# %% part2 before Block
from functools import reduce


# %% part2 replace Block
class Block(nn.Module):
    def __init__(self, dim, num_heads, mlp_ratio=4.0, act_layer=nn.GELU, norm_layer=nn.LayerNorm):
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn = Attention(dim, num_heads=num_heads)
        self.norm2 = norm_layer(dim)
        self.mlp = Mlp(in_features=dim, hidden_features=int(dim * mlp_ratio), act_layer=act_layer)

    @property
    def halves(self):
        return (self.norm1, self.attn), (self.norm2, self.mlp)

    def forward(self, x):
        return reduce(lambda z, half: z + half[1](half[0](z)), self.halves, x)
