"""Patch embedding by a convolution that cuts, and a second linear map without activation between"""


# %% part2 replace PatchEmbed
class PatchEmbed(nn.Module):
    def __init__(self, img_size=224, patch_size=16, in_chans=3, embed_dim=768):
        super().__init__()
        self.img_size = img_size
        self.patch_size = patch_size
        self.num_patches = (img_size // patch_size) * (img_size // patch_size)
        self.cut = nn.Conv2d(in_chans, in_chans * patch_size**2, patch_size, patch_size, bias=False)
        self.mix = nn.Linear(in_chans * patch_size**2, embed_dim)

    def forward(self, x):
        return self.mix(self.cut(x).flatten(2).mT)
