"""What is kept of one submission, once it is read: all that it is compared by."""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from grader.assignment import Assignment
from grader.errors import NotebookError
from grader.gather import HandIn, intake_limits, roles_of
from grader.intake import Submission, read_submission
from grader.integrity import dataflow, expressions, labels
from grader.integrity.claims import Claim, claims, logged
from grader.integrity.findings import Finding, Place
from grader.integrity.ground import Ground
from grader.integrity.sketch import Sketch, sketch
from grader.integrity.words import Said, said
from grader.integrity.writing import Handout, Slot, Text, Writing, names_of, serving_of, writing
from grader.notebook import Notebook, read_notebook
from grader.records import Record, SampleResult
from grader.statements import code


@dataclass(frozen=True)
class Exhibit:
    """What is kept of one submission. training: a fingerprint of the code that trains, settings and all.

    asked: what the model answered of the training sample. alone: what needs no other submission to be seen.
    """

    student: str
    writing: Writing
    weights: Sketch | None
    training: str
    runs: frozenset[str]
    claims: tuple[Claim, ...]
    said: Said = field(default_factory=dict)
    asked: SampleResult | None = None
    alone: tuple[Finding, ...] = ()


def taken(hand_in: HandIn, assignment: Assignment, ground: Ground, record: Record | None, mark: str) -> Exhibit:
    """record: what was measured of it. mark: behind the student's name. Raises IntakeError for an archive that cannot
    be read."""
    config = assignment.config
    submission = read_submission(
        Path(hand_in.path), roles_of(config), intake_limits(config), config.id_pattern, hand_in.owner
    )
    notebooks = _notebooks(submission, ground)
    written: dict[Slot, Text] = {}
    words: dict[str, Place] = {}
    for role, notebook in notebooks.items():
        words.update(said(notebook, role, ground.said))
        written.update(writing(notebook, ground.handouts[role]))
    spec = config.checkpoint
    trained = notebooks.get(spec.notebook) if spec is not None else None
    file = submission.files.get(spec.file) if spec is not None else None
    claimed: list[Claim] = []
    numbers = sketch(file.data, ground.labels) if file is not None else None
    alone: list[Finding] = []
    if spec is not None and not mark:
        stub = ground.stubs.get(spec.notebook)
        claimed = claims(trained, stub, spec.settings, spec.class_name, record, ground.norm)
        hoards = [hoard for notebook in notebooks.values() for hoard in labels.in_code(notebook)]
        hoards += numbers.hoards if numbers is not None else ()
        alone = list(labels.findings(submission.student_id, hoards, ground.labels))
    return Exhibit(
        student=submission.student_id + mark,
        writing=written,
        weights=numbers,
        training=training_of(trained, ground.handouts[spec.notebook])
        if trained is not None and spec is not None
        else "",
        runs=logged(trained) if trained is not None else frozenset(),
        claims=tuple(claimed),
        said=words,
        asked=record.checkpoint.sample if record is not None and not mark else None,
        alone=tuple(alone),
    )


def _notebooks(submission: Submission, ground: Ground) -> dict[str, Notebook]:
    found = {}
    for role, file in submission.files.items():
        if role in ground.handouts:
            try:
                found[role] = read_notebook(file.name, file.data)
            except NotebookError:  # its record says so
                continue
    return found


def training_of(notebook: Notebook, hand: Handout) -> str:
    """What the code that builds and trains the model computes, with all numbers; equal for two that do so alike."""
    written = code(notebook).statements
    roots = [
        s.node.name for s in written if isinstance(s.node, ast.FunctionDef | ast.ClassDef) and s.node.name in hand.known
    ]
    body = [written[at].node for at in sorted(serving_of(written, roots, ()))]
    try:
        found = sorted(
            {label for one in dataflow.statements(body, names_of(written, hand)) for label in one.fingerprints}
        )
    except (RecursionError, expressions.TooLong):
        return ""
    return hashlib.sha256(repr(found).encode()).hexdigest()
