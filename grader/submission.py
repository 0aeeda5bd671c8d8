"""A submission opened for judging: its notebooks read, its student behind the wall, the oracle beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from grader import template
from grader.assignment import Assignment
from grader.bank import as_read
from grader.checking.compare import tolerating
from grader.checking.oracle import Oracle
from grader.checking.student import Student
from grader.checkpoint import Evaluations, TrainedModel
from grader.errors import Missing, NotebookError
from grader.experiments import Experiments, find_experiments
from grader.gather import intake_limits, roles_of
from grader.gpu import Gpu
from grader.intake import Submission, read_submission
from grader.notebook import Notebook, read_notebook
from grader.program import Fingerprint, definition_fingerprint
from grader.sandbox import Sandbox

Progress = Callable[[str, int, int], None]  # what, done, of how many


def silent(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Hidden:
    """What the assignment knows and students do not: the solutions, and what an untouched class looks like."""

    solutions: dict[str, Notebook]
    untouched: dict[str, Fingerprint | None]
    stubs: dict[str, Notebook]
    oracle: Oracle  # its classes are executed once, for all submissions


@lru_cache(maxsize=4)
def hidden_part(assignment: Assignment) -> Hidden:
    """Read the masters once. Raises AssignmentError where one cannot be read."""
    solutions: dict[str, Notebook] = {}
    stubs: dict[str, Notebook] = {}
    for role, spec in assignment.config.files.items():
        if not spec.master:
            continue
        master = template.read_master(assignment.master(role))
        name = spec.master
        for made, into in ((template.solved(master, name), solutions), (template.stubbed(master, name), stubs)):
            into[role] = as_read(name, made)
    untouched = {
        name: definition_fingerprint(stubs[spec.file], name)
        for name, spec in assignment.config.classes.items()
        if spec.file in stubs
    }
    return Hidden(solutions, untouched, stubs, Oracle(assignment, solutions, keeps=True))


@dataclass(frozen=True)
class Opened:
    """What the checks and the pipeline work with."""

    assignment: Assignment
    submission: Submission
    notebooks: dict[str, Notebook | str]  # a text is the reason why it cannot be read
    student: Student
    oracle: Oracle
    trained: TrainedModel | None


@contextlib.contextmanager
def opened(
    path: Path,
    assignment: Assignment,
    sandbox: Sandbox,
    progress: Progress = silent,
    owner: str = "",
    evaluations: Evaluations | None = None,
    gpu: Gpu | None = None,
) -> Iterator[Opened]:
    """Take in the archive and open it; its worker ends with the block. Raises IntakeError.

    owner: see `grader.intake.read_submission`. evaluations: see `grader.checkpoint`. gpu: see `grader.gpu`.
    """
    config = assignment.config
    hidden = hidden_part(assignment)
    submission = read_submission(path, roles_of(config), intake_limits(config), config.id_pattern, owner)
    notebooks: dict[str, Notebook | str] = {}
    for role, spec in config.files.items():
        if spec.kind == "notebook" and role in submission.files:
            file = submission.files[role]
            try:
                notebooks[role] = read_notebook(file.name, file.data)
            except NotebookError as error:
                notebooks[role] = str(error)
    student = Student(sandbox, assignment, notebooks, hidden.untouched)
    trained = None
    if config.checkpoint is not None:
        weights = submission.files.get(config.checkpoint.file)
        trained = TrainedModel(assignment, student, weights.data if weights else None, progress, evaluations, gpu)
    with tolerating(config.tolerance.rtol, config.tolerance.atol), _one_thread(), contextlib.closing(student):
        yield Opened(assignment, submission, notebooks, student, hidden.oracle, trained)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """The oracle's layers are tiny: on a busy machine a second thread makes them twenty times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def experiments_of(opened: Opened) -> Experiments:
    """The experiments that the notebook tells of. Raises Missing if there is no such notebook."""
    config = opened.assignment.config
    assert config.experiments is not None
    notebook = opened.notebooks.get(config.experiments.notebook)
    if not isinstance(notebook, Notebook):
        title = config.files[config.experiments.notebook].title
        raise Missing(f"{title} was not handed in" if notebook is None else f"{title} cannot be read: {notebook}")
    stub = hidden_part(opened.assignment).stubs.get(config.experiments.notebook)
    built = config.checkpoint.class_name if config.checkpoint else ""
    return _found(notebook, config.settings_of_experiments, stub, built)


_found = lru_cache(maxsize=2)(find_experiments)  # several checks ask, and the page
