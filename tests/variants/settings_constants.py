"""The five settings are constants in capitals at module level

settings: patch_size=7, embed_dim=128, depth=2, num_heads=8, mlp_ratio=2.0
"""


# %% part2 before Train
PATCH_SIZE, EMBED_DIM = 7, 128
DEPTH = 2
NUM_HEADS = EMBED_DIM // 16
MLP_RATIO = 4 / 2


# %% part2 replace Train
def Train(patch_size=PATCH_SIZE, embed_dim=EMBED_DIM):
    train_data = datasets.FashionMNIST(root="./data", train=True, download=True, transform=transforms.ToTensor())
    test_data = datasets.FashionMNIST(root="./data", train=False, download=True, transform=transforms.ToTensor())
    train_loader = DataLoader(train_data, batch_size=128, shuffle=True)
    test_loader = DataLoader(test_data, batch_size=128, shuffle=False)
    model = VisionTransformer(
        img_size=28, patch_size=patch_size, in_chans=1, num_classes=10,
        embed_dim=embed_dim, depth=DEPTH, num_heads=NUM_HEADS, mlp_ratio=MLP_RATIO,
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
