"""What a person types, and what they see when it goes wrong."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, HandIn
from rich.console import Console

from grader.cli import main
from grader.errors import UsageError
from grader.files import write_whole
from grader.records import (
    Blame,
    CheckpointResult,
    CheckResult,
    CriterionResult,
    Diagnosis,
    Flag,
    Record,
    SubmissionInfo,
    Verdict,
)
from grader.report.terminal import show

GRADE = [sys.executable, str(ROOT / "grade.py")]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "--help"),
        (["x.tar.gz", "--jsn", "y"], 2, "--jsn"),
        (["nowhere.tar.gz"], 3, "nowhere.tar.gz does not exist"),
        ([str(ROOT / "README.md")], 3, "README.md"),
        ([str(ROOT / "grade.py"), "--sandbox", "docker"], 2, "no sandbox “docker”"),
        ([str(ROOT), "--assignment", "/nowhere"], 2, "--assignment names the folder"),
        ([str(ROOT), "--json", "/nowhere/x.json"], 2, "/nowhere does not exist"),
        ([str(ROOT), "--html", "/nowhere/x.html"], 2, "--html /nowhere/x.html: the folder /nowhere does not exist"),
        ([str(ROOT), "--audience", "student"], 2, "name the page with --html"),
        ([str(ROOT), "--html", "x.html", "--audience", "parents"], 2, "--audience"),
        ([str(ROOT), "--html", "-", "--json", "-"], 2, "would be mixed on standard output"),
        ([str(ROOT), "--html", "x.html", "--out", "/nowhere/x"], 2, "/nowhere/x/pages/ for students"),
        (["template", "--chek"], 2, "--chek"),
        (["template", "--out", ""], 2, "an empty path"),
        ([""], 2, "an empty path"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_an_exit_code(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("grade.py: ")
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_help_is_quick_and_loads_no_torch() -> None:
    code = "import sys; from grader.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit: pass\n"
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.endswith("False\n")
    assert "exit codes: 0" in done.stdout


def test_points_lost_are_exit_code_one_with_their_reasons(hand_in: HandIn, tmp_path: Path) -> None:
    archive = hand_in.edit("math.sqrt(self.word_dim)", "math.sqrt(self.dim)").pack(tmp_path)
    page = tmp_path / "page.html"
    command = [*GRADE, str(archive), "--no-accuracy", "--html", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "You have 80 of 90 points" in page.read_text(encoding="utf-8")
    assert "scaled_dot_product's output is wrong" in done.stdout
    assert "Multi-head attention: 5 of 15" in done.stdout
    assert "\x1b" not in done.stdout  # plain where it is piped


def test_no_sandbox_says_loudly_what_it_lacks(hand_in: HandIn, tmp_path: Path) -> None:
    archive = hand_in.pack(tmp_path)
    command = [*GRADE, str(archive), "--no-accuracy", "--sandbox", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "runs as you, with your files and your network" in done.stderr
    assert "sandbox none" in done.stdout


def test_ctrl_c_ends_it_cleanly_and_leaves_nothing(hand_in: HandIn, tmp_path: Path) -> None:
    hang = "        while True:\n            pass\n        scores = torch.matmul(Q"
    archive = hand_in.edit("        scores = torch.matmul(Q", hang).pack(tmp_path)
    out = tmp_path / "record.json"
    process = subprocess.Popen([*GRADE, str(archive), "--json", str(out)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (children := _children(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(4)  # into the checks
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in error
    assert "Traceback" not in error
    assert not out.exists()
    assert children
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(b"before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UsageError, match="No space left"):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def cli(
    *arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """grade.py in a process of its own."""
    command = [*GRADE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})}, cwd=cwd)


def fast(hand_in: HandIn) -> HandIn:
    """A hand-in without weights: what is printed and written does not depend on the marks."""
    del hand_in.files["vit.pth"]
    return hand_in


def test_the_record_goes_to_standard_output_and_the_report_beside_it(hand_in: HandIn, tmp_path: Path) -> None:
    done = cli(fast(hand_in).pack(tmp_path), "--no-accuracy", "--json", "-")
    assert json.loads(done.stdout)["submission"]["student_id"] == "1102444016"
    assert "Positional encoding" in done.stderr


def test_a_device_or_a_link_named_by_json_is_not_replaced(hand_in: HandIn, tmp_path: Path) -> None:
    archive = fast(hand_in).pack(tmp_path)
    pipe, link, target = tmp_path / "pipe", tmp_path / "link.json", tmp_path / "target.json"
    target.write_text("{}")
    link.symlink_to(target)
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        assert cli(archive, "--no-accuracy", "--json", pipe).returncode == 1
        assert b"1102444016" in reader.communicate()[0]
    assert cli(archive, "--no-accuracy", "--json", link).returncode == 1
    assert link.is_symlink()
    assert b"1102444016" in target.read_bytes()


@pytest.mark.parametrize("bad", [".", "", "/nowhere/x.json"])
def test_a_bad_place_for_the_record_is_refused_before_anything_is_graded(bad: str, tmp_path: Path) -> None:
    done = cli(ROOT / "student_template", "--json", bad)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("output", ["| head -1 >/dev/null", ">&-", ">/dev/full"])
def test_an_output_that_nobody_reads_changes_no_exit_code(output: str, hand_in: HandIn, tmp_path: Path) -> None:
    command = f"{sys.executable} {ROOT / 'grade.py'} {fast(hand_in).pack(tmp_path)} --no-accuracy {output}"
    done = subprocess.run(["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True)
    assert done.returncode == 1  # the weights are missing
    assert done.stderr == ""


def test_a_terminal_that_knows_ascii_alone_gets_no_traceback(hand_in: HandIn, tmp_path: Path) -> None:
    archive = fast(hand_in).pack(tmp_path, "x").rename(tmp_path / "김 1102444016.tar.gz")
    done = cli(archive, "--no-accuracy", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 1
    assert done.stderr == ""


def test_an_assignment_is_found_by_a_relative_path(hand_in: HandIn, tmp_path: Path) -> None:
    done = cli(fast(hand_in).pack(tmp_path), "--no-accuracy", "--assignment", "reference", cwd=ROOT)
    assert done.returncode == 1, done.stderr


def test_a_students_message_can_forge_no_line(hand_in: HandIn, tmp_path: Path) -> None:
    old = "output = self.norm2(X + self.dropout(self.ffn(X)))"
    fast(hand_in).edit(old, f"raise ValueError('x\\n100 / 100   sandbox bwrap, 3.0 s')\n        {old}")
    done = cli(hand_in.pack(tmp_path), "--no-accuracy")
    assert "100 / 100" in done.stdout
    assert not any(line.startswith("100 / 100") for line in done.stdout.splitlines())


def test_a_hand_out_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cli("template", "--out", tmp_path / "file")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_persons_marks_are_shown_as_such(hand_in: HandIn, tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text("student_id,criterion,points,comment\n1102444016,experiments,4,thin\n")
    done = cli(fast(hand_in).pack(tmp_path), "--no-accuracy", "--marks", tmp_path / "marks.csv")
    assert "4 / 10  by hand, computed 10: thin" in done.stdout
    assert "79 / 90" in done.stdout


def test_the_record_may_go_where_the_report_goes(hand_in: HandIn, tmp_path: Path) -> None:
    archive, out = fast(hand_in).pack(tmp_path), tmp_path / "out"
    done = cli(archive, "--no-accuracy", "--json", "/dev/stdout")
    report, brace, record = done.stdout.partition("{\n")
    assert (done.returncode, done.stderr) == (1, "")
    assert "Positional encoding" in report
    assert json.loads(brace + record)["score"]
    with out.open("w") as file:
        subprocess.run([*GRADE, str(archive), "--no-accuracy", "--json", "/dev/stdout"], stdout=file, check=False)
    assert "Positional encoding" in out.read_text().partition("{\n")[0]


def test_the_record_is_whole_where_the_report_cannot_be_written(hand_in: HandIn, tmp_path: Path) -> None:
    command = f"{sys.executable} {ROOT / 'grade.py'} {fast(hand_in).pack(tmp_path)} --no-accuracy --json - 2>/dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["score"]


def test_a_record_that_cannot_be_written_is_said_after_the_marks(hand_in: HandIn, tmp_path: Path) -> None:
    done = cli(fast(hand_in).pack(tmp_path), "--no-accuracy", "--json", "/dev/full")
    assert done.returncode == 2
    assert "Positional encoding" in done.stdout
    assert "/dev/full cannot be written" in done.stderr


@pytest.mark.parametrize("errors", ["2>/dev/full", "2>&-"])
def test_errors_that_nobody_reads_change_no_exit_code(errors: str) -> None:
    command = f"{sys.executable} {ROOT / 'grade.py'} nowhere.zip {errors}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")


def test_a_link_to_a_folder_that_is_not_there_is_refused_before_anything_is_graded(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to("/nowhere/x.json")
    done = cli(ROOT / "student_template", "--json", tmp_path / "link.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "/nowhere does not exist" in done.stderr


def test_a_stale_hand_out_says_how_to_mend_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "hand out"
    check = ["template", "--check", "--out", str(out)]
    anew = f"write it anew with python grade.py template --out '{out}'\n"
    assert main(check) == 1
    assert capsys.readouterr().err.endswith(f"is stale: {anew}")
    assert main(["template", "--out", str(out)]) == 0
    (out / "notes.txt").write_text("mine")
    capsys.readouterr()
    assert main(check) == 1
    assert capsys.readouterr().err.endswith("is stale: remove what is extra\n")
    (out / "CollectSubmission.sh").unlink()
    assert main(check) == 1
    assert capsys.readouterr().err.endswith(f"is stale: remove what is extra, and {anew}")


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", "\x1b[2K", " " * 60, "x " * 40, "[/]"])
def test_nothing_that_a_student_wrote_begins_a_line(end: str, width: int) -> None:
    """Wherever it wraps."""
    forged = f"a{end}FORGED 100 / 100 FORGED 100 / 100 FORGED 100 / 100 FORGED 100 / 100"
    check = CheckResult(id="c", title=forged, verdict=Verdict.RAISED, blame=Blame.STUDENT, message=forged, max_points=1)
    criterion = CriterionResult(
        id="k", title="K", points=0, max_points=1, verdict=Verdict.RAISED, blame=Blame.STUDENT, checks=(check,)
    )
    record = Record(
        submission=SubmissionInfo(student_id=forged, archive=forged, sha256=""),
        assignment="a",
        score=0,
        max_score=1,
        criteria=(criterion,),
        checkpoint=CheckpointResult(),
        flags=(Flag(id="f", message=forged),),
        diagnoses=(Diagnosis(id="d", message=forged, criterion="k"),),
    )
    shown = io.StringIO()
    show(record, Console(file=shown, width=width, highlight=False))
    for line in shown.getvalue().splitlines():
        assert not line.startswith(("FORGED", "100", "/"))
        assert line.isprintable()
    assert end != "[/]" or shown.getvalue().count("[/]") >= 5  # no markup


def test_a_fraction_of_a_point_is_shown_whole() -> None:
    check = CheckResult(id="c", title="T", verdict=Verdict.PARTIAL, blame=Blame.STUDENT, points=0.5, max_points=2 / 3)
    criterion = CriterionResult(
        id="k", title="K", points=0.5, max_points=2 / 3, verdict=Verdict.PARTIAL, blame=Blame.STUDENT, checks=(check,)
    )
    record = Record(
        submission=SubmissionInfo(student_id="1", archive="1.zip", sha256=""),
        assignment="a",
        score=0.5,
        max_score=2 / 3,
        criteria=(criterion,),
        checkpoint=CheckpointResult(),
    )
    shown = io.StringIO()
    show(record, Console(file=shown, width=80, highlight=False))
    assert "  -0.166667  T" in shown.getvalue()
