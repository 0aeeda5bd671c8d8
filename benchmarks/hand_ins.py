"""A class to measure with: hand-ins that are all different, as students' are.

Each is the executed reference with one of the correct alternatives of `tests/variants/` in place of its own code, and
every eighth has a known mistake instead. A comment with the student's number stands in each cell that students write,
so that no two of these cells are the same text; what is handed out is the same in all, as it is in a real class.
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from grader import bank  # noqa: E402 - the package lies beside this folder
from grader.assignment import load_assignment  # noqa: E402

FIRST_ID = 1102440000
ZONES = ("TO DO", "IMPLEMENT YOUR CODE", "def Train")  # cells that students write in
WRONG = 8  # every so manieth has a mistake
ELSEWHERE = {"part2"}  # a variant of the model would need weights of its own


def write_class(folder: Path, count: int, wrong: int = WRONG) -> list[Path]:
    """Write `count` archives, <student-id>.tar.gz. wrong: every so manieth has a mistake; 0 for none."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = (ROOT / "reference/data/vit.pth").read_bytes()
    paths = []
    for number, notebooks in zip(range(count), _notebooks(wrong), strict=False):
        student_id = str(FIRST_ID + number)
        members = {name: _signed(notebook, student_id) for name, notebook in notebooks.items()}
        paths.append(folder / f"{student_id}.tar.gz")
        with tarfile.open(paths[-1], "w:gz", compresslevel=1) as archive:
            for name, data in {**members, "vit.pth": weights}.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return paths


def _notebooks(wrong: int) -> Iterator[dict[str, NotebookNode]]:
    assignment = load_assignment(ROOT / "reference")
    names = {role: spec.master for role, spec in assignment.config.files.items() if spec.master}
    solved = {
        role: nbformat.read(ROOT / "reference/notebooks/solved" / name, as_version=4)  # type: ignore[no-untyped-call]
        for role, name in names.items()
    }
    variants = cycle(v for v in bank.load_variants(assignment) if not {c.file for c in v.cells} & ELSEWHERE)
    mutants = cycle(bank.load_mutants(assignment))
    number = 0
    while True:
        number += 1
        if wrong and number % wrong == 0:
            mutant = next(mutants)
            changed = {**solved, mutant.file: bank.mutated(solved[mutant.file], mutant)}
        else:
            changed = bank.varied(solved, next(variants))
        yield {names[role]: notebook for role, notebook in changed.items()}


def _signed(notebook: NotebookNode, student_id: str) -> bytes:
    sources = [cell.source for cell in notebook.cells]
    try:
        for cell in notebook.cells:
            if cell.cell_type == "code" and any(zone in cell.source for zone in ZONES):
                cell.source += f"\n# {student_id}"
        return nbformat.writes(notebook).encode()  # type: ignore[no-untyped-call,no-any-return]  # nbformat has no types
    finally:
        for cell, source in zip(notebook.cells, sources, strict=True):
            cell.source = source


if __name__ == "__main__":
    write_class(Path(sys.argv[1]), int(sys.argv[2]), *map(int, sys.argv[3:]))
