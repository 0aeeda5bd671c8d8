"""What code computes, told from how it is written down: fingerprints of its dataflow.

A use of a variable stands for the expression that it was bound to, so that neither names nor the order of independent
statements nor the number of steps matters; comments, formatting, docstrings, annotations, prints, asserts and what
leads to no result are not there at all. An expression's label is made of its operation and of the labels of what goes
in, to a depth of 1, 2 and 3 (the relabelling of Weisfeiler and Lehman; Shervashidze et al. 2011): a change in one place
alters the labels within that depth and no others.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

DEPTH = 3
MAX_NODES = 20_000  # of one piece of code; the longest honest ones have some hundreds
_MAX_LITERAL = 60  # characters of a text that are told apart
_COMMUTATIVE = (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor)
_SILENT = frozenset({"print", "display"})
_EINSUM = re.compile(r"[A-Za-z .,]+->[A-Za-z .]*")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class TooLong(Exception):
    """More code than is read."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """An operation. labels[i] tells it by what goes in to a depth of i."""

    labels: tuple[int, ...]
    inputs: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: what it computes, its line in the source, and a label that no other statement's code changes."""

    fingerprints: frozenset[int]
    line: int
    plain: int


@dataclass(frozen=True, slots=True)
class Names:
    """Names with a meaning of their own. modules: `torch`, `F`; imported: as bound here, to what it is called there.

    known, attributes: what the hand-out defines at the top level, and in `self`.
    """

    modules: frozenset[str] = frozenset()
    imported: Mapping[str, str] = field(default_factory=dict)
    known: Collection[str] = frozenset()
    attributes: Collection[str] = frozenset()

    def called(self, name: str) -> str:
        return self.imported.get(name, name if name in self.known else "_")


def imports(statements: Iterable[ast.stmt], known: Collection[str], attributes: Collection[str]) -> Names:
    """The names that the import statements among these bind."""
    modules: set[str] = set()
    imported: dict[str, str] = {}
    for node in statements:
        if isinstance(node, ast.Import):
            modules.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                # `from torch.nn import functional as F` binds a module, `from torch.nn import Linear` does not.
                if alias.name in ("nn", "functional", "init", "datasets", "transforms", "optim"):
                    modules.add(alias.asname or alias.name)
                else:
                    imported[alias.asname or alias.name] = alias.name
    return Names(frozenset(modules), imported, known, attributes)


def statements(body: Sequence[ast.stmt], names: Names) -> list[Statement]:
    """The statements in `body`, those of functions and classes in it included. Raises TooLong and RecursionError."""
    reader = Reader(names)
    return [found for node in body for found in reader.read(node)]


@lru_cache(maxsize=1 << 16)
def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).digest(), "big")


Scope = dict[str, Node]


class Reader:
    """Reads the top-level statements of one piece of code, one after the other."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._scope: Scope = {}
        self._attributes: Scope = {}  # of `self`, in the class that is read, or was read last
        self._made: list[Node] = []
        self._count = 0
        self._found: list[tuple[list[Node], int, int]] = []  # what was made, line, plain
        self._function_node = self.node("function")
        self._ends: list[Node] = []  # what is returned, kept or done: the rest counts where it leads to one of these

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

    def end(self, operation: str, *inputs: Node) -> None:
        self._ends.append(self.node(operation, *inputs))

    def node(self, operation: str, *inputs: Node) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            raise TooLong
        labels = [_hashed(operation)]
        for depth in range(DEPTH):
            labels.append(_hashed(f"{operation}({','.join(f'{child.labels[depth]:x}' for child in inputs)})"))
        made = Node(tuple(labels), inputs)
        if inputs:
            self._made.append(made)
        return made

    # ---- statements ---------------------------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        for node in body:
            self.statement(node, scope)

    def statement(self, node: ast.stmt, scope: Scope) -> None:
        if isinstance(node, ast.ClassDef):
            self._class(node, scope)
        elif isinstance(node, _FUNCTIONS):
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
        return _hashed(",".join(f"{made.labels[-1]:x}" for made in self._made))

    def _bind(self, node: ast.stmt, scope: Scope) -> None:
        """Read the head of the statement, and note what it binds."""
        if isinstance(node, ast.Assign):
            value = self.expression(node.value, scope)
            for target in node.targets:
                self._assign(target, value, node.value, scope)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign(node.target, self.expression(node.value, scope), node.value, scope)
        elif isinstance(node, ast.AugAssign):
            left, right = self.expression(node.target, scope), self.expression(node.value, scope)
            self._assign(node.target, self._operation(node.op, left, right), None, scope)
        elif isinstance(node, ast.For | ast.AsyncFor):
            each = self.node("each", self.expression(node.iter, scope))
            self._ends.append(each)
            self._assign(node.target, each, None, scope)
        elif isinstance(node, ast.If | ast.While):
            self.end(type(node).__name__, self.expression(node.test, scope))
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                value = self.expression(item.context_expr, scope)
                self._ends.append(value)
                if item.optional_vars is not None:
                    self._assign(item.optional_vars, value, None, scope)
        elif isinstance(node, ast.Return):
            self.end("return", *([self.expression(node.value, scope)] if node.value is not None else []))
        elif isinstance(node, ast.Expr):
            self._ends.append(self.expression(node.value, scope))

    def _assign(self, target: ast.expr, value: Node, source: ast.expr | None, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope[target.id] = value
        elif isinstance(target, ast.Attribute) and _is_self(target.value):
            self._attributes[target.attr] = value
            self.end("keep", value)
        elif isinstance(target, ast.Tuple | ast.List):
            alike = source.elts if isinstance(source, ast.Tuple | ast.List) else []
            for place, part in enumerate(target.elts):
                one = alike[place] if len(alike) == len(target.elts) else None
                item = self.expression(one, scope) if one is not None else self.node(f"item {place}", value)
                self._assign(part, item, None, scope)
        elif isinstance(target, ast.Starred):
            self._assign(target.value, value, None, scope)
        elif isinstance(target, ast.Subscript):
            # The variable stays what it was: two stores into one table may stand in either order.
            self.end("store", self.expression(target.value, scope), self.expression(target.slice, scope), value)
        elif isinstance(target, ast.Attribute) and value is not self._function_node:
            # A method that is put into its class later is the same method.
            self.end("store", self.expression(target.value, scope), value)

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

    # ---- expressions --------------------------------------------------------------------------------------------

    def expression(self, node: ast.expr, scope: Scope) -> Node:
        method = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if method is not None:
            made: Node = method(node, scope)
            return made
        children = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        return self.node(type(node).__name__, *(self.expression(child, scope) for child in children))

    def _of_name(self, node: ast.Name, scope: Scope) -> Node:
        found = scope.get(node.id)
        return found if found is not None else self.node(f"name {self._names.called(node.id)}")

    def _of_constant(self, node: ast.Constant, _scope: Scope) -> Node:
        return self.node(_literal(node.value))

    def _of_attribute(self, node: ast.Attribute, scope: Scope) -> Node:
        if self._is_module(node.value):
            return self.node(f"name {node.attr}")
        if _is_self(node.value):
            found = self._attributes.get(node.attr)
            known = node.attr if node.attr in self._names.attributes else "_"
            return found if found is not None else self.node(f"self.{known}")
        return self.node(f".{node.attr}", self.expression(node.value, scope))

    def _is_module(self, node: ast.expr) -> bool:
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self._names.modules

    def _of_call(self, node: ast.Call, scope: Scope) -> Node:
        keywords = sorted(node.keywords, key=lambda keyword: keyword.arg or "")
        inputs = [self.expression(argument, scope) for argument in node.args]
        inputs += [self.expression(keyword.value, scope) for keyword in keywords]
        called = node.func
        if isinstance(called, ast.Name) and called.id not in scope:
            return self.node(f"call {self._names.called(called.id)}", *inputs)
        if isinstance(called, ast.Attribute) and self._is_module(called.value):
            return self.node(f"call {called.attr}", *inputs)
        if isinstance(called, ast.Attribute) and not _is_self(called.value):
            # `x.transpose(1, 2)` is `torch.transpose(x, 1, 2)`.
            return self.node(f"call {called.attr}", self.expression(called.value, scope), *inputs)
        return self.node("apply", self.expression(called, scope), *inputs)

    def _of_binop(self, node: ast.BinOp, scope: Scope) -> Node:
        return self._operation(node.op, self.expression(node.left, scope), self.expression(node.right, scope))

    def _operation(self, sign: ast.operator, left: Node, right: Node) -> Node:
        if isinstance(sign, _COMMUTATIVE):
            left, right = sorted((left, right), key=lambda one: one.labels[::-1])
        name = "call matmul" if isinstance(sign, ast.MatMult) else type(sign).__name__
        return self.node(name, left, right)

    def _of_unaryop(self, node: ast.UnaryOp, scope: Scope) -> Node:
        inner = node.operand
        if isinstance(node.op, ast.USub) and isinstance(inner, ast.Constant) and type(inner.value) in (int, float):
            return self.node(f"-{_literal(inner.value)}")
        return self.node(type(node.op).__name__, self.expression(inner, scope))

    def _of_compare(self, node: ast.Compare, scope: Scope) -> Node:
        signs = " ".join(type(sign).__name__ for sign in node.ops)
        return self.node(signs, *(self.expression(side, scope) for side in (node.left, *node.comparators)))

    def _of_slice(self, node: ast.Slice, scope: Scope) -> Node:
        parts = (node.lower, node.upper, node.step)
        return self.node("slice", *(self.node("none") if p is None else self.expression(p, scope) for p in parts))

    def _of_joinedstr(self, _node: ast.JoinedStr, _scope: Scope) -> Node:
        return self.node("text")  # a message, which says nothing of what is computed

    def _of_namedexpr(self, node: ast.NamedExpr, scope: Scope) -> Node:
        value = self.expression(node.value, scope)
        self._assign(node.target, value, None, scope)
        return value

    def _of_lambda(self, node: ast.Lambda, scope: Scope) -> Node:
        inner = dict(scope)
        inner.update((argument.arg, self.node(f"argument {n}")) for n, argument in enumerate(node.args.args))
        return self.node("lambda", self.expression(node.body, inner))

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, scope: Scope) -> Node:
        inner, tests = dict(scope), []
        for loop in node.generators:
            self._assign(loop.target, self.node("each", self.expression(loop.iter, inner)), None, inner)
            tests += [self.expression(test, inner) for test in loop.ifs]
        return self.node("list of", self.expression(node.elt, inner), *tests)

    _of_listcomp = _of_setcomp = _of_generatorexp = _comprehension


def _leading_to(ends: Sequence[Node]) -> set[Node]:
    """The nodes that these are made of, themselves included."""
    found, queue = set(ends), list(ends)
    while queue:
        for one in queue.pop().inputs:
            if one not in found:
                found.add(one)
                queue.append(one)
    return found


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


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


def _literal(value: object) -> str:
    if type(value) in (int, float):
        try:
            return f"number {float(value):.12g}"  # type: ignore[arg-type]  # told by its type in the line above
        except OverflowError:
            return "number too large"
    if isinstance(value, str):
        if _EINSUM.fullmatch(value[:_MAX_LITERAL]):
            return f"einsum {_relettered(value[:_MAX_LITERAL])}"
        return f"text {value[:_MAX_LITERAL]}"
    return f"literal {value!r}"[:_MAX_LITERAL]


def _relettered(equation: str) -> str:
    """An einsum equation by the order in which its letters come: "bhqd,bhkd->bhqk" is "xyij,xykj->xyik"."""
    letters: dict[str, str] = {}
    return "".join(letters.setdefault(c, chr(97 + len(letters))) if c.isalpha() else c for c in equation if c != " ")
