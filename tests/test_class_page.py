"""The class's page in a browser: it sorts, filters and gives marks; it loads nothing; no student's text acts in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from browsing import CONTRAST
from made_up_class import ANALYSES, COURSE, MAXIMA, a_class

from grader.marks import Mark, read_marks
from grader.report.pages.class_rows import Column, Course
from grader.report.pages.classroom import classroom_page
from grader.report.pages.histograms import accuracy_histogram, score_histogram
from grader.report.results import Standing

ACTS = """ </script><script>document.title="owned"</script><!-- <img src=x onerror='alert("1")'>{{ 7*7 }}&amp;\u202e"""
STUDENTS = 44
LEAVING = """() => {
  const event = new Event("beforeunload", { cancelable: true });
  window.dispatchEvent(event);
  return event.defaultPrevented; // whether the browser asks first
}"""


def hostile(text: str) -> str:
    return f"=1+1|{text}{ACTS}"


@dataclass
class Opened:
    """A page in a browser, and what happened there that must not."""

    page: Any
    events: list[str] = field(default_factory=list)

    def open(self, path: Path) -> None:
        watched = self.page
        watched.on("console", lambda message: self.events.append(f"console: {message.text}"))
        watched.on("pageerror", lambda error: self.events.append(f"error: {error}"))
        watched.on("dialog", lambda dialog: self.events.append(f"dialog: {dialog.message}"))
        watched.on("request", lambda request: self.events.append(f"request: {request.url}"))
        watched.goto(path.as_uri())
        self.events.remove(f"request: {path.as_uri()}")


@pytest.fixture(scope="module")
def everyone() -> list[Standing]:
    return a_class(STUDENTS, text=hostile)[0]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("class") / "index.html"
    path.write_bytes(classroom_page(*a_class(STUDENTS, text=hostile), COURSE))
    return path


@pytest.fixture
def opened(chromium: Any, file: Path) -> Iterator[Opened]:
    with chromium.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True) as context:
        opened = Opened(context.new_page())
        opened.open(file)
        yield opened
        assert opened.events == []


def column(page: Any, number: int) -> list[str]:
    """The text of a column's cells, of the rows that are shown."""
    return page.locator(f"#students tbody tr:not([hidden]) > :nth-child({number + 1})").all_inner_texts()


def ids(page: Any) -> set[str]:
    script = "rows => rows.map((row) => row.dataset.id)"
    return set(page.locator("#students tbody tr:not([hidden])").evaluate_all(script))


def test_what_students_wrote_is_text_and_nothing_else(opened: Opened) -> None:
    page = opened.page
    assert page.title() == f"{COURSE.title}: the class"
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0
    assert "\u202e" not in page.locator("body").inner_text()
    assert "<script>" in page.locator("#students").inner_text()


def test_the_figures_count_everyone(opened: Opened, everyone: list[Standing]) -> None:
    graded = [s.record for s in everyone if s.record is not None]
    for histogram in opened.page.locator(".hist").all():
        assert sum(int(count) for count in histogram.locator("i").all_inner_texts()) == len(graded)
    reached = sum(r.checkpoint.accuracy is not None and r.checkpoint.accuracy >= 0.9 for r in graded)
    assert f"{reached} of {len(graded)} reach the bar of 90%" in opened.page.locator("main").inner_text()
    assert opened.page.locator(".success > div").count() == len(COURSE.columns)


def test_a_column_is_sorted_by_mouse_and_by_keyboard(opened: Opened) -> None:
    button = opened.page.locator("#students thead button").nth(2)
    button.click()
    scores = [float(text) for text in column(opened.page, 2) if text]
    assert scores == sorted(scores)
    assert len(set(scores)) > 5
    button.press("Enter")
    assert [float(text) for text in column(opened.page, 2) if text] == scores[::-1]
    assert column(opened.page, 2)[-1] == ""  # who has no score comes last, both ways
    assert opened.page.locator("#students thead [aria-sort]").get_attribute("aria-sort") == "descending"


def test_filters_show_whom_they_name(opened: Opened, everyone: list[Standing]) -> None:
    page, records = opened.page, [(s.student_id, s.record) for s in everyone if s.record is not None]
    page.select_option("[name=lost]", label="Masking")
    assert ids(page) == {i for i, r in records for c in r.criteria if c.id == "masking" and c.points < c.max_points}
    page.get_by_role("button", name="Show all").click()
    assert len(ids(page)) == len(everyone)
    page.locator("details", has_text="the mask is added").locator("summary").click()
    page.locator("details[open] button").click()
    assert ids(page) == {i for i, r in records for d in r.diagnoses if d.criterion == "masking"}
    page.select_option("[name=mistake]", "")
    page.select_option("[name=flag]", index=1)
    most = max({f.id for _, r in records for f in r.flags}, key=lambda f: sum(f in str(r.flags) for _, r in records))
    assert ids(page) == {i for i, r in records if most in {flag.id for flag in r.flags}}
    page.select_option("[name=flag]", "")
    page.select_option("[name=state]", label="not handed in")
    assert ids(page) == {s.student_id for s in everyone if s.counts is None}
    page.select_option("[name=state]", "")
    page.fill("[name=text]", "1102444020 script")
    assert ids(page) == {everyone[4].student_id} != set()
    assert page.locator("output").inner_text() == f"1 of {len(everyone)} shown"
    assert page.locator(".case:visible").count() == 1


def test_the_form_gives_the_marks_that_were_typed(opened: Opened, everyone: list[Standing], tmp_path: Path) -> None:
    page = opened.page
    cases = page.locator(".case:visible")
    cases.nth(0).locator(".points").fill("6.5")
    cases.nth(0).locator(".comment input").fill('=HYPERLINK("x"), "two", 둘')
    cases.nth(1).locator(".agree").click()
    first, second = (everyone[int(cases.nth(n).get_attribute("data-row") or "")] for n in (0, 1))
    marked = next(s for s in everyone if s.record and any(c.by_hand for c in s.record.criteria))
    for standing, appealed in ((first, True), (marked, False)):
        page.locator("#students tbody tr").nth(everyone.index(standing)).locator("button.mark").click()
        if appealed:
            page.locator("#dialog .points").nth(7).fill("9")
            assert page.locator("#dialog .wrong").nth(7).inner_text() == "Points are a number from 0 to 3."
            assert page.locator("#download").is_disabled()
            page.locator("#dialog .points").nth(7).fill("0.5")
        else:
            page.locator("#dialog .withdraw").last.click()
        page.locator("#dialog .close").click()
    page.click("#download")
    assert page.locator("#said").inner_text() == "Who gives these marks?"
    page.fill("#marker", "-Kim, 김")
    assert page.evaluate(LEAVING) is True
    with page.expect_download() as download:
        page.click("#download")
    assert page.evaluate(LEAVING) is False
    path = tmp_path / "marks.csv"
    download.value.save_as(path)
    found = read_marks(path, MAXIMA)
    assert second.record is not None
    proposed = second.record.criteria[-1].points
    expected = {
        (first.student_id, "experiments"): Mark(points=6.5, comment='=HYPERLINK("x"), "two", 둘'),
        (first.student_id, "mlp"): Mark(points=0.5),
        (second.student_id, "experiments"): Mark(points=proposed),
        (marked.student_id, "experiments"): Mark(points=None),
    }
    assert {pair: (mark.points, mark.comment) for pair, mark in found.items()} == {
        pair: (mark.points, mark.comment) for pair, mark in expected.items()
    }
    assert {(mark.marker, mark.when[:2]) for mark in found.values()} == {("-Kim, 김", "20")}
    assert "\"'=HYPERLINK(" in path.read_text(encoding="utf-8")  # as no spreadsheet takes it for a formula


def test_it_is_readable_wide_and_narrow_light_and_dark(opened: Opened) -> None:
    page = opened.page
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.locator(".points").first.fill("99")
    for within in ("document.documentElement", "document.querySelector('dialog')"):
        if "dialog" in within:
            page.locator("button.mark").first.click()
        for width in (390, 1400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(f"{within}.scrollWidth <= {within}.clientWidth")
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert page.evaluate(CONTRAST) == [], (width, scheme)


def test_without_a_script_it_is_a_page_of_tables(chromium: Any, file: Path, everyone: list[Standing]) -> None:
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(file.as_uri())
        assert page.locator("#students tbody tr").count() == len(everyone)
        assert not page.locator("#filters").is_visible()
        assert page.locator("noscript").inner_text().startswith("Sorting, the filters")


def test_three_hundred_students_stay_a_light_page_however_much_they_write() -> None:
    essay = "모델의 깊이와 너비를 바꾸어 보았다. " * 20
    page = classroom_page(*a_class(300, text=lambda text: essay if text in ANALYSES else text), COURSE)
    assert 1_000_000 < len(page) < 1_500_000


def test_a_criterion_that_was_not_graded_has_no_column(everyone: list[Standing]) -> None:
    summary = a_class(1)[1]
    assert b"data-criterion" not in classroom_page([], summary, Course("A", ()))
    more = Course("A", (*COURSE.columns, Column("essay", "An essay", 5)))
    assert b"An essay" not in classroom_page(everyone, summary, more)


def test_an_empty_class_has_a_page() -> None:
    assert b"0 students" in classroom_page(*a_class(0), COURSE)


def test_a_score_on_an_edge_belongs_to_the_bin_above_and_full_marks_to_the_last() -> None:
    counts = [one.count for one in score_histogram([0, 4.9, 5, 95, 100], 100).bins]
    assert (len(counts), counts[0], counts[1], counts[-1]) == (20, 2, 1, 2)
    assert sum(one.count for one in score_histogram([0, 13], 13).bins) == 2


def test_an_accuracy_at_the_bar_reaches_it() -> None:
    found = accuracy_histogram([0.9, 0.8999, 0.89, 0.1, 1.0], 0.9)
    assert found.passed == 2
    assert [one.said for one in found.bins if one.count] == [
        "below 80%: 1",
        "89% to 90%: 2",
        "90% to 91%: 1",
        "99% to 100%: 1",
    ]
