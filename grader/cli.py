"""The verbs: grade, write the hand-out, prove the assignment, look at the machine. Heavy imports wait until needed."""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from grader import __version__
from grader.errors import GraderError, IntakeError, UsageError
from grader.inert import one_line

if TYPE_CHECKING:
    from grader.assignment import Assignment
    from grader.submission import Progress

STANDARD_OUTPUT = Path("-")
FULL_MARKS, POINTS_LOST, USAGE, NOT_GRADED, INTERRUPTED = 0, 1, 2, 3, 130
HERE = Path(__file__).resolve().parents[1]
DESCRIPTION = """\
Grade a submission: a .tar.gz, .tgz, .tar, .zip or a folder with the notebooks and the .pth.

  python grade.py 1102444016.tar.gz             grade it, explain every lost point
  python grade.py 1102444016.tar.gz --json FILE write the record as well
  python grade.py template [--check]            write student_template/ from reference/, or say whether it is stale
  python grade.py verify                        prove the assignment: reference, template, mutants, variants
  python grade.py doctor                        what this machine offers, and the command that mends what is missing
"""
EPILOG = "exit codes: 0 nothing lost, 1 points lost, 2 usage or configuration, 3 could not be graded, 130 interrupted"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # Korean names, on a terminal that knows ASCII alone
    try:
        if arguments[:1] == ["template"]:
            return _template(arguments[1:])
        if arguments[:1] == ["verify"]:
            return _verify(arguments[1:])
        if arguments[:1] == ["doctor"]:
            return _doctor(arguments[1:])
        return _grade(arguments)
    except GraderError as error:
        _warn(str(error))
        return error.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "grader").partition(".")[0] == "grader":
            raise
        _warn(f"{error.name} is not installed for this Python: run `make demo`, then .venv/bin/python grade.py")
        return USAGE
    except KeyboardInterrupt:
        _warn("interrupted; nothing was written")
        return INTERRUPTED


def _open_standard_streams() -> None:
    """Where one was closed (`>&-`), its number would go to the next socket that is opened, and be written over."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


class _Parser(argparse.ArgumentParser):
    """argparse, whose errors are ours: one sentence, exit code 2."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{message}; {self.prog} --help shows what there is")


def _parser(prog: str, description: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=prog, description=description, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--assignment", type=_path, default=HERE / "reference", help="the assignment's folder")
    return parser


def _grade(arguments: list[str]) -> int:
    parser = _parser("grade.py", DESCRIPTION)
    parser.add_argument("submission", type=_path, help="the archive or folder")
    parser.add_argument("--json", type=_path, metavar="FILE", help="write the record to FILE; - for standard output")
    parser.add_argument("--no-accuracy", action="store_true", help="leave out the 10,000 test images")
    parser.add_argument(
        "--marks", type=_path, metavar="FILE", help="a person's marks, CSV: student_id, criterion, points, comment"
    )
    parser.add_argument(
        "--sandbox", default="auto", metavar="TIER", help="auto, bwrap, landlock or none (default: auto)"
    )
    parser.add_argument("--version", action="version", version=f"grader {__version__}")
    options = parser.parse_args(arguments)
    if not options.submission.exists():
        raise IntakeError(f"{options.submission} does not exist; name an archive or a folder")
    if options.json is not None and options.json != STANDARD_OUTPUT:
        _refuse_unwritable(options.json)

    from rich.console import Console

    from grader.assignment import load_assignment
    from grader.marks import read_marks, with_marks
    from grader.pipeline import Options, grade
    from grader.records import to_json
    from grader.report.terminal import show
    from grader.sandbox.tiers import open_sandbox
    from grader.submission import worker_limits

    assignment = load_assignment(options.assignment)
    maxima = {name: criterion.points for name, criterion in assignment.config.criteria.items()}
    marks = read_marks(options.marks, maxima) if options.marks is not None else {}
    if options.sandbox == "none":
        _warn_of_no_sandbox()
    hidden = [assignment.folder, options.submission.resolve().parent]
    with open_sandbox(options.sandbox, worker_limits(assignment), hidden) as sandbox, _progress() as progress:
        record = grade(options.submission, assignment, sandbox, Options(accuracy=not options.no_accuracy), progress)
    record = with_marks(record, marks, maxima) if marks else record
    output = sys.stderr if options.json == STANDARD_OUTPUT else sys.stdout
    with _unread(output):
        show(record, Console(highlight=False, file=output or io.StringIO()))  # there is none after `>&-`
    if options.json is not None:
        write_whole(options.json, to_json(record))
    if record.needs_person:
        return NOT_GRADED
    return FULL_MARKS if record.score >= record.max_score else POINTS_LOST


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("an empty path names nothing")
    return Path(text)


def _refuse_unwritable(path: Path) -> None:
    """Before an evening's work, not after it. Raises UsageError."""
    if path.is_dir():
        raise UsageError(f"--json {path} is a folder; name a file")
    if path.exists() and not path.is_file():  # a device or a pipe is written to where it is
        written = path
    else:
        written = path.resolve().parent  # the file is replaced by a new one in the same folder
        if not written.is_dir():
            raise UsageError(f"--json {path}: the folder {written} does not exist; make it, or name another")
    if not os.access(written, os.W_OK):
        raise UsageError(f"--json {path} cannot be written; name a file in a folder of yours")


@contextmanager
def _unread(stream: TextIO | None) -> Iterator[None]:
    """A reader that has gone (`| head -1`), or a full disk behind the output, changes no exit code."""
    try:
        yield
        if stream is not None:
            stream.flush()
    except (OSError, SystemExit):  # rich leaves at a broken pipe
        if stream is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python flushes once more at its end


def _warn(sentence: str) -> None:
    if sys.stderr is not None:  # else print would take standard output
        with _unread(sys.stderr):
            print(f"grade.py: {one_line(sentence)}", file=sys.stderr)  # it may name a file as a student named it


def _warn_of_no_sandbox() -> None:
    _warn(
        "--sandbox none: the code in this submission runs as you, with your files and your network. "
        "Use it for your own work only."
    )


@contextmanager
def _progress() -> Iterator[Progress]:
    """A progress bar on stderr while it is a terminal; nothing otherwise."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal, redirect_stdout=False) as bar:
        tasks: dict[str, object] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield progress


def _template(arguments: list[str]) -> int:
    parser = _parser("grade.py template", "Write the hand-out from the masters in the assignment's folder.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the hand-out is stale")
    parser.add_argument(
        "--out", type=_path, metavar="FOLDER", help="where to write it (default: beside the assignment)"
    )
    options = parser.parse_args(arguments)

    from grader import template
    from grader.assignment import load_assignment

    assignment: Assignment = load_assignment(options.assignment)
    folder = options.out or assignment.folder.parent / "student_template"
    if not options.check:
        try:
            written = template.write_template(assignment.folder, folder)
        except OSError as error:
            raise UsageError(f"{folder} cannot be written: {error.strerror}; name another with --out") from None
        with _unread(sys.stdout):
            print(f"{folder}: {len(written)} files")
        return FULL_MARKS
    stale = template.stale(assignment.folder, folder)
    with _unread(sys.stdout):
        for line in stale:
            print(line)
    if stale:
        _warn(f"{folder} is stale: {_mending(stale, options)}")
        return POINTS_LOST
    return FULL_MARKS


def _mending(stale: Sequence[str], options: argparse.Namespace) -> str:
    """What to do about a stale hand-out: writing it anew removes nothing."""
    extra = [line.startswith("extra: ") for line in stale]
    command = ["python", "grade.py", "template"]
    if options.assignment != HERE / "reference":
        command += ["--assignment", str(options.assignment)]
    if options.out:
        command += ["--out", str(options.out)]
    remove = ["remove what is extra"] if any(extra) else []
    write = [] if all(extra) else [f"write it anew with {shlex.join(command)}"]
    return ", and ".join(remove + write)


VERIFY = """\
Grade hand-ins whose mark is known: the reference must get full marks, the template none, every mutant must lose points
in its own criterion alone and be named, every variant must lose nothing. Exit code 1 when one comes out otherwise.
"""


def _verify(arguments: list[str]) -> int:
    parser = _parser("grade.py verify", VERIFY)
    parser.add_argument("names", nargs="*", metavar="NAME", help="these alone: a mutant, a variant, or a kind of case")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: cores)")
    parser.add_argument("--no-accuracy", action="store_true", help="leave out the reference's test accuracy")
    parser.add_argument("--pairs", type=int, default=0, metavar="N", help="also N pairs of mistakes in each criterion")
    parser.add_argument(
        "--sandbox", default="auto", metavar="TIER", help="auto, bwrap, landlock or none (default: auto)"
    )
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        raise UsageError(f"--jobs {options.jobs}: at least one process is needed")
    if options.pairs < 0:
        raise UsageError(f"--pairs {options.pairs}: a number of pairs is wanted, 0 for none")

    from rich.console import Console

    from grader import verify
    from grader.assignment import load_assignment
    from grader.report.verification import show

    wanted = verify.cases(load_assignment(options.assignment), options.names, options.pairs)
    setup = verify.Setup(options.assignment, options.sandbox, not options.no_accuracy)
    with _progress() as progress:
        done = iter(range(1, len(wanted) + 1))
        findings = verify.verify(setup, wanted, options.jobs, lambda _: progress("cases", next(done), len(wanted)))
    with _unread(sys.stdout):
        show(findings, Console(highlight=False, file=sys.stdout or io.StringIO()))
    return FULL_MARKS if not any(finding.wrong for finding in findings) else POINTS_LOST


DOCTOR = """\
Look at what this machine offers for grading, start every sandbox once, and name the command that mends what is missing.
Exit code 3 when submissions cannot be graded here.
"""


def _doctor(arguments: list[str]) -> int:
    options = _parser("grade.py doctor", DOCTOR).parse_args(arguments)

    from rich.console import Console

    from grader import doctor
    from grader.report.health import show

    facts = doctor.look(options.assignment)
    with _unread(sys.stdout):
        console = Console(highlight=False, file=sys.stdout or io.StringIO())
        show(facts, doctor.tier_of(facts), doctor.ready(facts), doctor.advice(facts), console)
    return FULL_MARKS if doctor.ready(facts) else NOT_GRADED


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all. Raises UsageError where it cannot be written.

    A link keeps pointing where it does; a device or a pipe is written to, and not replaced. So is what standard output
    goes to, under whatever name (-, /dev/stdout): a file there has the report in it.
    """
    try:
        if path == STANDARD_OUTPUT or (path.exists() and os.path.samestat(path.stat(), os.fstat(1))):
            with suppress(BrokenPipeError), open(1, "wb", closefd=False) as stream:  # its reader may have gone
                stream.write(data)
            return
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        path = path.resolve()
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error}") from None
