"""From what Gradescope put into a folder to an outcome, whatever happens on the way."""

from __future__ import annotations

import tempfile
import traceback
from pathlib import Path

import msgspec

from grader.assignment import Assignment, load_assignment
from grader.errors import GraderError, IntakeError
from grader.gather import gather, intake_limits, roles_of
from grader.intake import read_submission, roles_by_name
from grader.records import Blame
from grader.work import Outcome, Setup, Work

SUBMISSION, RESULTS, METADATA = "submission", "results/results.json", "submission_metadata.json"
_MOST_METADATA = 1 << 20


def outcome_of(root: Path, assignment: Path, tier: str) -> Outcome:
    """Grade what lies in root/submission. Never raises an Exception: what goes wrong is told in the outcome."""
    try:
        return _graded(root, load_assignment(assignment), tier)
    except IntakeError as error:
        return Outcome(reason=str(error), blame=Blame.STUDENT)
    except GraderError as error:
        return Outcome(reason=str(error), blame=Blame.GRADER)
    except Exception as error:  # noqa: BLE001 - the results must be written even when grading breaks
        reason = f"the grader is at fault: {type(error).__name__}: {error}"
        return Outcome(reason=reason, blame=Blame.GRADER, trace=traceback.format_exc())


def _graded(root: Path, assignment: Assignment, tier: str) -> Outcome:
    config, student = assignment.config, student_of(root / METADATA)
    path = submission_in(root / SUBMISSION, assignment)
    read_submission(path, roles_of(config), intake_limits(config), config.id_pattern)  # to be refused at once, or not
    from grader.unit import Bench  # torch comes with it

    setup = Setup(assignment=str(assignment.folder), tier=tier, hidden=(str(root / SUBMISSION), str(root / "results")))
    bench = Bench(setup)
    try:
        outcome = bench.grade(Work(position=0, path=str(path), owner=student))
    finally:
        bench.close()
    if outcome.record is None or not student:
        return outcome
    # Gradescope knows who handed in; the archive's name is what a student wrote.
    submission = msgspec.structs.replace(outcome.record.submission, student_id=student)
    return msgspec.structs.replace(outcome, record=msgspec.structs.replace(outcome.record, submission=submission))


def submission_in(folder: Path, assignment: Assignment) -> Path:
    """The one archive in the folder, or else the folder itself. Raises IntakeError where it is not clear which."""
    roles = roles_of(assignment.config)
    wanted = ", ".join(role.called for role in roles)
    with tempfile.TemporaryDirectory(prefix="grader-") as private:
        try:
            gathered = gather([folder], roles, Path(private), assignment.config.id_pattern)
        except IntakeError:
            raise IntakeError(f"there is nothing in it to be graded; hand in {wanted}") from None
    archives = [one for one in gathered.hand_ins if Path(one.path).is_file()]
    if not archives:
        return folder
    names = [one.name for one in gathered.hand_ins]
    names += [name for name in gathered.ignored if roles_by_name(Path(name).name, roles)]
    if len(names) > 1:
        raise IntakeError(f"there is more than one submission in it: {', '.join(names)}; hand in one")
    return Path(archives[0].path)


class _User(msgspec.Struct, frozen=True):
    """One of who handed in. Fields that are not known here are left alone: the file is Gradescope's."""

    sid: str | int | None = None
    email: str | None = None


class _Metadata(msgspec.Struct, frozen=True):
    users: tuple[_User, ...] = ()


def student_of(metadata: Path) -> str:
    """Who handed in, by student id or else by e-mail address; "" where Gradescope does not say."""
    try:
        with metadata.open("rb") as file:
            known = msgspec.json.decode(file.read(_MOST_METADATA), type=_Metadata)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return ", ".join(str(user.sid or user.email) for user in known.users if user.sid or user.email)
