"""Sheets of Canvas and Moodle: the right cells are filled, and no other byte changes."""

from __future__ import annotations

import csv
import difflib
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from handmade import BROKEN, EVERYTHING, FAILED, PASSED, made_of, record
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from grader.cli import main
from grader.errors import UsageError
from grader.records import Record, to_json
from grader.report.gradebook import Wish, feedback, fill
from grader.report.results import file_name
from grader.report.sheet import Sheet

# As Canvas exports it: a byte order mark or none, quotes where a comma is, a row of maxima with blanks before its name.
CANVAS = b'''\
Student,ID,SIS User ID,SIS Login ID,Section,"Homework 2, ViT (4711)",Homework 1 (99),Final Score
    Points Possible,,,,,8.00,10.0,(read only)
"Kim, Min-su",55,1102444016,kim@x.edu,"Monday, ""early""",,5,61.5
"Lee, A",56,1102444017,lee@x.edu,S1,"1.5",,
"Student, Test",57,,8f3c,S1,,,
'''
# As Moodle does: a byte order mark, CRLF, quotes where a blank is.
MOODLE = (
    b"\xef\xbb\xbf"
    b'Identifier,"Full name","Email address",Status,Grade,"Maximum Grade","Grade can be changed",'
    b'"Last modified (submission)","Last modified (grade)","Feedback comments"\r\n'
    b'"Participant 88","Kim Min-su",kim@x.edu,"Submitted for grading",,8.00,Yes,"Monday, 2 March 2026",-,\r\n'
    b'"Participant 89","Lee A",lee@x.edu,"No submission",,8.00,Yes,-,-,"A person wrote this"\r\n'
    b'"Participant 90","Park B",park@x.edu,"Submitted for grading",3.00,8.00,No,-,-,\r\n'
)
RIGHT = made_of(PASSED, FAILED)  # 4 of 8
HW2 = Wish(column="4711")


def of(student: str, one: Record = RIGHT) -> Record:
    return replace(one, submission=replace(one.submission, student_id=student))


def changed(before: bytes, after: bytes) -> list[str]:
    """What was put in, and where it was put; the check that nothing was taken away is for cells that were empty."""
    found = difflib.SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes()
    return [f"{before[a:b].decode()}→{after[c:d].decode()}" for tag, a, b, c, d in found if tag != "equal"]


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))


# ---- Canvas ---------------------------------------------------------------------------------------------------------


def test_canvas_gets_the_grade_and_nothing_else() -> None:
    filled = fill(CANVAS, [of("1102444016")], HW2, "export.csv")
    assert changed(CANVAS, filled.data) == ["→4"]
    assert rows(filled.data)[1]["Homework 2, ViT (4711)"] == "4"
    assert filled.column == "Homework 2, ViT (4711)"
    assert filled.filled == ["1102444016"]
    assert filled.without_result == ["row 4 (Lee, A)", "row 5 (Student, Test)"]


@pytest.mark.parametrize("student", ["1102444016", "KIM@X.EDU", "kim", "55"])
def test_a_student_is_found_by_any_of_their_ids(student: str) -> None:
    assert rows(fill(CANVAS, [of(student)], HW2, "e").data)[1]["Homework 2, ViT (4711)"] == "4"


def test_a_cell_keeps_its_quotes_and_another_value_is_told() -> None:
    filled = fill(CANVAS, [of("lee")], HW2, "e")
    assert b'S1,"4",,\n' in filled.data
    assert filled.changed == ["lee"]


def test_the_same_sheet_with_other_line_ends_quotes_or_semicolons_keeps_them() -> None:
    for before in (
        CANVAS.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + CANVAS,
        CANVAS.rstrip(b"\n"),
        CANVAS.replace(b"S1,,,\n", b"S1\n"),  # a row that ends early
        CANVAS.replace(b'"Kim, Min-su"', b"Kim").replace(b'"Monday, ""early"""', b"S").replace(b",", b";"),
    ):
        assert changed(before, fill(before, [of("1102444016")], HW2, "e").data) == ["→4"]


def test_a_row_that_ends_early_is_made_longer_only_where_it_is_filled() -> None:
    short = CANVAS.replace(b"8f3c,S1,,,\n", b"8f3c,S1\n")
    assert fill(short, [of("8f3c")], HW2, "e").data == short.replace(b"8f3c,S1\n", b"8f3c,S1,4\n")


def test_what_waits_for_a_person_is_left_and_what_has_no_row_is_named() -> None:
    filled = fill(CANVAS, [of("1102444016", made_of(FAILED, BROKEN)), of("1102444099")], HW2, "e")
    assert filled.data == CANVAS
    assert filled.needs_person == ["1102444016"]
    assert filled.without_row == ["1102444099"]


@pytest.mark.parametrize(
    ("data", "students", "wish", "words"),
    [
        (CANVAS, ["1102444016"], Wish(), "several assignments"),
        (CANVAS, ["1102444016"], Wish(column="Homework 3"), "no assignment “Homework 3”"),
        (CANVAS, ["1102444016"], Wish(column="99"), "maximum is 10 points, the result's is 8"),
        (CANVAS.replace(b"8.00", b"many"), ["1102444016"], HW2, "“many” is no number"),
        (CANVAS.replace(b"    Points Possible", b"Points"), ["1102444016"], HW2, "Points Possible"),
        (CANVAS.replace(b"lee@x.edu", b"kim@y.edu"), ["kim"], HW2, "fits rows 3 and 4"),
        (CANVAS, ["1102444016", "kim"], HW2, "row 3 fits two results, 1102444016 and kim"),
        (CANVAS, ["1102444016"], Wish(column="4711", by="Number"), "--by Number"),
        (CANVAS.replace(b"SIS User ID", b"ID"), ["55"], HW2, "“id” more than once"),
        (CANVAS.replace(b"Student,", b"Name,"), ["kim"], HW2, "no sheet that is known here"),
        (CANVAS.replace(b"A\"", b"\xff\""), ["kim"], HW2, "not UTF-8"),
        (CANVAS + b'"x"y,1\n', ["kim"], HW2, "cannot be read as CSV"),
        (CANVAS + b'"x', ["kim"], HW2, "cannot be read as CSV"),
        (b"", ["kim"], HW2, "has no header"),
        (MOODLE, ["kim"], Wish(column="4711"), "always Grade"),
    ],
)  # fmt: skip
def test_a_doubt_is_one_sentence_and_nothing_is_written(
    data: bytes, students: list[str], wish: Wish, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        fill(data, [of(student) for student in students], wish, "export.csv")


def test_a_doubt_about_ids_is_settled_by_naming_their_column() -> None:
    doubtful = CANVAS.replace(b",57,,8f3c,", b",57,,1102444016,")
    with pytest.raises(UsageError, match="--by"):
        fill(doubtful, [of("1102444016")], HW2, "e")
    assert changed(doubtful, fill(doubtful, [of("1102444016")], Wish("4711", by="SIS User ID"), "e").data) == ["→4"]


def test_scores_are_scaled_where_that_is_asked_for() -> None:
    assert rows(fill(CANVAS, [of("kim")], Wish("99", scale=True), "e").data)[1]["Homework 1 (99)"] == "5"
    third = replace(RIGHT, score=8 / 3)
    assert rows(fill(CANVAS, [of("kim", third)], Wish("99", scale=True), "e").data)[1]["Homework 1 (99)"] == "3.3333"


# ---- Moodle ---------------------------------------------------------------------------------------------------------


def test_moodle_gets_the_grade_and_the_feedback() -> None:
    filled = fill(MOODLE, [of(student) for student in ("kim", "89", "park@x.edu")], Wish(), "e")
    kim, lee, park = rows(filled.data)
    assert (kim["Grade"], lee["Grade"], park["Grade"]) == ("4", "4", "3.00")
    assert kim["Feedback comments"].startswith("Graded by gradewall: 4 of 8 points\n")
    assert "failed: the output is wrong" in kim["Feedback comments"]
    assert lee["Feedback comments"] == "A person wrote this"
    assert (filled.locked, filled.kept_feedback) == (["park@x.edu"], ["89"])
    again = fill(filled.data, [of("kim")], Wish(), "e")
    assert again.data == filled.data
    assert again.changed == []
    blank = filled.data.replace(b",4,", b",,").replace(b'"' + feedback(RIGHT).encode() + b'"', b"")
    assert blank == MOODLE  # but for what was filled, the bytes are those of the export


def test_moodle_with_decimal_commas_gets_one() -> None:
    german = MOODLE.replace(b",8.00,", b',"8,00",')
    half = replace(RIGHT, score=4.5)
    assert rows(fill(german, [of("kim", half)], Wish(), "e").data)[0]["Grade"] == "4,5"


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)

    def handle_entityref(self, name: str) -> None:
        self.found.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.found.append(f"&#{name};")


def check_inert(text: str) -> None:
    for one in (of("kim", record(text)), of("kim", replace(record(text), needs_person=False, max_score=8))):
        written = feedback(one)
        parser = Elements()
        parser.feed(written)
        assert parser.found == []
        assert not any(sign in written for sign in ("<", "$$", "\\(", "[[", "://"))
        assert all(line.isprintable() for line in written.split("\n"))
        assert written[0] not in "=+-@|%"
    data = fill(MOODLE, [of("kim", replace(record(text), max_score=8))], Wish(), "e").data
    assert [row["Email address"] for row in rows(data)] == ["kim@x.edu", "lee@x.edu", "park@x.edu"]
    assert rows(data)[1:] == rows(MOODLE)[1:]


@pytest.mark.parametrize("what", EVERYTHING)
def test_no_text_of_a_student_acts_in_a_sheet_or_on_the_site(what: str) -> None:
    check_inert(EVERYTHING[what])
    stranger = fill(CANVAS, [of(EVERYTHING[what])], HW2, "e")
    assert stranger.data == CANVAS
    assert stranger.without_row == [EVERYTHING[what]]


CELLS = st.lists(st.lists(st.text(st.sampled_from('a;,"\n\r\t é'), max_size=4), max_size=4), min_size=1, max_size=4)


@given(table=CELLS, style=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), end=st.sampled_from(["\n", "\r\n"]))
@settings(deadline=None, max_examples=100)
def test_whatever_the_sheet_it_comes_back_byte_for_byte(table: list[list[str]], style: int, end: str) -> None:
    stream = io.StringIO()
    csv.writer(stream, quoting=style, lineterminator=end).writerows([["a,b", "c,d,e,f"], *table])  # type: ignore[arg-type]
    data = stream.getvalue().encode()
    assert Sheet(data, "e").data() == data


# ---- what a person types --------------------------------------------------------------------------------------------


def test_a_class_is_put_into_a_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export, results = tmp_path / "export.csv", tmp_path / "results"
    export.write_bytes(CANVAS)
    call = ["gradebook", str(export), "--results", str(results), "--column", "4711"]
    assert main(call) == 2
    assert "there are no records in it" in capsys.readouterr().err
    (results / "records").mkdir(parents=True)
    for one in (of("1102444016"), of("=cmd\x1b[2J")):
        path = results / "records" / f"{file_name(one.submission.student_id)}.json"
        path.write_bytes(to_json(one))
    assert main(call) == 3  # one result has no row
    said = capsys.readouterr().out
    assert "1 have a result and no row: =cmd�[2J" in said
    assert "2 have a row and no result: row 4 (Lee, A), row 5 (Student, Test)" in said
    assert changed(CANVAS, (tmp_path / "export-filled.csv").read_bytes()) == ["→4"]
    assert export.read_bytes() == CANVAS
    (results / "records/x.json").write_bytes(b"{}")
    assert main(call) == 2
    assert "x.json is no record of this version" in capsys.readouterr().err
    assert main(["gradebook", str(tmp_path / "nowhere.csv"), "--results", str(results)]) == 2
    assert "nowhere.csv cannot be read" in capsys.readouterr().err
