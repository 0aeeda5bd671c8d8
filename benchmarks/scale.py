"""How the grader scales: a small class against a large one, and the 10,000 images against a bare forward pass.

    python benchmarks/scale.py [--small 50] [--large 200] [--jobs 2] [--models 64 128] [--without class|accuracy]

The class: seconds a submission and the largest memory of the process tree (PSS, so that shared pages count once) with
the accuracy left out; `--large 1000` is the full measurement, an hour on a busy machine. The images: what `grade.py`'s
evaluation takes in its sandbox, beside the same model in this process at the best of several batch sizes, both with as
many threads. The models have the reference's shape with another width, and weights as they are drawn.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import hand_ins
import rivals
import torch
from measuring import machine, measured, spread

ROOT = Path(__file__).resolve().parents[1]
BATCHES = (32, 64, 100, 128, 256, 512)
SOLVED = ROOT / "reference/notebooks/solved"
PART1, PART2 = "Assignment2-1_Transformer_from_scratch.ipynb", "Assignment2-2_Vit.ipynb"
SIZE = {"patch_size": 4, "depth": 6, "num_heads": 4, "mlp_ratio": 2.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=50, metavar="N")
    parser.add_argument("--large", type=int, default=200, metavar="N")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument(
        "--wrong", type=int, default=hand_ins.WRONG, metavar="N", help="every N-th has a mistake; 0: none"
    )
    parser.add_argument("--models", type=int, nargs="*", default=[64, 128], metavar="WIDTH")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="of the evaluation")
    parser.add_argument("--without", choices=("class", "accuracy"), action="append", default=[])
    options = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        if "class" not in options.without:
            _classes(Path(scratch), (options.small, options.large), options.jobs, options.wrong)
        if "accuracy" not in options.without:
            for width in options.models:
                _accuracy(Path(scratch), width, options.repeats)


def _classes(scratch: Path, sizes: tuple[int, int], jobs: int, wrong: int) -> None:
    found = []
    for count in sizes:
        folder, out = scratch / f"class-{count}", scratch / f"results-{count}"
        hand_ins.write_class(folder, count, wrong)
        line = [
            sys.executable,
            ROOT / "grade.py",
            folder,
            "--out",
            out,
            "--no-accuracy",
            "--no-integrity",
            "--jobs",
            jobs,
        ]
        cost = measured(line)
        if cost.code:
            raise SystemExit(f"grade.py: exit code {cost.code}: {cost.output[-800:]}")
        found.append((cost.wall / count, cost.cpu / count, cost.memory))
        wall, cpu, memory = found[-1]
        print(f"{count} submissions: {wall:.2f} s and {cpu:.2f} CPU s each, {memory:.0f} MiB at most", flush=True)
    each, memory = found[1][1] / found[0][1], found[1][2] / found[0][2]
    print(f"large / small: CPU seconds each {each:.2f}, memory {memory:.2f}  wanted: 1.10 at most, and 1536 MiB")


def _accuracy(scratch: Path, width: int, repeats: int) -> None:
    settings = {**SIZE, "embed_dim": width}
    fixed = {"img_size": 28, "in_chans": 1, "num_classes": 10}
    archive = _hand_in(scratch / f"11024{width:05}.tar.gz", settings, fixed)
    namespace: dict[str, object] = {}
    exec(compile(rivals.plain_code(archive), "submission", "exec"), namespace)
    model = namespace["VisionTransformer"](**fixed, **settings).eval()  # type: ignore[operator]
    images, ratios, ours, bare = torch.rand(10_000, 1, 28, 28), [], [], []
    # In the first round glibc's heap adapts.
    _, *rounds = [{batch: _forward(model, images, batch) for batch in BATCHES} for _ in range(4)]
    best = min(BATCHES, key=lambda batch: statistics.median(one[batch] for one in rounds))
    for _ in range(repeats):
        before = _forward(model, images, best)
        report = scratch / "record.json"
        cost = measured([sys.executable, ROOT / "grade.py", archive, "--json", report])
        if cost.code not in (0, 1):
            raise SystemExit(f"grade.py: exit code {cost.code}: {cost.output[-800:]}")
        bare.append((before + _forward(model, images, best)) / 2)
        ours.append(json.loads(report.read_text(encoding="utf-8"))["checkpoint"]["seconds"])
        ratios.append(ours[-1] / bare[-1])
    parameters = sum(p.numel() for p in model.parameters())
    print(
        f"{parameters:,} parameters: evaluation {spread(ours, ' s')}, bare forward pass {spread(bare, ' s')} at batch "
        f"{best}, ratio {spread(ratios)}  wanted: 1.10 at most",
        flush=True,
    )


def _forward(model: torch.nn.Module, images: torch.Tensor, batch: int) -> float:
    with torch.inference_mode():
        model(images[:batch])
        started = time.perf_counter()
        for part in images.split(batch):
            model(part)
    return time.perf_counter() - started


def _hand_in(path: Path, settings: dict[str, float], fixed: dict[str, int]) -> Path:
    """The reference with a model of other settings, which are said in a cell at the end."""
    notebook = json.loads((SOLVED / PART2).read_text(encoding="utf-8"))
    said = ", ".join(f"{name}={value}" for name, value in {**fixed, **settings}.items())
    source = f"model = VisionTransformer({said})\ntorch.save(model.state_dict(), './vit.pth')"
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "id": "z", "source": source}
    notebook["cells"].append(cell)
    members = {PART1: (SOLVED / PART1).read_bytes(), PART2: json.dumps(notebook).encode()}
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {**members, "vit.pth": b""}.items():
            _add(archive, name, data)
    namespace: dict[str, object] = {}
    exec(compile(rivals.plain_code(path), "submission", "exec"), namespace)
    torch.manual_seed(0)
    weights = io.BytesIO()
    torch.save(namespace["VisionTransformer"](**fixed, **settings).state_dict(), weights)  # type: ignore[operator]
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {**members, "vit.pth": weights.getvalue()}.items():
            _add(archive, name, data)
    return path


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    main()
