"""The five settings are attributes of a plain class CFG, which a later line changes

settings: patch_size=4, embed_dim=80, depth=3, num_heads=5, mlp_ratio=2
"""


# %% part2 before Train
class CFG:
    patch_size = 4
    embed_dim = 80
    depth = 3
    num_heads = 4
    mlp_ratio = 2


CFG.num_heads = 5


# %% part2 replace Train
def Train():
    train_data = datasets.FashionMNIST(root="./data", train=True, download=True, transform=transforms.ToTensor())
    test_data = datasets.FashionMNIST(root="./data", train=False, download=True, transform=transforms.ToTensor())
    train_loader = DataLoader(train_data, batch_size=128, shuffle=True)
    test_loader = DataLoader(test_data, batch_size=128, shuffle=False)
    model = VisionTransformer(patch_size=CFG.patch_size, embed_dim=CFG.embed_dim, depth=CFG.depth,
                              num_heads=CFG.num_heads, mlp_ratio=CFG.mlp_ratio).to(device)
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
