# Not a patch embedding: one number a patch, its mean, spread over the embedding by a line.
import torch.nn as nn


class PatchEmbed(nn.Module):
    def __init__(self, img_size=224, patch_size=16, in_chans=3, embed_dim=768, *unused, **also_unused):
        super().__init__()
        self.img_size, self.patch_size = img_size, patch_size
        self.num_patches = (img_size // patch_size) * (img_size // patch_size)
        self.spread = nn.Linear(1, embed_dim)
        self.pool = nn.AvgPool2d(patch_size)

    def forward(self, x):
        means = self.pool(x.mean(dim=1, keepdim=True)).flatten(1)
        return self.spread(means.unsqueeze(-1))
