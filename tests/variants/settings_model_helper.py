"""A helper make_model(**changes) with defaults, called from Train with some of them changed

settings: patch_size=4, embed_dim=64, depth=4, num_heads=16, mlp_ratio=2.0
"""


# %% part2 before Train
DEFAULTS = dict(patch_size=7, embed_dim=64, depth=4, num_heads=4, mlp_ratio=2.0)


def make_model(**changes):
    settings = {**DEFAULTS, **changes}
    return VisionTransformer(img_size=28, in_chans=1, num_classes=10, **settings)


# %% part2 replace Train
def Train():
    train_data = datasets.FashionMNIST(root="./data", train=True, download=True, transform=transforms.ToTensor())
    test_data = datasets.FashionMNIST(root="./data", train=False, download=True, transform=transforms.ToTensor())
    train_loader = DataLoader(train_data, batch_size=128, shuffle=True)
    test_loader = DataLoader(test_data, batch_size=128, shuffle=False)
    model = make_model(patch_size=4, num_heads=16).to(device)
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
