"""ViT attention head by head with slices of the qkv output"""


# %% part2 replace Attention
class Attention(nn.Module):
    def __init__(self, dim, num_heads=8):
        super().__init__()
        self.num_heads = num_heads
        head_dim = dim // num_heads
        self.scale = head_dim**-0.5
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        B, N, C = x.shape
        d = C // self.num_heads
        qkv = self.qkv(x)
        out = []
        for h in range(self.num_heads):
            q = qkv[:, :, h * d:(h + 1) * d]
            k = qkv[:, :, C + h * d:C + (h + 1) * d]
            v = qkv[:, :, 2 * C + h * d:2 * C + (h + 1) * d]
            score = torch.bmm(q, k.transpose(1, 2)) * self.scale
            score = score - score.max(dim=-1, keepdim=True)[0]
            prob = score.exp() / score.exp().sum(dim=-1, keepdim=True)
            out.append(torch.bmm(prob, v))
        x = torch.cat(out, dim=-1)
        x = self.proj(x)
        return x
