"""A class graded in one go: killed at random moments, changed in between, merged: always the same records."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, HandIn, small_assignment, timeless_records

from grader.cli import main
from grader.commands import batch as batch_command
from grader.gather import HandIn as HandedIn
from grader.integrity.findings import Review
from grader.ledger import NAME, Ledger
from grader.records import CheckpointResult, Record, SubmissionInfo
from grader.report import results
from grader.work import Outcome

CLASS = 40
KILLS = 20
MISTAKE = ("return X + self.PE[:, :X.size(1)]", "return X - self.PE[:, :X.size(1)]")
SMALL = ("positional_encoding", "mlp")  # criteria of a small assignment, whose checks take a moment

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assignment with two criteria alone, of one notebook each."""
    return small_assignment(tmp_path_factory.mktemp("small") / "reference", SMALL)


@pytest.fixture(scope="module")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class: most are right, some are wrong in one way or another, one is no archive at all."""
    folder = tmp_path_factory.mktemp("class")
    right = HandIn().without_figures().pack(folder, "0")
    wrong = HandIn().without_figures().edit(*MISTAKE).pack(folder, "1")
    for number in range(CLASS - 1):
        shutil.copy(wrong if number % 5 == 0 else right, folder / f"11024440{number:02}.tar.gz")
    (folder / f"11024440{CLASS - 1}.tar.gz").write_bytes(b"this is no archive")
    right.unlink()
    wrong.unlink()
    return folder


@pytest.fixture(scope="module")
def grade(small: Path) -> Run:
    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command(small, *arguments), capture_output=True, text=True, timeout=280, **options)

    return run


def command(small: Path, *arguments: str | Path) -> list[str]:
    return [sys.executable, str(ROOT / "grade.py"), "--assignment", str(small), *map(str, arguments)]


def sheet(out: Path) -> dict[str, dict[str, str]]:
    with (out / "grades.csv").open(encoding="utf-8", newline="") as file:
        return {row["student_id"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def undisturbed(grade: Run, submissions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    done = grade(submissions, "--out", out)
    assert done.returncode == 3, done.stderr  # one of them is no archive
    assert f"{CLASS} submissions: {CLASS - 1} graded, 1 refused" in done.stdout
    return out


def test_a_class_is_graded_and_written(undisturbed: Path) -> None:
    rows = sheet(undisturbed)
    assert len(rows) == CLASS
    assert len(timeless_records(undisturbed)) == CLASS - 1
    assert rows["1102444001"]["score"] == rows["1102444001"]["max_score"] == "13"
    assert float(rows["1102444000"]["positional_encoding"]) < 10
    assert rows[f"11024440{CLASS - 1}"]["status"] == "refused"
    summary = json.loads((undisturbed / "summary.json").read_text(encoding="utf-8"))
    assert summary["counts"] == {"graded": CLASS - 1, "refused": 1}
    assert summary["criteria"]["mlp"]["full"] == CLASS - 1
    index = (undisturbed / "class/index.html").read_text(encoding="utf-8")
    assert "Is the work the students’ own?" in index
    assert not [path for path in (undisturbed / "pages").iterdir() if "student’s own" in path.read_text("utf-8")]
    links = set(re.findall(r'href="(\./[^"#]+)"', index))
    assert len(links) == CLASS - 1
    assert all((undisturbed / "class" / link).is_file() for link in links)
    names = {path.stem for path in (undisturbed / "records").iterdir()}
    for folder, words in (("pages", "You have all 13 points"), ("class", "This submission has all 13 points")):
        assert {path.stem for path in (undisturbed / folder).iterdir()} - {"index"} == names
        page = (undisturbed / folder / "1102444001.html").read_text(encoding="utf-8")
        assert words in page
        assert 'id="figure-positional_encoding-table"' in page


@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_ends_with_the_same_records(
    small: Path, submissions: Path, undisturbed: Path, grade: Run, tmp_path: Path
) -> None:
    chance = random.Random(20260302)
    graded: Counter[str] = Counter()
    for kill in range(KILLS):
        with subprocess.Popen(command(small, submissions, "--out", tmp_path), stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            # Every fifth is killed while it starts, the others a moment after one more or two more are done.
            wanted = 0 if kill % 5 == 0 else chance.choice((1, 2))
            lines = []
            while sum(map(_is_graded, lines)) < wanted and (line := run.stdout.readline()):
                lines.append(line)
            time.sleep(chance.uniform(0.0, 0.4 if wanted else 3.0))
            run.kill()
            graded.update(line.split()[1] for line in [*lines, *run.stdout] if _is_graded(line))
    assert graded, "it was killed too early, each time"
    done = grade(submissions, "--out", tmp_path)
    graded.update(line.split()[1] for line in done.stdout.splitlines() if _is_graded(line))
    assert done.returncode == 3, done.stderr
    assert set(graded.values()) == {1}
    assert timeless_records(tmp_path) == timeless_records(undisturbed)
    for name in ("grades.csv", "summary.json"):
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()


def _is_graded(line: str) -> bool:
    return line.startswith("[")


@pytest.fixture
def few(submissions: Path, tmp_path: Path) -> Path:
    """A wrong one, a right one, and what is no archive."""
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("1102444000.tar.gz", "1102444001.tar.gz", f"11024440{CLASS - 1}.tar.gz"):
        shutil.copy2(submissions / name, folder)
    return folder


def test_what_changed_is_graded_again_and_nothing_else(grade: Run, few: Path, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "3 submissions, 3 to grade" in grade(few, "--out", out).stdout
    assert "3 submissions, 0 to grade" in grade(few, "--out", out).stdout
    shutil.copy(few / "1102444001.tar.gz", few / "1102444000.tar.gz")
    again = grade(few, "--out", out)
    assert "3 submissions, 1 to grade" in again.stdout
    assert sheet(out)["1102444000"]["score"] == "13"
    assert "3 submissions, 3 to grade" in grade(few, "--out", out, "--force").stdout
    only = grade(few, "--out", out, "--force", "--only", "1102444001")
    assert "3 submissions, 1 to grade" in only.stdout
    assert len(sheet(out)) == 3
    changed = tmp_path / "changed"
    shutil.copytree(small, changed)
    text = (changed / "assignment.toml").read_text(encoding="utf-8")
    (changed / "assignment.toml").write_text(text.replace("atol = 1e-5", "atol = 2e-5"), encoding="utf-8")
    assert "3 submissions, 3 to grade" in grade(few, "--out", out, "--assignment", changed).stdout


def test_the_later_of_two_archives_counts_and_both_are_kept(grade: Run, few: Path, tmp_path: Path) -> None:
    again = few / "resubmitted"
    again.mkdir()
    shutil.move(few / "1102444000.tar.gz", few / "x.tar.gz")
    shutil.copy(few / "1102444001.tar.gz", again / "1102444001.tar.gz")
    shutil.move(few / "x.tar.gz", few / "1102444001.tar.gz")  # the wrong one, and the older one
    os.utime(few / "1102444001.tar.gz", (1000, 1000))
    done = grade(few, "--out", tmp_path / "out")
    row = sheet(tmp_path / "out")["1102444001"]
    assert (row["score"], row["archive"]) == ("13", "resubmitted/1102444001.tar.gz")
    assert (
        "handed in 2 times: resubmitted/1102444001.tar.gz, the latest, counts, and not 1102444001.tar.gz" in row["note"]
    )
    assert row["note"] in done.stdout
    (earlier,) = (tmp_path / "out/earlier").iterdir()
    assert json.loads(earlier.read_text(encoding="utf-8"))["score"] < 13


def test_marks_are_kept_and_no_run_overwrites_them(
    grade: Run, small: Path, submissions: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, marks = tmp_path / "out", tmp_path / "marks.csv"
    shutil.copytree(undisturbed, out)
    header = "student_id,criterion,points,comment,marker,when\n"
    marks.write_text(f"{header}1102444000,positional_encoding,9.5,sign alone,kim,2026-06-12\n9,mlp,1,,,\n", "utf-8")
    grade(submissions, "--out", out, "--marks", marks)
    again = grade(submissions, "--out", out, "--force", "--only", "1102444000")  # graded anew, and without --marks
    assert "40 submissions, 1 to grade" in again.stdout
    assert "9, mlp: the mark 1 (marks.csv) is kept in the journal and changes nothing: no submission" in again.stdout
    computed = sheet(undisturbed)["1102444000"]["positional_encoding"]
    row = sheet(out)["1102444000"]
    assert (row["positional_encoding"], row["by_hand"]) == ("9.5", f"positional_encoding 9.5, computed {computed}")
    given = json.loads((out / "summary.json").read_text(encoding="utf-8"))["by_hand"]["1102444000"]
    assert given["positional_encoding"] == {
        "points": 9.5, "comment": "sign alone", "computed": float(computed), "marker": "kim", "when": "2026-06-12"
    }  # fmt: skip
    assert merge(small, out, "--out", tmp_path / "merged").returncode == 3
    assert sheet(tmp_path / "merged")["1102444000"] == row
    marks.write_text(f"{header}1102444000,positional_encoding,,,kim,2026-06-13\n", encoding="utf-8")
    said = merge(small, out, "--out", tmp_path / "merged", "--marks", marks).stdout
    assert "1102444000, positional_encoding: the mark 9.5 (kim, 2026-06-12, marks.csv) is withdrawn" in said
    assert sheet(tmp_path / "merged")["1102444000"]["positional_encoding"] == computed


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b'["../keep.json", "records/../../keep.json", "mine"]'])
def test_a_damaged_list_of_what_was_written_costs_nothing(
    small: Path, undisturbed: Path, tmp_path: Path, damage: bytes
) -> None:
    out, keep = tmp_path / "out", tmp_path / "keep.json"
    merge(small, undisturbed, "--out", out)
    keep.write_bytes(b"mine")
    (out / "mine").write_bytes(b"mine")
    (out / ".written.json").write_bytes(damage)
    done = merge(small, undisturbed, "--out", out)
    assert (done.returncode, done.stderr) == (3, "")
    assert keep.read_bytes() == (out / "mine").read_bytes() == b"mine"


def test_a_roster_names_who_handed_in_nothing(grade: Run, few: Path, tmp_path: Path) -> None:
    roster = tmp_path / "roster.csv"
    roster.write_text("name,student_id\n김민수,1102444001\nLee,1102444099\n", encoding="utf-8")
    done = grade(few, "--out", tmp_path / "out", "--roster", roster)
    assert "handed in nothing: 1102444099" in done.stdout
    rows = sheet(tmp_path / "out")
    assert (rows["1102444099"]["status"], rows["1102444001"]["name"]) == ("not handed in", "김민수")


def test_parts_of_a_class_are_merged_into_the_same_results(grade: Run, few: Path, small: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", [tmp_path / f"part-{n}" for n in (1, 2)]
    grade(few, "--out", whole)
    for number, part in enumerate(parts, start=1):
        grade(few, "--out", part, "--shard", f"{number}/2")
    half = merge(small, parts[0], "--out", tmp_path / "half")
    assert "shards are missing: 2/2" in half.stderr
    assert merge(small, *parts, "--out", tmp_path / "merged").returncode == 3
    assert timeless_records(tmp_path / "merged") == timeless_records(whole)
    assert (tmp_path / "merged/grades.csv").read_bytes() == (whole / "grades.csv").read_bytes()
    assert merge(small, few, "--out", tmp_path / "none").returncode == 2
    other = merge(ROOT / "reference", *parts, "--out", tmp_path / "other")
    assert other.returncode == 2
    assert "was graded with another assignment, one with other criteria or points than" in other.stderr
    assert not (tmp_path / "other").exists()


def merge(small: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(ROOT / "grade.py"), "merge", "--assignment", str(small), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60)


def test_ctrl_c_ends_it_cleanly_and_it_goes_on(small: Path, few: Path, grade: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = command(small, few, "--out", out, "--jobs", "1")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        while not _is_graded(run.stdout.readline()):
            pass
        run.send_signal(signal.SIGINT)
        said = run.stderr.read()
    assert run.returncode == 130
    assert said == f"grade.py: interrupted; what was graded is kept in {out}: the same command goes on from there\n"
    assert "3 submissions, 3 to grade" not in grade(few, "--out", out).stdout
    assert len(sheet(out)) == 3


# ---- the end of a run, on a journal that was made by hand ------------------------------------------------------------


@pytest.fixture
def ended(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[..., Any]], int]]:
    """Ends a run that graded two, with the review that is given. Each reading and each page is counted in `COUNTED`."""
    (tmp_path / "out").mkdir()
    hand_ins = [HandedIn(name=f"{student}.zip", path="", student_id=student) for student in ("1", "2")]
    with Ledger(tmp_path / "out" / NAME) as ledger:
        ledger.note_all([(n, one, one.name) for n, one in enumerate(hand_ins)], {})
        for one in hand_ins:
            info = SubmissionInfo(student_id=one.student_id, archive=one.name, sha256="")
            record = Record(
                submission=info, assignment="a", score=0, max_score=0, criteria=(), checkpoint=CheckpointResult()
            )
            ledger.settle(one.name, one.name, Outcome(record=record))
    COUNTED.clear()
    reading, writing = batch_command.standings_in, results._write

    def read(*arguments: Any) -> Any:
        COUNTED["read"] += 1
        return reading(*arguments)

    def write(out: Path, name: str, data: bytes) -> None:
        COUNTED[name] += 1
        writing(out, name, data)

    monkeypatch.setattr(batch_command, "standings_in", read)
    monkeypatch.setattr(results, "_write", write)

    def end(review: Callable[..., Any]) -> int:
        monkeypatch.setattr("grader.integrity.review.review", review)
        return main(["--assignment", str(small), "--out", str(tmp_path / "out"), str(tmp_path)])

    monkeypatch.setattr("grader.batch.run", lambda *_: None)
    before = signal.getsignal(signal.SIGTERM)
    yield end
    signal.signal(signal.SIGTERM, before)


COUNTED: Counter[str] = Counter()


def found_nothing(*_: Any, **__: Any) -> Review:
    return Review(findings=(), submissions=2, pairs=1)


def interrupted(*_: Any, **__: Any) -> Review:
    raise KeyboardInterrupt


def broken(*_: Any, **__: Any) -> Review:
    raise ZeroDivisionError("of ours")


def test_the_end_of_a_run_reads_the_journal_once_and_writes_each_page_once(ended: Any, tmp_path: Path) -> None:
    assert ended(found_nothing) == 0
    assert set(COUNTED.values()) == {1}
    assert {"read", "class/1.html", "class/2.html", "class/index.html", "pages/1.html", "records/1.json"} <= set(
        COUNTED
    )
    assert "Nothing was found" in (tmp_path / "out/class/1.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("review", "code", "sentence"),
    [
        (interrupted, 130, "interrupted; the marks are written, the submissions not yet held against each other"),
        (broken, 0, "not held against each other: the grader is at fault: ZeroDivisionError: of ours"),
    ],
)
def test_a_review_that_does_not_end_leaves_whole_pages_without_findings(
    ended: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], review: Any, code: int, sentence: str
) -> None:
    assert ended(review) == code
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert said.out.endswith("/class/index.html for instructors\n")
    for page in ("class/1.html", "class/2.html", "class/index.html", "pages/1.html"):
        text = (tmp_path / "out" / page).read_text(encoding="utf-8")
        assert text.rstrip().endswith("</html>")
        assert "own?" not in text


def test_two_runs_do_not_write_to_one_folder(small: Path, few: Path, grade: Run, tmp_path: Path) -> None:
    with subprocess.Popen(command(small, few, "--out", tmp_path / "out"), stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        run.stdout.readline()
        other = grade(few, "--out", tmp_path / "out")
        run.stdout.read()
    assert other.returncode == 2
    assert "another run is writing there" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--jobs", "2"], "--jobs is for a whole class"),
        (["--out", "{tmp}/out", "--jobs", "0"], "“0” is no number of processes"),
        (["--out", "{tmp}/out", "--shard", "3/2"], "“3/2” is no shard"),
        (["--out", "{tmp}/out", "--only", "nobody"], "--only nobody: there is no such submission"),
        (["--out", "{tmp}/out", "--json", "x.json"], "--json is for one submission"),
        (["--out", "{few}/1102444001.tar.gz"], "cannot be written"),
        (["--out", "{tmp}/out", "--sandbox", "jail"], "there is no sandbox “jail”"),
    ],
)
def test_a_wrong_flag_gets_one_sentence(
    grade: Run, few: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    done = grade(few, *(argument.format(tmp=tmp_path, few=few) for argument in arguments))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_journal_of_another_program_is_left_alone(grade: Run, few: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/ledger.sqlite").write_bytes(b"my diary, not a database, and longer than a header of one" * 9)
    done = grade(few, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "ledger.sqlite: file is not a database; move it away, or name another folder with --out" in done.stderr
    assert (tmp_path / "out/ledger.sqlite").read_bytes().startswith(b"my diary")
