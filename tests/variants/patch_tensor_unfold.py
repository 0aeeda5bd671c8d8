"""Patch embedding with the unfold method of tensors, the pixels of a patch column by column"""


# %% part2 replace PatchEmbed
class PatchEmbed(nn.Module):
    def __init__(self, img_size=224, patch_size=16, in_chans=3, embed_dim=768):
        super().__init__()
        self.img_size = img_size
        self.patch_size = patch_size
        self.num_patches = (img_size // patch_size) * (img_size // patch_size)
        self.fc = nn.Linear(in_chans * patch_size * patch_size, embed_dim)

    def forward(self, x):
        p = self.patch_size
        patches = x.unfold(2, p, p).unfold(3, p, p)  # B, C, rows, columns, p, p
        patches = patches.permute(0, 2, 3, 1, 5, 4)
        patches = patches.contiguous().view(x.size(0), self.num_patches, -1)
        return self.fc(patches)
