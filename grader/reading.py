"""A careful reader of code: it follows constants, mappings, attributes and calls as far as it can, and runs nothing.

What it cannot tell is UNKNOWN, and UNKNOWN spreads. Every visit costs a step and steps are limited, so that no notebook
keeps it busy: it reads a loop over a literal list turn by turn, and any other loop once.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from grader.notebook import Notebook
from grader.statements import Statement, code
from grader.tables import Number
from grader.trees import FUNCTIONS, below, children, once_a_node
from grader.values import MAX_ITEMS, UNKNOWN, Class, Function, Object, call, call_method, is_number, item, operate

_MAX_STEPS = 100_000
_MAX_DEPTH = 5  # of calls within calls


@dataclass(frozen=True, slots=True)
class Place:
    function: str  # "" at the top level
    cell: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Call:
    """One construction of the class: the wanted arguments, its own defaults included."""

    values: Mapping[str, Number]
    place: Place
    saves: bool  # the scope of the call also saves weights


@dataclass(slots=True)
class Reading:
    calls: list[Call] = field(default_factory=list)
    named: list[tuple[dict[str, Number], Place]] = field(default_factory=list)  # in order of the notebook


@lru_cache(maxsize=4)  # the weights and the experiments ask for the same
def read_settings(notebook: Notebook, wanted: tuple[str, ...], class_name: str) -> Reading:
    """Read all statements in order, and at last the functions that nothing called. Never raises.

    Whoever gets the answer leaves it as it is: others get the same one.
    """
    found, statements = Reading(), code(notebook).statements
    # A notebook that asks for a GPU is read for both answers; for the one of the machine that trained, last.
    for gpu in (False, True):
        reader = _Reader(wanted, class_name, statements, gpu)
        with contextlib.suppress(_OutOfStepsError):  # what was read until then still counts
            reader.read_all()
        found.calls += reader.reading.calls
        found.named += reader.reading.named
        if not reader.asked:
            break
    return found


class _OutOfStepsError(Exception):
    pass


@dataclass(slots=True, eq=False)
class _Frame:
    function: str
    cell: int
    offset: int
    saves: bool
    values: dict[str, Any] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)  # where wanted names are set
    result: Any = UNKNOWN


class _Reader:
    def __init__(self, wanted: Sequence[str], class_name: str, statements: Sequence[Statement], gpu: bool) -> None:
        self.gpu = gpu  # the answer to whether there is one
        self.asked = False
        self.wanted = wanted
        self.class_name = class_name
        self.statements = statements
        self.reading = Reading()
        self.steps = 0
        self.depth = 0
        self.visited: set[ast.AST] = set()  # function nodes
        self.lambdas: dict[int, ast.FunctionDef] = {}  # by id of the lambda; kept, so that no id is given twice
        classes = [s.node for s in statements if isinstance(s.node, ast.ClassDef) and s.node.name == class_name]
        found = [n for n in (classes[-1].body if classes else []) if isinstance(n, ast.FunctionDef)]
        self.init = next((n for n in reversed(found) if n.name == "__init__"), None)
        saves = any(_saves(s.node) for s in statements if not isinstance(s.node, (ast.FunctionDef, ast.ClassDef)))
        self.module = self.frame = _Frame("", 0, 0, saves)

    def read_all(self) -> None:
        for statement in self.statements:
            if statement.cell != self.module.cell:
                self.note_names(self.module)
                self.module.lines = []
            self.module.cell, self.module.offset = statement.cell, statement.offset
            with contextlib.suppress(RecursionError):  # nested deeper than the interpreter goes: that one is lost
                self.run([statement.node])
        self.note_names(self.module)
        self.module.saves = False  # speaks for what the top level calls, and the rest is called by nobody
        for statement in self.statements:
            if isinstance(statement.node, ast.ClassDef) and _is_network(statement.node):
                continue
            for node in (statement.node, *_functions(statement.node)):
                if isinstance(node, FUNCTIONS) and node not in self.visited:
                    with contextlib.suppress(RecursionError):
                        self.call_function(Function(node, statement.cell, statement.offset), [], {})

    # What was found.

    def numbers(self, values: Mapping[str, Any]) -> dict[str, Number]:
        return {name: values[name] for name in self.wanted if is_number(values.get(name))}

    def note_names(self, frame: _Frame) -> None:
        if frame.lines and (values := self.numbers(frame.values)):
            self.reading.named.append((values, Place(frame.function, frame.cell, min(frame.lines), max(frame.lines))))

    def note_mapping(self, node: ast.expr, values: Mapping[str, Any]) -> None:
        found = self.numbers(values)
        if len(found) >= min(2, len(self.wanted)):
            self.reading.named.append((found, self.place(node)))

    def note_construction(self, node: ast.Call, positional: list[Any] | None, named: dict[str, Any] | None) -> None:
        """`None`: an unknown `*args` or `**kwargs`, which may hold anything: no defaults then."""
        values = dict(named or {})
        if self.init is not None:
            parameters = [a.arg for a in (*self.init.args.posonlyargs, *self.init.args.args)][1:]
            values = {**dict(zip(parameters, positional or [], strict=False)), **values}
            if positional is not None and named is not None:
                values = {**self.defaults(self.init.args), **values}
        self.reading.calls.append(Call(self.numbers(values), self.place(node), self.frame.saves))

    def place(self, node: ast.expr) -> Place:
        frame = self.frame
        first, last = node.lineno + frame.offset, (node.end_lineno or node.lineno) + frame.offset
        return Place(frame.function, frame.cell, first, last)

    # Statements.

    def step(self) -> None:
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise _OutOfStepsError

    def run(self, body: Iterable[ast.stmt]) -> None:
        for node in body:
            self.step()
            self.run_one(node)

    def run_one(self, node: ast.stmt) -> None:
        if isinstance(node, FUNCTIONS):
            self.frame.values[node.name] = Function(node, self.frame.cell, self.frame.offset)
        elif isinstance(node, ast.ClassDef):
            self.frame.values[node.name] = Class(node, self.class_values(node), self.frame.cell, self.frame.offset)
        elif isinstance(node, ast.Assign):
            value = self.value(node.value)
            for target in node.targets:
                self.assign(target, value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self.assign(node.target, self.value(node.value))
        elif isinstance(node, ast.AugAssign):
            self.assign(node.target, operate(node.op, self.value(node.target), self.value(node.value)))
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self.run_loop(node.iter, node.target, [*node.body, *node.orelse])
        elif isinstance(node, ast.If):
            test = self.value(node.test)
            for branch, taken in ((node.body, True), (node.orelse, False)):
                if test is UNKNOWN or bool(test) is taken:
                    self.run(branch)
        elif isinstance(node, ast.Return):
            self.frame.result = self.value(node.value) if node.value else None
        elif isinstance(node, (ast.Expr, ast.Assert, ast.Raise)):
            self.visit_all(node)
        else:
            self.visit_all(node)  # the header of a `with` or a `while`, then what it holds
            for block in ("body", "handlers", "orelse", "finalbody", "cases"):
                for inner in getattr(node, block, []):
                    self.run([inner] if isinstance(inner, ast.stmt) else inner.body)

    def run_loop(self, iterable: ast.expr, target: ast.expr, body: Sequence[ast.stmt]) -> None:
        items = self.value(iterable)
        for turn in items[:MAX_ITEMS] if isinstance(items, list) else [UNKNOWN]:
            self.assign(target, turn)
            self.run(body)

    def visit_all(self, node: ast.AST) -> None:
        """Evaluate the expressions that stand directly in a statement, for the calls in them."""
        for child in children(node):
            if isinstance(child, ast.expr):
                self.value(child)
            elif isinstance(child, ast.withitem):
                self.visit_all(child)

    def assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.frame.values[target.id] = value
            if target.id in self.wanted:
                self.frame.lines.append(target.lineno + self.frame.offset)
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = (
                value if isinstance(value, list) and len(value) == len(target.elts) else [UNKNOWN] * len(target.elts)
            )
            for element, part in zip(target.elts, parts, strict=True):
                self.assign(element, part)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value)
            if isinstance(owner, (Object, Class)):
                owner.values[target.attr] = value
        elif isinstance(target, ast.Subscript):
            owner, key = self.value(target.value), self.value(target.slice)
            if isinstance(owner, dict) and isinstance(key, (str, int)):
                owner[key] = value

    # Expressions.

    def value(self, node: ast.expr) -> Any:
        self.step()
        read = _READERS.get(type(node))
        if read is not None:
            return read(self, node)
        self.visit_all(node)
        return UNKNOWN

    def value_Constant(self, node: ast.Constant) -> Any:
        return node.value

    def value_Name(self, node: ast.Name) -> Any:
        return self.frame.values.get(node.id, self.module.values.get(node.id, UNKNOWN))

    def value_UnaryOp(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.USub) and is_number(value):
            return -value
        return not value if isinstance(node.op, ast.Not) and isinstance(value, bool) else UNKNOWN

    def value_BinOp(self, node: ast.BinOp) -> Any:
        return operate(node.op, self.value(node.left), self.value(node.right))

    def value_IfExp(self, node: ast.IfExp) -> Any:
        test = self.value(node.test)
        return UNKNOWN if test is UNKNOWN else self.value(node.body if test else node.orelse)

    def value_Compare(self, node: ast.Compare) -> Any:
        """Whether a device is the GPU; nothing else is told, as a loop that is read once leaves stale values."""
        self.visit_all(node)
        words = [s.value for s in (node.left, *node.comparators) if isinstance(s, ast.Constant)]
        if len(node.ops) > 1 or not isinstance(node.ops[0], (ast.Eq, ast.NotEq)) or words not in (["cuda"], ["cpu"]):
            return UNKNOWN
        self.asked = True
        return self.gpu == ((words == ["cuda"]) == isinstance(node.ops[0], ast.Eq))

    def value_Lambda(self, node: ast.Lambda) -> Function:
        self.visit_all(node)
        if id(node) not in self.lambdas:
            body = ast.copy_location(ast.Return(node.body), node)
            self.lambdas[id(node)] = ast.copy_location(ast.FunctionDef("", node.args, [body], []), node)
        return Function(self.lambdas[id(node)], self.frame.cell, self.frame.offset)

    def value_List(self, node: ast.List | ast.Tuple) -> list[Any]:
        return [self.value(element) for element in node.elts]

    value_Tuple = value_List

    def value_Dict(self, node: ast.Dict) -> dict[Any, Any]:
        values: dict[Any, Any] = {}
        for key, content in zip(node.keys, node.values, strict=True):
            name, value = (None if key is None else self.value(key)), self.value(content)
            if key is None:
                values |= value if isinstance(value, dict) else {}
            elif isinstance(name, (str, int)):
                values[name] = value
        self.note_mapping(node, values)
        return values

    def value_Attribute(self, node: ast.Attribute) -> Any:
        owner = self.value(node.value)
        return owner.values.get(node.attr, UNKNOWN) if isinstance(owner, (Object, Class)) else UNKNOWN

    def value_Subscript(self, node: ast.Subscript) -> Any:
        return item(self.value(node.value), self.value(node.slice))

    def value_ListComp(self, node: ast.ListComp | ast.GeneratorExp) -> Any:
        """One turn for each item, for a comprehension that builds models; the list itself is left unknown."""
        self.run_loop(node.generators[0].iter, node.generators[0].target, [ast.Expr(node.elt)])
        return UNKNOWN

    value_GeneratorExp = value_ListComp

    def value_DictComp(self, node: ast.DictComp) -> Any:
        """`{k: v for k, v in best.items() if k != "accuracy"}`"""
        first = node.generators[0]
        items = self.value(first.iter)
        values: dict[Any, Any] = {}
        for turn in items[:MAX_ITEMS] if isinstance(items, list) and len(node.generators) == 1 else [UNKNOWN]:
            self.assign(first.target, turn)
            kept = [self.holds(test) for test in first.ifs]
            key, value = self.value(node.key), self.value(node.value)
            if UNKNOWN in kept or not isinstance(key, (str, int)):
                return UNKNOWN
            if all(kept):
                values[key] = value
        self.note_mapping(node, values)
        return values

    def holds(self, test: ast.expr) -> Any:
        """`k != "accuracy"`, `k in names`: True, False or UNKNOWN."""
        if not isinstance(test, ast.Compare) or len(test.ops) > 1:
            return UNKNOWN
        left, right, sign = self.value(test.left), self.value(test.comparators[0]), type(test.ops[0])
        if not isinstance(left, (str, int)):
            return UNKNOWN
        if sign in (ast.Eq, ast.NotEq) and isinstance(right, (str, int)):
            return (left == right) is (sign is ast.Eq)
        if sign in (ast.In, ast.NotIn) and isinstance(right, (list, dict)):
            return (left in right) is (sign is ast.In)
        return UNKNOWN

    def value_Call(self, node: ast.Call) -> Any:
        if _is_whichever_device(node) and self.value(node.func.value) is UNKNOWN:  # type: ignore[attr-defined]
            return UNKNOWN  # nothing hangs on the answer, and the notebook need not be read for both
        positional: list[Any] | None = []
        for argument in node.args:
            value = self.value(argument.value if isinstance(argument, ast.Starred) else argument)
            if not isinstance(argument, ast.Starred):
                value = [value]
            positional = positional + value if positional is not None and isinstance(value, list) else None
        named: dict[str, Any] | None = {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            extra = {keyword.arg: value} if keyword.arg else value
            named = {**named, **extra} if named is not None and isinstance(extra, dict) else None
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name and name == self.class_name:
            self.note_construction(node, positional, named)
            return UNKNOWN
        return self.follow(node, name, positional or [], {k: v for k, v in (named or {}).items() if isinstance(k, str)})

    def follow(self, node: ast.Call, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
        if isinstance(node.func, ast.Attribute):
            owner = self.value(node.func.value)
            if isinstance(owner, Object) and owner.of is not None:
                return self.call_method(owner, name, positional, named)
            known = call_method(owner, name, positional, named)
            if known is not UNKNOWN:
                return known
        else:
            called = self.value(node.func)
            if isinstance(called, Function):
                return self.call_function(called, positional, named)
            if isinstance(called, Class):
                if _is_network(called.node):
                    return UNKNOWN  # trying out a layer on its own is no setting
                return self.construct(node, called, positional, named)
            if isinstance(named.get("key"), Function) and positional and isinstance(positional[0], list):
                return self.best(name, positional[0], named["key"], named.get("reverse") is True)
        if name == "is_available" and (not isinstance(node.func, ast.Attribute) or _is_cuda(node.func.value)):
            self.asked = True
            return self.gpu
        result = call(name, positional, named)
        if isinstance(result, (dict, Object)):
            self.note_mapping(node, result if isinstance(result, dict) else result.values)
        return result

    def best(self, name: str, items: list[Any], key: Function, reverse: bool) -> Any:
        """`max(results, key=lambda r: r["accuracy"])` and its like."""
        pairs = [(self.call_function(key, [one], {}), one) for one in items[:MAX_ITEMS]]
        if not pairs or not all(is_number(number) for number, _ in pairs) or name not in ("max", "min", "sorted"):
            return UNKNOWN
        pairs.sort(key=lambda pair: pair[0], reverse=name == "max" or reverse)
        return [one for _, one in pairs] if name == "sorted" else pairs[0][1]

    # Functions and classes.

    def call_function(self, function: Function, positional: list[Any], named: dict[str, Any]) -> Any:
        self.visited.add(function.node)
        if self.depth >= _MAX_DEPTH:
            return UNKNOWN
        arguments = function.node.args
        parameters = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
        saves = self.frame.saves or _saves(function.node)
        frame = _Frame(function.node.name, function.cell, function.offset, saves)
        unset = dict.fromkeys([*parameters, *(a.arg for a in arguments.kwonlyargs)], UNKNOWN)
        frame.values = {**unset, **self.defaults(arguments), **dict(zip(parameters, positional, strict=False)), **named}
        if arguments.kwarg:
            frame.values[arguments.kwarg.arg] = {k: v for k, v in named.items() if k not in unset}
        frame.lines = [function.node.lineno + function.offset] if self.numbers(frame.values) else []
        outside, self.frame = self.frame, frame
        self.depth += 1
        try:
            self.run(function.node.body)
            self.note_names(frame)
        finally:
            self.frame = outside
            self.depth -= 1
        return frame.result

    def defaults(self, arguments: ast.arguments) -> dict[str, Any]:
        ordered = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
        pairs = [*zip(ordered[len(ordered) - len(arguments.defaults) :], arguments.defaults, strict=True)]
        pairs += [(a.arg, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
        return {name: self.value(default) for name, default in pairs}

    def class_values(self, node: ast.ClassDef) -> dict[str, Any]:
        if node.name == self.class_name or _is_network(node):
            return {}  # defaults of layers are no settings; those of the class itself are read where it is called
        values: dict[str, Any] = {}
        for line in node.body:
            if isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name):
                values[line.targets[0].id] = self.value(line.value)
            elif isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                values[line.target.id] = self.value(line.value) if line.value else UNKNOWN
        if found := self.numbers(values):
            last = (node.end_lineno or node.lineno) + self.frame.offset
            place = Place("", self.frame.cell, node.lineno + self.frame.offset, last)
            self.reading.named.append((found, place))
        return values

    def construct(self, node: ast.Call, made: Class, positional: list[Any], named: dict[str, Any]) -> Object:
        made_of = Object(dict(made.values), made)
        if any(isinstance(n, ast.FunctionDef) and n.name == "__init__" for n in made.node.body):
            self.call_method(made_of, "__init__", positional, named)
        else:  # a dataclass, or a NamedTuple
            made_of.values |= {**dict(zip(made.values, positional, strict=False)), **named}
        self.note_mapping(node, made_of.values)
        return made_of

    def call_method(self, owner: Object, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
        assert owner.of is not None
        for member in owner.of.node.body:
            if isinstance(member, ast.FunctionDef) and member.name == name:
                home = Function(member, owner.of.cell, owner.of.offset)
                return self.call_function(home, [owner, *positional], named)
        return UNKNOWN


_READERS: dict[type, Callable[[_Reader, Any], Any]] = {
    getattr(ast, name.removeprefix("value_")): read for name, read in vars(_Reader).items() if name.startswith("value_")
}


def _is_cuda(node: ast.expr) -> bool:
    return (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")) == "cuda"


@once_a_node
def _is_whichever_device(node: ast.Call) -> bool:
    """`torch.device("cuda" if torch.cuda.is_available() else "cpu")`, as most notebooks have it, ours included."""
    match node:
        case ast.Call(
            ast.Attribute(ast.Name("torch"), "device"),
            [ast.IfExp(ast.Call(ast.Attribute(cuda, "is_available"), [], []), ast.Constant(), ast.Constant())],
            [],
        ):
            return _is_cuda(cuda)
    return False


@once_a_node
def _functions(node: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions that stand in it; itself is none of them, as in `below`."""
    return [one for one in below(node) if isinstance(one, FUNCTIONS)]


@once_a_node
def _saves(node: ast.AST) -> bool:
    """Does it save weights: `torch.save(…)`, `save(…)`, `save_model(…)`?"""
    for inner in (node, *below(node)):
        if isinstance(inner, ast.Call):
            name = inner.func.attr if isinstance(inner.func, ast.Attribute) else getattr(inner.func, "id", "")
            if name == "save" or name.startswith("save_"):
                return True
    return False


def _is_network(node: ast.ClassDef) -> bool:
    """Does it derive from torch's `Module`? A class that derives from something else may hold the settings."""
    return any((b.attr if isinstance(b, ast.Attribute) else getattr(b, "id", "")) == "Module" for b in node.bases)
