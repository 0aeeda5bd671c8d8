"""The reports as options of the command line: what goes where, what is refused, and the published schema."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from conftest import ROOT, HandIn, small_assignment
from handmade import BROKEN, EVERYTHING, FAILED, HOSTILE, PASSED, made_of, record, standing

from grader.cli import main
from grader.errors import IntakeError
from grader.records import Record, from_json, to_json
from grader.report.results import Standing, alone, grades
from grader.report.schema import record_schema
from grader.work import Outcome

PUBLISHED = ROOT / "docs/record.schema.json"


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def cli(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "grade.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_assignment(tmp_path_factory.mktemp("small") / "reference", ("positional_encoding", "mlp"))


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A submission whose own text reaches for the log."""
    text = "::error::1</b>|`\\x1b[2J"
    hand_in = HandIn().without_figures().edit("return X + self.PE[:, :X.size(1)]", f"raise ValueError('{text}')")
    return hand_in.pack(tmp_path_factory.mktemp("wrong"))


def test_one_run_writes_every_report(small: Path, wrong: Path, tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    page.write_text("what another step wrote", encoding="utf-8")
    files = {name: tmp_path / name for name in ("json", "junit", "gradescope")}
    flags = [argument for name, path in files.items() for argument in (f"--{name}", path)]
    done = cli(wrong, "--assignment", small, *flags, "--github", GITHUB_STEP_SUMMARY=str(page))
    assert done.returncode == 1, done.stderr
    found = json.loads(files["json"].read_bytes())
    jsonschema.validate(found, schema())
    assert ET.parse(files["junit"]).getroot().get("failures") == "2"
    assert json.loads(files["gradescope"].read_bytes())["score"] == found["score"] == 5
    first, *lines = done.stdout.splitlines()
    stopped = re.fullmatch(r"::stop-commands::([0-9a-f]{32})", first)
    assert stopped
    end = lines.index(f"::{stopped[1]}::")
    assert any("Positional encoding" in line for line in lines[:end])
    assert lines[end + 1].startswith("::error title=Positional encoding%3A ")
    assert all(re.match("::(error|warning) ", line) for line in lines[end + 1 :])
    written = page.read_text(encoding="utf-8")
    assert written.startswith("what another step wrote\n## `1102444016`: 5 of 13 points\n")


def test_what_cannot_be_graded_is_in_the_reports_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise IntakeError("1102444016.zip: it is no archive")

    monkeypatch.setattr("grader.commands.grade._record_of", refuse)  # torch and a sandbox take seconds
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    archive, out, junit = (tmp_path / name for name in ("1102444016.zip", "results.json", "junit.xml"))
    archive.write_bytes(b"none")
    assert main([str(archive), "--gradescope", str(out), "--junit", str(junit), "--github"]) == 3
    assert json.loads(out.read_bytes())["score"] == 0
    assert ET.parse(junit).getroot().get("failures") == "1"
    assert capsys.readouterr().out.startswith("::warning title=1102444016.zip%3A refused::1102444016.zip: it is no")


def test_a_class_has_a_suite_a_student_and_a_page(small: Path, wrong: Path, tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()
    os.link(wrong, tmp_path / "class" / wrong.name)
    (tmp_path / "class/1102444017.zip").write_bytes(b"none")
    page, junit = tmp_path / "summary.md", tmp_path / "junit.xml"
    call = [tmp_path / "class", "--assignment", small, "--out", tmp_path / "out", "--jobs", 1]
    done = cli(*call, "--junit", junit, "--github", GITHUB_STEP_SUMMARY=str(page))
    assert done.returncode == 3, done.stderr
    assert [suite.get("name") for suite in ET.parse(junit).getroot()] == ["1102444016", "1102444017"]
    assert "| `1102444016` | graded | 5 / 13 |" in page.read_text(encoding="utf-8")
    assert done.stdout.count("::stop-commands::") == 2  # while it is graded, and at the end
    commands = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert commands[-1].startswith("::warning title=1102444017%3A refused::")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.zip", "--json", "-", "--github"], "--github and --json - would be mixed"),
        (["x.zip", "--junit", "-", "--gradescope", "-"], "--junit - and --gradescope - would be mixed"),
        (["x.zip", "--junit", "r", "--gradescope", "./r"], "--junit and --gradescope name the same file"),
        (["x.zip", "--junit", "/nowhere/x.xml"], "--junit /nowhere/x.xml: the folder /nowhere does not exist"),
        (["x.zip", "--github"], "$GITHUB_STEP_SUMMARY /nowhere/summary.md: the folder /nowhere does not exist"),
        (["x.zip", "--gradescope", "/"], "--gradescope / is a folder"),
        (["x.zip", "--out", "o", "--gradescope", "r"], "--gradescope is for one submission"),
        (["x.zip", "--out", "o", "--junit", "-"], "--junit - is for one submission"),
        (["merge", "a", "--out", "o", "--junit", "/nowhere/x.xml"], "the folder /nowhere does not exist"),
        (["schema", "--output", "/nowhere/x.json"], "--output /nowhere/x.json: the folder /nowhere does not exist"),
        (["gradescope", "--output", "/nowhere/x.zip"], "--output /nowhere/x.zip: the folder /nowhere does not exist"),
        (["gradescope", "--assignment", "/nowhere"], "/nowhere/assignment.toml cannot be read"),
        (["autograde", "/nowhere"], "/nowhere has no folder submission"),
        (["gradebook", "x.csv"], "--results"),
    ],
)
def test_a_wrong_call_is_one_sentence(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/nowhere/summary.md")
    Path("x.zip").write_bytes(b"none")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert sorted(os.listdir()) == ["x.zip"]


@pytest.mark.parametrize("what", EVERYTHING)
def test_in_the_sheet_of_a_class_text_that(what: str) -> None:
    text = EVERYTHING[what]
    everyone = [standing(record(text)), alone(text, Outcome(reason=text, blame="student")), Standing(text, name=text)]
    sheet = list(csv.DictReader(io.StringIO(grades(everyone, ["k"]), newline=""), strict=True))
    assert [row["status"] for row in sheet] == ["graded", "refused", "not handed in"]
    cells = [value for row in sheet for value in row.values()]
    assert all(value.isprintable() for value in cells)
    assert not [value for value in cells if value.lstrip()[:1] in tuple("=+-@|%")]


# ---- the schema -----------------------------------------------------------------------------------------------------


def test_the_published_schema_is_that_of_the_types(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert PUBLISHED.read_bytes() == record_schema()
    assert main(["schema", "--check"]) == 0
    stale = tmp_path / "schema.json"
    assert main(["schema", "--check", "--output", str(stale)]) == 1
    assert "is stale" in capsys.readouterr().err
    assert main(["schema", "--output", str(stale)]) == 0
    assert main(["schema", "--check", "--output", str(stale)]) == 0
    described = schema()["$defs"].values()
    assert all(one.get("title") and (one.get("description") or "enum" in one) for one in described)


@pytest.mark.parametrize("made", [made_of(PASSED, FAILED, BROKEN), *(record(text) for text in HOSTILE.values())])
def test_a_record_fits_the_schema_and_what_is_no_record_does_not(made: Record) -> None:
    text = to_json(made)
    jsonschema.validate(json.loads(text), schema())
    assert from_json(text) == made
    for wrong in ({"score": "1"}, {"surprise": 1}, {"criteria": [{}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(text) | wrong, schema())
        with pytest.raises(msgspec.ValidationError):  # the schema and the decoder agree
            from_json(json.dumps(json.loads(text) | wrong).encode())
