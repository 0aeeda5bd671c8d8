"""What students check themselves with: one file, on any system, in the report's words, and nothing of the answers."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PART1, PART2, ROOT, HandIn, criterion
from msgspec.structs import replace

from grader import bank, public, template
from grader.assignment import Assignment
from grader.cli import main
from grader.packing import pack, public_of
from grader.pipeline import Options, grade
from grader.public import Public
from grader.sandbox.process import WarmProcess
from grader.selfcheck import self_check
from grader.submission import silent

IMAGES = 200
IDIOM = "generator = torch.Generator().manual_seed(seed)"  # a line of a check, and of anybody else's
# As on Windows: what grader/ may not import, and what is not there.
WINDOWS = """
import builtins, os, select, signal, socket
genuine = builtins.__import__
def imported(name, globals=None, *rest, **more):
    asker = (globals or {}).get("__name__", "")
    if name in ("fcntl", "resource", "pwd", "grp", "termios", "syslog") and asker.startswith("grader"):
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)
    return genuine(name, globals, *rest, **more)
builtins.__import__ = imported  # subprocess itself needs SIGKILL where it is not on Windows
for module, names in (
    (os, "fork forkpty killpg wait4 sched_getaffinity getuid setsid memfd_create pidfd_open"),
    (signal, "pthread_sigmask sigtimedwait alarm setitimer"), (socket, "AF_UNIX send_fds recv_fds"),
    (select, "poll epoll"),
):
    for name in names.split():
        delattr(module, name)
"""


@pytest.fixture(scope="module")
def told(assignment: Assignment) -> Public:
    return public_of(assignment)


def unpacked(hand_in: HandIn, folder: Path) -> Path:
    folder.mkdir()
    for name, notebook in hand_in.notebooks.items():
        (folder / name).write_text(json.dumps(notebook), encoding="utf-8")
    for name, data in hand_in.files.items():
        (folder / name).write_bytes(data)
    return folder


def few_images(folder: Path) -> None:
    """The first test images, as torchvision leaves them."""
    raw = folder / "data/FashionMNIST/raw"
    raw.mkdir(parents=True)
    held_out = ROOT / "reference/data/fashion-mnist"
    images = gzip.decompress((held_out / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((held_out / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    header = struct.pack(">4I", 0x803, IMAGES, 28, 28)
    (raw / "t10k-images-idx3-ubyte").write_bytes(header + images[: IMAGES * 784])
    (raw / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, IMAGES) + labels[:IMAGES])


def test_a_whole_hand_in_is_well_on_a_machine_like_windows(told: Public, hand_in: HandIn, tmp_path: Path) -> None:
    folder = unpacked(hand_in, tmp_path / "과제 2")
    few_images(folder)
    (folder / "torch.py").write_text("raise RuntimeError('not this one')")
    (tmp_path / "sitecustomize.py").write_text(WINDOWS)
    file = folder / "selfcheck.pyz"
    file.write_bytes(pack(told))
    done = subprocess.run(
        [sys.executable, file.name, "."],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = re.findall(r"^(.*\S)  +(\w+)$", done.stdout, re.M)
    assert [verdict for _, verdict in verdicts] == ["passed"] * 14
    assert re.search(rf"^Test accuracy: passed: 1[89]\d of {IMAGES} test images are right: 9\d\.", done.stdout, re.M)
    assert "Not checked here: whether what you wrote computes what it should" in done.stdout
    assert done.stderr == ""


def test_what_is_wrong_is_said_in_the_reports_words(
    told: Public, hand_in: HandIn, assignment: Assignment, sandbox: WarmProcess, tmp_path: Path
) -> None:
    hand_in.cell(
        PART1, "class PositionalEncoding(PositionalEncoding):\n    def forward(self, X):\n        raise KeyError(3)"
    )
    hand_in.cell(PART1, "class EncoderLayer(EncoderLayer):\n    def forward(self, X, mask):\n        return X[:, 0]")
    hand_in.cell(PART2, "class Mlp(Mlp):\n    def forward(self, x):\n        while True: pass")
    hand_in.cell(PART2, "import os\nclass Block(Block):\n    def forward(self, x):\n        os._exit(3)")
    hand_in.cell(PART2, public_of(assignment).handed_out["Attention"])
    hand_in.files["vit.pth"] = hand_in.files["vit.pth"][:-100]
    archive = hand_in.pack(tmp_path)
    quick = replace(
        told.config,
        limits=replace(told.config.limits, ask_seconds=1.0),
        shapes=tuple(
            shape for shape in told.config.shapes if shape.name != "VisionTransformer"
        ),  # it is built of Block
    )
    found = {line.title: line for line in self_check(archive, replace(told, config=quick), silent).lines}
    judged = frozenset({"positional_encoding", "encoder", "vit_attention", "checkpoint"})
    record = grade(archive, assignment, sandbox, Options(accuracy=False, criteria=judged))
    for title, name in (
        ("PositionalEncoding", "positional_encoding"),
        ("EncoderLayer", "encoder"),
        ("Attention", "vit_attention"),
        ("The trained weights load", "checkpoint"),
    ):
        check = criterion(record, name).checks[0]
        assert (found[title].verdict, found[title].message) == (check.verdict.value, check.message)
        assert check.message
    assert (found["Mlp"].verdict, found["Mlp"].message) == ("timeout", "Mlp gave no answer within 1 seconds")
    assert found["Block"].message == "Block ended its process: the process ended itself with exit code 3"
    assert [title for title, line in found.items() if line.verdict == "passed"] == [
        "Files",
        "The notebook of part 1 (Transformer from scratch)",
        "The notebook of part 2 (Vision Transformer)",
        "MultiHeadAttention",
        "DecoderLayer",
        "PatchEmbed",
        "VisionTransformer",
    ]


def test_what_is_missing_or_does_not_parse_is_named(told: Public, tmp_path: Path) -> None:
    hand_in = HandIn().cell(PART2, "def broken(:\n    pass")
    folder = unpacked(hand_in, tmp_path / "folder")
    (folder / PART1).unlink()
    (folder / "vit.pth").unlink()
    few = replace(told, config=replace(told.config, classes={}, shapes=()))
    lines = {line.title: line for line in self_check(folder, few, silent).lines}
    assert "the notebook of part 1 (Transformer from scratch) was not handed in" in lines["Files"].message
    assert lines["The notebook of part 2 (Vision Transformer)"].message.endswith("line 1: def broken(:")
    assert lines["The trained weights load"].message == "there is no .pth in the archive"


def test_wrong_use_is_one_sentence(tmp_path: Path, told: Public, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "damaged.tar.gz").write_bytes(b"\x1f\x8b\x08 and no more")
    for arguments, code in ((["nowhere"], 2), ([], 2), (["a", "b"], 2), ([str(tmp_path / "damaged.tar.gz")], 3)):
        assert main(["--self-check", *arguments]) == code
        assert capsys.readouterr().err.count("\n") == 1
    file = tmp_path / "selfcheck.pyz"
    file.write_bytes(pack(replace(told, handed_out={})))
    bare = subprocess.run([sys.executable, "-IS", file, "."], capture_output=True, text=True, check=False)
    assert bare.returncode == 2
    assert bare.stderr == (
        "grade.py: this Python lacks torch, numpy, msgspec, safetensors, ipython: "
        "python -m pip install torch numpy msgspec safetensors ipython\n"
    )


# ---- the public part holds nothing of reference/ ---------------------------------------------------------------------


def secrets(assignment: Assignment) -> Iterator[tuple[str, bytes]]:
    """What students must not get, by its place: lines long enough to be nobody else's, and pieces of the data."""
    folder = assignment.folder
    given = "\n".join(
        cell.source
        for path in sorted((folder / "notebooks").glob("*.ipynb"))
        for cell in template.stubbed(template.read_master(path)).cells
    )
    for path in (
        "checks/test_dense.py",
        "mutants/dense.toml",
    ):  # what every assignment's checks and mistakes begin with
        given += (ROOT / "grader/skeleton" / path).read_text(encoding="utf-8")
    lines: list[tuple[str, str]] = []
    for pattern in ("checks/*.py", "mutants/*.toml", "standins/*.py"):
        for path in sorted(folder.glob(pattern)):
            lines += [(path.name, line) for line in path.read_text(encoding="utf-8").split("\n")]
    for role, notebook in bank.solutions(assignment).items():
        lines += [(f"solution of {role}", line) for cell in notebook.cells for line in cell.source.split("\n")]
    for mutant in bank.load_mutants(assignment):
        lines += [(mutant.id, text) for text in (mutant.message, *(old for old, _ in mutant.edits))]
    for place, line in lines:
        text = line.strip()
        if len(text) >= 30 and text not in given and text != IDIOM and not text.startswith(("import ", "from ")):
            yield f"{place}: {text}", text.encode()
    for path in sorted(folder.glob("data/**/*")):
        if path.is_file() and path.name != "LICENSE":
            for data in (path.read_bytes(), *([gzip.decompress(path.read_bytes())] if path.suffix == ".gz" else [])):
                for at in range(len(data) // 7, len(data), len(data) // 7 or 1):
                    yield f"{path.name} at {at}", data[at : at + 24]


def leaks(assignment: Assignment, held: bytes) -> list[str]:
    return [place for place, secret in secrets(assignment) if len(set(secret)) > 4 and secret in held]


def test_the_public_part_holds_nothing_of_the_reference(assignment: Assignment, told: Public) -> None:
    with zipfile.ZipFile(io.BytesIO(pack(told))) as archive:
        names, held = archive.namelist(), b"\0".join(archive.read(name) for name in archive.namelist())
    assert [name for name in names if not name.startswith("grader/")] == ["__main__.py", "grade.py", "LICENSE"]
    assert f"grader/{public.NAME}" in names
    wheel = [path for path in sorted((ROOT / "grader").rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    held += b"\0".join(path.read_bytes() for path in wheel)
    assert leaks(assignment, held) == []


def test_a_leak_would_be_seen(assignment: Assignment, told: Public) -> None:
    told_too_much = replace(told, handed_out={**told.handed_out, "x": assignment.standin("Mlp")})
    assert any(place.startswith("mlp.py") for place in leaks(assignment, json.dumps(told_too_much.handed_out).encode()))
    weights = (assignment.folder / "data/vit.pth").read_bytes()
    assert any(place.startswith("vit.pth") for place in leaks(assignment, b"..." + weights))
    assert leaks(assignment, json.dumps(bank.solutions(assignment)["part2"]).encode())


def test_the_packing_is_the_same_each_time(told: Public, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["public", "--output", str(tmp_path / "one.pyz")]) == 0
    assert "python one.pyz ." in capsys.readouterr().out
    assert (tmp_path / "one.pyz").read_bytes() == pack(told)
