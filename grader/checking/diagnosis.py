"""Which known mistake it is: the student's code is compared with each mutant of the reference.

    agrees with one mutant in all that the criterion looks at            that mistake is named
    passes a failed check that compares, against one mutant              that mistake is named; there are others
    goes along with one mutant further than with the reference           it is named, and where the next one lies
    nothing of these                                                     the first layer that gets something else

A file of checks may define `agrees(student, oracle)`, which raises Failed unless the two compute the same in all that
its criterion looks at. The random inputs and weights make an accidental agreement as good as impossible: where a
student's wrong numbers are a mutant's, the mistake is that mutant's. A merely similar case gets the facts and no name.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from grader import bank
from grader.assignment import Assignment
from grader.bank import Mutant
from grader.checking.compare import nan_agreeing, tolerance
from grader.checking.following import Departure, following
from grader.checking.oracle import Oracle
from grader.checking.roles import trying
from grader.checking.student import Student
from grader.errors import AssignmentError, Fault, SandboxError
from grader.records import Diagnosis

Agrees = Callable[[Student, Oracle], None]
Suspect = tuple[Mutant, Oracle]
Progress = tuple[float, float]

DEPARTURE = ".departure"  # ends the id of a diagnosis that says where, and not what
FEW_PAIRINGS = 60  # are tried with each mutant: this is for a sentence, not for a mark
MAX_AHEAD = 3  # of so many mistakes that explain equally much, each is tried together with every other one
PASSED: Progress = (math.inf, math.inf)
LOOSE = 1e-3  # a step's share of noise may grow through the layers before it; a mistake is no matter of thousandths


def suspects(assignment: Assignment, criterion: str) -> tuple[Suspect, ...]:
    """The mutants of a criterion, each as an oracle. Raises AssignmentError where a patch does not fit.

    Of one criterion, when it is asked for: few submissions lose points in many.
    """
    return tuple((one, _patched(assignment, one)) for one in _mutants(assignment) if one.criterion == criterion)


_mutants = lru_cache(maxsize=4)(bank.load_mutants)
_solutions = lru_cache(maxsize=4)(bank.solutions)  # read once; a patch is applied to a copy


@lru_cache(maxsize=512)
def _patched(assignment: Assignment, *mutants: Mutant) -> Oracle:
    """The reference with these mistakes. Raises AssignmentError where the patches do not fit, one after the other."""
    role = mutants[0].file
    notebook = _solutions(assignment)[role]
    for mutant in mutants:
        notebook = bank.mutated(notebook, mutant)
    name = assignment.config.files[role].master
    return Oracle(assignment, {role: bank.as_read(name, notebook)})


def diagnose(
    student: Student,
    reference: Oracle,
    among: Sequence[Suspect],
    agrees: Agrees,
    failed: Sequence[Agrees] = (),
    standins: Sequence[str] = (),
) -> list[Diagnosis]:
    """What is known about a criterion that lost points: one mistake, two, or where the first one lies; or nothing.

    failed: the checks that did not pass. standins: classes to replace on both sides where nothing agrees with the
    student's own.
    """
    with trying(FEW_PAIRINGS):
        return _diagnose(student, reference, among, agrees, failed, [(), tuple(standins)] if standins else [()])


def _diagnose(
    student: Student,
    reference: Oracle,
    among: Sequence[Suspect],
    agrees: Agrees,
    failed: Sequence[Agrees],
    ways: Sequence[tuple[str, ...]],
) -> list[Diagnosis]:
    for replaced in ways:
        if same(student, reference, agrees, replaced):
            return []
        named = [mutant for mutant, oracle in among if same(student, oracle, agrees, replaced)]
        if named:
            only = most_specific(named)
            return [_named(only)] if only else []
    # What is wrong in a stand-in's place is another criterion's: so the stand-ins come first here.
    for replaced in reversed(ways):
        for check in [check for check in failed if _compares(check)] or [agrees]:
            if found := _partly(student, reference, among, agrees, check, replaced):
                return found
    return []


def most_specific(named: Sequence[Mutant]) -> Mutant | None:
    """Of several mistakes that explain the same, the one that changes least: its edits are among all the others'."""
    least = [mutant for mutant in named if all(set(mutant.edits) <= set(other.edits) for other in named)]
    return least[0] if len(least) == 1 else None


def same(student: Student, oracle: Oracle, agrees: Agrees, standins: Iterable[str] = ()) -> bool:
    """Whether the student's code and this oracle compute the same, both built upon the named stand-ins."""
    names = tuple(standins)
    student.use_standins(names)
    oracle.use_standins(names)
    try:
        with nan_agreeing():
            agrees(student, oracle)
            student.keep_promises()
    except SandboxError:
        raise
    except Fault:
        return False
    except Exception:  # noqa: BLE001 - a mutant may raise where the student's code does not; then they differ
        return False
    finally:
        student.use_standins(())
        oracle.use_standins(())
    return True


def _named(mutant: Mutant) -> Diagnosis:
    return Diagnosis(id=mutant.id, message=mutant.message, criterion=mutant.criterion)


# ---- what one mistake alone does not explain ------------------------------------------------------------------------


def _compares(check: Agrees) -> bool:
    return list(inspect.signature(check).parameters) == ["student", "oracle"]


def _outermost(departure: Departure | None) -> Departure | None:
    """The place without what lies inside a layer: there the names may be a stand-in's."""
    if departure is None or departure.at is None:
        return departure
    names = departure.at.path.split(".")
    depth = 1 + next((i for i, name in enumerate(names[1:]) if not name.isdigit()), len(names) - 1)
    return replace(departure, at=replace(departure.at, path=".".join(names[:depth])))


def _progress(
    student: Student, oracle: Oracle, check: Agrees, standins: tuple[str, ...]
) -> tuple[Progress, Departure | None]:
    """How far the student's code goes along with this oracle in one check."""
    rtol, atol = tolerance()
    with following(max(rtol, LOOSE), max(atol, LOOSE)) as found:
        if same(student, oracle, check, standins):
            return PASSED, None
    return found.progress, _outermost(found.departure) if standins else found.departure


def _partly(
    student: Student,
    reference: Oracle,
    among: Sequence[Suspect],
    agrees: Agrees,
    check: Agrees,
    standins: tuple[str, ...],
) -> list[Diagnosis]:
    base, departure = _progress(student, reference, check, standins)
    if base == PASSED:
        return []
    further = [(mutant, *_progress(student, oracle, check, standins)) for mutant, oracle in among]
    best = max((progress for _, progress, _ in further), default=base)
    ahead = {mutant: left for mutant, progress, left in further if progress == best > base}
    if 0 < len(ahead) <= MAX_AHEAD:
        goal = (check, agrees)
        both = [(first, second) for first in ahead if (second := _second(student, first, among, goal, standins))]
        if len({frozenset(pair) for pair in both}) == 1:
            return [_named(mutant) for mutant in both[0]]
    if best == PASSED and (first := most_specific(list(ahead))):
        return [_named(first)]
    if best < PASSED and len(ahead) == 1:
        first, left = ahead.popitem()
        return [_explained_so_far(student, first, departure, left)]
    return [_departing(student, among, departure)] if departure is not None and among else []


def _second(
    student: Student, first: Mutant, among: Sequence[Suspect], goal: Sequence[Agrees], standins: tuple[str, ...]
) -> Mutant | None:
    """The one mistake that, together with the first, explains everything: all of `goal`, the quickest first."""
    found = []
    for other, _ in among:
        try:
            both = _patched(student.assignment, first, other)
        except AssignmentError:  # the two patch the same place
            continue
        if all(same(student, both, compares, standins) for compares in goal):
            found.append(other)
    return most_specific(found)


# ---- in the student's own terms -------------------------------------------------------------------------------------


def _explained_so_far(student: Student, mutant: Mutant, before: Departure | None, after: Departure | None) -> Diagnosis:
    place = _place(student, mutant.file, before)
    rest = _place(student, mutant.file, after)
    known = f"At {place}: {mutant.message}" if place else mutant.message
    message = f"{known} That is not all."
    if rest:
        message = f"{known} That is not all: what goes into {rest} departs once more."
    cell, line = _spot(student, mutant.file, before)
    return Diagnosis(id=mutant.id, message=message, criterion=mutant.criterion, cell=cell, line=line)


def _departing(student: Student, among: Sequence[Suspect], departure: Departure) -> Diagnosis:
    mutant = among[0][0]
    criterion, place = mutant.criterion, _place(student, mutant.file, departure)
    if departure.never:
        message = f"self.{departure.never} is there, but nothing ever goes into it."
    elif not place:
        message = "Each layer gets what it should; what is done with the last one's output is not right."
    elif departure.steps:
        message = f"The layers before get what they should; what goes into {place} is something else."
    else:
        message = f"Already what goes into {place} is not what should."
    cell, line = _spot(student, mutant.file, departure)
    return Diagnosis(id=criterion + DEPARTURE, message=message, criterion=criterion, cell=cell, line=line)


def _spot(student: Student, role: str, departure: Departure | None) -> tuple[int, int]:
    """The cell and the line of a departure, from 1; zeros where the notebook has no such line: a worker told them."""
    step = departure.at if departure else None
    return (step.cell, step.line) if step and student.line(role, step.cell, step.line) else (0, 0)


def _place(student: Student, role: str, departure: Departure | None) -> str:
    """A layer and the line that calls it; "" for none."""
    step = departure.at if departure else None
    if step is None:
        return ""
    code = student.line(role, step.cell, step.line)
    return f"self.{step.path} (cell {step.cell}, line {step.line}: {code})" if code else f"self.{step.path}"
