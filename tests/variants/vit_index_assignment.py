"""ViT that writes class token and patches into an empty tensor, with register_parameter and an OrderedDict of blocks"""


# %% part2 before VisionTransformer
from collections import OrderedDict


# %% part2 replace VisionTransformer
class VisionTransformer(nn.Module):
    def __init__(self, img_size=28, patch_size=4, in_chans=1, num_classes=10, embed_dim=768, depth=12,
                 num_heads=12, mlp_ratio=4.0, norm_layer=nn.LayerNorm):
        super().__init__()
        self.patch_embed = PatchEmbed(img_size=img_size, patch_size=patch_size, in_chans=in_chans, embed_dim=embed_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.register_parameter("pos_embed", nn.Parameter(torch.rand(1, self.patch_embed.num_patches + 1, embed_dim)))
        self.blocks = nn.Sequential(OrderedDict(
            (f"block{i}", Block(embed_dim, num_heads, mlp_ratio=mlp_ratio, norm_layer=norm_layer)) for i in range(depth)
        ))
        self.norm = norm_layer(embed_dim)
        self.head = nn.Linear(embed_dim, num_classes)

    def forward(self, x):
        x = self.patch_embed(x)
        B, N, D = x.shape
        z = torch.empty(B, N + 1, D, dtype=x.dtype, device=x.device)
        z[:, 0], z[:, 1:] = self.cls_token[:, 0], x
        z = self.norm(self.blocks(z + self.pos_embed.expand(B, -1, -1)))
        return self.head(z[:, 0])
