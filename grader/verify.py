"""Proves an assignment: the reference gets full marks, the template none, every mutant loses exactly its own criterion
and is named, every variant loses nothing.

    reference ──┐
    template  ──┤ hand-ins in a private folder ──grade, as for any student──▶ records ──▶ findings
    mutants   ──┤
    variants  ──┘
"""

from __future__ import annotations

import io
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import nbformat
import torch

from grader import bank, template
from grader.assignment import Assignment, load_assignment
from grader.checking.diagnosis import DEPARTURE
from grader.checking.oracle import Oracle
from grader.errors import AssignmentError, UsageError
from grader.limits import worker_limits
from grader.notebook import Notebook
from grader.pipeline import Options, grade
from grader.records import Blame, Frozen, Record
from grader.sandbox.process import WarmProcess
from grader.sandbox.tiers import open_sandbox
from grader.settings import candidates

Kind = Literal["reference", "template", "mutant", "variant", "pair"]
AND = " + "  # between the two mutants of a pair


class Case(Frozen, frozen=True):
    """One hand-in with a known mark. `id` names the mutant or variant, or the two mutants of a pair."""

    kind: Kind
    id: str


class Finding(Frozen, frozen=True):
    """How a case came out. `wrong` says what is not as it must be; empty when all is. `said`: what a pair was told."""

    case: Case
    wrong: tuple[str, ...]
    seconds: float
    said: str = ""


@dataclass(frozen=True)
class Setup:
    """What every process that grades cases needs to know."""

    folder: Path
    tier: str
    accuracy: bool


def cases(assignment: Assignment, only: Sequence[str] = (), pairs: int = 0) -> list[Case]:
    """All cases, or those named (by id, or by kind); `pairs` of two mistakes at once in each criterion.

    Raises UsageError for a name that there is not.
    """
    found = [Case(kind="reference", id="reference"), Case(kind="template", id="template")]
    found += [Case(kind="mutant", id=mutant.id) for mutant in bank.load_mutants(assignment)]
    found += [Case(kind="variant", id=variant.id) for variant in bank.load_variants(assignment)]
    found += [Case(kind="pair", id=f"{a.id}{AND}{b.id}") for a, b in bank.pairs(assignment, pairs)]
    for name in only:
        if not any(name in (case.id, case.kind, f"{case.kind}s") for case in found):
            raise UsageError(f"there is no mutant, variant or kind “{name}”")
    return [c for c in found if not only or any(name in (c.id, c.kind, f"{c.kind}s") for name in only)]


def verify(setup: Setup, wanted: Sequence[Case], jobs: int, progress: Callable[[Finding], None]) -> list[Finding]:
    """Grade every case in `jobs` processes, and say how each came out, in the order of `wanted`."""
    findings: dict[Case, Finding] = {}
    context = get_context("spawn")  # a fork of a process that has used torch may hang in it
    with ProcessPoolExecutor(jobs, context, initializer=_open, initargs=(setup,)) as pool:
        try:
            for future in as_completed([pool.submit(_examine, case) for case in wanted]):
                finding = future.result()
                findings[finding.case] = finding
                progress(finding)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [findings[case] for case in wanted]


# ---- in a process of its own ----------------------------------------------------------------------------------------


@dataclass
class _Bench:
    setup: Setup
    assignment: Assignment
    sandbox: WarmProcess
    mutants: dict[str, bank.Mutant]
    variants: dict[str, bank.Variant]


_bench: _Bench | None = None  # one for each process of the pool, made by its initializer


def _open(setup: Setup) -> None:
    global _bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that the user sees
    assignment = load_assignment(setup.folder)
    sandbox = open_sandbox(setup.tier, worker_limits(assignment), [assignment.folder])
    mutants = {mutant.id: mutant for mutant in bank.load_mutants(assignment)}
    variants = {variant.id: variant for variant in bank.load_variants(assignment)}
    _bench = _Bench(setup, assignment, sandbox, mutants, variants)


def _examine(case: Case) -> Finding:
    assert _bench is not None
    assignment = _bench.assignment
    options = Options(accuracy=False)
    if case.kind == "reference":
        options = Options(accuracy=_bench.setup.accuracy)
    if case.kind == "mutant":
        options = Options(accuracy=False, criteria=code_criteria(assignment))
    if case.kind == "pair":
        options = Options(accuracy=False, criteria=frozenset(mutant.criterion for mutant in _mutants(_bench, case)))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "".join(c if c.isalnum() else "-" for c in case.id))
        folder.mkdir()
        for name, data in _hand_in(_bench, case):
            (folder / name).write_bytes(data)
        record = grade(folder, assignment, _bench.sandbox, options)
    wrong = tuple(_JUDGES[case.kind](record, _bench, case))
    said = _said(record, case) if case.kind == "pair" else ""
    return Finding(case=case, wrong=wrong, seconds=record.seconds, said=said)


def _mutants(bench: _Bench, case: Case) -> list[bank.Mutant]:
    return [bench.mutants[name] for name in case.id.split(AND)]


def code_criteria(assignment: Assignment) -> frozenset[str]:
    """The criteria that are about classes: what a patch of the code can cost."""
    config = assignment.config
    return frozenset(name for name, spec in config.criteria.items() if set(spec.needs) & set(config.classes))


def _hand_in(bench: _Bench, case: Case) -> Iterator[tuple[str, bytes]]:
    """The files of one case, by name."""
    config, folder = bench.assignment.config, bench.assignment.folder
    if case.kind == "reference":
        for role, spec in config.files.items():
            if spec.master and not spec.solution:
                yield (
                    spec.master,
                    _written(template.solved(template.read_master(bench.assignment.master(role)), spec.master)),
                )
                continue
            if not spec.solution or not (folder / spec.solution).is_file():
                where = f"the solution {spec.solution} of files.{role} does not exist" if spec.solution else ""
                raise AssignmentError(f"{folder}: {where or f'files.{role} names no solution'}: nothing to grade")
            yield Path(spec.solution).name, (folder / spec.solution).read_bytes()
        return
    if case.kind == "template":
        for role, spec in config.files.items():
            if spec.master:
                stub = template.stubbed(template.read_master(bench.assignment.master(role)), spec.master)
                yield spec.master, _written(stub)
        return
    notebooks = bank.solutions(bench.assignment)
    if case.kind in ("mutant", "pair"):
        for mutant in _mutants(bench, case):
            notebooks[mutant.file] = bank.mutated(notebooks[mutant.file], mutant)
    else:
        variant = bench.variants[case.id]
        notebooks = bank.varied(notebooks, variant)
        yield from _weights(bench, notebooks, _settings(bench, variant))
    for role, notebook in notebooks.items():
        yield config.files[role].master, _written(notebook)


def _weights(
    bench: _Bench, notebooks: dict[str, nbformat.NotebookNode], settings: dict[str, float]
) -> Iterator[tuple[str, bytes]]:
    """Weights that belong to the variant's own model, as its author would have saved them: its names, its shapes."""
    spec = bench.assignment.config.checkpoint
    if spec is None:
        return
    read: dict[str, Notebook] = {role: bank.as_read(role, notebook) for role, notebook in notebooks.items()}
    model = getattr(Oracle(bench.assignment, read), spec.class_name)(**{**spec.fixed, **settings})
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    yield Path(bench.assignment.config.files[spec.file].solution or "weights.pth").name, buffer.getvalue()


def _settings(bench: _Bench, variant: bank.Variant) -> dict[str, float]:
    """Those that the variant states, or the reference's. Raises AssignmentError where the reference has none."""
    return variant.settings or _settings_of_reference(bench.assignment)


@lru_cache(maxsize=4)
def _settings_of_reference(assignment: Assignment) -> dict[str, float]:
    spec = assignment.config.checkpoint
    if spec is None:
        return {}
    solved = bank.as_read(spec.notebook, bank.solutions(assignment)[spec.notebook])
    found = candidates(solved, spec.settings, spec.class_name)
    settings = next((c.values for c in found if set(spec.settings) <= set(c.values)), None)
    if settings is None:
        raise AssignmentError(f"the settings of {spec.class_name} cannot be found in the solution's notebook")
    return settings


def _written(notebook: nbformat.NotebookNode) -> bytes:
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]  # nbformat has no types
    return text.encode()


# ---- what each kind must get ----------------------------------------------------------------------------------------


def _lost(record: Record) -> dict[str, float]:
    return {c.id: c.max_points - c.points for c in record.criteria if c.points < c.max_points}


def _broken(record: Record) -> Iterator[str]:
    for criterion in record.criteria:
        for check in criterion.checks:
            if check.blame is Blame.GRADER:
                yield f"{check.id} is broken: {check.message}"


def _loses_nothing(record: Record, _bench: _Bench, _case: Case) -> Iterator[str]:
    yield from _broken(record)
    for criterion in record.criteria:
        for check in criterion.checks:
            if check.points < check.max_points:
                yield f"{check.id} loses {check.max_points - check.points:g}: {check.message}"
    for diagnosis in record.diagnoses:
        yield f"it is taken for {diagnosis.id}"


def _is_spared(record: Record, bench: _Bench, case: Case) -> Iterator[str]:
    yield from _loses_nothing(record, bench, case)
    expected = _settings(bench, bench.variants[case.id])
    if record.checkpoint is not None and record.checkpoint.settings != expected:
        yield f"its settings are taken to be {record.checkpoint.settings}, and are {expected}"


def _earns_nothing(record: Record, _bench: _Bench, _case: Case) -> Iterator[str]:
    yield from _broken(record)
    for criterion in record.criteria:
        if criterion.points:
            yield f"{criterion.id} earns {criterion.points:g}"


def _loses_its_own(record: Record, bench: _Bench, case: Case) -> Iterator[str]:
    yield from _broken(record)
    own, lost = bench.mutants[case.id].criterion, _lost(record)
    if own not in lost:
        yield f"{own} loses nothing"
    for other in lost.keys() - {own}:
        reasons = [k.message for c in record.criteria if c.id == other for k in c.checks if k.points < k.max_points]
        yield f"{other} loses {lost[other]:g} too: {reasons[0]}"
    named = [diagnosis.id for diagnosis in record.diagnoses]
    if named != [case.id]:
        yield f"it is taken for {', '.join(named)}" if named else "it is not named"


def _is_never_misnamed(record: Record, bench: _Bench, case: Case) -> Iterator[str]:
    yield from _broken(record)
    two = _mutants(bench, case)
    if not _lost(record):
        yield "it loses nothing"
    edits = {edit for mutant in two for edit in mutant.edits}
    both_in_one = {mutant.id for mutant in bench.mutants.values() if {*mutant.edits} == edits}
    for name in sorted(_names(record, bench) - {mutant.id for mutant in two} - both_in_one):
        yield f"it is taken for {name}"


def _names(record: Record, bench: _Bench) -> set[str]:
    return {diagnosis.id for diagnosis in record.diagnoses if diagnosis.id in bench.mutants}


def _said(record: Record, case: Case) -> str:
    said = {diagnosis.id for diagnosis in record.diagnoses}
    if not said:
        return "the failed checks alone"
    named = len(said & set(case.id.split(AND)))
    if any(diagnosis.id.endswith(DEPARTURE) for diagnosis in record.diagnoses):
        return "the first place alone"
    return "both named" if named == 2 else "one named"


_JUDGES: dict[Kind, Callable[[Record, _Bench, Case], Iterator[str]]] = {
    "reference": _loses_nothing,
    "template": _earns_nothing,
    "mutant": _loses_its_own,
    "variant": _is_spared,
    "pair": _is_never_misnamed,
}
