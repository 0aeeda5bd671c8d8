"""What travels between a batch and whoever grades for it: light, so that the batch itself never loads torch."""

from __future__ import annotations

from grader.records import Frozen, Record

GPU_CHOICES = ("auto", "always", "never")  # whether the held-out images go to one: auto, where that is faster


class Setup(Frozen, frozen=True):
    """What every process of a run needs to know. hidden: folders that no worker may see. threads: of one worker."""

    assignment: str
    tier: str = "auto"
    accuracy: bool = True
    threads: int = 1
    hidden: tuple[str, ...] = ()
    gpu: str = GPU_CHOICES[0]


class Work(Frozen, frozen=True):
    """One submission to grade: its place in the run, where it lies, and whose it is by its place."""

    position: int
    path: str
    owner: str = ""


class Outcome(Frozen, frozen=True):
    """How one submission came out: a record, or in one sentence why there is none.

    blame: whose doing it is that there is none. trace: where the grader itself broke, for whoever mends it.
    """

    record: Record | None = None
    reason: str = ""
    blame: str = ""
    trace: str = ""

    @property
    def final(self) -> bool:
        """Whether grading it again would give the same: not so where the machine or the grader was at fault."""
        return self.record is not None or self.blame == "student"
