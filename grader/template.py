"""From a master notebook to its two faces: the solved one, and the stubbed one that students get.

    master ──solved──▶   the code between the markers, markers and stubs gone
        └────stubbed──▶  the stubs, solutions and "solution" cells gone ──write_template──▶ student_template/

A master runs as it is. Its solutions stand between markers, each on a line of its own, all three equally indented:

    # BEGIN SOLUTION                      <!-- BEGIN SOLUTION -->
    scores = Q @ K.transpose(-2, -1)      | base | 4 | 64 | 84.1% |
    # STUB                                <!-- STUB -->
    # # Your code.                        <!-- | | | | | -->
    # END SOLUTION                        <!-- END SOLUTION -->

The stub is optional: without one, the solution leaves an empty line. In a code cell each of its lines is commented out
with "# " at the markers' indentation; in Markdown each is one comment, `<!-- line -->`. A cell tagged "solution" exists
in the solved notebook only.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import nbformat
from nbformat import NotebookNode

from grader.assignment import FileSpec, load_assignment
from grader.errors import AssignmentError
from grader.inert import one_line

SOLUTION_TAG = "solution"
COLLECT = "CollectSubmission.sh"

Face = Literal["solved", "stubbed"]
Kind = Literal["begin", "stub", "end"]

FIGURES = (".png", ".jpg", ".jpeg", ".gif", ".svg")
_FILES_BLOCK = re.compile(r"^(# BEGIN FILES\n).*^(# END FILES)$", re.MULTILINE | re.DOTALL)
_KINDS: dict[str, Kind] = {"BEGIN SOLUTION": "begin", "STUB": "stub", "END SOLUTION": "end"}
_WORDS = r"(BEGIN SOLUTION|STUB|END SOLUTION)"
# Whatever looks like a marker but is not one exactly would publish a solution: it is refused.
_ALMOST = re.compile(r"\s*(#|<!--)\W*(begin|end)\W*solution|\s*(#|<!--)\W*stub\W*$", re.IGNORECASE)


class _Syntax:
    """How one kind of cell writes markers and stub lines."""

    def __init__(self, marker: str, stub: str) -> None:
        self.marker = re.compile(marker)
        self.stub = re.compile(stub)


_CODE = _Syntax(rf"([ \t]*)# {_WORDS}[ \t]*", r"([ \t]*)#(?: (.*)|)")
_MARKDOWN = _Syntax(rf"([ \t]*)<!-- {_WORDS} -->[ \t]*", r"([ \t]*)<!--(?: (.*?)|) *-->[ \t]*")


def solved(master: NotebookNode, name: str = "master") -> NotebookNode:
    """The notebook with its solutions and without markers and stubs; outputs are cleared, the master is left alone.

    `name` is the notebook's name in messages. Raises AssignmentError on malformed markers.
    """
    return _face(master, "solved", name)


def stubbed(master: NotebookNode, name: str = "master") -> NotebookNode:
    """The notebook as students get it: stubs in place of solutions, no "solution" cells, no outputs.

    `name` is the notebook's name in messages. Raises AssignmentError on malformed markers.
    """
    return _face(master, "stubbed", name)


def write_template(assignment_dir: Path, dest: Path) -> list[Path]:
    """Write the students' folder from the masters of `assignment_dir` and return the files written, sorted.

    Replaces the files that it generates and touches no others; each appears whole or not at all. Raises
    AssignmentError when a master, the figures or CollectSubmission.sh are missing, or a marker is malformed.
    """
    files = _generated(assignment_dir)
    written = []
    for relative, content in files.items():
        path = dest / relative
        _write(path, content, executable=_executable(relative))
        written.append(path)
    return sorted(written)


def stale(assignment_dir: Path, dest: Path) -> list[str]:
    """What differs between `dest` and what `write_template` would write there, a line a file; empty when fresh.

    Raises AssignmentError as `write_template` does.
    """
    files = _generated(assignment_dir)
    there = {path.relative_to(dest).as_posix() for path in dest.rglob("*") if not path.is_dir()}
    lines = [f"missing: {relative}" for relative in files.keys() - there]
    lines += [f"extra: {relative}" for relative in there - files.keys()]
    for relative in files.keys() & there:
        path = dest / relative
        if path.read_bytes() != files[relative]:
            lines.append(f"changed: {relative}")
        elif _executable(relative) and os.name == "posix" and not os.access(path, os.X_OK):
            lines.append(f"not executable: {relative}")
    return sorted(lines)


def read_master(path: Path) -> NotebookNode:
    """A master, which must be in nbformat 4. Raises AssignmentError when it is not, or is not valid."""
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("nbformat") != 4:
            raise ValueError("it is not in nbformat 4")  # an older one would be converted, and lose its cell ids
        nbformat.validate(content)
        notebook: NotebookNode = nbformat.v4.reads(text)  # type: ignore[no-untyped-call]  # it has no types
    except (OSError, ValueError, TypeError, nbformat.ValidationError) as error:  # nbformat trips over odd types
        raise AssignmentError(f"{path.name} is not a valid notebook: {error}") from error
    return notebook


def _face(master: NotebookNode, face: Face, name: str) -> NotebookNode:
    notebook = copy.deepcopy(master)
    cells = []
    for number, cell in enumerate(notebook.cells, start=1):
        tags = cell.metadata.get("tags", [])
        source = _cell_source(cell, face, f"{name}, cell {number}")  # also where it is dropped: markers are checked
        if SOLUTION_TAG in tags and face == "stubbed":
            continue
        cell.source = source
        if SOLUTION_TAG in tags:
            cell.metadata["tags"] = [tag for tag in tags if tag != SOLUTION_TAG]
            if not cell.metadata["tags"]:
                del cell.metadata["tags"]
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
            cell.metadata.pop("execution", None)
        cells.append(cell)
    notebook.cells = cells
    return notebook


def _cell_source(cell: NotebookNode, face: Face, place: str) -> str:
    if cell.cell_type == "code":
        return _choose(cell.source, face, _CODE, place)
    if cell.cell_type == "markdown":
        return _choose(cell.source, face, _MARKDOWN, place)
    return str(cell.source)


def _choose(source: str, face: Face, syntax: _Syntax, place: str) -> str:
    """Keep each region's solution or its stub."""
    kept: list[str] = []
    state: Literal["outside", "solution", "stub"] = "outside"
    indent, opened, stub_lines = "", 0, 0

    for number, line in enumerate(source.split("\n"), start=1):
        kind, at = _marker(line, syntax)
        if kind is None:
            if _ALMOST.match(line):
                raise _malformed(place, number, f"{line.strip()!r} looks like a marker and is not one")
            if state == "stub":
                stub_lines += 1
                text = _stub_line(line, indent, syntax, place, number)
                if face == "stubbed":
                    kept.append(text)
            elif state == "outside" or face == "solved":
                kept.append(line)
            continue

        if kind == "begin":
            if state != "outside":
                raise _malformed(place, number, f"BEGIN SOLUTION inside the solution that line {opened} begins")
            state, indent, opened, stub_lines = "solution", at, number, 0
            continue
        if state == "outside":
            raise _malformed(place, number, f"{line.strip()!r} without a BEGIN SOLUTION before it")
        if at != indent:
            raise _malformed(place, number, f"the marker is not indented like the BEGIN SOLUTION of line {opened}")
        if kind == "stub":
            if state == "stub":
                raise _malformed(place, number, f"a second STUB in the solution that line {opened} begins")
            state = "stub"
        else:
            if face == "stubbed" and stub_lines == 0:
                kept.append("")
            state = "outside"

    if state != "outside":
        raise _malformed(place, opened, "BEGIN SOLUTION without END SOLUTION")
    return "\n".join(kept)


def _marker(line: str, syntax: _Syntax) -> tuple[Kind | None, str]:
    match = syntax.marker.fullmatch(line)
    return (None, "") if match is None else (_KINDS[match[2]], match[1])


def _stub_line(line: str, indent: str, syntax: _Syntax, place: str, number: int) -> str:
    match = syntax.stub.fullmatch(line)
    if match is None or match[1] != indent:
        raise _malformed(place, number, f"stub line {line.strip()!r} is not commented out at the marker's indentation")
    text: str = match[2] or ""
    return (indent + text).rstrip()


def _malformed(place: str, line: int, what: str) -> AssignmentError:
    return AssignmentError(f"{place}, line {line}: {what}")


def _generated(assignment_dir: Path) -> dict[str, bytes]:
    """Every file of the template by its relative path, in a fixed order."""
    notebooks = assignment_dir / "notebooks"
    masters = sorted(notebooks.glob("*.ipynb"))
    if not masters:
        raise AssignmentError(f"no master notebook in {notebooks}")
    files = {path.name: _serialised(stubbed(read_master(path), path.name)) for path in masters}

    config = load_assignment(assignment_dir).config
    for role, spec in config.files.items():
        if spec.master and spec.master not in files:
            raise AssignmentError(f"{notebooks / spec.master} is missing: it is the master of files.{role}")
    files[COLLECT] = collect_script(assignment_dir, config.files.values())
    figures = sorted(path for path in (notebooks / "imgs").glob("*") if path.suffix in FIGURES)
    _refuse_missing_figures({path.name for path in figures}, files)
    for path in figures:
        files[f"imgs/{path.name}"] = path.read_bytes()
    if config.checkpoint is not None:  # a place for the data set that notebooks download
        files["data/.gitkeep"] = b""
    return files


def collect_script(assignment_dir: Path, wanted: Iterable[FileSpec]) -> bytes:
    """CollectSubmission.sh for these files: the assignment's own, or this project's, with its block FILES written anew.

    Raises AssignmentError where there is none, or it has no such block.
    """
    here = Path(__file__).resolve().parent
    places = [folder / COLLECT for folder in (assignment_dir, assignment_dir.parent, here.parent, here)]
    script = next((path for path in places if path.is_file()), None)
    if script is None:
        raise AssignmentError(f"{places[0]} is missing: the template holds a copy of it")
    text = script.read_text(encoding="utf-8")
    if not _FILES_BLOCK.search(text):
        raise AssignmentError(f"{script} has no lines “# BEGIN FILES” and “# END FILES” around what is handed in")
    lines = [f"{spec.kind}|{spec.collected}|{spec.max_mb}|{one_line(spec.title)}" for spec in wanted]
    block = "FILES=" + shlex.quote("\n".join(lines))
    return _FILES_BLOCK.sub(lambda match: f"{match[1]}{block}\n{match[2]}", text).encode()


def _refuse_missing_figures(names: set[str], notebooks: dict[str, bytes]) -> None:
    for notebook, content in notebooks.items():
        for wanted in re.findall(r"\]\(imgs/([^)\s]+)\)", content.decode("utf-8", "replace")):
            if wanted not in names:
                raise AssignmentError(f"{notebook} shows imgs/{wanted}, which is not in the masters' imgs folder")


def _serialised(notebook: NotebookNode) -> bytes:
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]  # as above
    return (text.rstrip("\n") + "\n").encode()


def _executable(relative: str) -> bool:
    return relative == COLLECT


def _write(path: Path, content: bytes, executable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(partial, 0o755 if executable else 0o644)  # mkstemp's own mode is 0600
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
