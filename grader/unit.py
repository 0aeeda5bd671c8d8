"""The unit of work: one submission, in a process that has the assignment and a sandbox open.

The same unit is done by the processes of `grader.pool` on this machine and by those of `grader.cluster` on others.
"""

from __future__ import annotations

import itertools
import traceback
from dataclasses import replace
from pathlib import Path

from grader.assignment import load_assignment
from grader.checkpoint import Evaluations
from grader.errors import IntakeError, NotGraded, SandboxError
from grader.gpu import find_gpu
from grader.limits import walls_of
from grader.pipeline import Options, grade, settle, tidy
from grader.records import Blame
from grader.sandbox.process import Branch
from grader.sandbox.tiers import join_sandbox, open_sandbox
from grader.work import Outcome, Setup, Work


class Bench:
    """The assignment and a warm sandbox. Raises AssignmentError, SandboxError or UsageError where it cannot be had."""

    def __init__(self, setup: Setup, evaluations: Evaluations | None = None, branch: Branch | None = None) -> None:
        """branch: of a sandbox that is open already, within the same walls."""
        self._assignment = load_assignment(Path(setup.assignment))
        limits, hidden = walls_of(setup, self._assignment)
        settle()
        self._numbers = itertools.count(1)
        if branch is not None:
            self._sandbox = join_sandbox(branch, limits, hidden)
        else:
            self._sandbox = open_sandbox(setup.tier, limits, hidden)
        self._gpu = find_gpu(setup.gpu, self._sandbox.tier, limits, hidden) if setup.accuracy else None
        self._options = Options(accuracy=setup.accuracy, exhibits=True, evaluations=evaluations, gpu=self._gpu)

    def grade(self, work: Work) -> Outcome:
        """Grade it, and say how it came out, whatever happens; a SandboxError alone ends the bench."""
        try:
            return self._graded(work)
        finally:
            tidy(next(self._numbers))

    def _graded(self, work: Work) -> Outcome:
        options = replace(self._options, owner=work.owner)
        try:
            return Outcome(record=grade(Path(work.path), self._assignment, self._sandbox, options))
        except IntakeError as error:
            return Outcome(reason=str(error), blame=Blame.STUDENT)
        except NotGraded as error:
            return Outcome(reason=str(error), blame=Blame.GRADER)
        except SandboxError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop three hundred others
            reason = f"the grader is at fault: {type(error).__name__}: {error}"
            return Outcome(reason=reason, blame=Blame.GRADER, trace=traceback.format_exc())

    def close(self) -> None:
        self._sandbox.close()
        if self._gpu is not None:
            self._gpu.close()
