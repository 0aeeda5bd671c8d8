"""The loss example by example, the largest logit taken out by hand"""


# %% notebook replace cross_entropy
def cross_entropy(logits, labels):
    losses = []
    for z, label in zip(logits, labels):
        z = z - z.max()
        losses.append(torch.log(torch.exp(z).sum()) - z[label])
    return torch.stack(losses).mean()
