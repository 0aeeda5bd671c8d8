"""Patch embedding with nn.Unfold and a linear layer"""


# %% part2 replace PatchEmbed
class PatchEmbed(nn.Module):
    def __init__(self, img_size=224, patch_size=16, in_chans=3, embed_dim=768):
        super().__init__()
        self.img_size = img_size
        self.patch_size = patch_size
        self.num_patches = (img_size // patch_size) * (img_size // patch_size)
        self.unfold = nn.Unfold(kernel_size=patch_size, stride=patch_size)
        self.linear = nn.Linear(in_chans * patch_size**2, embed_dim)

    def forward(self, x):
        x = self.unfold(x)  # (B, C * P * P, N)
        x = self.linear(x.permute(0, 2, 1))
        return x
