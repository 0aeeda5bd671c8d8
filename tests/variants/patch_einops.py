"""Patch embedding with einops where it is installed, else with a rearrange of one's own"""


# %% part2 before PatchEmbed
!pip install -q einops


# %% part2 before PatchEmbed
try:
    from einops import rearrange
except ImportError:

    def rearrange(x, pattern, p1, p2):
        b, c, height, width = x.shape
        x = x.view(b, c, height // p1, p1, width // p2, p2)
        return torch.einsum("bchpwq->bhwpqc", x).reshape(b, -1, p1 * p2 * c)


# %% part2 replace PatchEmbed
class PatchEmbed(nn.Module):
    def __init__(self, img_size=224, patch_size=16, in_chans=3, embed_dim=768):
        super().__init__()
        self.img_size = img_size
        self.patch_size = patch_size
        self.num_patches = (img_size // patch_size) * (img_size // patch_size)
        self.to_patch_embedding = nn.Linear(patch_size * patch_size * in_chans, embed_dim)

    def forward(self, x):
        p = self.patch_size
        x = rearrange(x, "b c (h p1) (w p2) -> b (h w) (p1 p2 c)", p1=p, p2=p)
        return self.to_patch_embedding(x)
