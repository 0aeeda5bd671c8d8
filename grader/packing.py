"""The public part of an assignment: what a student's own machine needs to check a hand-in, and nothing of the answers.

assignment.toml, masters ──public_of──▶ Public ──pack──▶ gradewall-selfcheck.pyz: grader/, the Public as JSON, a main
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import msgspec
from msgspec.structs import replace

from grader import template
from grader.assignment import Assignment, CheckpointSpec
from grader.bank import as_read
from grader.language import FOLDER, catalogue
from grader.languages import DEFAULT, LANGUAGES
from grader.public import NAME, Public
from grader.statements import code

EPOCH = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever it is packed
MAIN = """\
import sys

if sys.version_info < (3, 11):
    sys.exit("this needs Python 3.11 or newer, and here is " + sys.version.split()[0])

from grader.cli import main

if __name__ == "__main__":
    sys.exit(main({arguments}))
"""


def public_of(assignment: Assignment) -> Public:
    """Raises AssignmentError where a master cannot be read."""
    config = assignment.config
    return Public(
        config=replace(
            config,
            files={name: replace(spec, solution="") for name, spec in config.files.items()},
            classes={name: replace(spec, standin="") for name, spec in config.classes.items()},
            criteria={},
            checkpoint=_told(config.checkpoint) if config.checkpoint else None,
            seed=0,
        ),
        handed_out=_handed_out(assignment),
        words={code: _titles(assignment, code) for code in LANGUAGES if code != DEFAULT},
    )


def _titles(assignment: Assignment, language: str) -> dict[str, str]:
    """The files' titles and no more: what the checks look at is not told."""
    known = catalogue(language, assignment.folder)
    return {spec.title: known.translate(spec.title) for spec in assignment.config.files.values()}


def _told(spec: CheckpointSpec) -> CheckpointSpec:
    """The held-out files by their names alone: students have them elsewhere, if at all."""
    digests = {Path(path).name: digest for path, digest in spec.digests.items()} if spec.public else {}
    names = {"images": Path(spec.images).name, "labels": Path(spec.labels).name}
    return replace(spec, **names, digests=digests, sample=None)


def _handed_out(assignment: Assignment) -> dict[str, str]:
    """The definition of each class as students get it."""
    found: dict[str, str] = {}
    for role, spec in assignment.config.files.items():
        if not spec.master:
            continue
        stub = as_read(spec.master, template.stubbed(template.read_master(assignment.master(role)), spec.master))
        for statement in code(stub).statements:
            for name in statement.uses.binds & assignment.config.classes.keys():
                if assignment.config.classes[name].file == role:
                    found[name] = statement.source
    return found


def pack(public: Public) -> bytes:
    """A zip that Python runs: `python FILE .` as it is, `python grade.py --self-check .` where it is unpacked."""
    package = Path(__file__).resolve().parent
    files = {
        "__main__.py": MAIN.format(arguments='["--self-check", *sys.argv[1:]]').encode(),
        "grade.py": MAIN.format(arguments="").encode(),
        f"grader/{NAME}": msgspec.json.format(msgspec.json.encode(public), indent=1),
    }
    for path in sorted([*package.rglob("*.py"), *package.glob(f"{FOLDER}/*.toml")]):
        relative = path.relative_to(package)
        if relative.parts[0] != "skeleton":
            files[f"grader/{relative.as_posix()}"] = path.read_bytes()
    if (licence := package.parent / "LICENSE").is_file():
        files["LICENSE"] = licence.read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
