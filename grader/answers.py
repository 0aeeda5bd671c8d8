"""What a model answered on the held-out set: the confusion matrix, and the mistakes that it was surest of."""

from __future__ import annotations

import torch

from grader.records import Answers, Mistake

MOST_MISTAKES = 12  # images that a record keeps
MOST_SIDE = 64  # of such an image; a larger one is left out
NONE = -1  # in place of a class, where the logits hold NaN


def answered(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The class that each row of (B, classes) names, (B,) int64 or NONE, and how sure it is, (B,) from 0 to 1."""
    predicted = logits.argmax(dim=1).masked_fill(logits.isnan().any(dim=1), NONE)
    return predicted, torch.softmax(logits.double(), dim=1).amax(dim=1).nan_to_num(0.0)


def answers(
    predicted: torch.Tensor, confidence: torch.Tensor, images: torch.Tensor, labels: torch.Tensor, classes: int
) -> Answers:
    """The answers to images (N, H, W) uint8 with labels (N,). Rows without an answer are counted nowhere."""
    given = predicted != NONE
    counts = torch.zeros(classes, classes, dtype=torch.int64)
    counts.index_put_((labels[given], predicted[given]), torch.ones(1, dtype=torch.int64), accumulate=True)
    wrong = (given & (predicted != labels)).nonzero().flatten()
    if max(images.shape[1:]) > MOST_SIDE:
        wrong = wrong[:0]
    surest = wrong[confidence[wrong].argsort(descending=True, stable=True)[:MOST_MISTAKES]]
    return Answers(
        counts=tuple(tuple(row) for row in counts.tolist()),
        mistakes=tuple(
            Mistake(
                pixels=images[place].numpy().tobytes(),
                rows=images.shape[1],
                cols=images.shape[2],
                predicted=int(predicted[place]),
                confidence=round(float(confidence[place]), 5),
                label=int(labels[place]),
            )
            for place in surest.tolist()
        ),
    )
