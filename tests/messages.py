"""What students may read, collected from the sources without running them: titles, sentences, parts of sentences.

A message is told by its *key*: the text with {} in place of what is filled in, and without the {} at its two ends; so
the part “ in cell {}, line {}: {}” of a sentence is the same as “{exception} in cell {cell}, line {line}: {code}”.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from string import Formatter
from typing import NamedTuple

# All that these say may reach a student; of other modules, only what they hand to one of TOLD.
SPEAKING = (
    "archives", "checking", "checkpoint", "commands/selfcheck", "exhibits", "experiments", "flags", "intake",
    "notebook", "pytest_plugin", "report/pages/excerpts", "report/pages/pictures", "report/pages/plots",
    "report/pages/student", "rubric", "sandbox/__init__", "selfcheck", "settings", "statements", "submission",
    "worker/objects", "worker/weights",
)  # fmt: skip
TOLD = frozenset(
    {"IntakeError", "NotGraded", "NotebookError", "WireError", "Missing", "Raised", "Failed", "TimedOut", "OutOfMemory"}
    | {"Died", "BadCheckpoint", "Flag", "Diagnosis", "Ending", "fail", "assert_tensor", "assert_shape", "assert_close"}
)
SKELETON = "skeleton"  # the beginning of somebody's assignment, which says what it wants
FOR_STAFF = ("classroom.html.jinja", "own_work.html.jinja")  # pages in English
SAY = "say"  # takes a report's own words
FIGURE = "figure"  # takes labels, in whatever place
# What is handed to these is for whoever runs the grader, or for no one.
NOT_TOLD = frozenset(
    {"AssignmentError", "UsageError", "SandboxError", "ClusterError", "AttributeError", "compile", "match", "search"}
    | {"split", "partition", "removeprefix", "removesuffix", "fullmatch", "UsageError", "add_argument", "RuntimeError"}
)
NEVER_SHOWN = frozenset({"agrees", "same", "kind_of_map", "__repr__"})  # functions: what they say is for the diagnosis
_HOLE = "{}"
_WORDS = re.compile(r"[A-Za-z]{2,}")


class Message(NamedTuple):
    """A text as it stands in a source, with its holes as {}.

    said: a report's own, looked up whole. label: for people, though it may be one word.
    """

    text: str
    path: Path
    line: int
    said: bool = False
    label: bool = False

    @property
    def key(self) -> str:
        return key(self.text)


def key(text: str) -> str:
    """The text without holes at its ends."""
    while text.startswith(_HOLE):
        text = text[2:]
    while text.endswith(_HOLE):
        text = text[:-2]
    return text


def holes_blank(template: str) -> str:
    """A template of a catalogue with {} in place of {its holes}."""
    pieces = Formatter().parse(template)
    return "".join(literal + (_HOLE if hole is not None else "") for literal, hole, _, _ in pieces)


def in_python(path: Path, everything: bool = True) -> Iterator[Message]:
    """The messages of a module. everything: not only what it hands to one of TOLD."""
    for message in _Collector(path, everything).found():
        if message.said or message.label or is_phrase(message.text):
            yield message


def in_engine(package: Path) -> Iterator[Message]:
    """The messages of all modules of a package: of SPEAKING everything, of the others what they hand to one of TOLD."""
    for path in sorted(package.rglob("*.py")):
        if path.is_relative_to(package / SKELETON):
            continue
        name = path.relative_to(package).with_suffix("").as_posix()
        yield from in_python(path, any(name == speaking or name.startswith(f"{speaking}/") for speaking in SPEAKING))


def strings(folder: Path) -> Iterator[str]:
    """The key of every text in a folder's modules, phrase or not."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr | ast.Constant) and (text := _template(node)) is not None:
                yield key(text)


def in_checks(folder: Path) -> Iterator[Message]:
    """What an assignment's checks and figures say: their titles, which are docstrings, and their messages."""
    for path in sorted([*folder.glob("checks/*.py"), *folder.glob("exhibits/*.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            titled = isinstance(node, ast.FunctionDef) and node.name.startswith(("test_", "exhibit_"))
            if titled and (title := ast.get_docstring(node)):
                yield Message(" ".join(title.split()), path, node.lineno)
        yield from in_python(path)


def pages(folder: Path) -> list[Path]:
    """The templates of what students see."""
    return [path for path in sorted(folder.rglob("*.jinja")) if path.name not in FOR_STAFF]


def in_templates(folder: Path) -> Iterator[Message]:
    """What the templates of pages say in words of their own."""
    for path in pages(folder):
        text = path.read_text(encoding="utf-8")
        for said in re.finditer(r"\bsay\(\"([^\"]*)\"", text):
            yield Message(holes_blank(said[1]), path, text.count("\n", 0, said.start()) + 1, said=True)


def unsaid(path: Path) -> list[str]:
    """The words that stand in a template without `say`."""
    code = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<style>.*?</style>", re.DOTALL)
    text = re.sub(r"<[^<>]*>", "\n", code.sub("", path.read_text(encoding="utf-8")))
    return [line.strip() for line in text.split("\n") if _WORDS.search(line)]


def in_configuration(folder: Path) -> Iterator[Message]:
    """The titles in assignment.toml, and the messages of the mutants."""
    path = folder / "assignment.toml"
    config = tomllib.loads(path.read_text(encoding="utf-8"))
    titled = [config, *config["files"].values(), *config["criteria"].values()]
    yield from (_in_text(path, spec["title"]) for spec in titled)
    for path in sorted((folder / "mutants").glob("*.toml")):
        for mutant in tomllib.loads(path.read_text(encoding="utf-8")).values():
            yield _in_text(path, mutant["message"])


def _in_text(path: Path, text: str) -> Message:
    lines = path.read_text(encoding="utf-8").splitlines()
    return Message(text, path, next((n for n, line in enumerate(lines, 1) if text in line), 0))


class _Collector:
    """Walks a module. Texts that are formatted keep their literal parts; what is filled in is looked through too."""

    def __init__(self, path: Path, everything: bool) -> None:
        self._path = path
        self._everything = everything
        self._tree = ast.parse(path.read_text(encoding="utf-8"))

    def found(self) -> Iterator[Message]:
        yield from self._within(self._tree, self._everything)

    def _within(self, node: ast.AST, told: bool) -> Iterator[Message]:
        if isinstance(node, ast.Call):
            name = _name(node.func)
            if name in NOT_TOLD:
                return
            if name == SAY:
                for text in node.args[:1]:
                    if isinstance(text, ast.Constant) and isinstance(text.value, str):
                        yield Message(holes_blank(text.value), self._path, node.lineno, said=True)
                yield from self._each([*node.args[1:], *node.keywords], told)
                return
            told = told or name in TOLD
            if name == FIGURE:
                texts = [t for t in ast.walk(node) if isinstance(t, ast.Constant) and isinstance(t.value, str)]
                yield from (
                    Message(text.value, self._path, text.lineno, label=True) for text in texts if _is_label(text)
                )
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            if getattr(node, "name", "") in NEVER_SHOWN:
                return
            body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            yield from self._each([*body, *getattr(getattr(node, "args", None), "defaults", [])], told)
            return
        elif isinstance(node, ast.Assert | ast.arg | ast.Compare):
            return
        elif isinstance(node, ast.AnnAssign):
            yield from self._each([node.value], told)
            return
        elif isinstance(node, ast.JoinedStr | ast.Constant):
            text = _template(node)
            if told and text is not None:
                yield Message(text, self._path, node.lineno)
            if isinstance(node, ast.JoinedStr):
                yield from self._each([v.value for v in node.values if isinstance(v, ast.FormattedValue)], told)
            return
        yield from self._each(ast.iter_child_nodes(node), told)

    def _each(self, nodes: Iterable[ast.AST | None], told: bool) -> Iterator[Message]:
        for node in nodes:
            if node is not None:
                yield from self._within(node, told)


def is_phrase(text: str) -> bool:
    """Words for people, rather than a name, a key or a pattern."""
    return " " in text and _WORDS.search(key(text)) is not None


def _is_label(text: ast.Constant) -> bool:
    return " " not in text.value and _WORDS.search(text.value) is not None


def _template(node: ast.JoinedStr | ast.Constant) -> str | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    parts = [part.value if isinstance(part, ast.Constant) else _HOLE for part in node.values]
    return "".join(str(part) for part in parts)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
