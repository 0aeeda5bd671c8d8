"""A larger model where there is a GPU, a smaller one where there is none

settings: patch_size=4, embed_dim=128, depth=6, num_heads=16, mlp_ratio=4.0
"""


# %% part2 replace Train
def Train():
    patch_size = 4
    if torch.cuda.is_available():
        embed_dim, depth, num_heads = 128, 6, 16
    else:
        embed_dim, depth, num_heads = 32, 2, 4
    mlp_ratio = 4.0 if device.type == "cuda" else 2.0
    train_data = datasets.FashionMNIST(root="./data", train=True, download=True, transform=transforms.ToTensor())
    test_data = datasets.FashionMNIST(root="./data", train=False, download=True, transform=transforms.ToTensor())
    train_loader = DataLoader(train_data, batch_size=128, shuffle=True)
    test_loader = DataLoader(test_data, batch_size=128, shuffle=False)
    model = VisionTransformer(
        img_size=28, patch_size=patch_size, in_chans=1, num_classes=10,
        embed_dim=embed_dim, depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio,
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
