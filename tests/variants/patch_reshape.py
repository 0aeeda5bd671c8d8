"""Patch embedding with reshape and permute"""


# %% part2 replace PatchEmbed
class PatchEmbed(nn.Module):
    def __init__(self, img_size=224, patch_size=16, in_chans=3, embed_dim=768):
        super().__init__()
        self.img_size = img_size
        self.patch_size = patch_size
        self.num_patches = (img_size // patch_size) * (img_size // patch_size)
        self.proj = nn.Linear(in_chans * patch_size * patch_size, embed_dim)

    def forward(self, x):
        B, C, H, W = x.shape
        assert H == self.img_size and W == self.img_size, f"expected {self.img_size} x {self.img_size}"
        p, n = self.patch_size, self.img_size // self.patch_size
        x = x.reshape(B, C, n, p, n, p)
        x = x.permute(0, 2, 4, 3, 5, 1)
        x = x.reshape(B, n * n, p * p * C)
        return self.proj(x)
