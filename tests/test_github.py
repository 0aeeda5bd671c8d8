"""What GitHub's runner takes for a command, and what its Markdown makes of a summary."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from handmade import BROKEN, EVERYTHING, FAILED, PASSED, criterion, made_of, record, standing
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from grader.inert import one_line
from grader.records import Flag, Verdict
from grader.report.github import annotations_of, class_annotations, class_summary, commands, summary
from grader.report.results import Standing, alone, summarise
from grader.work import Outcome

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
DATA = {"%0D": "\r", "%0A": "\n", "%25": "%"}
PROPERTY = DATA | {"%3A": ":", "%2C": ","}


@dataclass(frozen=True)
class Command:
    name: str
    properties: dict[str, str]
    message: str


def unescaped(text: str, spelled: dict[str, str]) -> str:
    for code, character in spelled.items():  # in the runner's order: % comes last
        text = text.replace(code, character) if code != "%25" else text
    return text.replace("%25", "%")


def runner_reads(log: str) -> list[Command]:
    """As the runner does, line by line: blanks in front are dropped, `::name a=b,c=d::message` and `##[name]` act."""
    found = []
    for line in re.split(r"\r\n|\r|\n", log):
        line = line.lstrip()
        if line.startswith("::") and "::" in line[2:]:
            head, _, message = line[2:].partition("::")
            name, _, listed = head.partition(" ")
            pairs = [pair.split("=", 1) for pair in listed.split(",") if pair]
            properties = {pair[0].strip(): unescaped(pair[1], PROPERTY) for pair in pairs}
            found.append(Command(name, properties, unescaped(message, DATA)))
        assert "##[" not in line
    return found


def test_lost_points_are_errors_and_what_needs_a_person_is_a_warning() -> None:
    flag = Flag(id="outputs_cleared", message="100% cleared, all: of it", evidence={"file": "part1"})
    found = runner_reads(commands(annotations_of(standing(made_of(PASSED, FAILED, BROKEN, flags=(flag,))))))
    assert [(one.name, one.properties) for one in found] == [
        ("error", {"title": "Block: 0 of 4"}),
        ("warning", {"title": "Encoder: 0 of 0"}),
        ("warning", {"title": "flag: outputs_cleared", "file": "one.ipynb"}),
    ]
    assert found[0].message == "failed\n-4  block does what it must\nfailed: the output is wrong"
    assert found[2].message == "100% cleared, all: of it"


def test_no_more_is_shown_than_github_shows_and_the_rest_is_counted() -> None:
    many = made_of(*(criterion(f"k{n}", Verdict.FAILED) for n in range(12)), BROKEN)
    found = runner_reads(commands(annotations_of(standing(many))))
    assert [one.name for one in found] == ["error"] * 10 + ["warning", "notice"]
    assert found[-1].message == "2 more errors: see the step's summary"


@pytest.mark.parametrize(
    "name", ["../one.ipynb", "a/../one.ipynb", "a,b.ipynb", "a:b.ipynb", "a%b.ipynb", "한글.ipynb", "-a.ipynb", ""]
)
def test_a_notebook_is_named_only_where_its_name_is_plain(name: str) -> None:
    made = made_of(PASSED, flags=(Flag(id="f", message="m", evidence={"file": "part1"}),))
    made = msgspec.structs.replace(made, submission=msgspec.structs.replace(made.submission, files={"part1": name}))
    (found,) = runner_reads(commands(annotations_of(standing(made))))
    assert "file" not in found.properties


def test_of_a_class_only_what_was_not_graded_is_told() -> None:
    everyone = [
        standing(made_of(FAILED)),
        standing(made_of(BROKEN, student="2")),
        alone("b.zip", Outcome(reason="b.zip is no archive", blame="student")),
        alone("c.zip", Outcome(reason="the machine failed", blame="grader")),
    ]
    found = runner_reads(commands(class_annotations(everyone)))
    assert [(one.name, one.properties["title"]) for one in found] == [
        ("error", "c.zip: not graded"),
        ("warning", "2: needs a person"),
        ("warning", "b.zip: refused"),
    ]


# ---- whatever students write ----------------------------------------------------------------------------------------


def plain(text: str) -> bool:
    """Whether nothing of it is shown otherwise than it is."""
    return one_line(text, 900) == text


def check_commands(text: str) -> None:
    flag = Flag(id=text, message=text, evidence={"file": text})
    hostile = made_of(criterion("k", Verdict.RAISED, message=text), student=text, flags=(flag,))
    log = commands(annotations_of(standing(hostile)))
    found = runner_reads(log)
    assert [one.name for one in found] == ["error", "warning"]
    assert found[1].properties == {"title": f"flag: {text}" if plain(text) else found[1].properties.get("title")}
    assert found[1].message == text or not plain(text)  # what is escaped comes back as it was
    assert log.count("\n") == 2
    assert all(line.isprintable() for line in log.split("\n"))
    (refused,) = runner_reads(commands(class_annotations([alone(text, Outcome(reason=text, blame="student"))])))
    assert refused.name == "warning"


def shape(markdown: str) -> list[str]:
    """The elements of a rendered page, in order, without what they say."""
    found: list[str] = []
    for token in MARKDOWN.parse(markdown):
        found.append(f"{token.type} {token.tag}")
        children: list[Any] = token.children or []
        found += [child.type for child in children if child.type != "text"]
    return found


def outside_code(markdown: str) -> str:
    """What is on the page as text, where a mention or a link by itself would act."""
    children = [child for token in MARKDOWN.parse(markdown) for child in token.children or []]
    return " ".join(child.content for child in children if child.type == "text")


def pages(text: str) -> list[str]:
    everyone = [standing(record(text)), alone(text, Outcome(reason=text, blame="student")), Standing(text, name=text)]
    figures = summarise(everyone, "a", "0", [text])
    return [*map(summary, everyone[:2]), class_summary(everyone, figures)]


def check_pages(text: str) -> None:
    for page, plain in zip(pages(text), pages("x"), strict=True):
        assert shape(page) == shape(plain)
        assert outside_code(page) == outside_code(plain)
        assert all(line.isprintable() for line in page.split("\n"))


@pytest.mark.parametrize("what", [name for name in EVERYTHING if EVERYTHING[name].strip()])
def test_in_a_log_and_on_a_page_text_that(what: str) -> None:
    check_commands(EVERYTHING[what])
    check_pages(EVERYTHING[what])


@given(text=st.text(st.characters(exclude_categories=()), min_size=1).filter(lambda text: text.strip() != ""))
@settings(deadline=None, max_examples=50)
def test_whatever_the_text_nothing_of_it_acts(text: str) -> None:
    check_commands(text)
    check_pages(text)


def test_a_page_has_the_points_of_every_criterion_and_why_they_were_lost() -> None:
    page = MARKDOWN.render(summary(standing(made_of(PASSED, FAILED, BROKEN))))
    rows = re.findall(r"<tr>\n<td>(.*)</td>\n<td[^>]*>(.*)</td>\n<td>(.*)</td>", page)
    assert rows == [("Mlp", "4 / 4", "passed"), ("Block", "0 / 4", "failed"), ("Encoder", "0 / 0", "broken")]
    assert "<li><code>failed: the output is wrong</code></li>" in page
    assert "a person must look" in page
    assert "test accuracy 91.41% (9141 of 10000)" in page


@pytest.mark.parametrize("room", [0, 500, 5_000, 1 << 20])
def test_a_page_takes_no_more_room_than_there_is(room: int) -> None:
    everyone = [standing(made_of(PASSED, student=f"{n:06}{'|' * 900}")) for n in range(1_500)]
    figures = summarise(everyone, "a", "0", [])
    page = class_summary(everyone, figures, room)
    assert len(page.encode()) <= room
    assert room < 500 or page.endswith("the record has all of it\n")
