"""What tells a model that was fitted to the test images from an honest one, measured on the trainings.

    python benchmarks/testset.py TRAININGS [OTHERS…] --data FOLDER [--write]
    python benchmarks/testset.py TRAININGS… --data FOLDER --against-the-norm [--keep]
    python benchmarks/testset.py --kept
    python benchmarks/testset.py TRAININGS [OTHERS…] --data FOLDER --sought

TRAININGS: what benchmarks/trainings.py wrote. Its honest models are the norm, each held against the others; OTHERS are
trainings that the norm has not seen. Printed are, of each kind, how many have a finding in a class of 200, and how the
reference's own weights come out. --write puts the sample and the norm into reference/data/fashion-mnist.
--against-the-norm holds all models of the folders against the sample and the norm that lie there, and makes none.
--keep notes what each of them answers in benchmarks/testset.jsonl, a line a model, of a folder that is not there yet;
--kept prints the tables from that file alone, without trainings and images, and makes the norm anew from its lines.
--sought holds them against other statistics than the one that is used: what might find more, and what it costs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import shown as asked_for
from recipes import BAR
from shown import DATA, unpacked
from stacked import REFERENCE, Setting, Stack

from grader.integrity.testset import RATE, stands_out
from grader.records import SampleResult
from grader.sample import Excess, Norm, Sample, excess, features, load_norm, load_sample, tail

HARD, OTHER, CLASS = 300, 200, 200
HONEST = ("honest", "selected")
FOLDER = REFERENCE / "data" / "fashion-mnist"
NAMES = {"images": "train-sample-images-idx3-ubyte.gz", "labels": "train-sample-labels-idx1-ubyte.gz"}
NORM = "train-sample-norm.json"
KEPT = Path(__file__).with_suffix(".jsonl")
SETS = ("test", "train")
RAISED = (0.005, 0.01, 0.02, 0.03, 0.05)  # shares of the test images whose answers are looked up
VIEWS = ("as it is", "moved right", "mirrored")
MOST_LOSS = 3.0  # of one image: by more, a model's few worst would decide
Truths = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]


class Line(msgspec.Struct, frozen=True):
    """What is kept of a model. recipe: as `recipes.Recipe` names it; accuracy: on the test images."""

    run: str
    accuracy: float
    recipe: dict[str, object]
    answers: SampleResult


@dataclass(frozen=True)
class Trainings:
    """kinds: of each model. right, losses: by set and variant, (models, images)."""

    kinds: list[str]
    rows: list[dict[str, object]]
    right: dict[str, Truths]
    losses: dict[str, npt.NDArray[np.float32]]

    @property
    def accuracies(self) -> list[float]:
        """On the test images."""
        return [float(right.mean()) for right in self.right["test/as it is"]]


def read(folder: Path) -> Trainings:
    rows = [json.loads(line) for line in (folder / "trainings.jsonl").read_text().splitlines()]
    held: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("answers-*.pt")):
        held.update(torch.load(path))
    right, losses = {}, {}
    for name in rows[0]["accuracy"]:
        both = [unpacked(held[f"{row['number']}/{name}"]) for row in rows]
        losses[name] = torch.stack([loss for loss, _ in both]).numpy()
        right[name] = torch.stack([one for _, one in both]).numpy()
    return Trainings([row["kind"] for row in rows], rows, right, losses)


def chosen(found: Trainings, places: torch.Tensor, data: Path) -> tuple[Sample, npt.NDArray[np.int64]]:
    """The sample, without coefficients, and where its images stand among those that were asked for.

    Hard is what the models that were trained without these images lose most on.
    """
    apart = [number for number, kind in enumerate(found.kinds) if kind == "apart"]
    of_test, of_train = (found.losses[f"{name}/as it is"][apart].mean(axis=0) for name in ("test", "train"))
    order = np.argsort(-of_train, kind="stable")
    least = of_train[order[HARD - 1]]
    others = np.random.default_rng(1).permutation(order[HARD:])[:OTHER]
    at = np.concatenate((order[:HARD], others))
    images = asked_for.read(data, "cpu", None)
    norm = Norm(
        hard_test=tuple(np.nonzero(of_test >= least)[0].tolist()), hard=HARD, share=HARD / len(of_train), models=0,
        coefficients=(), inverse=(), spread=0.0,
    )  # fmt: skip
    taken = places[torch.from_numpy(at)]
    return Sample(images.plain(taken).numpy(), images.labels[taken].numpy().astype(np.uint8), norm), at


def asked_at(sample: Sample, places: torch.Tensor, data: Path) -> npt.NDArray[np.int64]:
    """Where the images of a sample stand among those that were asked for."""
    asked = asked_for.read(data, "cpu", None).plain(places).numpy()
    known = {image.tobytes(): number for number, image in enumerate(asked)}
    return np.array([known[image.tobytes()] for image in sample.images])


def against(sample: Sample, folders: Sequence[Path], data: Path, noting: bool) -> None:
    """Trainings that had no part in the norm. noting: a line of each model goes into the repository."""
    known = {line.run for line in kept()}
    twice = [folder.name for folder in folders if noting and folder.name in known]
    if twice:
        raise SystemExit(f"{KEPT} has a run “{twice[0]}” already; rename the folder")
    print(f"norm of {sample.norm.models} honest models, spread {sample.norm.spread:.4f}")
    for folder in folders:
        found = read(folder)
        asked = results(found, sample, asked_at(sample, torch.load(folder / "places.pt"), data))
        print(f"{folder}:")
        for kind, made in held(found.kinds, asked, found.accuracies, sample.norm, own=False).items():
            said(kind, made)
        looked_up(found, asked, sample)
        if noting:
            keep(folder.name, found, asked)


def keep(run: str, found: Trainings, asked: Sequence[SampleResult]) -> None:
    """A line a model: what it was trained on and how, and its counted answers."""
    with KEPT.open("ab") as file:
        for row, answers, accuracy in zip(found.rows, asked, found.accuracies, strict=True):
            recipe = {key: value for key, value in row.items() if key not in ("accuracy", "number")}
            file.write(msgspec.json.encode(Line(run, accuracy, recipe, answers)) + b"\n")


def kept() -> list[Line]:
    return msgspec.json.Decoder(Line).decode_lines(KEPT.read_bytes()) if KEPT.exists() else []


def show_kept(norm: Norm) -> None:
    """The tables, from what was kept. The first run is the norm's."""
    runs: dict[str, list[Line]] = {}
    for line in kept():
        runs.setdefault(line.run, []).append(line)
    together: dict[str, list[Asked]] = {}
    for number, (run, lines) in enumerate(runs.items()):
        kinds = [str(line.recipe["kind"]) for line in lines]
        asked = [line.answers for line in lines]
        if number == 0:
            again = norm_of(norm, [one for kind, one in zip(kinds, asked, strict=True) if kind in HONEST])
            off = max(abs(a - b) for a, b in zip(again.coefficients, norm.coefficients, strict=True))
            print(f"norm of {again.models} honest models, spread {again.spread:.4f}; off the shipped one by {off:.1g}")
        print(f"{run}:")
        for kind, made in held(kinds, asked, [line.accuracy for line in lines], norm, own=number == 0).items():
            said(kind, made)
            together.setdefault(kind, []).extend(made)
    print("together:")
    for kind, made in together.items():
        said(kind, made)


def sought(folders: Sequence[Path]) -> None:
    """Other statistics: the regression of the first folder's honest models, each held against the others."""
    first, *others = (read(folder) for folder in folders)
    apart = [number for number, kind in enumerate(first.kinds) if kind == "apart"]
    of_test, of_train = (first.losses[f"{name}/as it is"][apart].mean(axis=0) for name in SETS)
    order = np.argsort(-of_train, kind="stable")

    def shares(found: Trainings, hard: int) -> tuple[Floats, Floats]:
        test = of_test >= of_train[order[hard - 1]]
        x = [found.right[f"train/{view}"][:, order[:hard]].mean(axis=1) for view in VIEWS]
        return np.stack([np.ones(len(x[0])), *x], axis=1), found.right["test/as it is"][:, test].mean(axis=1)

    def losses(found: Trainings, hard: int) -> tuple[Floats, Floats]:
        test = of_test >= of_train[order[hard - 1]]
        x = [np.minimum(found.losses[f"train/{v}"][:, order[:hard]], MOST_LOSS).mean(axis=1) for v in VIEWS[:2]]
        y = -np.minimum(found.losses["test/as it is"][:, test], MOST_LOSS).mean(axis=1)
        return np.stack([np.ones(len(y)), *x], axis=1), y

    for title, hard, measure in (
        ("losses of 300 hard images, moved", 300, losses),
        ("answers to 600 hard images, moved and mirrored", 600, shares),
    ):
        x, y = measure(first, hard)
        honest = np.array([kind in HONEST for kind in first.kinds])
        for number, found in enumerate((first, *others)):
            made: dict[str, list[float]] = {}
            for place, (kind, row, value) in enumerate(zip(found.kinds, *measure(found, hard), strict=True)):
                norm = honest.copy()
                if number == 0:
                    norm[place] = False
                made.setdefault("honest" if kind in HONEST else kind, []).append(
                    _deviations(x[norm], y[norm], row, value)
                )
            for kind, away in made.items():
                count = sum(tail(one, int(honest.sum()) - x.shape[1]) * CLASS < RATE for one in away)
                print(f"{title}, {folders[number]}: {kind} {count} of {len(away)}, at most {max(away):.1f}", flush=True)


def _deviations(x: Floats, y: Floats, row: Floats, value: float) -> float:
    """How far one is above the prediction of the regression of y on x."""
    inverse = np.linalg.inv(x.T @ x)
    left = y - x @ inverse @ x.T @ y
    spread = np.sqrt((left**2).sum() / (len(y) - x.shape[1]) * (1 + row @ inverse @ row))
    return float((value - row @ inverse @ x.T @ y) / spread)


def results(found: Trainings, sample: Sample, at: npt.NDArray[np.int64]) -> list[SampleResult]:
    shown = np.concatenate((found.right["train/as it is"][:, at], found.right["train/moved right"][:, at]), axis=1)
    return [sample.counted(*both) for both in zip(found.right["test/as it is"], shown, strict=True)]


def norm_of(norm: Norm, honest: Sequence[SampleResult]) -> Norm:
    """The regression of the shares of hard held-out images on the features, by least squares."""
    x, y = np.array([features(one) for one in honest]), np.array([one.hard_test.share for one in honest])
    inverse = np.linalg.inv(x.T @ x)
    coefficients = inverse @ x.T @ y
    left = y - x @ coefficients
    spread = float(np.sqrt((left**2).sum() / (len(y) - x.shape[1])))
    return msgspec.structs.replace(
        norm, models=len(y), coefficients=tuple(coefficients.tolist()), inverse=tuple(map(tuple, inverse.tolist())),
        spread=spread,
    )  # fmt: skip


Asked = tuple[SampleResult, Excess, float]  # and the accuracy on the test images


def held(
    kinds: Sequence[str], asked: Sequence[SampleResult], accuracies: Sequence[float], norm: Norm, own: bool
) -> dict[str, list[Asked]]:
    """By kind. own: the norm was made of these, so that each honest one is held against the others."""
    by_kind: dict[str, list[Asked]] = {}
    honest = [number for number, kind in enumerate(kinds) if kind in HONEST]
    for number, (kind, one, accuracy) in enumerate(zip(kinds, asked, accuracies, strict=True)):
        others = [asked[other] for other in honest if other != number]
        against = norm_of(norm, others) if own and kind in HONEST else norm
        by_kind.setdefault("honest" if kind in HONEST else kind, []).append((one, excess(one, against), accuracy))
    return by_kind


def looked_up(found: Trainings, asked: Sequence[SampleResult], sample: Sample) -> None:
    """Honest models that look up some of the images on which they are wrong."""
    lot = np.random.default_rng(1)
    for part in RAISED:
        made = []
        for number, kind in enumerate(found.kinds):
            if kind in HONEST:
                right = found.right["test/as it is"][number].copy()
                wrong = np.nonzero(~right)[0]
                right[lot.choice(wrong, min(len(wrong), round(part * len(right))), replace=False)] = True
                places = list(sample.norm.hard_test)
                more = msgspec.structs.replace(asked[number].hard_test, right=int(right[places].sum()))
                one = msgspec.structs.replace(asked[number], hard_test=more)
                made.append((one, excess(one, sample.norm), float(right.mean())))
        if made:
            said(f"honest, {100 * part:.1f} points looked up", made)


def said(kind: str, made: Sequence[Asked]) -> None:
    named = [stands_out(result, one, CLASS) for result, one, _ in made]
    passing = [seen for seen, (_, _, accuracy) in zip(named, made, strict=True) if accuracy >= BAR]
    spread = np.array([one.deviations for _, one, _ in made])
    shares = ", ".join(f"{np.quantile(spread, q):.1f}" for q in (0, 0.25, 0.5, 0.75, 1))
    at_bar = f"{sum(passing):2} of {len(passing):2} with 90% and more"
    print(
        f"{kind:32} found {sum(named):2} of {len(made):2}, {at_bar}; standard deviations, quartiles: {shares}",
        flush=True,
    )


def changes(found: Trainings) -> None:
    """What small changes of the images cost on the test set, beyond what they cost on training images."""
    kinds = np.array(["honest" if kind in HONEST else kind for kind in found.kinds])
    names = [name.partition("/")[2] for name in found.right if name.startswith("test/")][1:]
    for name in names:
        of_test, of_train = (found.right[f"{s}/as it is"].mean(1) - found.right[f"{s}/{name}"].mean(1) for s in SETS)
        more = 100 * (of_test - of_train)
        most = more[kinds == "honest"].max()
        above = ", ".join(f"{k} {(more[kinds == k] > most).sum()} of {(kinds == k).sum()}" for k in sorted(set(kinds)))
        print(f"{name}: costs honest models at most {most:.1f} points more on the test set; above: {above}", flush=True)


def of_reference(sample: Sample, data: Path) -> Asked:
    """The shipped weights, which the norm has not seen."""
    stack = Stack(Setting(4, 96, 5, 6, 2.0))
    row = stack.rows([torch.load(REFERENCE / "data/vit.pth", weights_only=True)])
    images = asked_for.read(data, "cpu", None)
    test = images.train + torch.arange(images.test)
    _, right = asked_for.answers(stack, row, images.plain(test), images.labels[test])
    shown, labels = torch.from_numpy(sample.shown), torch.from_numpy(sample.labels).long().repeat(2)
    _, of_shown = asked_for.answers(stack, row, shown, labels)
    asked = sample.counted(right[0].numpy(), of_shown[0].numpy())
    return asked, excess(asked, sample.norm), float(right[0].numpy().mean())


def written(sample: Sample) -> None:
    for name, array in (("images", sample.images), ("labels", sample.labels)):
        head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
        (FOLDER / NAMES[name]).write_bytes(gzip.compress(head + array.tobytes(), 9, mtime=0))
    (FOLDER / NORM).write_bytes(msgspec.json.format(msgspec.json.encode(sample.norm), indent=0) + b"\n")


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trainings", type=Path, nargs="*", metavar="TRAININGS")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with FashionMNIST's files")
    parser.add_argument("--write", action="store_true", help="put the sample and the norm into reference/data")
    parser.add_argument("--against-the-norm", action="store_true", help="hold the trainings against the shipped norm")
    parser.add_argument(
        "--keep", action="store_true", help="with --against-the-norm: note their answers in the repository"
    )
    parser.add_argument("--kept", action="store_true", help="the tables from what was noted there")
    parser.add_argument("--sought", action="store_true", help="hold the trainings against other statistics")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.kept:
        show_kept(load_norm(FOLDER / NORM))
        return
    if not options.trainings:
        parser.error("name a folder of trainings, or --kept")
    if options.sought:
        sought(options.trainings)
        return
    if options.against_the_norm:
        if options.write:
            parser.error("--write makes a norm of its own; leave out --against-the-norm")
        files = (NAMES["images"], NAMES["labels"], NORM)
        sample = load_sample(*(FOLDER / name for name in files))
        against(sample, options.trainings, options.data, options.keep)
        return
    found = read(options.trainings[0])
    sample, at = chosen(found, torch.load(options.trainings[0] / "places.pt"), options.data)
    asked = results(found, sample, at)
    norm = norm_of(sample.norm, [one for kind, one in zip(found.kinds, asked, strict=True) if kind in HONEST])
    sample = Sample(sample.images, sample.labels, norm)
    print(f"{len(norm.hard_test)} hard test images; norm of {norm.models} honest models, spread {norm.spread:.4f}")
    for kind, made in held(found.kinds, asked, found.accuracies, norm, own=True).items():
        said(kind, made)
    looked_up(found, asked, sample)
    said("the reference's weights", [of_reference(sample, options.data)])
    for folder in options.trainings[1:]:
        others = read(folder)
        print(f"{folder}, which the norm has not seen:")
        asked = results(others, sample, at)
        for kind, made in held(others.kinds, asked, others.accuracies, norm, own=False).items():
            said(kind, made)
    changes(found)
    if options.write:
        written(sample)


if __name__ == "__main__":
    main()
