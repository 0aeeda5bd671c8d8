"""What code computes, told from how it is written down: fingerprints of its dataflow.

A use of a variable stands for the expression that it was bound to, so that neither names nor the order of independent
statements nor the number of steps matters; comments, formatting, docstrings, annotations, prints, asserts and what
leads to no result are not there at all. An expression's label is made of its operation and of the labels of what goes
in, to a depth of 1, 2 and 3 (the relabelling of Weisfeiler and Lehman; Shervashidze et al. 2011): a change in one place
alters the labels within that depth and no others.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grader.integrity.expressions import Expressions, Names, Node, Scope, hashed
from grader.trees import FUNCTIONS

_SILENT = frozenset({"print", "display"})


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: what it computes, its line in the source, and a label that no other statement's code changes."""

    fingerprints: frozenset[int]
    line: int
    plain: int


def statements(body: Sequence[ast.stmt], names: Names) -> list[Statement]:
    """The statements in `body`, those of functions and classes in it included. Raises TooLong and RecursionError."""
    reader = Reader(names)
    return [found for node in body for found in reader.read(node)]


class Reader(Expressions):
    """Reads the top-level statements of one piece of code, one after the other."""

    def __init__(self, names: Names) -> None:
        super().__init__(names)
        self._scope: Scope = {}
        self._found: list[tuple[list[Node], int, int]] = []  # what was made, line, plain

    def read(self, node: ast.stmt) -> list[Statement]:
        """The statements in this one, itself included. Raises TooLong and RecursionError."""
        self._found, self._ends = [], []
        self.statement(node, self._scope)
        self._ends += self._scope.values()
        live = _leading_to(self._ends)
        found = []
        for made, line, plain in self._found:
            labels = frozenset(label for one in made if one in live for label in one.labels[1:])
            if labels:
                found.append(Statement(labels, line, plain))
        return found

    # ---- statements ---------------------------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        for node in body:
            self.statement(node, scope)

    def statement(self, node: ast.stmt, scope: Scope) -> None:
        if isinstance(node, ast.ClassDef):
            self._class(node, scope)
        elif isinstance(node, FUNCTIONS):
            self._function(node, scope)
        elif not _is_silent(node):
            plain = self._plain(node)
            self._made = []
            self._bind(node, scope)
            self._found.append((self._made, node.lineno, plain))
            for inner in _bodies(node):
                self.block(inner, scope)

    def _plain(self, node: ast.stmt) -> int:
        """The statement by itself, whatever stands before it."""
        attributes, self._attributes, self._made = self._attributes, {}, []
        self._bind(node, {})
        self._attributes = attributes
        return hashed(",".join(f"{made.labels[-1]:x}" for made in self._made))

    def _bind(self, node: ast.stmt, scope: Scope) -> None:
        """Read the head of the statement, and note what it binds."""
        if isinstance(node, ast.Assign):
            value = self.expression(node.value, scope)
            for target in node.targets:
                self.assign(target, value, node.value, scope)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self.assign(node.target, self.expression(node.value, scope), node.value, scope)
        elif isinstance(node, ast.AugAssign):
            left, right = self.expression(node.target, scope), self.expression(node.value, scope)
            self.assign(node.target, self._operation(node.op, left, right), None, scope)
        elif isinstance(node, ast.For | ast.AsyncFor):
            each = self.node("each", self.expression(node.iter, scope))
            self._ends.append(each)
            self.assign(node.target, each, None, scope)
        elif isinstance(node, ast.If | ast.While):
            self.end(type(node).__name__, self.expression(node.test, scope))
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                value = self.expression(item.context_expr, scope)
                self._ends.append(value)
                if item.optional_vars is not None:
                    self.assign(item.optional_vars, value, None, scope)
        elif isinstance(node, ast.Return):
            self.end("return", *([self.expression(node.value, scope)] if node.value is not None else []))
        elif isinstance(node, ast.Expr):
            self._ends.append(self.expression(node.value, scope))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, outer: Scope) -> None:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += [argument for argument in (node.args.vararg, node.args.kwarg) if argument is not None]
        outer[node.name] = self._function_node
        scope = dict(outer)
        scope.update((argument.arg, self.node(f"argument {place}")) for place, argument in enumerate(arguments))
        self.block(node.body, scope)

    def _class(self, node: ast.ClassDef, outer: Scope) -> None:
        outer[node.name] = self.node("class") if node.name not in self._names.known else self.node(node.name)
        self._attributes = {}
        # What is kept in `self` is known to all methods, wherever the constructor stands; and to those that are put
        # into the class later.
        first = sorted(node.body, key=lambda child: getattr(child, "name", "") != "__init__")
        self.block(first, dict(outer))


def _leading_to(ends: Sequence[Node]) -> set[Node]:
    """The nodes that these are made of, themselves included."""
    found, queue = set(ends), list(ends)
    while queue:
        for one in queue.pop().inputs:
            if one not in found:
                found.add(one)
                queue.append(one)
    return found


def _is_silent(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Constant):
            return True
        called = node.value.func if isinstance(node.value, ast.Call) else None
        return getattr(called, "id", getattr(called, "attr", "")) in _SILENT
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Assert | ast.Pass | ast.Global | ast.Nonlocal)


def _bodies(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        inner = getattr(node, name, None)
        if inner:
            yield inner
    for handler in [*getattr(node, "handlers", ()), *getattr(node, "cases", ())]:
        yield handler.body
