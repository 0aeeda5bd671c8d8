"""Given code: what of the template a student's notebook no longer holds, and what was added outside the zones.

Definitions are aligned by class and method name, for students move, split and duplicate cells; the last binding
counts, as after "restart and run all". Compared are syntax trees without what carries no meaning here: comments,
formatting, docstrings, annotations, prints, asserts. A given statement must occur in its method, in order; inside a
DO NOT CHANGE block nothing may be added either. In doubt nothing is said: a false alarm is worse than a miss.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from grader.notebook import Notebook
from grader.program import slice_program
from grader.statements import Statement, code
from grader.trees import FUNCTIONS, below, once_a_node

# So long a line of # is no comment of a student's own.
_ZONE = re.compile(r"\s*#{5,}\s*TO ?DO\s*#{5,}\s*")
_LOCK = re.compile(r"\s*#{5,}\s*DO NOT CHANGE\s*#{5,}\s*")
_OPEN = re.compile(r"\s*#\s*IMPLEMENT YOUR CODE\s*#\s*")
_CLOSE = re.compile(r"\s*#\s*END YOUR CODE\s*#\s*")
# Values that students choose when they train, beside the settings that the assignment names.
# fmt: off
_TRAINING = frozenset({
    "lr", "learning_rate", "epochs", "num_epochs", "n_epochs", "batch_size", "optimizer", "optimiser", "criterion",
    "scheduler", "betas", "eps", "weight_decay", "momentum", "seed", "shuffle", "num_workers", "pin_memory",
    "drop_last", "persistent_workers", "download", "root", "transform",
})
# fmt: on
_DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
_UNSAID = {"ctx", "annotation", "returns", "type_comment", "type_params", "kind", "simple"}  # of a node's fields
_MAX_SOURCE = 50_000  # characters of one definition; the longest that is given has about 2,000
_MAX_ZONES = 100  # of one cell
_MAX_TEXT = 100


@dataclass(frozen=True, slots=True)
class Change:
    """Given code that is no longer the template's. `cell` counts from 1 and is None where nothing of it is left."""

    name: str  # "MultiHeadAttention.split"; empty for a block of bare statements
    locked: bool  # it stood in a DO NOT CHANGE block
    expected: str  # the template's line
    cell: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Addition:
    """Code outside the zones that graded classes hold or need. `cell` counts from 1."""

    name: str  # the method that it stands in, or what it defines
    cell: int
    line: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A student's notebook held against the template's."""

    changes: tuple[Change, ...]
    additions: tuple[Addition, ...]
    compared: int  # definitions that both hold

    @property
    def is_foreign(self) -> bool:
        """Most definitions differ: then it was written on another year's hand-out, rather than all of it changed."""
        changed = {change.name.partition(".")[0] for change in self.changes if change.name and change.cell}
        return len(changed) > max(2, self.compared // 2)


def compare(notebook: Notebook, template: Notebook, graded: Sequence[str], settings: Sequence[str]) -> Comparison:
    """Hold `notebook` against `template`. graded: the classes that are judged; settings: values that students choose.

    Never raises, whatever the notebook holds.
    """
    ours, theirs = _pieces(template), _pieces(notebook)
    last = {name: piece for piece in theirs for name in piece.statement.uses.binds}
    doubtful = {name for problem in code(notebook).problems for name in problem.names}
    training = _Way(training=_TRAINING | frozenset(settings) | frozenset(graded))
    found: list[Change | Addition] = []
    compared = 0
    for piece in ours:
        name = getattr(piece.node, "name", "")
        other = last.get(name)
        if not name or name in doubtful or (other and len(other.statement.source) > _MAX_SOURCE):
            continue
        try:
            if other is None and piece.is_locked:
                found.append(Change(name, True, _text(piece.node)))
            elif other is not None and type(other.node) is type(piece.node):
                found.extend(_definition(name, piece, other, theirs, training))
                compared += 1
        except RecursionError:  # nested too deeply to be compared, which accuses nobody
            continue
    if not code(notebook).problems:  # else the block may stand in a cell that cannot be read
        found.extend(_blocks(ours, theirs, training))
    known = {name for piece in ours for name in piece.statement.uses.binds}
    found.extend(_helpers(notebook, theirs, known, graded))
    changes = tuple(item for item in found if isinstance(item, Change))
    return Comparison(changes, tuple(item for item in found if isinstance(item, Addition)), compared)


# Statements in their places.


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    node: ast.stmt
    cell: int  # from 1
    offset: int  # from the node's line numbers to the cell's
    end: int  # the line before the next statement: the closing marker may be the last thing in a body
    zones: tuple[range, ...]  # of the cell
    locks: tuple[range, ...]
    statement: Statement  # at the top level

    @property
    def line(self) -> int:
        return _first_line(self.node) + self.offset

    @property
    def in_zone(self) -> bool:
        return any(self.line in zone for zone in self.zones)

    @property
    def lock(self) -> range | None:
        return next((lock for lock in self.locks if self.line in lock), None)

    @property
    def is_locked(self) -> bool:
        return self.lock is not None

    def own_zones(self) -> list[range] | None:
        """The zones inside of it; None where one sticks out, because a marker was deleted."""
        inside = range(self.line, self.end + 1)
        touching = [zone for zone in self.zones if zone[0] in inside or zone[-1] in inside]
        return touching if all(zone[0] in inside and zone[-1] in inside for zone in touching) else None

    def children(self) -> list[_Piece]:
        body: list[ast.stmt] = getattr(self.node, "body", [])
        ends = [*(_first_line(node) + self.offset - 1 for node in body[1:]), self.end]
        rest = (self.zones, self.locks, self.statement)
        return [_Piece(node, self.cell, self.offset, end, *rest) for node, end in zip(body, ends, strict=True)]


def _pieces(notebook: Notebook) -> list[_Piece]:
    """The top-level statements in order."""
    by_cell: dict[int, list[Statement]] = defaultdict(list)
    for statement in code(notebook).statements:
        by_cell[statement.cell].append(statement)
    found: list[_Piece] = []
    for cell in notebook.cells:
        statements = by_cell[cell.index]
        lines = cell.source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        marks = (_ranges(lines, _ZONE, _ZONE) + _ranges(lines, _OPEN, _CLOSE), _ranges(lines, _LOCK, _LOCK))
        ends = [*(_first_line(s.node) + s.offset - 1 for s in statements[1:]), len(lines)][: len(statements)]
        for statement, end in zip(statements, ends, strict=True):
            found.append(_Piece(statement.node, cell.index + 1, statement.offset, end, *marks, statement))
    return found


def _ranges(lines: Sequence[str], opening: re.Pattern[str], closing: re.Pattern[str]) -> tuple[range, ...]:
    found: list[range] = []
    opened = 0
    for number, line in enumerate(lines, 1):
        if "#" not in line:
            continue
        if not opened and opening.fullmatch(line):
            opened = number
        elif opened and closing.fullmatch(line):
            found.append(range(opened, number + 1))
            opened = 0
    return tuple(found[:_MAX_ZONES])


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


# Definitions held side by side.


def _definition(
    name: str, ours: _Piece, theirs: _Piece, everything: Sequence[_Piece], training: _Way
) -> Iterator[Change | Addition]:
    if not isinstance(ours.node, ast.ClassDef):
        # Its parameters are not compared: students who try several settings make them parameters.
        yield from _body(name, ours, theirs, training)
        return
    patched = any(_patches(name, piece) for piece in everything)
    given = {child.node.name: child for child in ours.children() if isinstance(child.node, FUNCTIONS)}
    written = {child.node.name: child for child in theirs.children() if isinstance(child.node, FUNCTIONS)}
    if _bases(theirs.node) != _bases(ours.node) and not patched:
        yield Change(name, ours.is_locked, _text(ours.node), theirs.cell, theirs.line)
    for method, piece in given.items():
        if method in written:
            yield from _method(f"{name}.{method}", piece, written[method])
        elif not patched and (piece.is_locked or _given(piece, _Way(anonymous=True))):
            yield Change(f"{name}.{method}", piece.is_locked, _text(piece.node), theirs.cell, theirs.line)
    for method, piece in written.items():
        if method not in given and not ours.is_locked:
            yield from _outside(f"{name}.{method}", ours, theirs, [piece])


def _patches(name: str, piece: _Piece) -> bool:
    """Does this statement put methods into the class, or derive it from itself? Then what it lacks may be there."""
    uses = piece.statement.uses
    derives = name in uses.binds and name in uses.now
    return name in uses.alters or derives or piece.statement.source.startswith(f"setattr({name}")


def _method(name: str, ours: _Piece, theirs: _Piece) -> Iterator[Change | Addition]:
    (names, defaults), (their_names, their_defaults) = _signature(ours.node), _signature(theirs.node)
    if names != their_names or any(their_defaults.get(name) != value for name, value in defaults.items()):
        yield Change(name, ours.is_locked, _text(ours.node), theirs.cell, theirs.line)
        return
    # A constructor's names mean its arguments and attributes; elsewhere `x` may as well be called `out`.
    exact = ours.is_locked or name.endswith(".__init__")
    yield from _body(name, ours, theirs, _Way(anonymous=not exact))


def _body(name: str, ours: _Piece, theirs: _Piece, way: _Way) -> Iterator[Change | Addition]:
    given, own = _given(ours, way), way.inside(theirs.node)
    written = [(child, _shape(child.node, own)) for child in theirs.children() if not _is_silent(child.node, own)]
    wanted, shapes = [text for _, text in given], [text for _, text in written]
    sealed = ours.is_locked and way.training is None
    rest = iter(shapes)
    if wanted == shapes or (not sealed and all(text in rest for text in wanted)):  # a subsequence
        if not sealed and way.training is None:
            yield from _outside(name, ours, theirs, [piece for piece, text in written if text not in wanted])
        return
    said: set[bool] = set()
    for tag, first, last, start, stop in SequenceMatcher(None, wanted, shapes, autojunk=False).get_opcodes():
        if tag == "equal" or (tag == "insert" and not sealed):
            continue
        place = next((piece for piece, _ in written[start:stop] if not piece.in_zone), theirs)
        for missing in [piece for piece, _ in given[first:last]] or [ours]:
            if missing.is_locked not in said:
                said.add(missing.is_locked)
                yield Change(name, missing.is_locked, _text(missing.node), place.cell, place.line)


def _given(ours: _Piece, way: _Way) -> list[tuple[_Piece, str]]:
    """The statements of a body, without zones and what holds one."""
    way = way.inside(ours.node)
    pieces = [child for child in ours.children() if not child.in_zone and not _holds_zone(child)]
    return [(piece, _shape(piece.node, way)) for piece in pieces if not _is_silent(piece.node, way)]


def _holds_zone(piece: _Piece) -> bool:
    last = (piece.node.end_lineno or 0) + piece.offset
    return any(piece.line < zone[0] <= last for zone in piece.zones)


def _outside(name: str, ours: _Piece, theirs: _Piece, extra: Sequence[_Piece]) -> Iterator[Addition]:
    """The first of `extra` outside the zones, if the student's markers still tell where these are."""
    zones, wanted = theirs.own_zones(), ours.own_zones()
    if zones is None or wanted is None or len(zones) != len(wanted):
        return
    for piece in extra:
        if not piece.in_zone and not isinstance(piece.node, ast.Return):  # it may stand for the given one
            yield Addition(name, piece.cell, piece.line)
            return


# Code that is in no definition of the template.


def _blocks(ours: Sequence[_Piece], theirs: Sequence[_Piece], way: _Way) -> Iterator[Change]:
    """DO NOT CHANGE blocks of bare statements, as part 1's training is. Each statement must be somewhere."""
    given = [(piece, _shape(piece.node, way)) for piece in ours if not isinstance(piece.node, _DEFINITIONS)]
    blocks: dict[tuple[int, range], list[tuple[_Piece, str]]] = defaultdict(list)
    for piece, text in given:
        if piece.lock is not None and not _is_silent(piece.node, way):
            blocks[piece.cell, piece.lock].append((piece, text))
    places, strange = _places(theirs, way, {text for _, text in given}) if blocks else ({}, {})
    for block in blocks.values():
        missing = [piece for piece, text in block if text not in places]
        if missing:
            cells = Counter(places[text] for _, text in block if text in places)
            cell = max(cells, key=lambda cell: cells[cell], default=None)
            yield Change("", True, _text(missing[0].node), cell, strange.get(cell) if cell else None)


def _places(theirs: Sequence[_Piece], way: _Way, known: set[str]) -> tuple[dict[str, int], dict[int, int]]:
    """Each shape to its cell; and each cell to the line of its first statement that the template does not know."""
    places: dict[str, int] = {}
    strange: dict[int, int] = {}
    for piece in theirs:
        # A block may have been put under an `if`, or into a function.
        for node in (piece.node, *getattr(piece.node, "body", ())):
            if isinstance(node, _DEFINITIONS):  # no block holds one
                continue
            try:
                text = _shape(node, way)
                silent = _is_silent(node, way)
            except RecursionError:
                continue
            places[text] = piece.cell
            if node is piece.node and not silent and text not in known:
                strange.setdefault(piece.cell, piece.line)
    return places, strange


def _helpers(
    notebook: Notebook, theirs: Sequence[_Piece], known: set[str], graded: Sequence[str]
) -> Iterator[Addition]:
    """What the graded classes need that is not in the template: helpers, constants, methods put in later."""
    needed = {(entry.cell + 1, entry.line) for entry in slice_program(notebook, graded).entries}
    for piece in theirs:
        uses = piece.statement.uses
        if (piece.cell, piece.statement.line) not in needed or piece.in_zone or uses.trains or uses.binds & known:
            continue
        if isinstance(piece.node, ast.Import | ast.ImportFrom) or not (uses.binds or uses.alters & set(graded)):
            continue
        yield Addition(", ".join(sorted(uses.binds))[:_MAX_TEXT] or _text(piece.node), piece.cell, piece.line)


# Syntax trees as text.


@dataclass(frozen=True, slots=True)
class _Way:
    """What is left to students where two trees are compared."""

    training: frozenset[str] | None = None  # in code that trains: names of settings, and of what they go into
    anonymous: bool = False  # do the names of local variables not matter?
    own: frozenset[str] = frozenset()  # those names

    def inside(self, node: ast.stmt) -> _Way:
        if not self.anonymous:
            return self
        names = {n.id for n in below(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        names |= {n.arg for n in below(node) if isinstance(n, ast.arg) and n.arg != "self"}
        return _Way(self.training, True, frozenset(names))


@once_a_node
def _shapes(_node: ast.AST) -> dict[_Way, str]:
    """Those of a statement that were told before."""
    return {}


def _shape(node: ast.AST, way: _Way) -> str:
    """A text that is equal for trees that mean the same. Raises RecursionError for deep ones."""
    known = _shapes(node)
    if way not in known:
        known[way] = _told(node, way)
    return known[way]


def _told(node: object, way: _Way) -> str:
    if isinstance(node, list):
        return f"[{','.join(_told(child, way) for child in node if not _is_silent(child, way))}]"
    if isinstance(node, ast.Name):
        return "_" if node.id in way.own else f"N:{node.id}"
    if isinstance(node, ast.Constant):
        if way.training is not None and isinstance(node.value, str):
            return "str"  # where the data and the weights lie
        return f"{type(node.value).__name__}:{hash(node.value) if isinstance(node.value, int) else node.value!r}"
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return f"Assign([{_told(node.target, way)}],{_told(node.value, way)})"
    if isinstance(node, ast.Call):
        # `super(A, self)` says no more than `super()`. In training, a range is of epochs, and the weights tell with
        # which arguments a model was built, however they came to it.
        free = {"super"} if way.training is None else {"super", "range", *way.training}
        if isinstance(node.func, ast.Name) and node.func.id in free:
            return f"Call(N:{node.func.id})"
        arguments = [child for child in node.args if not _is_setting(child, way)]
        keywords = sorted(_told(keyword, way) for keyword in node.keywords if not _is_silent(keyword, way))
        return f"Call({_told(node.func, way)},{_told(arguments, way)},{keywords})"
    if isinstance(node, ast.AST):
        fields = (_told(getattr(node, field, None), way) for field in node._fields if field not in _UNSAID)
        return f"{type(node).__name__}({','.join(fields)})"
    return repr(node)


def _is_setting(argument: ast.expr, way: _Way) -> bool:
    """Is it a batch size or the like, as in `DataLoader(train_data, 64)`?"""
    if way.training is None:
        return False
    if isinstance(argument, ast.Name):
        return argument.id in way.training
    return isinstance(argument, ast.Constant) and isinstance(argument.value, int | float)


def _is_silent(node: object, way: _Way) -> bool:
    """Does it say nothing that matters here: a print, a docstring, a setting of the training?"""
    free = way.training or ()
    if isinstance(node, ast.Expr):
        called = _tail(node.value.func) if isinstance(node.value, ast.Call) else ""
        return isinstance(node.value, ast.Constant) or called in ("print", "display", "manual_seed")
    if isinstance(node, ast.If):
        return not node.orelse and all(_is_silent(child, way) for child in node.body)
    if isinstance(node, ast.Assign):
        targets = [n for target in node.targets for n in getattr(target, "elts", [target])]
        return way.training is not None and all(isinstance(n, ast.Name) and n.id in free for n in targets)
    if isinstance(node, ast.keyword):
        return way.training is not None and (node.arg is None or node.arg in free)
    if isinstance(node, ast.Return):  # students who return their result at once leave `return output` out
        return way.anonymous and isinstance(node.value, ast.Name)
    return isinstance(node, ast.Pass | ast.Assert)


def _signature(node: ast.stmt) -> tuple[list[str], dict[str, str]]:
    """Names with their kinds, decorators included, and the defaults. Annotations say nothing."""
    assert isinstance(node, FUNCTIONS)
    positional = [*node.args.posonlyargs, *node.args.args]
    names = [argument.arg for argument in positional] + [f"*, {argument.arg}" for argument in node.args.kwonlyargs]
    names += [f"*{argument.arg}" for argument in (node.args.vararg, node.args.kwarg) if argument]
    names += [f"@{_shape(decorator, _Way())}" for decorator in node.decorator_list]
    pairs = [*zip(reversed(positional), reversed(node.args.defaults), strict=False)]
    pairs += [
        (argument, value) for argument, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if value
    ]
    return names, {argument.arg: _shape(value, _Way()) for argument, value in pairs}


def _bases(node: ast.stmt) -> list[str]:
    return [_tail(base) for base in getattr(node, "bases", ())]  # nn.Module and torch.nn.Module are one


def _tail(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _text(node: ast.stmt) -> str:
    """The first line of the template's code, for people."""
    text = next(line for line in ast.unparse(node).split("\n") if not line.startswith("@"))
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
