"""What an expression computes: a node for each operation, told by what goes in; and what names stand for meanwhile."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

DEPTH = 3
MAX_NODES = 20_000  # of one piece of code; the longest honest ones have some hundreds
_MAX_LITERAL = 60  # characters of a text that are told apart
_COMMUTATIVE = (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor)
_EINSUM = re.compile(r"[A-Za-z .,]+->[A-Za-z .]*")


class TooLong(Exception):
    """More code than is read."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """An operation. labels[i] tells it by what goes in to a depth of i."""

    labels: tuple[int, ...]
    inputs: tuple[Node, ...]


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


@lru_cache(maxsize=1 << 16)
def hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).digest(), "big")


Scope = dict[str, Node]


class Expressions:
    """Reads expressions in the scope of their statement, and binds what they are assigned to."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._attributes: Scope = {}  # of `self`, in the class that is read, or was read last
        self._made: list[Node] = []
        self._count = 0
        self._ends: list[Node] = []  # what is returned, kept or done: the rest counts where it leads to one of these
        self._function_node = self.node("function")

    def end(self, operation: str, *inputs: Node) -> None:
        self._ends.append(self.node(operation, *inputs))

    def node(self, operation: str, *inputs: Node) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            raise TooLong
        labels = [hashed(operation)]
        for depth in range(DEPTH):
            labels.append(hashed(f"{operation}({','.join(f'{child.labels[depth]:x}' for child in inputs)})"))
        made = Node(tuple(labels), inputs)
        if inputs:
            self._made.append(made)
        return made

    def assign(self, target: ast.expr, value: Node, source: ast.expr | None, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope[target.id] = value
        elif isinstance(target, ast.Attribute) and is_self(target.value):
            self._attributes[target.attr] = value
            self.end("keep", value)
        elif isinstance(target, ast.Tuple | ast.List):
            alike = source.elts if isinstance(source, ast.Tuple | ast.List) else []
            for place, part in enumerate(target.elts):
                one = alike[place] if len(alike) == len(target.elts) else None
                item = self.expression(one, scope) if one is not None else self.node(f"item {place}", value)
                self.assign(part, item, None, scope)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value, None, scope)
        elif isinstance(target, ast.Subscript):
            # The variable stays what it was: two stores into one table may stand in either order.
            self.end("store", self.expression(target.value, scope), self.expression(target.slice, scope), value)
        elif isinstance(target, ast.Attribute) and value is not self._function_node:
            # A method that is put into its class later is the same method.
            self.end("store", self.expression(target.value, scope), value)

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
        if is_self(node.value):
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
        if isinstance(called, ast.Attribute) and not is_self(called.value):
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
        self.assign(node.target, value, None, scope)
        return value

    def _of_lambda(self, node: ast.Lambda, scope: Scope) -> Node:
        inner = dict(scope)
        inner.update((argument.arg, self.node(f"argument {n}")) for n, argument in enumerate(node.args.args))
        return self.node("lambda", self.expression(node.body, inner))

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, scope: Scope) -> Node:
        inner, tests = dict(scope), []
        for loop in node.generators:
            self.assign(loop.target, self.node("each", self.expression(loop.iter, inner)), None, inner)
            tests += [self.expression(test, inner) for test in loop.ifs]
        return self.node("list of", self.expression(node.elt, inner), *tests)

    _of_listcomp = _of_setcomp = _of_generatorexp = _comprehension


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


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
