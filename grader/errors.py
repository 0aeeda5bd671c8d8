"""What can go wrong, and whose fault it is.

    GraderError                  one clear sentence: what, where, how to mend
    ├── UsageError               a wrong flag or argument                          exit 2
    ├── AssignmentError          assignment.toml, checks or masters are wrong      exit 2
    ├── SandboxError             the sandbox cannot be had on this machine         exit 2
    ├── ClusterError             the cluster cannot be had, or was lost             exit 2
    ├── IntakeError              the archive cannot be read as a submission        exit 3
    ├── NotGraded                the sandbox ended again and again meanwhile       exit 3
    ├── NotebookError            a notebook cannot be read at all                  a verdict
    ├── WireError                a reply broke the protocol                        a verdict
    └── Fault                    a check ended early through the student's code    a verdict
        ├── Missing              the class is not there, or its zone is untouched
        ├── Raised               the student's code raised
        ├── Failed               the answer is wrong
        ├── TimedOut             the deadline passed
        ├── OutOfMemory          the memory limit was reached
        └── Died                 the worker's process ended

Errors are raised where they are found; `grader.pytest_plugin` alone turns them into verdicts.
Whatever is not a Fault and comes out of a check is the grader's own fault: verdict "broken".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class GraderError(Exception):
    """Base of every error that this project raises on purpose."""

    exit_code: ClassVar[int] = 3


class UsageError(GraderError):
    exit_code = 2


class AssignmentError(GraderError):
    exit_code = 2


class SandboxError(GraderError):
    exit_code = 2


class ClusterError(GraderError):
    exit_code = 2


class IntakeError(GraderError):
    exit_code = 3


class NotGraded(GraderError):
    exit_code = 3


class NotebookError(GraderError):
    exit_code = 3


class WireError(GraderError):
    """A frame that breaks the protocol: too long, badly formed, out of turn."""


class Fault(GraderError):
    """The student's code made a check end.

    evidence: facts such as shapes, numbers, lines. share: the part of the check's points that was earned all the same.
    """

    verdict: ClassVar[str]  # a value of records.Verdict, which imports this module

    def __init__(self, message: str, evidence: Mapping[str, Any] | None = None, share: float = 0.0) -> None:
        super().__init__(message)
        self.message = message
        self.evidence: dict[str, Any] = dict(evidence or {})
        self.share = share


class Missing(Fault):
    verdict = "missing"


class Raised(Fault):
    verdict = "raised"


class Failed(Fault):
    verdict = "failed"


class TimedOut(Fault):
    verdict = "timeout"


class OutOfMemory(Fault):
    verdict = "memory"


class Died(Fault):
    verdict = "died"
