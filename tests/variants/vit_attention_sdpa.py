"""ViT attention with F.scaled_dot_product_attention"""


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
        qkv = self.qkv(x).view(B, N, 3, self.num_heads, -1)
        q, k, v = (qkv[:, :, i].transpose(1, 2) for i in range(3))
        x = F.scaled_dot_product_attention(q, k, v).swapaxes(1, 2).contiguous().view(B, N, C)
        x = self.proj(x)
        return x
