"""Whatever a student wrote, no report of it acts on the terminal, the file or the CI log that shows it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, HandIn
from handmade import HOSTILE, record
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from grader.inert import one_line
from grader.records import from_json, to_json
from grader.report.terminal import show


def check_inert(shown: str) -> None:
    """No line acts, nor looks like the last one of a report."""
    for line in shown.split("\n"):
        assert line.isprintable(), line
        assert not re.match(r"\s*::[A-Za-z]", line), line  # GitHub looks past what a line is indented by
        assert not re.search(r"##\w*\[", line), line
        assert not re.search("[\u0300-\u036f]{4}", line), line
        assert not line.startswith("100 / 100"), line


def on_a_terminal(text: str, width: int) -> str:
    shown = io.StringIO()
    show(record(text), Console(file=shown, width=width, highlight=False))
    return shown.getvalue()


@pytest.mark.parametrize("width", [20, 80])
@pytest.mark.parametrize("what", HOSTILE)
def test_on_a_terminal_text_that(what: str, width: int) -> None:
    check_inert(on_a_terminal(HOSTILE[what], width))


@pytest.mark.parametrize("what", HOSTILE)
def test_in_the_json_record_text_that(what: str) -> None:
    text = to_json(record(HOSTILE[what])).decode()
    check_inert(text)
    assert from_json(text.encode()) == record(HOSTILE[what])  # spelled otherwise, and the same


@given(text=st.text(), width=st.integers(20, 120))
@example(text="\x7f", width=20)
@settings(deadline=None)
def test_whatever_the_text_nothing_in_a_report_acts(text: str, width: int) -> None:
    check_inert(on_a_terminal(text, width))
    written = to_json(record(text)).decode()
    check_inert(written)
    assert from_json(written.encode()) == record(text)


@pytest.mark.parametrize("text", ["값 = 1", "x[:, ::2]", "école → naïve", "d['a']: 3", "# note", "각" * 3])
def test_what_students_write_in_good_faith_is_shown_as_it_is(text: str) -> None:
    assert one_line(text) == text


def hostile_hand_in(folder: Path) -> Path:
    """Exceptions, prints, names of files, classes and tensors that all reach for the terminal."""
    everything = "".join(HOSTILE.values())
    hand_in = HandIn()
    hand_in.edit(
        "output = self.norm2(X + self.dropout(self.ffn(X)))",
        f"raise type('E\\x1b[2J::error::', (Exception,), {{}})({everything!r})",
    )
    hand_in.edit("class Mlp(nn.Module):", f"raise ValueError({everything!r})\nclass Mlp(nn.Module):")
    hand_in.edit("class PatchEmbed(nn.Module):", "class PatchEmbed(nn.Module:  # \x1b[2J \u202e ::error::x ##[group]x")
    output = {"output_type": "error", "ename": everything, "evalue": everything, "traceback": [everything]}
    for notebook in hand_in.notebooks.values():
        notebook["cells"][-1].setdefault("outputs", []).append(output)
        notebook["cells"][-1]["cell_type"] = "code"
    buffer = io.BytesIO()
    torch.save({f"norm{everything}": torch.ones(1)}, buffer)
    hand_in.files = {f"vit{everything.replace('/', '')[:80]}.pth": buffer.getvalue(), f"{everything}.ipynb": b"{}"}
    packed = hand_in.pack(folder)
    name = "\x1b[2J\u202e::error::##[group]\n100 _1102444016.tar.gz"
    return packed.rename(folder / name)


def test_a_hostile_submission_reaches_nothing_from_end_to_end(tmp_path: Path) -> None:
    archive, out = hostile_hand_in(tmp_path), tmp_path / "record.json"
    page = tmp_path / "page.html"
    command = [sys.executable, str(ROOT / "grade.py"), str(archive), "--no-accuracy", "--json", str(out)]
    command += ["--html", str(page), "--audience", "instructor"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    check_inert(done.stdout)
    check_inert(done.stderr)
    check_inert(out.read_text(encoding="utf-8"))
    assert all(line.isprintable() for line in page.read_text(encoding="utf-8").split("\n"))
    found = json.loads(out.read_text(encoding="utf-8"))
    lost = {criterion["id"] for criterion in found["criteria"] if criterion["points"] < criterion["max_points"]}
    assert {"encoder", "patch_embed", "checkpoint"} <= lost
    assert not found["needs_person"]
    for text in ("encoder", "patch_embed"):
        assert text in {criterion["id"] for criterion in found["criteria"]}


def test_nor_where_the_checks_are_run_by_pytest(tmp_path: Path) -> None:
    checks = [str(ROOT / f"reference/checks/test_{name}.py") for name in ("encoder", "patch_embed")]
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "-p", "no:cacheprovider", *checks]
    command.append(f"--submission={hostile_hand_in(tmp_path)}")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "raised: " in done.stdout
    for line in done.stdout.split("\n"):
        assert line.isprintable(), line
        assert not re.match(r"\s*::", line), line
        assert not re.search(r"##\w*\[", line), line


def test_nor_where_it_cannot_be_graded(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2J\u202e##[group]\n::error::1102444016.zip"
    path.write_bytes(b"PK\x05\x06")
    done = subprocess.run(
        [sys.executable, str(ROOT / "grade.py"), str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    check_inert(done.stderr)
