"""Classes that were never taught: independent solutions put together from the variants, and copies of them.

An independent solution takes for each class either the reference's code or one of the variants, by lot. A copy is what
a student does who hands in another's work: the notebooks of one, changed in one of the ways below.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from torch import nn

from grader.assignment import Assignment, load_assignment
from grader.bank import Variant, as_read, load_variants, solutions, varied
from grader.errors import AssignmentError
from grader.integrity.ground import Ground, ground_of
from grader.integrity.writing import Slot, Text, writing

Notebooks = Mapping[str, NotebookNode]
PLAIN = 0.15  # how often the reference's own code is taken: the obvious lines, which many write
PARTS = ("pe", "attention", "encoder", "decoder", "patch", "vit_attention", "mlp", "block", "vit", "settings")
_ALONE = ("layers", "whole")  # both layers in one; all in one cell
_EXTENDS = "decoder_extends_encoder"  # the reference's own, and no other
_COMMENTS = ("# 먼저 필요한 값을 준비한다", "# 여기서 크기를 맞춘다", "# 결과를 계산한다", "# 마스크를 적용한다")


@cache
def the_assignment() -> Assignment:
    return load_assignment(Path(__file__).resolve().parents[1] / "reference")


@cache
def the_ground() -> Ground:
    return ground_of(the_assignment())


@cache
def _bank() -> tuple[Notebooks, dict[str, list[Variant]]]:
    by_part: dict[str, list[Variant]] = {part: [] for part in (*PARTS, *_ALONE)}
    for variant in load_variants(the_assignment()):
        part = max((part for part in by_part if variant.id.startswith(f"{part}_")), key=len)
        by_part[part].append(variant)
    return solutions(the_assignment()), by_part


def independent(lot: random.Random) -> Notebooks:
    """A correct solution, put together by lot."""
    notebooks, by_part = _bank()
    parts: Sequence[str] = PARTS
    if lot.random() < 0.3:
        parts = ["layers", *(part for part in PARTS if part not in ("encoder", "decoder"))]
    changed: set[str] = set()
    for part in parts:
        if lot.random() >= PLAIN:
            fit = [one for one in by_part[part] if one.id != _EXTENDS or "encoder" not in changed]
            notebooks = varied(notebooks, lot.choice(fit))
            changed.add(part)
    return notebooks


def written(notebooks: Notebooks) -> dict[Slot, Text]:
    """What is compared of these notebooks."""
    found: dict[Slot, Text] = {}
    for role, notebook in notebooks.items():
        found.update(writing(as_read(role, notebook), the_ground().handouts[role]))
    return found


# ---- ways to copy ---------------------------------------------------------------------------------------------------


def _each_cell(notebooks: Notebooks, change: Callable[[str], str | list[str]]) -> Notebooks:
    """The notebooks with each code cell's source changed, perhaps into several cells."""
    changed = copy.deepcopy(dict(notebooks))
    for notebook in changed.values():
        cells = []
        for cell in notebook.cells:
            if cell.cell_type != "code":
                cells.append(cell)
                continue
            made = change(cell.source)
            cells += [nbformat.v4.new_code_cell(source) for source in ([made] if isinstance(made, str) else made)]
        notebook.cells = cells
    return changed


def _each_tree(notebooks: Notebooks, change: Callable[[ast.Module], ast.Module]) -> Notebooks:
    """The same with syntax trees; what does not parse, for its magics, stays."""

    def changed(source: str) -> str:
        try:
            tree = ast.parse(source)
        except SyntaxError:
            return source
        return ast.unparse(ast.fix_missing_locations(change(tree)))

    return _each_cell(notebooks, changed)


def verbatim(notebooks: Notebooks, _lot: random.Random) -> Notebooks:
    return notebooks


class _Renamer(ast.NodeTransformer):
    """Gives new names to local variables and to attributes of one's own."""

    def __init__(self, lot: random.Random, given: frozenset[str]) -> None:
        self._lot = lot
        self._given = given
        self._locals: list[dict[str, str]] = []
        self._attributes: dict[str, str] = {}

    def _new(self, known: dict[str, str], name: str) -> str:
        return known.setdefault(name, f"{self._lot.choice(['tmp', 'val', 'my', 'res'])}_{len(known)}_{name[:1]}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        names: dict[str, str] = {}
        for name in sorted(stored - {argument.arg for argument in node.args.args}):
            self._new(names, name)
        self._locals.append(names)
        self.generic_visit(node)
        self._locals.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self._given |= {n.name for n in ast.walk(node) if isinstance(n, ast.FunctionDef)}
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        for names in reversed(self._locals):
            if node.id in names:
                return ast.Name(names[node.id], node.ctx)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == "self" and node.attr not in self._given:
            node.attr = self._new(self._attributes, node.attr)
        return node


def renamed(notebooks: Notebooks, lot: random.Random) -> Notebooks:
    given = frozenset(dir(nn.Module())).union(*(hand.attributes for hand in the_ground().handouts.values()))
    return _each_tree(notebooks, lambda tree: _Renamer(lot, given).visit(tree))


def _touched(node: ast.stmt) -> tuple[set[str], set[str]]:
    """What a statement reads, and what it writes: variables, attributes, tables."""
    reads: set[str] = set()
    writes: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            (writes if isinstance(inner.ctx, ast.Store) else reads).add(inner.id)
        elif isinstance(inner, ast.Attribute):
            (writes if isinstance(inner.ctx, ast.Store) else reads).add(f".{inner.attr}")
    return reads, writes


def _are_independent(one: ast.stmt, other: ast.stmt) -> bool:
    plain = (ast.Assign, ast.AnnAssign)
    if not (isinstance(one, plain) and isinstance(other, plain)):
        return False
    (reads, writes), (their_reads, their_writes) = _touched(one), _touched(other)
    return not (writes & (their_reads | their_writes) or their_writes & reads)


def reordered(notebooks: Notebooks, lot: random.Random) -> Notebooks:
    """Independent statements, and the methods of a class, in another order; sums the other way round."""

    def change(tree: ast.Module) -> ast.Module:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                for _ in range(3 * len(node.body)):
                    at = lot.randrange(max(len(node.body) - 1, 1))
                    if at + 1 < len(node.body) and _are_independent(node.body[at], node.body[at + 1]):
                        node.body[at : at + 2] = [node.body[at + 1], node.body[at]]
            elif isinstance(node, ast.ClassDef) and all(isinstance(child, ast.FunctionDef) for child in node.body):
                lot.shuffle(node.body)
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
                node.left, node.right = node.right, node.left
        return tree

    return _each_tree(notebooks, change)


def commented(notebooks: Notebooks, lot: random.Random) -> Notebooks:
    """Comments gone, others in Korean above every other line."""

    def change(source: str) -> str:
        try:
            plain = ast.unparse(ast.parse(source))
        except SyntaxError:
            return source
        lines = []
        for line in plain.split("\n"):
            indent = line[: len(line) - len(line.lstrip())]
            if line.strip() and lot.random() < 0.5 and '"""' not in plain and "'''" not in plain:
                lines.append(indent + lot.choice(_COMMENTS))
            lines.append(line)
        return "\n".join(lines)

    return _each_cell(notebooks, change)


def over_cells(notebooks: Notebooks, _lot: random.Random) -> Notebooks:
    """Each statement in a cell of its own, and each method put into its class later."""

    def change(source: str) -> str | list[str]:
        try:
            tree = ast.parse(source)
        except SyntaxError:
            return source
        made: list[str] = []
        for node in tree.body:
            methods = node.body[1:] if isinstance(node, ast.ClassDef) else []
            if isinstance(node, ast.ClassDef) and methods and all(isinstance(n, ast.FunctionDef) for n in node.body):
                plain = [n for n in methods if not n.decorator_list and "super()" not in ast.unparse(n)]
                node.body = [n for n in node.body if n not in plain]
                made.append(ast.unparse(node))
                made += [f"{ast.unparse(n)}\n{node.name}.{n.name} = {n.name}" for n in plain]
            else:
                made.append(ast.unparse(node))
        return made or source

    return _each_cell(notebooks, change)


class _Steps(ast.NodeTransformer):
    """Takes nested calls apart into steps."""

    def __init__(self) -> None:
        self._count = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = [step for child in node.body for step in self._taken_apart(child)]
        return node

    def _taken_apart(self, node: ast.stmt) -> Iterator[ast.stmt]:
        if isinstance(node, ast.Assign | ast.Return) and isinstance(node.value, ast.Call):
            for place, argument in enumerate(node.value.args):
                if isinstance(argument, ast.Call | ast.BinOp):
                    self._count += 1
                    name = f"step{self._count}"
                    yield ast.Assign([ast.Name(name, ast.Store())], argument)
                    node.value.args[place] = ast.Name(name, ast.Load())
        yield node


def in_steps(notebooks: Notebooks, _lot: random.Random) -> Notebooks:
    return _each_tree(notebooks, lambda tree: _Steps().visit(tree))


def padded(notebooks: Notebooks, lot: random.Random) -> Notebooks:
    """Statements that do nothing, between the others."""

    def change(tree: ast.Module) -> ast.Module:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                for number in range(1 + len(node.body) // 2):
                    idle = ast.parse(f"unused_{number} = [{lot.randrange(99)}] * len(str({lot.randrange(99)}))").body
                    at = lot.randrange(len(node.body))
                    node.body[at:at] = idle
        return tree

    return _each_tree(notebooks, change)


def everything(notebooks: Notebooks, lot: random.Random) -> Notebooks:
    for way in (reordered, in_steps, renamed, padded, over_cells, commented):
        notebooks = way(notebooks, lot)
    return notebooks


def a_third_rewritten(notebooks: Notebooks, lot: random.Random) -> Notebooks:
    """Three classes of ten are written anew, in one of the other ways."""
    _, by_part = _bank()
    changed = 0
    for part in lot.sample(PARTS, len(PARTS)):
        with suppress(AssignmentError):  # its class is made in another way here, and has no cell of its own
            if changed < 3:
                notebooks = varied(notebooks, lot.choice(by_part[part]))
                changed += 1
    return renamed(notebooks, lot)


def one_notebook(notebooks: Notebooks, lot: random.Random) -> Notebooks:
    """The first notebook is copied, the second is one's own."""
    first, *_ = notebooks
    return {**independent(lot), first: renamed(notebooks, lot)[first]}


WAYS: Mapping[str, Callable[[Notebooks, random.Random], Notebooks]] = {
    "verbatim": verbatim,
    "renamed": renamed,
    "reordered": reordered,
    "comments translated": commented,
    "split over cells": over_cells,
    "nested calls in steps": in_steps,
    "padded with idle lines": padded,
    "all of these together": everything,
    "three classes of ten rewritten, renamed": a_third_rewritten,
    "one notebook of two, renamed": one_notebook,
}


def copies(class_: Sequence[Notebooks], way: str, count: int, lot: random.Random) -> list[tuple[int, Notebooks]]:
    """So many copies, each with the place of whom it was taken from."""
    donors = lot.sample(range(len(class_)), count)
    return [(donor, WAYS[way](class_[donor], lot)) for donor in donors]
