"""The backward slice: the definitions that the wanted names need, and nothing that trains, downloads or plots.

A name that is used while a definition runs (a base class, a decorator, a default, a class body) needs the last binding
before it; a name that is used inside a function needs the last binding of the whole notebook. Where a function may be
called in both places, both bindings are kept. Of bare expression statements only those are kept that fill or set what
is needed: `TABLE.update(…)`, `setattr(A, …)`, and the call of a function that does no more than bind globals.
"""

from __future__ import annotations

import ast
import builtins
import unicodedata
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile

from grader.names import STAR, Uses, sets_quietly
from grader.notebook import Entry, Notebook, Problem, Program
from grader.statements import Statement, code

_GIVEN = frozenset(dir(builtins)) | {"__file__", "__class__", "get_ipython", "display", "In", "Out", "exit", "quit"}
_PREAMBLE = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assert, ast.Pass)  # a magic has become a `pass`
_MAX_HORIZONS = 8  # places from which one statement's functions are thought to be called; more add nothing in practice


def slice_program(notebook: Notebook, wanted: Sequence[str], replacements: Mapping[str, str] | None = None) -> Program:
    """The program for the `wanted` names. `replacements`: name to the source of a stand-in, put where it is last bound.

    `missing` holds wanted names that no cell defines. One that only a broken piece defines is in `problems` instead.
    Never raises, whatever the notebook holds; a stand-in that does not parse raises SyntaxError.
    """
    written = code(notebook)
    stand_ins = {_normal(name): source for name, source in (replacements or {}).items()}
    statements = _with_stand_ins(list(_with_globals(notebook)), stand_ins)
    slicer = _Slicer(statements, sealed=stand_ins)
    for name in [*wanted, *stand_ins]:
        slicer.want(_normal(name))
    slicer.add_star_imports()

    kept = [statements[position] for position in sorted(slicer.kept)]
    kept.sort(key=lambda statement: not _is_future(statement.node))
    troubles = [p for p in written.problems if any(slicer.is_lost(n, p) for n in p.names if n not in stand_ins)]
    broken = {name for problem in written.problems for name in problem.names}
    return Program(
        notebook=notebook.name,
        entries=tuple(_entry(statement) for statement in kept),
        missing=tuple(n for n in wanted if _normal(n) not in slicer.bindings and _normal(n) not in broken),
        problems=tuple(troubles),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """A definition without comments, formatting and docstrings. Equal for definitions that are the same."""

    uses: Uses
    source: str

    def __eq__(self, other: object) -> bool:
        # Most are told apart by the names that they use, which are known, and no tree need be compared.
        if not isinstance(other, Fingerprint) or self.uses != other.uses:
            return False
        return self.source == other.source or _bare_tree(self.source) == _bare_tree(other.source)

    __hash__ = None  # type: ignore[assignment]


def definition_fingerprint(notebook: Notebook, name: str) -> Fingerprint | None:
    """That of the last binding of `name`; None if there is none."""
    name = _normal(name)
    last = next((s for s in reversed(code(notebook).statements) if name in s.uses.binds), None)
    return Fingerprint(last.uses, last.source) if last is not None else None


@lru_cache(maxsize=64)  # those of the template
def _bare_tree(source: str) -> str:
    try:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [child for child in body if not _is_text(child)] or [ast.Pass()]  # type: ignore[attr-defined]
        return ast.dump(tree)
    except RecursionError:
        return source


class _Slicer:
    """Names to statements, from the wanted ones on, until nothing more is needed."""

    def __init__(self, statements: Sequence[Statement], sealed: Container[str] = ()) -> None:
        self.statements = statements
        self.end = len(statements)
        self.kept = {position for position, s in enumerate(statements) if _is_future(s.node)}
        self.bindings = _bindings(statements)
        self.alterations: dict[str, list[int]] = defaultdict(list)
        for position, statement in enumerate(statements):
            for name in statement.uses.alters:
                if name not in sealed:  # a stand-in stays as the grader made it
                    self.alterations[name].append(position)
        self.asked: set[str] = set()
        self._horizons: dict[int, set[int]] = defaultdict(set)
        self._done: set[tuple[str, int, int]] = set()
        self._imported: set[str] = set()
        self._queue: list[tuple[int, int]] = []  # (statement, the place from which its functions may be called)

    def want(self, name: str) -> None:
        self._need(name, self.end, self.end)
        while self._queue:
            position, horizon = self._queue.pop()
            used = self.statements[position].uses
            for needed in used.now:
                # What is read now may be called now, and again (a base class, say) when all is defined.
                self._need(needed, position, position)
                self._need(needed, position, self.end)
            for needed in used.later:
                # `max = 0` in a training loop further down is no reason to lose the builtin.
                self._need(needed, position if needed in _GIVEN else horizon, horizon)

    def add_star_imports(self) -> None:
        """Only they can explain names that nothing else binds."""
        if any(name not in self.bindings and name not in _GIVEN for name in self.asked):
            self.want(STAR)
            for position in self.bindings.get(STAR, ()):
                self._keep(position, self.end)

    def is_lost(self, name: str, problem: Problem) -> bool:
        """Is `problem` the last word on a name that the program needs?"""
        if name not in self.asked:
            return False
        places = [self.statements[position] for position in self.bindings.get(name, ())]
        return all((place.cell, place.line) < (problem.cell, problem.line) for place in places)

    def _need(self, name: str, before: int, horizon: int) -> None:
        self.asked.add(name)
        positions = self.bindings.get(name)
        if not positions:
            return
        at = bisect_left(positions, before) - 1
        if at < 0 and name in _GIVEN:
            return
        at = at if at >= 0 else len(positions) - 1
        # Where a branch may not be taken, the binding above counts too, and so on up to one that was brought before.
        while self._bring(name, at, horizon) and at > 0 and name not in self.statements[positions[at]].uses.certain:
            at -= 1
        if _imports_root(self.statements[positions[at]].node, name) and name not in self._imported:
            self._imported.add(name)  # `import torch.nn.functional` adds to what `import torch` bound
            for position in positions:
                if _imports_root(self.statements[position].node, name):
                    self._keep(position, self.end)

    def _bring(self, name: str, at: int, horizon: int) -> bool:
        """Keep the binding number `at` of this name, and what alters it until the next one. False: nothing new."""
        positions = self.bindings[name]
        found = positions[at]
        if (name, found, horizon) in self._done or not self._keep(found, horizon):
            return False
        self._done.add((name, found, horizon))
        altered = self.alterations.get(name, [])
        until = positions[at + 1] if at + 1 < len(positions) else self.end
        for position in altered[bisect_right(altered, found) : bisect_left(altered, until)]:
            self._keep(position, horizon)
        return True

    def _keep(self, position: int, horizon: int) -> bool:
        seen = self._horizons[position]
        if horizon in seen:
            return True
        if len(seen) >= _MAX_HORIZONS and horizon != self.end:
            return False
        seen.add(horizon)
        self.kept.add(position)
        self._queue.append((position, horizon))
        return True


def _bindings(statements: Sequence[Statement]) -> dict[str, list[int]]:
    """Where each name is bound. A loop that trains counts only for names that nothing else binds."""
    found: dict[str, list[int]] = defaultdict(list)
    trained: dict[str, list[int]] = defaultdict(list)
    for position, statement in enumerate(statements):
        for name in statement.uses.binds:
            (trained if statement.uses.trains else found)[name].append(position)
    for name, positions in trained.items():
        if name not in found:
            found[name] = positions
    return dict(found)


@lru_cache(maxsize=4)  # a notebook is sliced for one class after the other
def _with_globals(notebook: Notebook) -> tuple[Statement, ...]:
    """Its statements; `configure()` binds what the function `configure` declares global and sets."""
    sets: dict[str, set[str]] = {}
    found: list[Statement] = []
    for statement in code(notebook).statements:
        call = statement.node.value if isinstance(statement.node, ast.Expr) else None
        bound = sets.get(call.func.id) if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else None
        sets |= dict.fromkeys(statement.uses.binds, sets_quietly(statement.node))
        uses = statement.uses
        found.append(replace(statement, uses=replace(uses, binds=uses.binds | bound)) if bound else statement)
    return tuple(found)


def _with_stand_ins(statements: list[Statement], sources: Mapping[str, str]) -> list[Statement]:
    """Each stand-in takes the place of the last binding of its name; without one, it follows the first imports."""
    for name, source in sources.items():
        uses = Uses(frozenset({name}), frozenset({name}), frozenset(), frozenset(), frozenset(), trains=False)
        node = (ast.parse(source).body or [ast.Pass()])[-1]
        positions = _bindings(statements).get(name)
        if positions:
            old = statements[positions[-1]]
            alone = old.uses.binds == {name}
            at = positions[-1] + (0 if alone else 1)  # `A, B = …` still has to bind B
            statements[at : at + alone] = [Statement(source, old.cell, old.line, node, uses)]
        else:
            at = len(list(takewhile(lambda s: isinstance(s.node, _PREAMBLE), statements)))
            place = statements[at - 1] if at else None
            cell, line = (place.cell, place.line) if place else (0, 1)
            statements.insert(at, Statement(source, cell, line, node, uses))
    return statements


def _entry(statement: Statement) -> Entry:
    names: Iterable[str] = statement.uses.binds - {STAR}
    return Entry(source=statement.source, cell=statement.cell, line=statement.line, names=tuple(sorted(names)))


def _imports_root(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Import) and any(
        alias.asname is None and alias.name.partition(".")[0] == name for alias in node.names
    )


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _normal(name: str) -> str:
    """As Python reads identifiers: Hangul may come composed or not."""
    return unicodedata.normalize("NFKC", name)
