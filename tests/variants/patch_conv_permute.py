"""Patch embedding by a convolution in a Sequential with Flatten, transposed by permute"""


# %% part2 replace PatchEmbed
class PatchEmbed(nn.Module):
    def __init__(self, img_size=224, patch_size=16, in_chans=3, embed_dim=768):
        super().__init__()
        self.img_size = img_size
        self.patch_size = patch_size
        self.num_patches = (img_size // patch_size) * (img_size // patch_size)
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.patcher = nn.Sequential(
            nn.Conv2d(
                in_channels=in_chans,
                out_channels=embed_dim,
                kernel_size=(patch_size, patch_size),
                stride=(patch_size, patch_size),
                padding="valid",
            ),
            nn.Flatten(start_dim=2, end_dim=3),
        )

    def forward(self, x):
        x = self.patcher(x).permute(0, 2, 1)
        return x
