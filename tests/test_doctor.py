"""Machines that are not at hand, described by their facts; and this one."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from rich.console import Console

from grader import cli, doctor
from grader.doctor import Facts, advice, ready, tier_of
from grader.report.health import show
from grader.sandbox import WALLED

PACKAGES = {"torch": "2.13.0", "torchvision": "0.28.0"}
WORKS = {"bwrap": "", "landlock": ""}
WEAKER = {"bwrap": "no namespaces", "landlock": ""}
NEITHER = {"bwrap": "no namespaces", "landlock": "this kernel has none"}


def machine(**facts: Any) -> Facts:
    return Facts(**({"packages": PACKAGES, "bwrap": "0.8.0", "landlock": 7, "installer": "apt-get"} | facts))


def test_a_machine_where_nothing_is_missing_is_told_nothing() -> None:
    assert advice(machine(tiers=WORKS)) == ("", "")
    assert ready(machine(tiers=WORKS))


APPARMOR = {"kernel.apparmor_restrict_unprivileged_userns": "1"}


@pytest.mark.parametrize(
    ("facts", "command", "tier"),
    [
        ({"tiers": NEITHER, "bwrap": ""}, "sudo apt-get install -y bubblewrap", ""),
        ({"tiers": NEITHER, "bwrap": "", "root": True}, "apt-get install -y bubblewrap", ""),
        ({"tiers": WEAKER, "bwrap": "", "installer": "dnf"}, "sudo dnf install -y bubblewrap", "landlock"),
        (
            {"tiers": NEITHER, "settings": APPARMOR},
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
            "",
        ),
        (
            {"tiers": NEITHER, "settings": {"kernel.unprivileged_userns_clone": "0"}},
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
            "",
        ),
        (
            {"tiers": WEAKER, "settings": {"user.max_user_namespaces": "0"}, "root": True},
            "sysctl -w user.max_user_namespaces=15000",
            "landlock",
        ),
        (
            {"tiers": WEAKER, "container": "docker", "root": True, "settings": APPARMOR},
            "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
            "--security-opt systempaths=unconfined IMAGE",
            "landlock",
        ),
        ({"tiers": NEITHER}, doctor.TRY_BUBBLEWRAP, ""),
        ({"tiers": NEITHER, "system": "Darwin", "bwrap": ""}, doctor.SELF_CHECK, ""),
        ({"tiers": NEITHER, "system": "Windows", "bwrap": ""}, "wsl --install", ""),
        ({"tiers": NEITHER, "colab": True, "root": True}, doctor.SELF_CHECK, ""),
        ({"tiers": NEITHER, "machine": "riscv64"}, doctor.SELF_CHECK, ""),
        ({"tiers": NEITHER, "packages": {"torch": ""}, "bwrap": ""}, "make demo", ""),
        ({"tiers": WORKS, "held_out": "labels are not there"}, "git checkout HEAD -- reference", "bwrap"),
    ],
)
def test_what_is_missing_is_mended_by_one_command(facts: dict[str, Any], command: str, tier: str) -> None:
    found = machine(**facts)
    sentence, given = advice(found)
    assert (given, tier_of(found)) == (command, tier)
    assert sentence.endswith((".", ": " + doctor.SELF_CHECK))
    assert ready(found) == (tier != "" and not found.held_out)


@pytest.mark.parametrize(("tiers", "code"), [(WORKS, 0), (WEAKER, 0), (NEITHER, 3)])
def test_the_exit_code_says_whether_grading_is_possible(
    tiers: dict[str, str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "look", lambda _: machine(tiers=tiers))
    assert cli.main(["doctor"]) == code
    output = capsys.readouterr().out
    assert ("cannot be graded here" in output) == (code == 3)
    assert cli.main(["doctor", "--verbose"]) == 2


def test_what_does_not_come_up_is_shown_with_its_reason() -> None:
    output = io.StringIO()
    facts = machine(tiers=NEITHER, bwrap="", held_out="[red]a name[/red] is missing")
    show(facts, "", False, advice(facts), Console(file=output, width=200))
    lines = output.getvalue().splitlines()
    assert any(line.split() == ["tier", "landlock", "this", "kernel", "has", "none"] for line in lines)
    assert any("[red]a name[/red] is missing" in line for line in lines)  # no markup
    assert any(line.split() == ["bubblewrap", "missing"] for line in lines)


def test_this_machine_is_seen_as_it_is() -> None:
    facts = doctor.look(ROOT / "reference")
    assert facts.system == "Linux"
    assert facts.held_out == ""
    assert facts.packages["torch"]
    assert facts.python.startswith("3.")
    assert facts.cores >= 1
    assert facts.memory_mb > 1000
    assert facts.tiers == dict.fromkeys(WALLED, "")  # a machine that runs these tests has both
    assert facts.landlock >= 1
    assert facts.bwrap[0].isdigit()


def test_the_tiers_are_those_of_the_sandbox() -> None:
    assert doctor.TIERS == WALLED


def test_a_changed_or_missing_held_out_set_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "reference"
    shutil.copytree(ROOT / "reference", folder, ignore=shutil.ignore_patterns("notebooks", "*.pth", "__pycache__"))
    assert doctor._held_out(folder) == ""
    labels = folder / "data/fashion-mnist/t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-1] + b"x")
    assert "t10k-labels-idx1-ubyte.gz is not the file that assignment.toml names" in doctor._held_out(folder)
    labels.unlink()
    assert "No such file" in doctor._held_out(folder)


def test_a_package_that_is_missing_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(_: object) -> Facts:
        raise ModuleNotFoundError("No module named 'msgspec'", name="msgspec")

    monkeypatch.setattr(doctor, "look", missing)
    assert cli.main(["doctor"]) == 2
    assert "msgspec is not installed for this Python: run `make demo`" in capsys.readouterr().err
