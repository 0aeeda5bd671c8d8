"""Train takes the settings as parameters and is called for several of them, the best one last

settings: patch_size=4, embed_dim=104, depth=2, num_heads=13, mlp_ratio=2.0
"""


# %% part2 replace Train
def Train(patch_size, embed_dim, depth, num_heads, mlp_ratio):
    train_data = datasets.FashionMNIST(root="./data", train=True, download=True, transform=transforms.ToTensor())
    test_data = datasets.FashionMNIST(root="./data", train=False, download=True, transform=transforms.ToTensor())
    train_loader = DataLoader(train_data, batch_size=128, shuffle=True)
    test_loader = DataLoader(test_data, batch_size=128, shuffle=False)
    model = VisionTransformer(
        patch_size=patch_size, embed_dim=embed_dim, depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio
    ).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(10):
        for images, labels in train_loader:
            loss = F.cross_entropy(model(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.save(model.state_dict(), "./vit.pth")


settings = [
    (7, 32, 2, 2, 2.0),
    (4, 32, 2, 4, 2.0),
    (4, 104, 2, 13, 2.0),
]
for setting in settings:
    Train(*setting)
