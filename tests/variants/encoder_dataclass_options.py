"""Options in a dataclass that a later cell makes, and steps told apart by match"""


# %% part1 before EncoderLayer
from dataclasses import dataclass, field


@dataclass
class Options:
    eps: float = 1e-5
    order: list = field(default_factory=lambda: ["attention", "ffn"])


makers = {"norm": lambda dim: nn.LayerNorm(dim, eps=OPTIONS.eps), "drop": nn.Dropout}


# %% part1 replace EncoderLayer
class EncoderLayer(nn.Module):
    def __init__(self, dim, head_num, FFN_dim, dropout):
        super().__init__()
        self.attn = MultiHeadAttention(dim, head_num)
        self.ffn = FFN(dim, FFN_dim)
        self.norm1, self.norm2 = makers["norm"](dim), makers["norm"](dim)
        self.drop = makers["drop"](dropout)

    def forward(self, X, mask):
        for step in OPTIONS.order:
            match step:
                case "attention":
                    X = self.norm1(X + self.drop(self.attn(X, X, X, mask)))
                case "ffn":
                    X = self.norm2(X + self.drop(self.ffn(X)))
        return X


# %% part1 after EncoderLayer
OPTIONS = Options()
