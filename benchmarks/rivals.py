"""What people would use instead, on the same submissions: each gets the student's code cut down to what is checked.

The training, the downloads and the plots are left out for them by the grader's own slice, since none of them can do so
by itself. That is in their favour: with the notebooks as they were handed in, each would first have to train a model.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from measuring import Cost, measured

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from grader.assignment import load_assignment  # noqa: E402 - the package lies beside this folder
from grader.gather import intake_limits, roles_of  # noqa: E402
from grader.intake import read_submission  # noqa: E402
from grader.notebook import read_notebook  # noqa: E402
from grader.program import slice_program  # noqa: E402

CHECKS = ROOT / "benchmarks/plain_checks.py"
HEAD = "import torch\n"  # of a cell or a test that holds one check alone


class CannotRunError(Exception):
    """A rival is not installed, or does not come to its end."""


def plain_code(archive: Path) -> str:
    """The classes of both notebooks and what they need, as one Python module."""
    config = load_assignment(ROOT / "reference").config
    files = read_submission(archive, roles_of(config), intake_limits(config), config.id_pattern).files
    pieces = []
    for role, spec in config.files.items():
        if spec.kind == "notebook":
            wanted = [name for name, one in config.classes.items() if one.file == role]
            program = slice_program(read_notebook(files[role].name, files[role].data), wanted)
            pieces += [entry.source for entry in program.entries]
    return "\n\n".join(pieces) + "\n"


def checks() -> dict[str, str]:
    """The source of each plain check, by its name."""
    text = CHECKS.read_text(encoding="utf-8")
    nodes = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_source_segment(text, node) or "" for node in nodes}


def venv(name: str) -> Path:
    """The rival's own virtual environment, made at its first use; torch and the like are the project's."""
    folder = ROOT / "build/bench" / name
    python = folder / "bin/python"
    ready = folder / ".ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        site = Path(next(path for path in sys.path if path.endswith("site-packages")))
        (folder / "lib" / site.parts[-2] / "site-packages/shared.pth").write_text(f"{site}\n", encoding="utf-8")
        line = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", name]
        done = subprocess.run(line, env=_environment(), capture_output=True, text=True)
        if done.returncode:
            raise CannotRunError(f"{name} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
        ready.touch()
    return folder / "bin"


def _environment(**more: str) -> dict[str, str]:
    """One thread: for layers as tiny as these a second one is of no use, and on a busy machine it costs seconds."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return kept | {"OMP_NUM_THREADS": "1"} | more


def _run(line: Sequence[object], folder: Path) -> Cost:
    """Raises CannotRunError with the end of what the command says."""
    path = f"{Path(str(line[0])).parent}:{os.environ['PATH']}"  # nbgrader and Otter start tools of their own
    cost = measured([*map(str, line)], folder, _environment(PATH=path))
    if cost.code:
        raise CannotRunError(f"{Path(str(line[0])).name}: {cost.output.strip()[-600:]}")
    return cost


def _sum(costs: Sequence[Cost]) -> Cost:
    return Cost(sum(c.wall for c in costs), sum(c.cpu for c in costs), max(c.memory for c in costs), 0, "")


def pytest_each(codes: Sequence[str], scratch: Path) -> Cost:
    """`pytest checks.py` in a process for each submission."""
    costs = []
    for number, code in enumerate(codes):
        folder = _fresh(scratch / f"pytest/{number}")
        (folder / "submission.py").write_text(code, encoding="utf-8")
        shutil.copy(CHECKS, folder / "test_plain.py")
        line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "test_plain.py"]
        costs.append(_run([*line, "--rootdir", folder], folder))
    return _sum(costs)


def nbgrader_batch(codes: Sequence[str], scratch: Path) -> Cost:
    """`nbgrader autograde` over all submissions in one process."""
    folder, tool = _fresh(scratch / "nbgrader"), venv("nbgrader") / "nbgrader"
    (folder / "nbgrader_config.py").write_text(f"c = get_config()\nc.CourseDirectory.root = {str(folder)!r}\n")
    _write(folder / "source/ps/ps.ipynb", _nbgrader_notebook("pass"))
    _run([tool, "generate_assignment", "ps", "--create"], folder)
    for number, code in enumerate(codes):
        _write(folder / f"submitted/s{number}/ps/ps.ipynb", _nbgrader_notebook(code))
    cost = _run([tool, "autograde", "ps", "--create"], folder)
    graded = len(list((folder / "autograded").glob("*/ps/ps.ipynb")))
    if graded != len(codes):
        raise CannotRunError(f"nbgrader graded {graded} of {len(codes)}")
    return cost


def _nbgrader_notebook(code: str) -> nbformat.NotebookNode:
    def marked(source: str, grade_id: str, **more: object) -> nbformat.NotebookNode:
        flags = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3, **more}
        return nbformat.v4.new_code_cell(source, metadata={"nbgrader": {"grade_id": grade_id, **flags}})

    cells = [marked(code, "classes", solution=True)]
    for name, source in checks().items():
        cells.append(marked(f"{HEAD}{source}\n{name}()", name, grade=True, locked=True, points=1))
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": _KERNEL})


_KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def otter_each(codes: Sequence[str], scratch: Path) -> Cost:
    """`otter run` for each submission."""
    folder, tool = _fresh(scratch / "otter"), venv("otter-grader") / "otter"
    tests = folder / "tests"
    tests.mkdir()
    for name, source in checks().items():
        body = f"from otter.test_files import test_case\nOK_FORMAT = False\nname = {name!r}\npoints = 1\n"
        body += f"@test_case(points=1)\ndef test(env):\n    exec({HEAD + source!r}, env)\n    env[{name!r}]()\n"
        (tests / f"{name}.py").write_text(body, encoding="utf-8")
    _run([tool, "generate", "-t", tests, "-o", folder / "autograder.zip", "--no-environment"], folder)
    costs = []
    for number, code in enumerate(codes):
        place = _fresh(folder / str(number))
        cells = [nbformat.v4.new_code_cell(code)]
        _write(place / "ps.ipynb", nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": _KERNEL}))
        line = [tool, "run", "-a", folder / "autograder.zip", "-o", place, place / "ps.ipynb"]
        costs.append(_run(line, place))
        results = json.loads((place / "results.json").read_text(encoding="utf-8"))
        if sum("test" in str(one.get("name", "")) for one in results.get("tests", ())) < len(checks()):
            raise CannotRunError(f"otter run ran {len(results.get('tests', ()))} tests")
    return _sum(costs)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _write(path: Path, notebook: nbformat.NotebookNode) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell{number}"
    nbformat.write(notebook, path)
