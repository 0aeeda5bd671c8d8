"""The test transform of a notebook: read off its source where it is simple, else sliced to be run in the worker."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from grader.notebook import Cell, Notebook, Program
from grader.program import slice_program
from grader.statements import code
from grader.wire import Affine

NAME = "held_out_transform"  # what the sliced transform is bound to
MAX_HOPS = 8

# Random augmentation leaves a test image as it is on average; a test transform that holds one is taken without it.
AUGMENTATIONS = frozenset({"RandomHorizontalFlip", "RandomRotation", "RandomCrop", "RandomErasing", "RandomAffine"})


def transform_of(notebook: Notebook, dataset_call: str) -> Affine | Program:
    """The transform that the notebook gives the test split of its data set.

    dataset_call: the class that is called for the data, e.g. "FashionMNIST". A call with train=False counts before
    one with train=True, the last before the first. Without any, images are scaled to [0, 1] alone. What is not read
    off the source comes back as a program that binds `NAME` to it.
    """
    best: tuple[tuple[bool, int], ast.expr, Mapping[str, ast.expr], int] | None = None
    for position, statement in enumerate(code(notebook).statements):
        for scope, call in _calls(statement.node, dataset_call):
            transform = _argument(call, "transform", 2)
            train = _argument(call, "train", 1)
            is_test = isinstance(train, ast.Constant) and train.value is False
            if transform is not None and (best is None or (is_test, position) >= best[0]):
                best = (is_test, position), transform, scope, statement.cell
    if best is None:
        return Affine()
    _, expression, local, cell = best
    bindings = {**_assignments([s.node for s in code(notebook).statements]), **local}
    simple = _affine(expression, bindings, MAX_HOPS)
    if simple is not None:
        return simple
    try:
        return _program(notebook, expression, local, cell)
    except (ValueError, RecursionError):  # a number or a nesting that can be read and not be written again
        return Affine()


def _calls(node: ast.stmt, name: str) -> Iterator[tuple[dict[str, ast.expr], ast.Call]]:
    """Calls of `name`, each with the local assignments of the function around it."""
    scope: dict[str, ast.expr] = {}
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        scope = _assignments(list(ast.walk(node)))
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call):
            function = inner.func
            called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if called == name:
                yield scope, inner


def _assignments(nodes: list[ast.AST] | list[ast.stmt]) -> dict[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
    return found


def _argument(call: ast.Call, name: str, position: int) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[position] if len(call.args) > position else None


def _affine(node: ast.expr, bindings: Mapping[str, ast.expr], hops: int) -> Affine | None:
    """The transform as one affine map, or None if it is not certain to be one."""
    if isinstance(node, ast.Name) and node.id in bindings and hops:
        return _affine(bindings[node.id], bindings, hops - 1)
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name == "ToTensor":
        return Affine()
    if name != "Compose" or not node.args or not isinstance(node.args[0], ast.List | ast.Tuple):
        return None
    result = Affine()
    for step in node.args[0].elts:
        if not isinstance(step, ast.Call):
            return None
        kind = step.func.attr if isinstance(step.func, ast.Attribute) else getattr(step.func, "id", "")
        if kind in AUGMENTATIONS or kind == "ToTensor":
            continue
        numbers = [_number(argument) for argument in (_argument(step, "mean", 0), _argument(step, "std", 1))]
        if kind != "Normalize" or None in numbers or result != Affine():
            return None
        mean, std = numbers
        result = Affine(mean=mean or 0.0, std=std or 1.0)
    return result


def _number(node: ast.expr | None) -> float | None:
    """A literal number, or the only one in a tuple or list."""
    try:
        value = ast.literal_eval(node) if node is not None else None
        if isinstance(value, tuple | list) and len(value) == 1:
            value = value[0]
        return float(value) if isinstance(value, int | float) else None
    except (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError):
        return None  # `{[]: 1}` cannot be hashed, and an integer may be too large for a float


def _program(notebook: Notebook, expression: ast.expr, scope: Mapping[str, ast.expr], cell: int) -> Program:
    """The slice of the notebook with one more cell, which binds the expression; local names are bound before it."""
    lines = [f"{name} = {ast.unparse(value)}" for name, value in scope.items() if _feeds(name, expression, scope)]
    source = "\n".join([*lines, f"{NAME} = {ast.unparse(expression)}"])
    extra = Cell(index=len(notebook.cells), kind="code", source=source)
    return slice_program(Notebook(name=notebook.name, cells=(*notebook.cells, extra)), [NAME])


def _feeds(name: str, expression: ast.expr, scope: Mapping[str, ast.expr]) -> bool:
    needed: set[str] = set()
    waiting: list[ast.expr] = [expression]
    while waiting:
        for node in ast.walk(waiting.pop()):
            if isinstance(node, ast.Name) and node.id not in needed:
                needed.add(node.id)
                if node.id in scope:
                    waiting.append(scope[node.id])
    return name in needed
