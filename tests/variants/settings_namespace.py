"""Train reads the five settings from an argparse namespace

settings: patch_size=4, embed_dim=64, depth=6, num_heads=8, mlp_ratio=4.0
"""


# %% part2 before Train
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--patch-size", type=int, default=4)
parser.add_argument("--embed-dim", type=int, default=64)
parser.add_argument("--depth", type=int, default=6)
parser.add_argument("--num-heads", type=int, default=8)
parser.add_argument("--mlp-ratio", type=float, default=4.)
args = parser.parse_args(args=[])


# %% part2 replace Train
def Train():
    train_data = datasets.FashionMNIST(root="./data", train=True, download=True, transform=transforms.ToTensor())
    test_data = datasets.FashionMNIST(root="./data", train=False, download=True, transform=transforms.ToTensor())
    train_loader = DataLoader(train_data, batch_size=128, shuffle=True)
    test_loader = DataLoader(test_data, batch_size=128, shuffle=False)
    model = VisionTransformer(
        img_size=28, patch_size=args.patch_size, in_chans=1, num_classes=10, embed_dim=args.embed_dim,
        depth=args.depth, num_heads=args.num_heads, mlp_ratio=args.mlp_ratio,
    ).to(device)
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
