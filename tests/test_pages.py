"""A student's page: what stands on it for whom, and that nothing of a stranger's acts in it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from browsing import CONTRAST
from page_records import CLASSES, FAULT_OF_OURS, full, hostile, partial
from test_inert_reports import HOSTILE

from grader.gather import HandIn
from grader.integrity.findings import Finding, Passage, Place, Review
from grader.ledger import Listed
from grader.records import Figure, Matrix, Record, from_json, to_json
from grader.report.pages.class_rows import Course
from grader.report.pages.classroom import classroom_page
from grader.report.pages.pictures import picture
from grader.report.pages.student import Audience, student_page
from grader.report.results import (
    Standing,
    class_page,
    file_name,
    reviewed_of,
    summarise,
    write_class_pages,
    write_results,
)
from grader.work import Outcome

MARKUP = (
    "</title></style></p><script>alert(1)</script><style>body{display:none}</style><img src=x onerror=alert(1)>"
    '<a href=\'javascript:alert(1)\'>x</a>" onload="alert(1)" {{ 7*7 }} {% raw %} <!-- & &amp; ]]>'
)
EVERYTHING = MARKUP + "".join(HOSTILE.values())
LONG = "W" * 100_000
AUDIENCES: tuple[Audience, ...] = ("student", "instructor")


class Page(HTMLParser):
    """The elements of a page with their attributes, and its visible text."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._hidden = False
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._hidden = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("\n".join(self.texts).split())


def page(record: Record, audience: Audience = "student") -> Page:
    return Page(student_page(record, audience))


# ---- what stands on it ----------------------------------------------------------------------------------------------


def test_the_page_begins_with_the_score_and_one_sentence() -> None:
    assert (
        "You have 22 of 43 points; the largest loss is 8 in “Masking”; 10 of the 43 are a proposal"
        in page(partial()).text
    )
    assert "You have all 33 points" in page(full()).text


def test_a_lost_point_is_told_with_reason_numbers_mistake_and_the_line() -> None:
    found = page(partial())
    for words in ("−6", "160 of 160 values differ", "0.25", "0.7", "(1, 2, 0)", "The scores are divided by √dim."):
        assert words in found.text
    assert "Look at line 6 in cell 19 of Assignment2-1_Transformer_from_scratch.ipynb" in found.text
    links = {a["href"] for tag, a in found.elements if tag == "a"}
    assert "#code-0-6" in links
    places = [a.get("id") for _, a in found.elements if a.get("id")]
    assert len(places) == len(set(places))
    assert {str(link) for link in links} <= {f"#{place}" for place in places}


def test_code_is_shown_as_it_stands() -> None:
    assert "return scores.softmax(-1)[:, :, ::2] @ V" in page(partial()).text


def test_what_was_not_judged_waits_for_a_person_and_names_no_file_of_ours() -> None:
    found = page(partial()).text
    assert "Not judged, a person will look" in found
    assert "/srv/grader" not in found
    assert FAULT_OF_OURS in page(partial(), "instructor").text


def test_a_mark_by_hand_stands_beside_what_was_computed() -> None:
    assert "A person gave 3 points; the grader had found 1.5." in page(partial("fine")).text


def test_what_is_right_is_folded() -> None:
    found = page(full())
    folded = [a["id"] for tag, a in found.elements if tag == "details" and "id" in a]
    assert folded == ["attention", "masking", "experiments"]
    assert not any("open" in a for tag, a in found.elements if tag == "details")


def test_labels_flags_evidence_and_timings_are_for_instructors_alone() -> None:
    student, instructor = page(partial()).text, page(partial(), "instructor").text
    for words in ("rtol 1e-4", "saved_error", "0.25 s", f"is {CLASSES[9]}"):
        assert words not in student
        assert words in instructor


def test_the_figures_are_there_with_a_text_for_those_who_cannot_see_them() -> None:
    found = page(full())
    images = [a for tag, a in found.elements if tag == "img"]
    assert len(images) == 2 * 3 + 6
    assert all(str(image["src"]).startswith("data:image/png;base64,") and image["alt"] for image in images)
    assert [tag for tag, _ in found.elements].count("polyline") == 2
    assert sum(tag == "td" for tag, _ in found.elements) == 101  # the confusion matrix, and its corner


def test_a_record_without_exhibits_makes_a_page_too() -> None:
    old = msgspec.to_builtins(partial())
    del old["exhibits"]
    record = msgspec.convert(old, type=Record)
    assert record.exhibits is None
    assert "You have 22 of 43 points" in page(record).text


def test_exhibits_survive_the_record_as_json() -> None:
    for record in (full(), hostile(EVERYTHING)):
        assert from_json(to_json(record)) == record


def test_matrices_of_one_figure_share_a_scale() -> None:
    small = Matrix(title="small", rows=1, cols=2, low=0.0, high=1.0, levels=bytes([0, 255]))
    large = Matrix(title="large", rows=1, cols=2, low=0.0, high=2.0, levels=bytes([0, 255]))
    shown = picture(Figure(id="f", criterion="c", title="t", caption="", matrices=(small, large)))
    assert shown is not None
    assert (shown.low, shown.high) == ("0", "2")
    assert shown.panels[0].uri != shown.panels[1].uri
    torn = Figure(id="f", criterion="c", title="t", caption="", matrices=(msgspec.structs.replace(small, levels=b"1"),))
    assert picture(torn) is None


# ---- what strangers wrote -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("audience", AUDIENCES)
@pytest.mark.parametrize("text", [EVERYTHING, LONG], ids=["hostile", "long"])
def test_whatever_a_student_wrote_stays_text(text: str, audience: Audience) -> None:
    data = student_page(hostile(text), audience)
    found = Page(data)
    assert len(data) < 1_500_000
    tags = [tag for tag, _ in found.elements]
    assert tags.count("style") == 1
    assert not {"script", "iframe", "object", "base", "form"} & set(tags)
    for _, attributes in found.elements:
        assert not any(name.startswith("on") for name in attributes), attributes
        assert str(attributes.get("src", "data:")).startswith("data:")
        assert str(attributes.get("href", "#")).startswith(("#", "data:"))
    for line in data.decode().split("\n"):
        assert line.isprintable(), line
    if text is EVERYTHING:
        assert "{{ 7*7 }}" in found.text
        assert "<script>alert(1)</script>" in found.text


def test_a_page_may_load_nothing_and_run_nothing() -> None:
    [policy] = [str(a["content"]) for _, a in page(full()).elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")


# ---- a class's pages ------------------------------------------------------------------------------------------------


def standing(student_id: str) -> Standing:
    record = full()
    info = msgspec.structs.replace(record.submission, student_id=student_id)
    outcome = Outcome(record=msgspec.structs.replace(record, submission=info))
    name = f"{student_id}.zip"
    return Standing(
        student_id, counts=Listed(position=0, hand_in=HandIn(name=name, path=name), key="k", outcome=outcome)
    )


def test_each_student_has_a_page_and_one_for_the_instructor_until_they_have_left(tmp_path: Path) -> None:
    everyone = [standing("index"), standing("../up"), standing("1102444016")]
    for left in (everyone, everyone[:2]):
        write_results(tmp_path, left, summarise(left, "a", "1", []), ["attention"])
        write_class_pages(tmp_path, left, b"the class")
        pages = {path.name for path in (tmp_path / "pages").iterdir()}
        instructors = {path.name for path in (tmp_path / "class").iterdir()}
        assert pages == {f"{file_name(one.student_id)}.html" for one in left}
        assert instructors == {class_page(one.student_id) for one in left} | {"index.html"}
        assert (tmp_path / "class/index.html").read_bytes() == b"the class"
    assert len(list(tmp_path.rglob("*.html"))) == 5
    assert "is Ankle boot" in (tmp_path / "class" / class_page("../up")).read_text(encoding="utf-8")
    assert "is Ankle boot" not in (tmp_path / "pages" / f"{file_name('../up')}.html").read_text(encoding="utf-8")


# ---- whether the work is the student's own --------------------------------------------------------------------------


def a_review(text: str = "scores = q @ k") -> Review:
    sides = [Place(role="part1", cell=cell, line=3, text=f"{text}  # by {cell}") for cell in (5, 7)]
    finding = Finding(
        kind="code", students=("1102444022", "1102444021"), compared=f"compared {text}", figure=f"figure {text}",
        chance=f"0.01 {text}", what=f"what {text}", group=("1102444021", "1102444022", "3 (last year)"),
        passages=(Passage(left=sides[0], right=sides[1], seen=2),),
    )  # fmt: skip
    return Review(findings=(finding,), submissions=3, pairs=3, unsaid=("too few to tell",))


def test_what_was_found_stands_on_the_instructors_pages_alone(tmp_path: Path) -> None:
    everyone = [standing("1102444021"), standing("1102444022"), standing("1102444023")]
    summary = summarise(everyone, "a", "1", [])
    index = classroom_page(everyone, summary, Course("The course", ()), a_review())
    write_results(tmp_path, everyone, summary, ["attention"])
    write_class_pages(tmp_path, everyone, index, a_review())
    for one in everyone:
        others = {other.student_id for other in everyone} - {one.student_id}
        for name in (f"pages/{one.student_id}.html", f"records/{one.student_id}.json"):
            data = (tmp_path / name).read_text(encoding="utf-8")
            assert not [word for word in (*others, "last year", "figure scores", "own-work", "by 7") if word in data]
    assert all(student not in (tmp_path / "summary.json").read_text() for student in ("last year", "figure scores"))
    shown = Page((tmp_path / "class/1102444021.html").read_bytes())
    assert "Code: 1102444022" in shown.text
    assert "1102444021 , 1102444022 , 3 (last year)" in shown.text
    assert shown.text.index("# by 7") < shown.text.index("# by 5")  # the student's own line on the left
    assert ("a", {"href": "./1102444022.html"}) in shown.elements
    assert "Nothing was found" in Page((tmp_path / "class/1102444023.html").read_bytes()).text
    listed = Page((tmp_path / "class/index.html").read_bytes()).text
    assert "figure scores = q @ k" in listed
    assert "3 (last year)" in listed
    assert "too few to tell" in listed
    assert "too few to tell" in shown.text


def test_what_all_share_stands_once_on_the_page_of_each(tmp_path: Path) -> None:
    students = tuple(str(1102444000 + n) for n in range(100))
    everyone = [standing(student) for student in (students[0], students[99])]
    finding = Finding(
        kind="weights", students=students, compared="c", figure="100% of it", chance="x", what="w", group=students
    )
    review = Review(findings=(finding,), submissions=100, pairs=4950)
    summary = summarise(everyone, "a", "1", [])
    write_class_pages(tmp_path, everyone, classroom_page(everyone, summary, Course("c", ()), review), review)
    for student in (students[0], students[99]):
        shown = Page((tmp_path / f"class/{student}.html").read_bytes())
        assert "Weights: 99 others" in shown.text
        assert "and 29 others" in shown.text
        assert shown.text.count("100% of it") == 1
        assert "group" not in shown.text
    assert ("a", {"href": f"./{students[0]}.html"}) in shown.elements
    listed = Page((tmp_path / "class/index.html").read_bytes()).text
    assert "100 submissions" in listed
    assert "and 30 others" in listed
    assert "hangs together" not in listed


def test_without_a_review_nothing_is_said_of_one() -> None:
    assert "student’s own" not in page(partial(), "instructor").text


def test_what_was_found_stays_text() -> None:
    everyone = [standing("1102444021"), standing("1102444022")]
    reviewed = reviewed_of(a_review(EVERYTHING), everyone)
    record = everyone[0].record
    assert record is not None
    plain = Page(student_page(record, "instructor")).elements
    shown = Page(student_page(record, "instructor", reviewed=reviewed)).elements
    assert {tag for tag, _ in shown} <= {tag for tag, _ in plain} | {"section", "header", "pre", "h4", "dl", "dt", "dd"}
    assert not [attrs for _, attrs in shown if any(name.startswith("on") for name in attrs)]


# ---- in a browser ---------------------------------------------------------------------------------------------------

PAGES: dict[str, tuple[Record, Audience]] = {
    "full": (full(), "student"),
    "partial": (partial(), "student"),
    "hostile": (hostile(EVERYTHING), "instructor"),
    "long": (hostile(LONG), "student"),
}


@pytest.mark.parametrize("name", PAGES)
def test_in_a_browser_the_page_is_whole_and_legible(name: str, chromium: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(student_page(*PAGES[name]))
    for width in (390, 1400):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme="light")
        shown = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        shown.on("console", lambda message, said=said: said.append(message.text))
        shown.on("pageerror", lambda error, said=said: said.append(str(error)))
        shown.on("request", lambda request, asked=asked: asked.append(request.url))
        shown.goto(path.as_uri())
        for scheme in ("light", "dark"):
            shown.emulate_media(color_scheme=scheme)
            assert shown.evaluate("document.documentElement.scrollWidth") <= width, (width, scheme)
            assert shown.evaluate(CONTRAST) == [], (width, scheme)
        shown.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        sizes = shown.evaluate("[...document.images].map(i => [i.naturalWidth, i.clientWidth, i.clientHeight])")
        assert len(sizes) == 12
        assert all(min(size) > 0 for size in sizes)
        assert all(box > 20 for box in shown.evaluate("[...document.querySelectorAll('svg')].map(s => s.clientHeight)"))
        assert said == []
        assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
        context.close()
