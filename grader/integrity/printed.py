"""What the code of a notebook can have printed: the words before a number, and how far its epochs count."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from grader.notebook import Notebook
from grader.statements import code

MOST_TEXT = 2_000  # characters of one text in the code that are read
_SLOT = re.compile(r"%[-+ #0]*[\d.*]*[a-zA-Z]|\{[^{}]*\}")  # where % and .format put a value
_FIGURE = re.compile(r"(?<![A-Za-z_\d])[-+]?\d[\d.,]*(?:e[-+]?\d+)?", re.IGNORECASE)
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_WORD = re.compile(r"[^\W\d_]{3,}")
# These print figures under words of their own.
_LIBRARIES = re.compile(r"classification_report|lightning|keras|wandb|Trainer\(|torchinfo|torchsummary|tensorboard")


def foreign_label(notebook: Notebook, lines: Sequence[str]) -> tuple[str, str] | None:
    """The first of the lines with words before a number that no text in the code ends with, and the words.

    A text may be put together of parts: the words must end as one part ends. None where libraries may have printed it.
    """
    if any(_LIBRARIES.search(cell.source) for cell in notebook.cells if cell.kind == "code"):
        return None
    known = tuple(sorted({_plain(text) for text in _texts(notebook)} - {""}))
    if not known:
        return None
    for line in lines:
        at = 0
        for figure in _FIGURE.finditer(line):
            label = _plain(line[at : figure.start()])
            at = figure.end()
            if _WORD.search(label) and not label.endswith(known):
                return line, label
    return None


def _plain(text: str) -> str:
    return " ".join(_EDGES.sub("", text).casefold().split())


def _texts(notebook: Notebook) -> Iterator[str]:
    """Every text of the code, in the pieces between which values and figures stand; names too, which `{x=}` prints."""
    for statement in code(notebook).statements:
        for node in ast.walk(statement.node):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for piece in _SLOT.split(node.value[:MOST_TEXT]):
                    yield from _FIGURE.split(piece)
                    yield from piece.split("\n")
            elif isinstance(node, ast.keyword) and node.arg:  # dict(loss=…)
                yield node.arg


# ---- epochs ---------------------------------------------------------------------------------------------------------


def epochs_in(notebook: Notebook) -> frozenset[int]:
    """The whole numbers that the code gives to what is named after epochs, or counts up to; there may be none."""
    trees = [statement.node for statement in code(notebook).statements]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    counted = {"epoch"} | {name for node in nodes for name in _ranged(node)}
    functions = {node.name: node.args for node in nodes if isinstance(node, ast.FunctionDef)}
    found: set[int] = set()
    for node in nodes:
        for name, value in _given(node, functions):
            if any(one in name.casefold() for one in counted):
                found.update(_whole(value))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("range", "trange"):
            found.update(number for argument in node.args for number in _whole(argument))
    return frozenset(found)


def _ranged(node: ast.AST) -> Iterator[str]:
    """The names that a loop counts up to."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("range", "trange"):
        yield from (inner.id.casefold() for one in node.args for inner in ast.walk(one) if isinstance(inner, ast.Name))


def _given(node: ast.AST, functions: dict[str, ast.arguments]) -> Iterator[tuple[str, ast.expr]]:
    """Names, and what is given to them: by assignment, as argument or default, in a mapping."""
    if isinstance(node, ast.Assign):
        yield from ((ast.unparse(target), node.value) for target in node.targets)
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        yield ast.unparse(node.target), node.value
    elif isinstance(node, ast.keyword) and node.arg:
        yield node.arg, node.value
    elif isinstance(node, ast.Dict):
        yield from ((ast.unparse(key), value) for key, value in zip(node.keys, node.values, strict=True) if key)
    elif isinstance(node, ast.FunctionDef):
        names = [argument.arg for argument in node.args.args]
        yield from zip(names[len(names) - len(node.args.defaults) :], node.args.defaults, strict=True)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
        names = [argument.arg for argument in functions[node.func.id].args]
        yield from zip(names, node.args, strict=False)


def _whole(value: ast.expr) -> Iterator[int]:
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and type(node.value) is int:
            yield node.value
