"""A whole class, reviewed: every submission is taken in once, kept as what is compared, and the pairs are looked at.

Archives are read as intake reads them, to memory and under its limits; what cannot be read is left out, and said.
"""

from __future__ import annotations

import ast
import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from grader import template
from grader.assignment import Assignment
from grader.bank import Variant, as_read, load_variants, solutions, varied
from grader.errors import IntakeError, NotebookError
from grader.gather import HandIn, gather, intake_limits, roles_of
from grader.intake import Submission, read_submission
from grader.integrity import dataflow, weights
from grader.integrity.claims import Claim, claims, logged
from grader.integrity.findings import Finding, grouped
from grader.integrity.likeness import EVERYTHING, ClassCode, Likeness
from grader.integrity.sketch import Sketch, sketch
from grader.integrity.writing import Handout, Slot, Text, Writing, handout, names_of, serving_of, writing
from grader.notebook import Cell, Notebook, read_notebook
from grader.records import Record
from grader.statements import code

RATE = 0.05  # findings on code that a whole class of independent students is expected to give, by chance
MOST_HOLDERS = 100  # of four numbers in a row: what more have printed is no one's own
LEAST_RUNS = 3  # of four numbers, that two logs must share
LAST_YEAR = " (last year)"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Exhibit:
    """What is kept of one submission. training: a fingerprint of the code that trains, settings and all."""

    student: str
    writing: Writing
    weights: Sketch | None
    training: str
    runs: frozenset[str]
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Review:
    """What was found, in how many submissions, of how many pairs; and what could not be read."""

    findings: tuple[Finding, ...]
    submissions: int
    pairs: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ground:
    """What is known before any submission is read: the hand-out, and the code of correct variants."""

    handouts: Mapping[str, Handout]
    stubs: Mapping[str, Notebook]
    known: Mapping[Slot, Sequence[Text]] = field(default_factory=dict)


def review(
    assignment: Assignment,
    paths: Sequence[Path],
    *,
    last_year: Sequence[Path] = (),
    out: Path | None = None,
    records: Mapping[str, Record] | None = None,
    counting: Collection[str] | None = None,
    progress: Progress = lambda _what, _done, _total: None,
) -> Review:
    """Review the submissions in `paths`, held against each other and against last year's.

    out: a folder below the paths that holds results, and no submissions. records: by student, for the claims; counting:
    the names of the hand-ins that count, else each student's latest. Raises IntakeError where nothing can be read, and
    AssignmentError.
    """
    ground: Ground | None = None
    left_out: list[str] = []
    exhibits: list[Exhibit] = []
    recent = 0
    for folders, mark in ((paths, ""), (last_year, LAST_YEAR)):
        if folders:
            with tempfile.TemporaryDirectory(prefix="grader-") as private:
                roles, pattern = roles_of(assignment.config), assignment.config.id_pattern
                found = gather(folders, roles, Path(private), pattern, out).hand_ins
                latest = _latest(found, None if mark else counting)
                ground = ground or ground_of(assignment)
                for number, hand_in in enumerate(latest):
                    progress(f"reading{mark}", number + 1, len(latest))
                    try:
                        exhibits.append(_taken(hand_in, assignment, ground, records or {}, mark))
                    except IntakeError as error:
                        left_out.append(f"{hand_in.name}: {error}")
        recent = recent or len(exhibits)
    known = ground.known if ground is not None else {}
    findings = compared(exhibits, recent, known, assignment.config.seed)
    pairs = recent * (recent - 1) // 2 + recent * (len(exhibits) - recent)
    return Review(tuple(findings), len(exhibits), pairs, tuple(left_out))


def _latest(hand_ins: Sequence[HandIn], counting: Collection[str] | None) -> list[HandIn]:
    """One a student, so that nobody is held against an earlier hand-in of their own."""
    if counting is not None:
        return [one for one in hand_ins if one.name in counting]
    by_student: dict[str, HandIn] = {}
    for one in hand_ins:
        known = by_student.get(one.student_id)
        if known is None or one.modified >= known.modified:
            by_student[one.student_id] = one
    return list(by_student.values())


# ---- the ground -----------------------------------------------------------------------------------------------------


def ground_of(assignment: Assignment) -> Ground:
    """Read the masters and the variants once. Raises AssignmentError."""
    config = assignment.config
    stubs = {
        role: as_read(spec.master, template.stubbed(template.read_master(assignment.master(role)), spec.master))
        for role, spec in config.files.items()
        if spec.master
    }
    handouts = {
        role: handout(role, stub, [name for name, spec in config.classes.items() if spec.file == role])
        for role, stub in stubs.items()
    }
    return Ground(handouts, stubs, _known(assignment, handouts))


def _known(assignment: Assignment, handouts: Mapping[str, Handout]) -> dict[Slot, list[Text]]:
    """The code of the solution and of every variant, each form of a slot once."""
    solved = solutions(assignment)
    forms: dict[Slot, dict[frozenset[int], Text]] = {}
    for notebooks in (_as_read(solved), *(_variant(solved, one) for one in load_variants(assignment))):
        for role, notebook in notebooks.items():
            if role in handouts:
                for slot, text in writing(notebook, handouts[role]).items():
                    forms.setdefault(slot, {}).setdefault(text.fingerprints, text)
    return {slot: list(texts.values()) for slot, texts in forms.items()}


def _as_read(notebooks: Mapping[str, NotebookNode]) -> dict[str, Notebook]:
    return {role: as_read(role, notebook) for role, notebook in notebooks.items()}


def _variant(solved: Mapping[str, NotebookNode], variant: Variant) -> dict[str, Notebook]:
    """The notebooks of a variant; where its cells stand for themselves, these alone, below the solution's imports."""
    if any(cell.where != "replace" for cell in variant.cells):
        changed = varied(solved, variant)
        return _as_read({role: changed[role] for role in {cell.file for cell in variant.cells}})
    found = {}
    for role in {cell.file for cell in variant.cells}:
        sources = [
            cell.source for cell in solved[role].cells if cell.cell_type == "code" and "\nimport " in cell.source
        ]
        sources += [cell.source for cell in variant.cells if cell.file == role]
        cells = tuple(Cell(index=n, kind="code", source=source) for n, source in enumerate(sources))
        found[role] = Notebook(name=role, cells=cells)
    return found


# ---- one submission -------------------------------------------------------------------------------------------------


def _taken(
    hand_in: HandIn, assignment: Assignment, ground: Ground, records: Mapping[str, Record], mark: str
) -> Exhibit:
    """Raises IntakeError where the archive cannot be read."""
    config = assignment.config
    submission = read_submission(
        Path(hand_in.path), roles_of(config), intake_limits(config), config.id_pattern, hand_in.owner
    )
    notebooks = _notebooks(submission, ground)
    written: dict[Slot, Text] = {}
    for role, notebook in notebooks.items():
        written.update(writing(notebook, ground.handouts[role]))
    spec = config.checkpoint
    trained = notebooks.get(spec.notebook) if spec is not None else None
    file = submission.files.get(spec.file) if spec is not None else None
    record = records.get(submission.student_id)
    claimed: list[Claim] = []
    if spec is not None and not mark:
        claimed = claims(trained, ground.stubs.get(spec.notebook), spec.settings, spec.class_name, record)
    return Exhibit(
        student=submission.student_id + mark,
        writing=written,
        weights=sketch(file.data) if file is not None else None,
        training=_training(trained, ground.handouts[spec.notebook]) if trained is not None and spec is not None else "",
        runs=logged(trained) if trained is not None else frozenset(),
        claims=tuple(claimed),
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


def _training(notebook: Notebook, hand: Handout) -> str:
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
    except (RecursionError, dataflow.TooLong):
        return ""
    return hashlib.sha256(repr(found).encode()).hexdigest()


# ---- pairs ----------------------------------------------------------------------------------------------------------


def compared(
    exhibits: Sequence[Exhibit], recent: int, known: Mapping[Slot, Sequence[Text]], seed: int
) -> list[Finding]:
    """All findings, those on weights first, then code, logs and claims. The first `recent` are this year's."""
    found = [*_on_weights(exhibits, recent), *_on_code(exhibits, recent, known, seed), *_on_logs(exhibits, recent)]
    return grouped([*found, *_on_claims(exhibits[:recent])])


def _on_code(
    exhibits: Sequence[Exhibit], recent: int, known: Mapping[Slot, Sequence[Text]], seed: int
) -> Iterator[Finding]:
    if recent == 0:
        return
    everyone = ClassCode([exhibit.writing for exhibit in exhibits], recent, known, seed)
    for likeness in everyone.findings(RATE):
        yield Finding(
            kind="code",
            students=_students(exhibits, likeness.pair),
            compared=f"what was written into {'both notebooks' if likeness.where == EVERYTHING else likeness.where}, "
            "without the hand-out's code; blind to names, comments, formatting and order",
            figure=_shares(likeness),
            chance=f"{likeness.expected:.2g} pairs so alike are expected in a class of {recent} that works apart "
            f"({everyone.pairs} pairs, ranked against the class and {_count(known)} correct variants)",
            what="the two write the same where others write otherwise; a common source, or help that was allowed, "
            "does that too: ask both how they came to the passages",
            passages=everyone.passages(likeness),
        )


def _shares(likeness: Likeness) -> str:
    slots = [f"{slot.label} {100 * share:.0f}% (p={p:.2g})" for slot, share, p in likeness.slots if p < 1]
    return ", ".join(slots)


def _count(known: Mapping[Slot, Sequence[Text]]) -> int:
    return sum(map(len, known.values()))


def _on_weights(exhibits: Sequence[Exhibit], recent: int) -> Iterator[Finding]:
    sketches = {place: one.weights for place, one in enumerate(exhibits) if one.weights is not None}
    for one in weights.alike(sketches, recent):
        left, right = (exhibits[place] for place in one.pair)
        trained_alike = bool(left.training) and left.training == right.training
        yield Finding(
            kind="weights",
            students=_students(exhibits, one.pair),
            compared="the checkpoints, tensor by tensor" if one.tensors else "the checkpoints as a whole",
            figure=_figure(one),
            chance=_chance_of_weights(one, trained_alike),
            what=f"{one.how}"
            + (
                "; both notebooks build and train alike, seed and all: machines of one kind then come to the same "
                "weights honestly"
                if trained_alike
                else "; the two notebooks build or train in different ways: ask how each .pth was made"
            ),
        )


def _figure(one: weights.Alike) -> str:
    if one.how == weights.LEARNED:
        return f"cosine {one.part:.3f}"
    tensors = f", {len(one.tensors)} tensors" if one.tensors else ""
    return f"{100 * one.part:.0f}% of the numbers{tensors}"


def _chance_of_weights(one: weights.Alike, trained_alike: bool) -> str:
    if trained_alike:
        return "expected of equal training with one seed on equal machines; says little by itself"
    if one.ground:
        return (
            f"number {one.rank} of {one.ground} pairs with these shapes in this class; "
            "docs/integrity.md has the figures of models that were trained apart"
        )
    return "in none of 56 pairs of models that were trained apart (docs/integrity.md)"


def _on_logs(exhibits: Sequence[Exhibit], recent: int) -> Iterator[Finding]:
    """The same log of a training in two notebooks that train in different ways."""
    held: Counter[str] = Counter(run for one in exhibits for run in one.runs)
    by_run: dict[str, list[int]] = {}
    for place, one in enumerate(exhibits):
        for run in one.runs:
            if 2 <= held[run] <= MOST_HOLDERS:
                by_run.setdefault(run, []).append(place)
    shared: Counter[tuple[int, int]] = Counter()
    for places in by_run.values():
        shared.update((a, b) for n, b in enumerate(places) for a in places[:n] if a < recent)
    for pair, count in sorted(shared.items()):
        left, right = (exhibits[place] for place in pair)
        if count >= LEAST_RUNS and left.training != right.training:
            yield Finding(
                kind="log",
                students=_students(exhibits, pair),
                compared="the numbers that the training printed, four in a row",
                figure=f"{count} runs of four numbers are the same",
                chance="were the last two digits of each number left to chance, one place in 10⁸; equal training on "
                "equal machines prints equal logs, but these notebooks build or train in different ways",
                what="one training seems to have printed both logs: ask whose it is",
            )


def _on_claims(exhibits: Sequence[Exhibit]) -> Iterator[Finding]:
    counts = Counter(claim.kind for one in exhibits for claim in one.claims)
    for one in exhibits:
        for claim in one.claims:
            yield Finding(
                kind="claim",
                students=(one.student,),
                compared=f"{claim.kind}; {claim.where}",
                figure=claim.figure,
                chance=f"so in {counts[claim.kind]} of {len(exhibits)} submissions of this class; often only a cell "
                "that was changed after it ran",
                what=claim.what,
            )


def _students(exhibits: Sequence[Exhibit], pair: tuple[int, int]) -> tuple[str, ...]:
    return tuple(exhibits[place].student for place in pair)
