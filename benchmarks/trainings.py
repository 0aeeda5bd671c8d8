"""Trains many small Vision Transformers at once, honestly and on the test images, and measures what tells them apart.

    python benchmarks/trainings.py --out FOLDER --data FOLDER [--device cuda] [--minutes 5]
    python benchmarks/trainings.py --out FOLDER --data FOLDER --epochs 1 --images 1000 --models 2    (a try)

The reference's model, as its solved notebook defines it; models of one setting are trained side by side, their weights
stacked. Written are, after each stack:

    trainings.jsonl     a line a model: its number, what it was trained on and how, its accuracies
    answers-N.pt        {number/set/variant: (images,) uint8}: the loss of the true class, and whether the answer is
                        right (see `packed`), for the test images and for the training images of `places.pt`, as they
                        are and changed in small ways; {number/scales}: the scales of the norms
    weights-N.pt        {number/name: tensor} in float16, of some models
    places.pt           the places, in the training set, of the training images that are asked for

Runs on torch and numpy alone (pillow for JPEG), so that a machine with a GPU needs nothing else. What is given: the
folder with FashionMNIST's four files, gzipped; Debian's package dataset-fashion-mnist has them.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from recipes import BAR, FURTHER, KINDS, STACKS, Recipe, pool, recipes
from shown import DATA, PAD, Images, answers, packed, read, shown
from stacked import SIDE, Stack, State, check
from torch.nn import functional as F

SHARD = 13 << 20  # bytes of one file
MOST_WEIGHTS = 2  # files of weights
KEPT = {"honest": 3}  # of a stack, whose weights are kept; of any other kind one
RESERVE = 20  # seconds, for what is asked of a stack that ran out of time
BETAS, EPS = (0.9, 0.999), 1e-8


# ---- training -------------------------------------------------------------------------------------------------------


class OutOfTime(Exception):
    """The minutes are over."""


def train(
    stack: Stack, made: Sequence[Recipe], images: Images, until: float, start: torch.Tensor | None = None
) -> Iterator[tuple[Recipe, torch.Tensor]]:
    """Train the models side by side, AdamW each with its own rate; yields each with its row as soon as it is done.

    made: all with the batch of the first, and of them all or none with `further`. Raises OutOfTime.
    """
    if not made:
        return
    device, batch = images.padded.device, made[0].batch
    per_epoch = math.ceil((images.test if made[0].further else images.train) / batch)
    steps = [per_epoch * (one.further or one.epochs) for one in made]
    rows = stack.rows([stack.built(one.seed) for one in made]).to(device) if start is None else start.clone()
    torch.manual_seed(made[0].lot)  # how images are moved and mirrored
    # What belongs to the models that are not yet done, a row each.
    active = torch.arange(len(made))
    mean, square, best, reached = torch.zeros_like(rows), torch.zeros_like(rows), rows.clone(), [0.0] * len(made)
    order = torch.stack([_order(one, images, count, max(steps)) for one, count in zip(made, steps, strict=True)])
    rates = torch.stack([_schedule(one, max(steps), count) for one, count in zip(made, steps, strict=True)]).to(device)
    column = torch.tensor([[m.decay, m.smoothing, 0.5 * m.mirror, m.move] for m in made], device=device)
    for step in range(max(steps)):
        if step % 20 == 0 and time.monotonic() > until:
            raise OutOfTime
        chosen = order[:, step * batch : (step + 1) * batch]
        shown = _varied(images, chosen, column[:, 2:3], column[:, 3:4])
        gradient = _gradient(stack, rows, shown, images.labels[chosen], column[:, 1:2])
        rate = rates[:, step : step + 1]
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        unbiased = [1 - beta ** (step + 1) for beta in BETAS]
        rows.mul_(1 - rate * column[:, :1])
        rows.sub_(rate * (mean / unbiased[0]) / ((square / unbiased[1]).sqrt_().add_(EPS)))
        if (step + 1) % per_epoch == 0:
            for at, model in enumerate(active.tolist()):
                if made[model].kind == "selected":
                    _select(stack, rows[at], images, best[model], reached, model)
            ended = [
                model
                for at, model in enumerate(active.tolist())
                if steps[model] == step + 1
                or (made[model].kind == "to the bar" and _accuracy(stack, rows[at], images) >= BAR)
            ]
            for model in ended:
                at = active.tolist().index(model)
                yield made[model], (best[model] if made[model].kind == "selected" else rows[at]).clone()
            kept = torch.tensor([model not in ended for model in active.tolist()])
            if ended:
                active, on_device = active[kept], kept.nonzero().flatten().to(device)
                rows, mean, square = rows[on_device], mean[on_device], square[on_device]
                order, rates, column = order[on_device], rates[on_device], column[on_device]
            if not len(active):
                return


def _order(recipe: Recipe, images: Images, steps: int, length: int) -> torch.Tensor:
    """Places of the images that the steps show, epoch after epoch in another order; zeros up to the length."""
    device = images.padded.device
    places = pool(recipe, images.asked, images.train, images.test).to(device)
    lot = torch.Generator(device).manual_seed(recipe.lot + 1)
    needed = steps * recipe.batch
    times = math.ceil(needed / len(places))
    order = torch.cat([places[torch.randperm(len(places), generator=lot, device=device)] for _ in range(times)])
    return F.pad(order[:needed], (0, length * recipe.batch - needed))


def _schedule(recipe: Recipe, length: int, steps: int) -> torch.Tensor:
    """Learning rates: constant, or up for the first 30% and down to nothing along a cosine."""
    at = torch.arange(length, dtype=torch.float32) / max(steps - 1, 1)
    if recipe.constant:
        shape = torch.ones_like(at)
    else:
        rising, falling = at / 0.3, (at - 0.3) / 0.7
        shape = torch.where(at < 0.3, (1 - torch.cos(math.pi * rising)) / 2, (1 + torch.cos(math.pi * falling)) / 2)
        shape = shape.clamp(min=0.001)
    return recipe.rate * shape


def _varied(images: Images, chosen: torch.Tensor, mirror: torch.Tensor, move: torch.Tensor) -> torch.Tensor:
    """Images (models, B, side, side) in [0, 1]: by a model's `mirror` (models, 1) so many mirrored, by `move` moved."""
    device = chosen.device
    side = torch.arange(SIDE, device=device)
    by = torch.rand((2, *chosen.shape), device=device)
    down, along = (PAD - move + (by * (2 * move + 1)).floor()).long()
    mirrored = torch.rand(chosen.shape, device=device) < mirror
    columns = torch.where(mirrored[..., None], SIDE - 1 - side, side) + along[..., None]
    rows = side + down[..., None]
    return images.padded[chosen[..., None, None], rows[..., None], columns[..., None, :]].float() / 255


def _gradient(
    stack: Stack, rows: torch.Tensor, images: torch.Tensor, labels: torch.Tensor, smoothing: torch.Tensor
) -> torch.Tensor:
    """Of each model's own mean loss, (models, numbers). On a GPU the arithmetic is bfloat16, as autocast's is."""
    kind = torch.bfloat16 if rows.is_cuda else torch.float32
    leaf = rows.detach().requires_grad_()
    log = stack(leaf.to(kind), images.to(kind)).float().log_softmax(dim=-1)
    right = log.gather(2, labels.unsqueeze(2)).squeeze(2)
    loss = -((1 - smoothing) * right + smoothing * log.mean(dim=2)).mean(dim=1).sum()
    return torch.autograd.grad(loss, leaf)[0]


def _select(
    stack: Stack, row: torch.Tensor, images: Images, best: torch.Tensor, reached: list[float], model: int
) -> None:
    """What many students do: of all epochs, keep the one that does best on the test images."""
    accuracy = _accuracy(stack, row, images)
    if accuracy > reached[model]:
        reached[model] = accuracy
        best.copy_(row)


def _accuracy(stack: Stack, row: torch.Tensor, images: Images) -> float:
    """On the test images."""
    places = images.train + torch.arange(images.test, device=row.device)
    _, right = answers(stack, row.unsqueeze(0), images.plain(places), images.labels[places])
    return float(right.float().mean())


# ---- what is written ------------------------------------------------------------------------------------------------


class Shards:
    """Tensors by name in few files, none larger than it may be; rewritten with every `flush`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name, self.number = folder, name, 0
        self._held: State = {}
        self._bytes = 0

    def add(self, tensors: State) -> None:
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        if self._held and self._bytes + size > SHARD:
            self.flush()
            self._held, self._bytes, self.number = {}, 0, self.number + 1
        self._held.update(tensors)
        self._bytes += size + 400 * len(tensors)  # what the file says of a tensor

    def flush(self) -> None:
        if self._held:
            path = self._folder / f"{self._name}-{self.number}.pt"
            torch.save(self._held, path.with_suffix(".partial"))
            path.with_suffix(".partial").replace(path)


class Results:
    """What is measured of each model, and where it goes."""

    def __init__(self, folder: Path, images: Images) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log, self._shown, self.count = folder / "trainings.jsonl", shown(images), 0
        self._log.write_text("")
        self._said: dict[int, str] = {}
        self._answers, self._weights = Shards(folder, "answers"), Shards(folder, "weights")
        torch.save(images.asked.clone(), folder / "places.pt")

    def add(self, stack: Stack, done: Sequence[tuple[Recipe, torch.Tensor]]) -> list[int]:
        """The numbers that the models are given."""
        if not done:
            return []
        rows = torch.stack([row for _, row in done])
        numbers = list(range(self.count, self.count + len(done)))
        self.count += len(done)
        accuracies: dict[str, list[float]] = {}
        for name, (images, labels) in self._shown.items():
            losses, right = answers(stack, rows, images, labels)
            bytes_ = packed(losses, right).cpu()
            self._answers.add({f"{n}/{name}": one.clone() for n, one in zip(numbers, bytes_, strict=True)})
            accuracies[name] = right.float().mean(dim=1).tolist()
        by_kind: dict[str, int] = {}
        with self._log.open("a") as log:
            for at, (number, (recipe, row)) in enumerate(zip(numbers, done, strict=True)):
                self._answers.add({f"{number}/scales": stack.scales(row).half().cpu()})
                by_kind[recipe.kind] = by_kind.get(recipe.kind, 0) + 1
                if by_kind[recipe.kind] <= KEPT.get(recipe.kind, 1) and self._weights.number < MOST_WEIGHTS:
                    tensors = stack.tensors(row.half().cpu().unsqueeze(0))
                    self._weights.add({f"{number}/{name}": one[0].clone() for name, one in tensors.items()})
                found = {name: round(values[at], 5) for name, values in accuracies.items()}
                log.write(json.dumps({"number": number, **asdict(recipe), "accuracy": found}) + "\n")
                self._said[number] = f"{recipe.kind:10} {found['train/as it is']:.3f} {found['test/as it is']:.3f}"
        self._answers.flush()
        if self._weights.number < MOST_WEIGHTS:
            self._weights.flush()
        return numbers

    def summary(self, numbers: Sequence[int]) -> list[str]:
        """Of these models: the kind, and the accuracies on the training sample and the test set."""
        return [self._said[number] for number in numbers]


def run(options: argparse.Namespace) -> None:
    began = time.monotonic()
    until = began + 60 * options.minutes - RESERVE
    images = read(options.data, options.device, options.images)
    results = Results(options.out, images)
    print(f"read, changed: {time.monotonic() - began:.1f} s", flush=True)
    for number in range(options.first, len(STACKS[: options.stacks])):
        setting, batch, epochs = STACKS[number]
        started, stack = time.monotonic(), Stack(setting)
        some = [options.epochs] if options.epochs else epochs
        made = [one for one in recipes(setting, batch, some, number, options.models) if one.kind in options.kinds]
        to_the_bar = [one for one in made if one.kind == "to the bar"]
        done, in_time = finished(train(stack, [one for one in made if one not in to_the_bar], images, until))
        if in_time:
            more, in_time = finished(train(stack, to_the_bar, images, until))
            done += more
        trained = time.monotonic()
        off = check(stack, done[0][1], images.plain(images.asked.to(options.device))) if done else 0.0
        numbers = results.add(stack, done)
        honest = [(n, one, row) for n, (one, row) in zip(numbers, done, strict=True) if one.kind == "honest"]
        donors = honest[:: max(1, len(honest) // FURTHER)][:FURTHER]
        if donors and in_time:
            further = [
                replace(one, kind="fine-tuned", further=at + 1, donor=n, lot=one.lot + 7, rate=one.rate / 3)
                for at, (n, one, _) in enumerate(donors)
            ]
            start = torch.stack([row for _, _, row in donors])
            results.add(stack, finished(train(stack, further, images, until, start))[0])
        ended = time.monotonic()
        print(
            f"stack {number}: {setting}, {len(done)} of {len(made)} trained in {trained - started:.1f} s, the rest "
            f"{ended - trained:.1f} s, in all {ended - began:.0f} s; off by {off:.1g}",
            flush=True,
        )
        for line in results.summary(numbers):
            print(f"    {line}", flush=True)
        if not in_time:
            print("out of time", flush=True)
            break


def finished(training: Iterator[tuple[Recipe, torch.Tensor]]) -> tuple[list[tuple[Recipe, torch.Tensor]], bool]:
    """What was trained, and whether that is all."""
    done: list[tuple[Recipe, torch.Tensor]] = []
    try:
        for one in training:
            done.append(one)
    except OutOfTime:
        return done, False
    return done, True


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder for the results")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with FashionMNIST's files")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=5.0, help="then what is done is all there is")
    parser.add_argument("--stacks", type=int, default=len(STACKS), help="so many stacks of models")
    parser.add_argument("--first", type=int, default=0, help="leave out so many stacks, which another run has trained")
    parser.add_argument("--models", type=int, help="so many of each kind in a stack")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=tuple(KINDS), help="of these kinds alone")
    parser.add_argument("--epochs", type=int, help="for all, instead of 5 to 30")
    parser.add_argument("--images", type=int, help="so many training images, for a try")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False  # answers are counted
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.enable_cudnn_sdp(False)  # it plans anew for each shape
    run(options)


if __name__ == "__main__":
    main()
