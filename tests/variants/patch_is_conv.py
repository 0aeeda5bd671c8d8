"""PatchEmbed inherits from nn.Conv2d"""


# %% part2 replace PatchEmbed
class PatchEmbed(nn.Conv2d):
    def __init__(self, img_size=224, patch_size=16, in_chans=3, embed_dim=768):
        super().__init__(in_chans, embed_dim, kernel_size=patch_size, stride=patch_size)
        self.img_size = img_size
        self.patch_size = patch_size
        self.num_patches = (img_size // patch_size) * (img_size // patch_size)

    def forward(self, x):
        return torch.flatten(super().forward(x), 2).transpose(2, 1)
