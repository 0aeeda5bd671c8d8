"""What a top-level statement binds, and which global names it needs: at once, or when its functions are called."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from grader.trees import FUNCTIONS, below, children, once_a_node

_DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_COMPOUND = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
_ASSIGNMENTS = (ast.Assign, ast.AugAssign, ast.AnnAssign)
# Bare calls that fill or change what they are called on, and do nothing else.
_FILLING = frozenset(
    {"add", "add_argument", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "pop"}
    | {"remove", "reverse", "setdefault", "sort", "update"}
)
# Work that takes time, even where its result goes into a list: `losses.append(train_one_epoch(model))`.
_WORKS = re.compile(r"(?i)backward|step|sleep|fit|.*(train|epoch|download).*")
# Decorators that wrap a definition and leave their arguments as they are.
_WRAPPERS = frozenset(
    {"autocast", "compile", "dataclass", "enable_grad", "inference_mode", "lru_cache", "no_grad", "partial"}
    | {"set_grad_enabled", "total_ordering", "wraps"}
)
STAR = "*"  # the "name" that a star import binds


@dataclass(frozen=True, slots=True)
class Uses:
    """Names of the module's scope, as one statement touches them. `X += 1` binds X and needs it `now`."""

    binds: frozenset[str]
    certain: frozenset[str]  # bound whichever way the branches go
    now: frozenset[str]  # read while the statement runs: bases, decorators, defaults, class bodies, expressions
    later: frozenset[str]  # read when a function that it defines is called
    alters: frozenset[str]  # `X.a = …`, `X[…] = …`, `X.append(…)`, `setattr(X, …)`, `@add_to(X)` above a definition
    trains: bool  # holds a loop that does work, and so is kept only as a last resort


def uses(statement: ast.stmt) -> Uses:
    """Raises RecursionError for code nested deeper than the interpreter's limit."""
    scan = _Scan()
    scan.visit(statement)
    module = scan.module
    return Uses(
        binds=frozenset(module.bound),
        certain=frozenset(_certain([statement])),
        now=frozenset(scan.now),
        later=frozenset(scan.later),
        alters=frozenset(_alters(statement)),
        trains=_trains(statement),
    )


@dataclass(slots=True)
class _Scope:
    kind: Literal["module", "class", "function", "comprehension"]
    outer: _Scope | None = None
    bound: set[str] = field(default_factory=set)  # of a function: all locals; else: bound so far
    global_: set[str] = field(default_factory=set)
    deferred: bool = False  # runs when called, not where it stands


class _Scan(ast.NodeVisitor):
    """Walks in the order of execution, so that a name bound earlier in the statement is not needed from outside."""

    def __init__(self) -> None:
        self.module = self.scope = _Scope("module")
        self.now: set[str] = set()
        self.later: set[str] = set()

    def load(self, name: str) -> None:
        scope: _Scope | None = self.scope
        while scope is not None:
            # A class body's names are seen by the class body alone, never by the functions inside it.
            visible = scope.kind in ("function", "comprehension") or (scope is self.scope and scope.kind == "class")
            if scope.kind == "module":
                visible = not self.scope.deferred
            if name in scope.global_:
                break
            if visible and name in scope.bound:
                return
            scope = scope.outer
        (self.later if self.scope.deferred else self.now).add(name)

    def store(self, name: str) -> None:
        scope = self.scope
        while scope.kind == "comprehension" and scope.outer is not None:  # a walrus binds outside of it
            scope = scope.outer
        if name not in scope.global_:
            scope.bound.add(name)

    def inside(self, scope: _Scope, nodes: Iterable[ast.AST]) -> None:
        outside, self.scope = self.scope, scope
        try:
            for node in nodes:
                self.visit(node)
        finally:
            self.scope = outside

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.load(node.id)
        elif isinstance(node.ctx, ast.Store):
            self.store(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._each([node.value, *node.targets])

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.load(node.target.id)
        self._each([node.value, node.target])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._each([node.annotation, node.value])
        if node.value is not None or not isinstance(node.target, ast.Name):  # `x: int` binds nothing
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._each([node.value, node.target])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._each([node.iter, node.target, *node.body, *node.orelse])

    visit_AsyncFor = visit_For

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._each(node.decorator_list)
        self._signature(node.args)
        self._each([argument.annotation for argument in _arguments(node.args)])
        self._each([node.returns])
        self.store(node.name)
        self._body(node.args, node.body, _type_parameters(node))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._signature(node.args)
        self._body(node.args, [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        outer = self.scope
        if parameters := _type_parameters(node):
            outer = _Scope("function", outer, parameters, deferred=outer.deferred)
        self._each(node.decorator_list)
        self.inside(outer, [*node.bases, *node.keywords])
        _, global_, _ = _bound_in(node.body)
        self.inside(_Scope("class", outer, global_=global_, deferred=outer.deferred), node.body)
        self.store(node.name)

    def visit_comprehension_expression(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    ) -> None:
        self.visit(node.generators[0].iter)  # the first iterable is evaluated outside
        targets, _, _ = _bound_in([generator.target for generator in node.generators])
        parts: list[ast.AST] = [part for generator in node.generators for part in generator.ifs]
        parts += [generator.iter for generator in node.generators[1:]]
        parts += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self.inside(_Scope("comprehension", self.scope, targets, deferred=self.scope.deferred), parts)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_comprehension_expression

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._each([node.type])
        if node.name:
            self.store(node.name)
        self._each(node.body)

    def visit_alias(self, node: ast.alias) -> None:
        self.store(_alias_name(node))

    def generic_visit(self, node: ast.AST) -> None:
        for name in _pattern_names(node):
            self.store(name)
        for child in children(node):
            self.visit(child)

    def _each(self, nodes: Sequence[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def _signature(self, arguments: ast.arguments) -> None:
        self._each([*arguments.defaults, *arguments.kw_defaults])

    def _body(self, arguments: ast.arguments, body: Sequence[ast.AST], parameters: set[str] | None = None) -> None:
        bound, global_, nonlocal_ = _bound_in(body)
        bound |= {argument.arg for argument in _arguments(arguments)} | (parameters or set())
        self.inside(_Scope("function", self.scope, bound - nonlocal_, global_, deferred=True), body)


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    optional = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *optional]


def _type_parameters(node: ast.AST) -> set[str]:
    return {parameter.name for parameter in getattr(node, "type_params", ())}  # Python 3.12's `def f[T](): …`


def _alias_name(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _pattern_names(node: ast.AST) -> list[str]:
    if not isinstance(node, ast.pattern):
        return []
    name = node.rest if isinstance(node, ast.MatchMapping) else None
    if isinstance(node, (ast.MatchAs, ast.MatchStar)):
        name = node.name
    return [name] if name else []


def _bound_in(nodes: Iterable[ast.AST]) -> tuple[set[str], set[str], set[str]]:
    """What these nodes bind in their own scope, and what they declare global and nonlocal."""
    bound: set[str] = set()
    global_: set[str] = set()
    nonlocal_: set[str] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, _DEFINITIONS):
            bound.add(node.name)
            continue
        elif isinstance(node, ast.Lambda):
            continue
        elif isinstance(node, _COMPREHENSIONS):
            bound.update(n.target.id for n in below(node) if isinstance(n, ast.NamedExpr))
            continue
        elif isinstance(node, ast.alias):
            bound.add(_alias_name(node))
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.Global):
            global_.update(node.names)
        elif isinstance(node, ast.Nonlocal):
            nonlocal_.update(node.names)
        bound.update(_pattern_names(node))
        stack.extend(children(node))
    return bound, global_, nonlocal_


def _certain(body: Iterable[ast.stmt]) -> set[str]:
    """What is bound after these statements whichever branches were taken. A loop may run no turn at all."""
    bound: set[str] = set()
    for node in body:
        if isinstance(node, ast.If):
            bound |= _certain(node.body) & _certain(node.orelse)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            bound |= _certain(node.body) | _bound_in(i.optional_vars for i in node.items if i.optional_vars)[0]
        elif isinstance(node, (ast.Try, ast.TryStar)):
            ways = [_certain(node.body) | _certain(node.orelse)]
            ways += [_certain(h.body) for h in node.handlers if not isinstance(h.body[-1], ast.Raise)]
            bound |= set.intersection(*ways) | _certain(node.finalbody)
        elif not isinstance(node, _COMPOUND) and not (isinstance(node, ast.AnnAssign) and node.value is None):
            bound |= _bound_in([node])[0]
    return bound


def _own_nodes(statement: ast.AST) -> Iterable[ast.AST]:
    """The statement and what is inside it, without the bodies of functions and classes."""
    stack = [statement]
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, (*_DEFINITIONS, ast.Lambda)):
            stack.extend(children(node))


def _trains(statement: ast.stmt) -> bool:
    if not isinstance(statement, _COMPOUND):
        return False
    loops = [n for n in _own_nodes(statement) if isinstance(n, (ast.For, ast.AsyncFor, ast.While))]
    return any(isinstance(loop, ast.While) or _calls_barely(loop) for loop in loops)


def _calls_barely(statement: ast.stmt) -> bool:
    """Does it hold an expression statement, as `loss.backward()` is one, that does more than fill a container?

    A bare string is a comment.
    """
    bare = [n for n in _own_nodes(statement) if isinstance(n, ast.Expr) and not isinstance(n.value, ast.Constant)]
    fills = [n for n in bare if _filled(n)]
    return len(fills) < len(bare) or (bool(fills) and _works(statement))


def _works(statement: ast.stmt) -> bool:
    return any(isinstance(n, ast.Call) and _WORKS.fullmatch(_last_name(n.func)) for n in _own_nodes(statement))


@once_a_node
def sets_quietly(function: ast.stmt) -> set[str]:
    """The names that calling this function binds in the module, where it does little else: no work, no bare calls."""
    if not isinstance(function, ast.FunctionDef):
        return set()
    bound, global_, _ = _bound_in(function.body)
    quiet = not any(_trains(node) or _works(node) or _calls_barely(node) for node in function.body if not _prints(node))
    return bound & global_ if quiet else set()


def _prints(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and _last_name(call.func) in ("print", "manual_seed", "seed")


def _alters(statement: ast.stmt) -> set[str]:
    """Names whose attributes or items are set. A block that also makes bare calls is doing something else."""
    if isinstance(statement, _DEFINITIONS):
        return _decorated(statement.decorator_list)
    if isinstance(statement, _COMPOUND) and _calls_barely(statement):
        return set()
    fills = not _trains(statement)  # `while True: found.append(1)` never ends
    altered = set()
    for node in _own_nodes(statement):
        if isinstance(node, _ASSIGNMENTS):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            altered |= {root for target in targets if (root := _root(target))}
        elif isinstance(node, ast.Expr) and fills and not _works(node) and (name := _filled(node)):
            altered.add(name)
    return altered


def _decorated(decorators: Iterable[ast.expr]) -> set[str]:
    """`X` of `@add_to_class(X)`: a class that gains a method, or a table in which the definition is registered."""
    calls = [d for d in decorators if isinstance(d, ast.Call) and _last_name(d.func) not in _WRAPPERS]
    given = [value for call in calls for value in (*call.args, *(keyword.value for keyword in call.keywords))]
    return {value.id for value in given if isinstance(value, ast.Name)}


def _filled(statement: ast.Expr) -> str | None:
    """`X` of `X.append(…)`, `X.a["b"].update(…)` and `setattr(X, …)`."""
    call = statement.value
    if not isinstance(call, ast.Call):
        return None
    if isinstance(call.func, ast.Attribute) and call.func.attr in _FILLING:
        return _root(call.func)
    if isinstance(call.func, ast.Name) and call.func.id == "setattr" and call.args:
        return call.args[0].id if isinstance(call.args[0], ast.Name) else _root(call.args[0])
    return None


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _root(target: ast.expr) -> str | None:
    """`X` for `X.a.b` and `X[0].c`; None for a plain name or anything else."""
    if not isinstance(target, (ast.Attribute, ast.Subscript)):
        return None
    node: ast.expr = target
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
