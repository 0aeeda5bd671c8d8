"""The nouns that travel: frozen, strictly decoded, free of torch. A graded submission is one `Record`."""

from __future__ import annotations

import enum
from typing import Any

import msgspec


class Verdict(enum.StrEnum):
    """How a check, or a criterion, came out."""

    PASSED = "passed"
    PARTIAL = "partial"
    FAILED = "failed"
    RAISED = "raised"
    MISSING = "missing"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    DIED = "died"
    SKIPPED = "skipped"
    BROKEN = "broken"

    @property
    def blame(self) -> Blame:
        if self is Verdict.SKIPPED:
            return Blame.NEITHER
        if self is Verdict.BROKEN:
            return Blame.GRADER
        return Blame.STUDENT


class Blame(enum.StrEnum):
    """Whose doing a verdict is. A fault of the grader never lowers a mark: it needs a person."""

    STUDENT = "student"
    NEITHER = "neither"
    GRADER = "grader"


class Frozen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every record. Subclasses say frozen=True once more, for type checkers."""


class CheckResult(Frozen, frozen=True):
    """One check: its title is the docstring of the check, its message is what the student reads."""

    id: str
    title: str
    verdict: Verdict
    blame: Blame
    message: str = ""
    evidence: dict[str, Any] = {}
    points: float = 0.0
    max_points: float = 0.0
    seconds: float = 0.0


class HandMark(Frozen, frozen=True):
    """What a person gave in place of the `computed` points. marker, when: who and when, as given."""

    points: float
    comment: str
    computed: float
    marker: str = ""
    when: str = ""


class CriterionResult(Frozen, frozen=True):
    """One line of the rubric. `proposed` points wait for a person to confirm or change them; `by_hand`, one did."""

    id: str
    title: str
    points: float
    max_points: float
    verdict: Verdict
    blame: Blame
    proposed: bool = False
    by_hand: HandMark | None = None
    checks: tuple[CheckResult, ...] = ()


class NoiseResult(Frozen, frozen=True):
    """Of `total` held-out images, how many are right as they are (`exact`), and with a little noise (`noisy`).

    fault: why there is no answer to the noisy ones.
    """

    total: int
    exact: int
    noisy: int
    fault: str = ""


class Counted(Frozen, frozen=True):
    """So many right answers, of how many."""

    right: int
    total: int

    @property
    def share(self) -> float:
        return self.right / self.total if self.total else 0.0


class SampleResult(Frozen, frozen=True):
    """Right answers to the hard held-out images, and to a sample of the training images; see `grader.sample`.

    hard, other: of the training set; moved: by a pixel.
    """

    hard_test: Counted
    hard: Counted
    other: Counted
    hard_moved: Counted
    other_moved: Counted


class CheckpointResult(Frozen, frozen=True):
    """What the weights were found to be. `settings` are the constructor's arguments that fitted.

    noise is evidence for a person, and never moves a mark: a model that knows test images by heart knows no others.
    device: what computed the answers, cpu or cuda; see `grader.gpu`. device_reason: why not the GPU that is there.
    """

    accuracy: float | None = None
    correct: int | None = None
    total: int | None = None
    settings: dict[str, Any] = {}
    settings_source: str = ""
    seconds: float = 0.0
    noise: NoiseResult | None = None
    device: str = "cpu"
    device_reason: str = ""
    sample: SampleResult | None = None  # facts for integrity.csv alone


class Flag(Frozen, frozen=True):
    """A fact without points, for a person to look at."""

    id: str
    message: str
    evidence: dict[str, Any] = {}


class Diagnosis(Frozen, frozen=True):
    """A named mistake, the criterion that it cost. cell, line: where it shows, from 1; 0 where that is not known."""

    id: str
    message: str
    criterion: str
    cell: int = 0
    line: int = 0


class SubmissionInfo(Frozen, frozen=True):
    """What was handed in, as it was found."""

    student_id: str
    archive: str
    sha256: str
    files: dict[str, str] = {}  # role → name in the archive
    ignored: tuple[str, ...] = ()


class Excerpt(Frozen, frozen=True):
    """A piece of a student's own cell.

    file: the role of its notebook. cell: counted from 1. line: the number of the first line of `source` in the cell.
    """

    file: str
    cell: int
    line: int
    source: str


class Mark(Frozen, frozen=True):
    """Lines of an excerpt that a criterion is about.

    excerpt: its place in `Exhibits.excerpts`. lines: their numbers in the cell. exact: the lines where the mistake
    shows; else they are what the student wrote there.
    """

    criterion: str
    excerpt: int
    lines: tuple[int, ...] = ()
    exact: bool = False


class Matrix(Frozen, frozen=True):
    """A picture of numbers: `levels` are rows * cols bytes, row by row, of which 0 means `low` and 255 means `high`."""

    title: str
    rows: int
    cols: int
    low: float
    high: float
    levels: bytes


class Figure(Frozen, frozen=True):
    """Matrices side by side about one criterion. `row`, `col`: what the axes count. `signed`: numbers around zero."""

    id: str
    criterion: str
    title: str
    caption: str
    matrices: tuple[Matrix, ...]
    row: str = ""
    col: str = ""
    signed: bool = False


class Mistake(Frozen, frozen=True):
    """A held-out image that the model was sure about and wrong. label: never shown to students."""

    pixels: bytes  # rows * cols grey levels, row by row
    rows: int
    cols: int
    predicted: int
    confidence: float
    label: int


class Answers(Frozen, frozen=True):
    """What the model answered on the held-out set. counts: how often, by right class and then by answer."""

    counts: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...] = ()  # the most confident ones first


class Curve(Frozen, frozen=True):
    """Numbers that a training run printed, in their order.

    file: the role of its notebook. cell: counted from 1. run: its name; what: loss, training accuracy (in %), …
    """

    file: str
    run: str
    what: str
    cell: int
    steps: tuple[float, ...]
    values: tuple[float, ...]


class FoundExperiment(Frozen, frozen=True):
    """A setting that the student reports. `accuracy` is in percent; `source` says where it stands."""

    settings: dict[str, Any]
    accuracy: float | None
    analysis: str
    source: str


class Exhibits(Frozen, frozen=True):
    """What a page shows beside the marks. Nothing in it moves a mark.

    left_out: a sentence for each figure that could not be made. class_names: of the held-out set, by label.
    """

    title: str = ""  # of the assignment
    excerpts: tuple[Excerpt, ...] = ()
    marks: tuple[Mark, ...] = ()
    figures: tuple[Figure, ...] = ()
    answers: Answers | None = None
    class_names: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    experiments: tuple[FoundExperiment, ...] = ()
    left_out: tuple[str, ...] = ()


class Record(Frozen, frozen=True):
    """A graded submission, whole. Every report is a pure function of it."""

    submission: SubmissionInfo
    assignment: str
    score: float
    max_score: float
    criteria: tuple[CriterionResult, ...]
    checkpoint: CheckpointResult
    flags: tuple[Flag, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    needs_person: bool = False
    sandbox: str = ""
    grader_version: str = ""
    seconds: float = 0.0
    exhibits: Exhibits | None = None


def to_json(record: Record) -> bytes:
    """The record as indented UTF-8 JSON, with a final newline. Nothing in it acts on a terminal or a CI log."""
    from grader.inert import json_text  # the sandbox holds this module without that one

    return json_text(msgspec.json.format(msgspec.json.encode(record), indent=2).decode()).encode() + b"\n"


def from_json(data: bytes) -> Record:
    """Decode strictly. Raises msgspec.ValidationError on unknown or ill-typed fields."""
    return msgspec.json.decode(data, type=Record)
