"""JUnit XML as its readers take it, and whose fault a case shows."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from handmade import BROKEN, EVERYTHING, FAILED, PASSED, SKIPPED, made_of, record, standing
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped
from junitparser import TestCase as Case
from junitparser import TestSuite as Suite

from grader.gather import HandIn
from grader.ledger import Listed
from grader.records import HandMark
from grader.report.junit import junit_xml
from grader.report.results import Standing, alone
from grader.work import Outcome

WRITTEN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
# What the readers of Ant, Jenkins and GitLab agree on: attributes (needed, allowed), and children in their order.
GRAMMAR: dict[str, tuple[set[str], set[str], list[str]]] = {
    "testsuites": (set(), {"name", "tests", "failures", "errors", "skipped", "time"}, ["testsuite"]),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"},
        {"id", "package"},
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "properties": (set(), set(), ["property"]),
    "property": ({"name", "value"}, set(), []),
    "testcase": ({"name", "classname", "time"}, set(), ["skipped", "error", "failure", "system-out", "system-err"]),
    "failure": ({"message", "type"}, set(), []),
    "error": ({"message", "type"}, set(), []),
    "skipped": ({"message", "type"}, set(), []),
    "system-out": (set(), set(), []),
}


def check_grammar(element: ET.Element) -> None:
    needed, allowed, children = GRAMMAR[element.tag]
    assert needed <= set(element.keys()) <= needed | allowed, element.tag
    places = [children.index(child.tag) for child in element]
    assert places == sorted(places), f"{element.tag} has its children in another order"
    for child in element:
        check_grammar(child)


def written(everyone: Sequence[Standing], folder: Path) -> list[Suite]:
    """The suites as a consumer's parser reads them; the grammar and the counts are held on the way."""
    path = folder / "junit.xml"
    path.write_bytes(junit_xml(everyone, WRITTEN, "host"))
    root = ET.parse(path).getroot()
    check_grammar(root)
    suites = list(JUnitXml.fromfile(str(path)))
    for suite in suites:
        counted = (suite.tests, suite.failures, suite.errors, suite.skipped)
        suite.update_statistics()
        assert counted == (suite.tests, suite.failures, suite.errors, suite.skipped)
    assert int(root.attrib["tests"]) == sum(suite.tests for suite in suites)
    return suites


def results(case: Case) -> list[type]:
    return [type(result) for result in case.result]


def test_a_students_fault_is_a_failure_and_the_graders_an_error(tmp_path: Path) -> None:
    (suite,) = written([standing(made_of(PASSED, FAILED, SKIPPED, BROKEN))], tmp_path)
    endings = {case.classname: results(case) for case in suite}
    assert endings == {"a.mlp": [], "a.block": [Failure], "a.vit": [Skipped], "a.encoder": [Error]}
    failure = next(case.result[0] for case in suite if case.classname == "a.block")
    assert (failure.type, failure.message) == ("failed", "-4: the output is wrong")
    assert (suite.name, suite.hostname, suite.timestamp) == ("1102444016", "host", "2026-03-02T09:30:00")
    properties = {p.name: p.value for p in suite.properties()}
    assert properties["score"] == "4"
    assert properties["max_score"] == "12"
    assert properties["accuracy"] == "0.9141"
    assert properties["needs_person"] == "yes"


def test_a_persons_mark_stands_in_place_of_the_checks(tmp_path: Path) -> None:
    by_hand = HandMark(points=3, comment="nearly", computed=0)
    marked = msgspec.structs.replace(BROKEN, points=3, max_points=4, by_hand=by_hand)
    (suite,) = written([standing(made_of(PASSED, marked))], tmp_path)
    case = next(case for case in suite if case.classname == "a.encoder")
    assert results(case) == [Failure]
    assert case.result[0].message == "3 of 4, by hand, computed 0: nearly"


def test_a_class_is_a_suite_a_student_whatever_became_of_each(tmp_path: Path) -> None:
    pending = Listed(position=3, hand_in=HandIn(name="d.zip", path="d.zip"), key="", outcome=None)
    everyone = [
        standing(made_of(PASSED)),
        alone("b.zip", Outcome(reason="b.zip is no archive", blame="student")),
        alone("c.zip", Outcome(reason="the machine failed", blame="grader")),
        Standing("d", counts=pending),
        Standing("e", name="Kim"),
    ]
    suites = written(everyone, tmp_path)
    assert [[results(case) for case in suite] for suite in suites] == [
        [[]],
        [[Failure]],
        [[Error]],
        [[Skipped]],
        [[Skipped]],
    ]
    assert next(iter(suites[1])).result[0].message == "b.zip is no archive"


@pytest.mark.parametrize("what", EVERYTHING)
def test_no_text_of_a_student_ends_an_element_or_is_refused_by_a_parser(what: str, tmp_path: Path) -> None:
    (suite,) = written([standing(record(EVERYTHING[what]))], tmp_path)
    assert len(list(suite)) == 1
    assert (tmp_path / "junit.xml").stat().st_size < 50_000  # five texts of 2,000 characters at most, escaped
    refused = alone(EVERYTHING[what], Outcome(reason=EVERYTHING[what], blame="student"))
    (suite,) = written([refused], tmp_path)
    assert [results(case) for case in suite] == [[Failure]]


@given(text=st.text(st.characters(exclude_categories=())))  # lone surrogates too
@settings(deadline=None, max_examples=50)
def test_whatever_the_text_the_file_is_xml(text: str) -> None:
    check_grammar(ET.fromstring(junit_xml([standing(record(text))], WRITTEN, text)))
