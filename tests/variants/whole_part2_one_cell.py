"""All classes of part 2 rewritten in one cell at the end, the first ones left in place"""


# %% part2 end
%%capture out
class PatchEmbed(nn.Module):
    def __init__(self, img_size=224, patch_size=16, in_chans=3, embed_dim=768):
        super().__init__()
        self.num_patches = (img_size // patch_size) ** 2
        self.conv = nn.Conv2d(in_chans, embed_dim, patch_size, patch_size)

    def forward(self, x):
        return self.conv(x).flatten(start_dim=-2).transpose(-1, -2)


class Mlp(nn.Sequential):
    def __init__(self, in_features, hidden_features=None, out_features=None, act_layer=nn.GELU):
        hidden_features = hidden_features or in_features
        super().__init__(
            nn.Linear(in_features, hidden_features), act_layer(), nn.Linear(hidden_features, out_features or in_features)
        )


class Attention(nn.Module):
    def __init__(self, dim, num_heads=8):
        super().__init__()
        self.num_heads, self.scale = num_heads, (dim // num_heads) ** -0.5
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).movedim((2, 3), (0, 2))
        return self.proj(((q @ k.mT * self.scale).softmax(-1) @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, dim, num_heads, mlp_ratio=4.0, act_layer=nn.GELU, norm_layer=nn.LayerNorm):
        super().__init__()
        self.mlp = nn.Sequential(norm_layer(dim), Mlp(dim, int(dim * mlp_ratio), act_layer=act_layer))
        self.attn = nn.Sequential(norm_layer(dim), Attention(dim, num_heads))

    def forward(self, x):
        x = x + self.attn(x)
        return x + self.mlp(x)
