"""What students check themselves with, on any machine: is it whole, does it parse, do shapes fit, does the `.pth` load?

No hidden check, no reference, no sandbox: a student's own code runs in an ordinary process of that student's. What is
said of a class or of weights is said by the code that grades them, so the words are the report's.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from msgspec.structs import replace

from grader.assignment import Assignment, CheckpointSpec, InputSpec, ShapeSpec
from grader.checking.compare import assert_shape, assert_tensor
from grader.checking.student import Student
from grader.checkpoint import TrainedModel
from grader.errors import AssignmentError, Fault, NotebookError, UsageError
from grader.gather import intake_limits, roles_of
from grader.inert import one_line
from grader.intake import Submission, read_submission, roles_by_name
from grader.notebook import Notebook, read_notebook
from grader.program import definition_fingerprint
from grader.public import Public, stub_of
from grader.sandbox.plain import PlainSandbox
from grader.statements import code

MAX_COPIED = 50  # files of a folder; a hand-in has three
NOT_GIVEN = "the held-out images are not given to students"


@dataclass(frozen=True)
class Line:
    """One thing that was looked at. `verdict` is a record's word; `message` says why it is not “passed”."""

    title: str
    verdict: str
    message: str = ""


@dataclass(frozen=True)
class SelfCheck:
    """What was found, and what is worth a look."""

    name: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    experiments: bool  # whether students write about some, which nothing here looks at

    @property
    def is_well(self) -> bool:
        return all(line.verdict in ("passed", "skipped") for line in self.lines)


def self_check(path: Path, public: Public, progress: Callable[[str, int, int], None]) -> SelfCheck:
    """Look at an archive, or at the files that lie in a folder. Raises IntakeError where it cannot be read at all."""
    config = public.config
    with _as_handed_in(path, public) as (handed_in, is_folder):
        submission = read_submission(handed_in, roles_of(config), intake_limits(config), config.id_pattern)
    notebooks = _notebooks(submission, public)
    untouched = {n: definition_fingerprint(stub_of(source), n) for n, source in public.handed_out.items()}
    lines = [_complete(submission, public), *_parsing(notebooks, public)]
    place = path.resolve() if is_folder else path.resolve().parent  # where the notebook's own data folder is
    held_out = _held_out(config.checkpoint, place) if config.checkpoint else None
    if held_out is not None:
        config = replace(config, checkpoint=held_out)
    assignment = Assignment(place, config)
    student = Student(PlainSandbox(), assignment, notebooks, untouched)
    with contextlib.closing(student):
        lines += [_class(student, name, public) for name in config.classes]
        if config.checkpoint is not None:
            weights = submission.files.get(config.checkpoint.file)
            trained = TrainedModel(assignment, student, weights.data if weights else None, progress)
            lines += _weights(trained, held_out is not None)
            notes = (*submission.notes, *trained.notes)
        else:
            notes = submission.notes
    said = ("no file fits", "no student id was recognised") if is_folder else ("no file fits",)
    notes = tuple(note for note in notes if not note.startswith(said))
    return SelfCheck(
        _name(submission, path, is_folder), tuple(lines), (*notes, *_cleared(notebooks)), config.experiments is not None
    )


def _name(submission: Submission, path: Path, is_folder: bool) -> str:
    if is_folder:
        return f"the files in {one_line(path.resolve().name)}"
    return f"{submission.student_id}  ({submission.archive})"


@contextlib.contextmanager
def _as_handed_in(path: Path, public: Public) -> Iterator[tuple[Path, bool]]:
    """The archive; of a folder, the files that could be handed in: not the data sets and environments beside them."""
    if not path.exists():
        raise UsageError(f"{path} does not exist; name your archive, or the folder with your notebooks")
    if not path.is_dir():
        yield path, False
        return
    roles = roles_of(public.config)
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place, path.resolve().name or "folder")
        copy.mkdir()
        wanted = [file for file in sorted(path.iterdir()) if file.is_file() and roles_by_name(file.name, roles)]
        for file in wanted[:MAX_COPIED]:
            shutil.copyfile(file, copy / file.name)
        yield copy, True


# ---- the lines ------------------------------------------------------------------------------------------------------


def _complete(submission: Submission, public: Public) -> Line:
    absent = [spec.title for role, spec in public.config.files.items() if role not in submission.files]
    said = "; ".join(f"{title} was not handed in" for title in absent)
    return Line("Files", "missing" if absent else "passed", said)


def _notebooks(submission: Submission, public: Public) -> dict[str, Notebook | str]:
    found: dict[str, Notebook | str] = {}
    for role, spec in public.config.files.items():
        if spec.kind == "notebook" and role in submission.files:
            file = submission.files[role]
            try:
                found[role] = read_notebook(file.name, file.data)
            except NotebookError as error:
                found[role] = str(error)
    return found


def _parsing(notebooks: Mapping[str, Notebook | str], public: Public) -> Iterator[Line]:
    for role, notebook in notebooks.items():
        title = public.config.files[role].title
        title = title[:1].upper() + title[1:]
        if isinstance(notebook, str):
            yield Line(title, "missing", f"it cannot be read: {notebook}")
        elif problems := code(notebook).problems:
            first = problems[0]
            text = first.text.strip()[:200]
            said = f"a cell does not parse: {first.message} in cell {first.cell + 1}, line {first.line}: {text}"
            yield Line(title, "failed", said)
        else:
            yield Line(title, "passed")


def _class(student: Student, name: str, public: Public) -> Line:
    try:
        student.require(name)
        student.load(name)
        for shape in public.config.shapes:
            if shape.name == name:
                _try(student, shape, public.config.classes[name].kind == "function")
    except Fault as fault:
        return Line(name, fault.verdict, fault.message)
    return Line(name, "passed")


def _try(student: Student, shape: ShapeSpec, is_function: bool) -> None:
    """Raises Failed where the answer's shape is another, and whatever else the code does wrong."""
    inputs = [_tensor(spec, number) for number, spec in enumerate(shape.inputs)]
    called = getattr(student, shape.name)
    answer = called(*inputs) if is_function else called(*shape.arguments)(*inputs)
    assert_shape(assert_tensor(answer), shape.output)


def _tensor(spec: InputSpec, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    if spec.boolean:
        return torch.ones(spec.shape, dtype=torch.bool)  # all is visible: no row of a mask may be empty
    if spec.below:
        return torch.randint(0, spec.below, spec.shape, generator=generator)
    return torch.randn(spec.shape, generator=generator)


def _weights(trained: TrainedModel, has_images: bool) -> Iterator[Line]:
    try:
        settings = trained.load()
    except Fault as fault:
        yield Line("The trained weights load", fault.verdict, fault.message)
        return
    values = ", ".join(f"{name}={value}" for name, value in settings.settings.items())
    yield Line("The trained weights load", "passed", f"{values}, from {settings.settings_source}")
    if not has_images:
        yield Line("Test accuracy", "skipped", _why_skipped(trained.spec))
        return
    try:
        result = trained.accuracy()
    except (Fault, AssignmentError) as error:
        yield Line("Test accuracy", getattr(error, "verdict", "skipped"), str(error))
        return
    assert result.accuracy is not None
    assert result.correct is not None
    assert result.total is not None
    reached = result.correct >= trained.spec.bar * result.total
    said = f"{result.correct} of {result.total} test images are right: {result.accuracy:.2%}"
    if not reached:
        said = f"{said}, below {trained.spec.bar:.2%}"
    yield Line("Test accuracy", "passed" if reached else "failed", said)


def _why_skipped(spec: CheckpointSpec) -> str:
    if not spec.public:
        return NOT_GIVEN
    return (
        f"{spec.images.removesuffix('.gz')} was not found in {', '.join(spec.public)}: run the cell that downloads it"
    )


def _held_out(spec: CheckpointSpec, place: Path) -> CheckpointSpec | None:
    """`spec` with the held-out files where this machine has them, if it has."""
    for folder in (place / name for name in spec.public):
        images, labels = (_there(folder, name, spec.digests.get(name, "")) for name in (spec.images, spec.labels))
        if images is not None and labels is not None:
            return replace(spec, images=str(images), labels=str(labels))
    return None


def _there(folder: Path, name: str, digest: str) -> Path | None:
    """The file as it was published, or unpacked beside it, as torchvision does."""
    packed, unpacked = folder / name, folder / name.removesuffix(".gz")
    if packed.is_file() and digest in ("", hashlib.sha256(packed.read_bytes()).hexdigest()):
        return packed
    return unpacked if unpacked.is_file() and unpacked != packed else None


def _cleared(notebooks: Mapping[str, Notebook | str]) -> Iterator[str]:
    for notebook in notebooks.values():
        if isinstance(notebook, Notebook) and not any(cell.output_count for cell in notebook.cells):
            yield f"{notebook.name}: the outputs of every cell were cleared"
