"""The five settings are assigned at module level below Train, which reads them as globals

settings: patch_size=14, embed_dim=112, depth=2, num_heads=14, mlp_ratio=1.5
"""


# %% part2 replace Train
def Train():
    train_data = datasets.FashionMNIST(root="./data", train=True, download=True, transform=transforms.ToTensor())
    test_data = datasets.FashionMNIST(root="./data", train=False, download=True, transform=transforms.ToTensor())
    train_loader = DataLoader(train_data, batch_size=128, shuffle=True)
    test_loader = DataLoader(test_data, batch_size=128, shuffle=False)
    model = VisionTransformer(
        img_size=28, patch_size=patch_size, in_chans=1, num_classes=10,
        embed_dim=embed_dim, depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio,
    ).to(device)
    torch.save(model.state_dict(), "./vit.pth")


patch_size = 14
embed_dim = 112
depth = 2
num_heads = 14
mlp_ratio = 1.5

Train()
