"""An assignment: the folder that holds its configuration, checks, masters, stand-ins and held-out data."""

from __future__ import annotations

import re
import tomllib
from os.path import isfile  # false, where pathlib raises: a name may be too long
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from grader.errors import AssignmentError
from grader.inert import one_line
from grader.language import check_languages
from grader.records import Frozen
from grader.rubric import CriterionSpec

CONFIG_NAME = "assignment.toml"
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]  # beyond it, a slip of the hand: no machine has so much
Seconds = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**62)]  # torch and the wire take 64 bits, and checks add to it


class FileSpec(Frozen, frozen=True):
    """A file that students hand in. `patterns` are regular expressions on its NFC, casefolded base name, best first."""

    kind: Literal["notebook", "weights"]
    patterns: tuple[str, ...]
    title: str
    master: str = ""  # the notebook in notebooks/ that the template and the solution are made from
    solution: str = ""  # what the reference hands in, where it is not the solved master; relative to the folder
    collect: str = ""  # the shell pattern by which CollectSubmission.sh finds it; see `collected`
    max_mb: Count = 100

    @property
    def collected(self) -> str:
        """The shell pattern by which CollectSubmission.sh finds the file."""
        return self.collect or (f"{Path(self.master).stem}*.ipynb" if self.kind == "notebook" else "*.pth")


class ClassSpec(Frozen, frozen=True):
    """A class that students fill: the file it stands in, and what can take its place in another class's checks.

    kind: a "function" stands at the top of a notebook like a class; checks call it, and get its value.
    """

    file: str
    kind: Literal["class", "function"] = "class"
    standin: str = ""  # a Python file; relative to the assignment's folder


class SampleSpec(Frozen, frozen=True):
    """A sample of the training images, and what honest models make of it: see `grader.sample`. Paths as below."""

    images: str
    labels: str
    norm: str


class CheckpointSpec(Frozen, frozen=True):
    """How the weights are held against the held-out set. Paths are relative to the assignment's folder."""

    file: str
    notebook: str
    class_name: str
    settings: tuple[str, ...]  # constructor arguments that students choose
    dataset_call: str  # the name whose call holds the transform
    images: str
    labels: str
    bar: Annotated[float, msgspec.Meta(ge=0, le=1)]  # the share that must be right
    public: tuple[str, ...] = ()  # where students have the held-out files: for the self-check; relative to the hand-in
    digests: dict[str, str] = {}  # SHA-256 of the held-out files, by path; `grade.py doctor` compares
    sample: SampleSpec | None = None
    fixed: dict[str, int | float | str] = {}
    classes: Count = 10
    class_names: tuple[str, ...] = ()  # by label, for people
    batch: Count = 100  # images at once: the fastest, or nearly, for models of 50 thousand to 6 million parameters


class ExperimentsSpec(Frozen, frozen=True):
    """settings: the values that experiments vary; where none are named, those of [checkpoint]."""

    notebook: str
    needed: Count = 5
    settings: tuple[str, ...] = ()


class InputSpec(Frozen, frozen=True):
    """A tensor that is made up: random numbers of this shape; with `below` whole numbers from 0, or truth values."""

    shape: tuple[Annotated[int, msgspec.Meta(ge=0, le=10_000)], ...]
    below: Annotated[int, msgspec.Meta(ge=0, le=2**31)] = 0
    boolean: bool = False


class ShapeSpec(Frozen, frozen=True):
    """A shape that the hand-out promises, for `--self-check`: what `name`, built with `arguments`, makes of `inputs`.

    A function is called with the inputs alone.
    """

    name: str
    inputs: tuple[InputSpec, ...]
    output: tuple[int, ...]
    arguments: tuple[bool | int | float | str, ...] = ()


class LimitsSpec(Frozen, frozen=True):
    """Limits of one submission; the reasons stand beside the values in assignment.toml."""

    archive_mb: Count = 200
    members: Count = 2000
    memory_mb: Count = 2048
    cpu_seconds: Count = 900
    tmp_mb: Count = 64
    file_mb: Count = 64
    open_files: Count = 128
    processes: Count = 64
    program_seconds: Seconds = 20.0
    ask_seconds: Seconds = 10.0
    check_seconds: Seconds = 3600.0
    accuracy_seconds: Seconds = 600.0
    submission_seconds: Seconds = 1800.0


class ToleranceSpec(Frozen, frozen=True):
    """|actual - expected| <= atol + rtol * |expected|, elementwise."""

    rtol: Annotated[float, msgspec.Meta(ge=0, le=1)]
    atol: Annotated[float, msgspec.Meta(ge=0, le=1)]


class Config(Frozen, frozen=True):
    """assignment.toml, decoded strictly."""

    id: str
    title: str
    files: dict[str, FileSpec]
    classes: dict[str, ClassSpec]
    criteria: dict[str, CriterionSpec]
    tolerance: ToleranceSpec
    checkpoint: CheckpointSpec | None = None
    experiments: ExperimentsSpec | None = None
    shapes: tuple[ShapeSpec, ...] = ()
    limits: LimitsSpec = LimitsSpec()
    variants: str = "variants"  # correct alternatives, for `verify`; relative to the assignment's folder
    template: str = "student_template"  # where the hand-out is written; relative to the assignment's folder
    id_pattern: str = r"[A-Za-z0-9][A-Za-z0-9_-]*"
    seed: Seed = 0

    @property
    def settings_of_experiments(self) -> tuple[str, ...]:
        """The values that experiments vary."""
        own = self.experiments.settings if self.experiments else ()
        return own or (self.checkpoint.settings if self.checkpoint else ())


class Assignment:
    """A configuration with its folder. Raises AssignmentError when anything in it contradicts anything else."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self.config = config
        self.checks = folder / "checks"
        _consistent(self)

    @property
    def max_score(self) -> float:
        return sum(self.maxima.values())

    @property
    def maxima(self) -> dict[str, float]:
        """The points of each criterion, in the rubric's order."""
        return {name: criterion.points for name, criterion in self.config.criteria.items()}

    def standin(self, class_name: str) -> str:
        """The source of the stand-in for a class."""
        return (self.folder / self.config.classes[class_name].standin).read_text(encoding="utf-8")

    def master(self, role: str) -> Path:
        return self.folder / "notebooks" / self.config.files[role].master


def load_assignment(folder: Path) -> Assignment:
    """Read and decode the folder's assignment.toml; look over its languages. Raises AssignmentError with the place."""
    folder = folder.resolve()  # pytest is told of it, and takes a relative one from elsewhere
    path = folder / CONFIG_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AssignmentError(f"{path} cannot be read: {error}; --assignment names the folder that holds it") from None
    try:
        config = msgspec.convert(tomllib.loads(text), type=Config)
    except (ValueError, msgspec.ValidationError) as error:  # TOMLDecodeError, or a number of thousands of digits
        raise AssignmentError(f"{path}: {one_line(str(error), 300)}") from None
    except RecursionError:
        raise AssignmentError(f"{path}: a value is nested too deeply; write it flat") from None
    check_languages(folder)
    return Assignment(folder, config)


def _consistent(assignment: Assignment) -> None:
    config, path = assignment.config, assignment.folder / CONFIG_NAME
    known = set(config.files) | set(config.classes)

    def refuse(where: str, why: str) -> None:
        raise AssignmentError(f"{path}: {one_line(where, 100)}: {one_line(why, 300)}")

    patterns = [(f"files.{name}", pattern) for name, spec in config.files.items() for pattern in spec.patterns]
    for place, pattern in [*patterns, ("id_pattern", config.id_pattern)]:
        try:
            re.compile(pattern)
        except re.error as error:
            refuse(place, f"“{pattern}” is no regular expression: {error}")
    for name, file in config.files.items():
        if "\n" in file.collected or "|" in file.collected:
            refuse(f"files.{name}", f"“{file.collected}” is no pattern that CollectSubmission.sh can hold")
    for name, spec in config.classes.items():
        if spec.file not in config.files:
            refuse(f"classes.{name}", f"file “{spec.file}” is not among [files]")
        if spec.standin and not isfile(assignment.folder / spec.standin):
            refuse(f"classes.{name}", f"the stand-in {spec.standin} does not exist")
    for shape in config.shapes:
        if shape.name not in config.classes:
            refuse("shapes", f"“{shape.name}” is not among [classes]")
    for name, criterion in config.criteria.items():
        where = f"criteria.{name}"
        if abs(sum(criterion.checks.values()) - criterion.points) > 1e-9:
            total = sum(criterion.checks.values())
            refuse(where, f"its checks add up to {total:g} points, not to {criterion.points:g}")
        for need in criterion.needs:
            if need not in known:
                refuse(where, f"needs “{need}”, which is neither among [classes] nor among [files]")
        for standin in criterion.standins:
            if standin not in config.classes or not config.classes[standin].standin:
                refuse(where, f"“{standin}” has no stand-in")
        if not isfile(assignment.checks / f"test_{name}.py"):
            refuse(where, f"its checks are not there: {assignment.checks / f'test_{name}.py'}")
    for section, roles in (
        ("checkpoint", (config.checkpoint.file, config.checkpoint.notebook) if config.checkpoint else ()),
        ("experiments", (config.experiments.notebook,) if config.experiments else ()),
    ):
        for role in roles:
            if role not in config.files:
                refuse(section, f"“{role}” is not among [files]")
    if config.experiments and not config.settings_of_experiments:
        refuse("experiments", 'it names no settings, and there is no [checkpoint] that does; write settings = ["…"]')
