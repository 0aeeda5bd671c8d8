"""Real archives for the tests: the solved notebooks, with one thing changed."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import tarfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
from browsing import browser_path
from hypothesis import settings

from grader import wire
from grader.assignment import Assignment, load_assignment
from grader.gpu import ALWAYS, find_gpu
from grader.limits import worker_limits
from grader.pipeline import Options, grade
from grader.records import CriterionResult, Record
from grader.sandbox import WALLED, Worker, tiers
from grader.sandbox.process import Launch, WarmProcess
from grader.sandbox.tiers import open_sandbox

# The same examples each time, here and in CI; `pytest --hypothesis-profile default` draws new ones.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

ROOT = Path(__file__).resolve().parents[1]
QUICK = frozenset({"positional_encoding", "mlp", "checkpoint"})
PART1, PART2 = "Assignment2-1_Transformer_from_scratch.ipynb", "Assignment2-2_Vit.ipynb"


class HandIn:
    """What one student hands in, to be changed before it is packed."""

    def __init__(self) -> None:
        solved = ROOT / "reference/notebooks/solved"
        self.notebooks = {name: json.loads((solved / name).read_text(encoding="utf-8")) for name in (PART1, PART2)}
        self.files: dict[str, bytes] = {"vit.pth": (ROOT / "reference/data/vit.pth").read_bytes()}

    def edit(self, old: str, new: str) -> HandIn:
        """Replace a passage of code that stands in exactly one cell."""
        hits = 0
        for notebook in self.notebooks.values():
            for cell in notebook["cells"]:
                source = "".join(cell["source"])
                if cell["cell_type"] == "code" and old in source:
                    cell["source"] = source.replace(old, new)
                    hits += 1
        assert hits == 1, f"{old!r} stands in {hits} cells"
        return self

    def cell(self, name: str, source: str, at: int | None = None) -> HandIn:
        """Put a code cell into a notebook, at the end or at a place."""
        cells = self.notebooks[name]["cells"]
        new = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source, "id": "x"}
        cells.insert(len(cells) if at is None else at, new)
        return self

    def without_figures(self) -> HandIn:
        """Drop pictures and outputs, which take most of the time that a submission takes; flags will say so."""
        for notebook in self.notebooks.values():
            for cell in notebook["cells"]:
                cell.pop("attachments", None)
                if cell["cell_type"] == "code":
                    cell["outputs"] = []
        return self

    def pack(self, folder: Path, student_id: str = "1102444016") -> Path:
        """Write <student-id>.tar.gz, flat."""
        path = folder / f"{student_id}.tar.gz"
        members = {name: json.dumps(notebook).encode() for name, notebook in self.notebooks.items()} | self.files
        with tarfile.open(path, "w:gz") as archive:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path


@pytest.fixture(scope="session")
def assignment() -> Assignment:
    return load_assignment(ROOT / "reference")


@pytest.fixture(scope="session")
def sandbox(assignment: Assignment) -> Iterator[WarmProcess]:
    with open_sandbox("auto", worker_limits(assignment), [assignment.folder]) as warm:
        yield warm


@pytest.fixture
def hand_in() -> HandIn:
    return HandIn()


@pytest.fixture
def graded(assignment: Assignment, sandbox: WarmProcess, tmp_path: Path) -> Callable[..., Record]:
    """Pack a hand-in and grade it; the held-out images are left out unless asked for."""

    def run(hand_in: HandIn, accuracy: bool = False) -> Record:
        return grade(hand_in.pack(tmp_path), assignment, sandbox, Options(accuracy=accuracy))

    return run


@pytest.fixture
def quick(assignment: Assignment, sandbox: WarmProcess, tmp_path: Path) -> Callable[[HandIn | Path], Record]:
    """Grade a hand-in, or what lies at a path, by one criterion of each file: what is wrong with one costs it alone."""

    def run(handed_in: HandIn | Path) -> Record:
        path = handed_in.pack(tmp_path) if isinstance(handed_in, HandIn) else handed_in
        return grade(path, assignment, sandbox, Options(accuracy=False, criteria=QUICK))

    return run


def small_assignment(folder: Path, criteria: Collection[str]) -> Path:
    """The assignment with these criteria alone, in a folder that is made: a submission takes a fraction of a second."""
    shutil.copytree(ROOT / "reference", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for mutants in (folder / "mutants").glob("*.toml"):
        if mutants.stem not in criteria:
            mutants.unlink()
    lines, keep = [], True
    for line in (folder / "assignment.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            keep = not line.startswith("[criteria.") or line.strip("[]").split(".")[1] in criteria
        if keep:
            lines.append(line)
    (folder / "assignment.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder


def timeless_records(out: Path) -> dict[str, Any]:
    """Every record in a folder of results by its name, without what no two runs share: how long it took."""

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: timeless(one) for key, one in value.items() if key != "seconds"}
        return [timeless(one) for one in value] if isinstance(value, list) else value

    return {path.name: timeless(json.loads(path.read_text(encoding="utf-8"))) for path in (out / "records").iterdir()}


def criterion(record: Record, name: str) -> CriterionResult:
    return next(c for c in record.criteria if c.id == name)


def lost(record: Record) -> dict[str, float]:
    """Criterion to points lost, for those that lost any."""
    return {c.id: c.max_points - c.points for c in record.criteria if c.points < c.max_points}


# ---- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """One browser for all pages."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = browser_path()
    if path is None:
        pytest.skip("no Chromium on this machine: `make test` installs it where apt-get and root are there")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


# ---- inside a worker ------------------------------------------------------------------------------------------------

INSIDE_LIMITS = wire.WorkerLimits(memory_mb=1024, cpu_seconds=120, threads=2)


# In place of a GPU's driver, where there is none. As that does, it starts a thread, opens a socket, reserves addresses.
STANDIN_DRIVER = """

def start():
    import mmap, socket, threading
    before = _descriptors()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind("\\0standin-driver")
    listening.listen()
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    reserved = mmap.mmap(-1, 16 << 30, flags=mmap.MAP_PRIVATE | 0x4000, prot=0)
    open("/proc/self/task/%d/comm" % threading.get_native_id(), "w").close()
    _opened.update(_descriptors() - before)
    globals()["_held"] = listening, reserved
"""


@contextlib.contextmanager
def gpu_sandbox(folder: Path) -> Iterator[WarmProcess]:
    """The sandbox that holds a GPU; with a stand-in for the driver where there is none. folder: for what is made."""
    gpu = find_gpu(ALWAYS, "bwrap", INSIDE_LIMITS)
    if gpu is not None:
        with gpu.sandbox() as warm:
            yield warm
        return
    shutil.copytree(ROOT / "grader", folder / "grader", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "grader/worker/gpu.py").open("a", encoding="utf-8") as file:
        file.write(STANDIN_DRIVER)
    limits = msgspec.structs.replace(INSIDE_LIMITS, devices=("/dev/full",))

    def prepare() -> Launch:
        with mock.patch("grader.sandbox.tiers.python_folder", return_value=folder):
            return tiers._bubblewrap(limits, ())

    with WarmProcess("bwrap", prepare) as warm:
        yield warm


@pytest.fixture(scope="session", params=[*WALLED, "gpu"])
def warm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    """A warm process in each tier that isolates, and in the one that holds a GPU."""
    gpu = request.param == "gpu"
    with gpu_sandbox(tmp_path_factory.mktemp("gpu")) if gpu else open_sandbox(request.param, INSIDE_LIMITS) as warm:
        yield warm


@pytest.fixture
def worker(warm: WarmProcess) -> Iterator[Worker]:
    worker = warm.start()
    yield worker
    worker.kill()


def run(worker: Worker, body: str, seconds: float = 30.0) -> object:
    """What the body of a function returns in the worker; a RaisedReply if it raises."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    code = f"import ctypes, os, torch\nlibc = ctypes.CDLL(None, use_errno=True)\ndef answer():\n{lines}"
    source = wire.Source(text=code, filename="cell 1", line=1, names=("answer",))
    loaded = worker.ask(wire.LoadProgram(program="p", sources=(source,)), seconds)
    assert isinstance(loaded, wire.Loaded)
    assert not loaded.failures, loaded.failures
    reply = worker.ask(wire.CallFunction(program="p", name="answer"), seconds)
    return reply.value if isinstance(reply, wire.Value) else reply


# Python may lie below root's home, where nobody else may go: in a mount namespace of its own the way there is open.
OPEN_HOME = """
if [ -n "$1" ]; then
    mount --bind "$1" /mnt; mount -t tmpfs -o mode=755 tmpfs "$HOME"; mkdir -p "$1"; mount --bind /mnt "$1"
fi
shift
exec "$@"
"""


def with_open_home(command: list[str]) -> list[str]:
    """The command for root to run as or under something lesser, with a Python that others can reach."""
    base = Path(sys.base_prefix).resolve()
    inside_home = str(base) if base.is_relative_to(Path.home()) else ""
    return ["unshare", "--mount", "sh", "-ec", OPEN_HOME, "sh", inside_home, *command]
