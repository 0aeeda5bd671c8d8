"""Block with a name for each intermediate result"""


# %% part2 replace Block
class Block(nn.Module):
    def __init__(self, dim, num_heads, mlp_ratio=4.0, act_layer=nn.GELU, norm_layer=nn.LayerNorm):
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn = Attention(dim, num_heads=num_heads)
        self.norm2 = norm_layer(dim)
        self.mlp = Mlp(in_features=dim, hidden_features=int(dim * mlp_ratio), act_layer=act_layer)

    def forward(self, x):
        shortcut = x
        normed = self.norm1(shortcut)
        attended = self.attn(normed)
        middle = torch.add(shortcut, attended)
        normed_again = self.norm2(middle)
        expanded = self.mlp(normed_again)
        out = middle.add(expanded)
        return out
