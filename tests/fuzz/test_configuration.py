"""assignment.toml and marks files with anything wrong: what people of the course get wrong themselves."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from random import Random

from conftest import ROOT

from fuzz.conftest import Fuzz, check_sentence
from fuzz.mutation import broken_bytes, broken_text
from grader.assignment import Assignment, load_assignment
from grader.errors import AssignmentError, IntakeError, UsageError
from grader.intake import IntakeLimits, Role, read_submission
from grader.limits import worker_limits
from grader.marks import moment, read_marks

TOML = "id_pattern = '[0-9]+'\n" + (ROOT / "reference/assignment.toml").read_text(encoding="utf-8")
NUMBERS = (
    "0", "-1", "1", "1.5", "inf", "-inf", "nan", "1e400", "1e-400", "9" * 18, "9" * 30, "9" * 5000,
    "0x7fffffffffffffff",
)  # fmt: skip
STRINGS = (
    '""', '"x"', '"a\\u0000b"', '"\\U0001F600\\u202e"', '"../../etc/passwd"', '"/"', '"("', '"(a+)+$"', '"[z-a]"',
    '"weights"', '"part1"', '"{}"', '"\\n"', "'" * 3, '"' + "x" * 5000 + '"',
)  # fmt: skip
LISTS = ("[]", "[[]]", "[1]", '["("]', '["[z-a]", "x"]', '[""]', "[" * 2000 + "]" * 2000, '["PatchEmbed"]', '["part1"]')
TABLES = ("{}", "{ x = 1 }", "{ shape = 1e9 }", "{ shape = 1, shape = 2 }", "{ '' = 1 }", "{ loads = inf }")
OTHERS = ("true", "2026-01-01", "00:00:00", "=", "# nothing", "[limits]", "[criteria.new]", "points = 1")
VALUES = (*NUMBERS, *STRINGS, *LISTS, *TABLES, *OTHERS)


def a_value(random: Random, old: str) -> str:
    """Most often of the old one's kind, which reaches further."""
    kinds = {'"': STRINGS, "'": STRINGS, "[": LISTS, "{": TABLES}
    return random.choice(VALUES if random.random() < 0.3 else kinds.get(old[:1], NUMBERS))


def a_toml(random: Random) -> bytes:
    """The assignment with a line's value replaced, or its text broken anywhere."""
    if random.random() < 0.2:
        return broken_bytes(random, TOML.encode())
    if random.random() < 0.3:
        return broken_text(random, TOML, VALUES).encode(errors="surrogatepass")
    lines = TOML.split("\n")
    for _ in range(random.randint(1, 2)):
        place = random.choice([number for number, line in enumerate(lines) if " = " in line])
        key, _, old = lines[place].partition(" = ")
        lines[place] = f"{key} = {a_value(random, old)}"
    return "\n".join(lines).encode()


def test_assignments_end_in_one_that_works_or_in_one_error_with_its_place(fuzz: Fuzz, tmp_path: Path) -> None:
    folder, archive = tmp_path / "reference", tmp_path / "1102444016"
    for name in ("checks", "standins"):
        shutil.copytree(ROOT / "reference" / name, folder / name)
    archive.mkdir()
    (archive / "vit.pth").write_bytes(b"x")

    def load(data: bytes) -> None:
        (folder / "assignment.toml").write_bytes(data)
        try:
            use(load_assignment(folder), archive)
        except AssignmentError as error:
            check_sentence(str(error), str(folder / "assignment.toml"))

    fuzz.run(a_toml, load)


def use(assignment: Assignment, archive: Path) -> None:
    """What the road takes from a configuration before anything is judged."""
    config = assignment.config
    assert assignment.max_score >= 0
    worker_limits(assignment)
    roles = [Role(id=n, kind=s.kind, patterns=s.patterns, max_bytes=s.max_mb << 20) for n, s in config.files.items()]
    limits = IntakeLimits(archive_bytes=config.limits.archive_mb << 20, members=config.limits.members)
    with contextlib.suppress(IntakeError):
        read_submission(archive, roles, limits, config.id_pattern)


MAXIMA = {"mlp": 3.0, "experiments": 10.0}
MARKS = (
    'student_id,criterion,points,comment,when\n1102444016,experiments,6.5,"two, ""unclear""",2026-06-12T14:30+09:00\n'
    "7,mlp,3,,2026-06-12 14:30\n8,mlp,,thin\n"
)
CELLS = (
    "nan", "inf", "-0", "1e400", "1_0", "٣", "3,0", '"', '""', '"a\nb"', ",", ",,,,,", "\t", ";", "\0", "x" * 200_000,
    "=1+1", "mlp", "student_id", "points", "  ", "\ufeff", "\r", "7", "student_id,criterion,points",
)  # fmt: skip


def some_marks(random: Random) -> bytes:
    if random.random() < 0.3:
        return broken_bytes(random, MARKS.encode(random.choice(("utf-8", "utf-8-sig", "utf-16", "cp949"))))
    text = MARKS
    for _ in range(random.randint(1, 3)):
        place = random.choice([number for number, letter in enumerate(text) if letter in ',\n"'] or [0])
        text = text[:place] + random.choice(CELLS) + text[place + random.randint(0, 3) :]
    return (broken_text(random, text, CELLS) if random.random() < 0.3 else text).encode(errors="surrogatepass")


def test_marks_end_in_marks_within_range_or_in_one_sentence(fuzz: Fuzz) -> None:
    path = fuzz.folder / "marks.csv"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        try:
            found = read_marks(path, MAXIMA)
        except UsageError as error:
            check_sentence(str(error), f"--marks {path}")
            return
        for (student, criterion), mark in found.items():
            assert student == student.strip() != ""
            assert mark.points is None or 0 <= mark.points <= MAXIMA[criterion]
            assert mark.comment == mark.comment.strip()
            moment(mark.when)

    fuzz.run(some_marks, read)
