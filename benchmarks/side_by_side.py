"""The grader beside what people would use instead, on the same submissions: seconds a submission.

    python benchmarks/side_by_side.py [--class-size 64] [--rivals 4] [--repeats 3] [--without NAME…]

Ours runs its whole suite (37 checks, flags, weights loaded, in the sandbox; the 10,000 images left out) through
`grade.py FOLDER --out …`, from the start of the process to its end. A rival runs the ten checks of plain_checks.py in
its own way, on some of the same submissions, without isolation, on code that is cut down to what is checked
(rivals.py). In each repeat everything runs once, one after the other: compare within a repeat, since a machine that
others use is never twice the same. On such a machine the CPU seconds of all processes together say more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import hand_ins
import rivals
from measuring import Cost, machine, measured, spread

ROOT = Path(__file__).resolve().parents[1]
GRADE = [sys.executable, ROOT / "grade.py"]
TARGETS = {"plain pytest": 12, "nbgrader autograde": 16}
Each = dict[str, list[tuple[float, float]]]  # a name to (wall, CPU) seconds a submission, one for each repeat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--class-size", type=int, default=64, metavar="N", help="submissions that ours grades")
    parser.add_argument("--rivals", type=int, default=4, metavar="N", help="of these, how many each rival gets")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME", help="rivals to leave out")
    options = parser.parse_args()
    print(machine(), flush=True)
    found: Each = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        archives = hand_ins.write_class(folder / "class", options.class_size)
        codes = [rivals.plain_code(archive) for archive in archives[: options.rivals]]
        for repeat in range(options.repeats):
            _repeat(found, folder, archives, codes, repeat, options.without)
    _report(found)


def _repeat(
    found: Each, folder: Path, archives: Sequence[Path], codes: Sequence[str], repeat: int, without: Sequence[str]
) -> None:
    def note(name: str, cost: Cost, count: int) -> None:
        found.setdefault(name, []).append((cost.wall / count, cost.cpu / count))
        print(f"  {name}: {cost.wall / count:.2f} s, CPU {cost.cpu / count:.2f} s", flush=True)

    print(f"repeat {repeat + 1}", flush=True)
    note("import torch", measured([sys.executable, "-c", "import torch"]), 1)
    note("ours, one submission, cold", _ours([archives[0], "--no-accuracy"]), 1)
    out = folder / f"results-{repeat}"
    note(
        f"ours, {len(archives)} submissions",
        _ours([folder / "class", "--out", out, "--no-accuracy", "--no-integrity"]),
        len(archives),
    )
    for name, run in RIVALS.items():
        if name not in without:
            try:
                note(name, run(codes, folder / "scratch"), len(codes))
            except rivals.CannotRunError as error:
                print(f"  {name}: {error}", flush=True)


def _ours(arguments: Sequence[object]) -> Cost:
    cost = measured([*GRADE, *arguments])
    if cost.code not in (0, 1):
        raise SystemExit(f"grade.py: exit code {cost.code}: {cost.output[-800:]}")
    return cost


RIVALS: dict[str, Callable[[Sequence[str], Path], Cost]] = {
    "plain pytest": rivals.pytest_each,
    "nbgrader autograde": rivals.nbgrader_batch,
    "otter run": rivals.otter_each,
}


def _report(found: Each) -> None:
    print("\nseconds a submission: median (least to largest)")
    for name, costs in found.items():
        print(f"  {name:28} {spread((w for w, _ in costs), ' s'):28} CPU {spread((c for _, c in costs), ' s')}")
    ours = next(name for name in found if name.startswith("ours,") and name.endswith("submissions"))
    print("ratios, within a repeat: median (least to largest)")
    for name in RIVALS:
        if name in found:
            wall, cpu = _ratios(found[name], found[ours])
            target = f"  wanted: {TARGETS[name]}" if name in TARGETS else ""
            print(f"  {name} / ours: {spread(wall)}, CPU {spread(cpu)}{target}")
    wall, cpu = _ratios(found["ours, one submission, cold"], found["import torch"])
    print(f"  one cold / import torch: {spread(wall)}, CPU {spread(cpu)}  wanted: at most 2.5")


def _ratios(
    over: Sequence[tuple[float, float]], under: Sequence[tuple[float, float]]
) -> tuple[list[float], list[float]]:
    pairs = list(zip(over, under, strict=False))
    return [a / b for (a, _), (b, _) in pairs], [a / b for (_, a), (_, b) in pairs]


if __name__ == "__main__":
    main()
