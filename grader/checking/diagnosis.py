"""Which known mistake it is: the student's code is compared with each mutant of the reference.

A file of checks may define `agrees(student, oracle)`, which raises Failed unless the two compute the same in all that
its criterion looks at. Where a check of the criterion failed, `agrees` runs with one oracle a mutant. A mistake is
named only if exactly one mutant agrees, and the reference itself does not: a merely similar case gets the facts and no
name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from grader import bank
from grader.assignment import Assignment
from grader.bank import Mutant
from grader.checking.oracle import Oracle
from grader.checking.student import Student
from grader.errors import Fault, SandboxError
from grader.records import Diagnosis

Agrees = Callable[[Student, Oracle], None]


@lru_cache(maxsize=4)
def suspects(assignment: Assignment) -> dict[str, tuple[tuple[Mutant, Oracle], ...]]:
    """The mutants of each criterion, each as an oracle. Raises AssignmentError where a patch does not fit."""
    solved = bank.solutions(assignment)
    found: dict[str, list[tuple[Mutant, Oracle]]] = {}
    for mutant in bank.load_mutants(assignment):
        name = assignment.config.files[mutant.file].master
        notebook = bank.as_read(name, bank.mutated(solved[mutant.file], mutant))
        found.setdefault(mutant.criterion, []).append((mutant, Oracle(assignment, {mutant.file: notebook})))
    return {criterion: tuple(pairs) for criterion, pairs in found.items()}


def diagnose(
    student: Student,
    reference: Oracle,
    among: Sequence[tuple[Mutant, Oracle]],
    agrees: Agrees,
    standins: Sequence[str] = (),
) -> Diagnosis | None:
    """The one mutant that computes what the student's code does, or None.

    standins: classes to replace on both sides where nothing agrees with the student's own.
    """
    for replaced in ((), tuple(standins)) if standins else ((),):
        if same(student, reference, agrees, replaced):
            return None
        named = [mutant for mutant, oracle in among if same(student, oracle, agrees, replaced)]
        if len(named) == 1:
            return Diagnosis(id=named[0].id, message=named[0].message, criterion=named[0].criterion)
        if named:
            return None
    return None


def same(student: Student, oracle: Oracle, agrees: Agrees, standins: Iterable[str] = ()) -> bool:
    """Whether the student's code and this oracle compute the same, both built upon the named stand-ins."""
    names = tuple(standins)
    student.use_standins(names)
    oracle.use_standins(names)
    try:
        agrees(student, oracle)
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
