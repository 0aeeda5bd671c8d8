"""The five settings in a NamedTuple, and the model made by a helper

settings: patch_size=4, embed_dim=96, depth=2, num_heads=8, mlp_ratio=2.0
"""


# %% part2 before Train
from typing import NamedTuple


class Setting(NamedTuple):
    patch_size: int
    embed_dim: int
    depth: int
    num_heads: int = 8
    mlp_ratio: float = 2.0


def build(s: Setting):
    return VisionTransformer(
        patch_size=s.patch_size, embed_dim=s.embed_dim, depth=s.depth, num_heads=s.num_heads, mlp_ratio=s.mlp_ratio
    )


# %% part2 replace Train
def Train():
    setting = Setting(4, 96, depth=2)
    train_data = datasets.FashionMNIST(root="./data", train=True, download=True, transform=transforms.ToTensor())
    test_data = datasets.FashionMNIST(root="./data", train=False, download=True, transform=transforms.ToTensor())
    train_loader = DataLoader(train_data, batch_size=128, shuffle=True)
    test_loader = DataLoader(test_data, batch_size=128, shuffle=False)
    model = build(setting).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(20):
        model.train()
        for images, labels in train_loader:
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()

    model.eval()
    correct = 0
    with torch.no_grad():
        for images, labels in test_loader:
            correct += (model(images.to(device)).argmax(1).cpu() == labels).sum().item()
    print(f"Test accuracy: {100 * correct / len(test_data):.2f}%")
    torch.save(model.state_dict(), "./vit.pth")


Train()
