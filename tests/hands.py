"""Students who write in a way of their own, which no lot among a few dozen variants shows.

A solution from `copies.independent` is rewritten by one student's habits: `shape` or `size`, `mask == 0` or
`mask.eq(0)`, `x[None]` or `unsqueeze`, a helper here and there, other numbers in the training. What it computes stays
the same. Habits go through all that a student writes, so that two with the same ones are alike everywhere: that is what
makes false alarms.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Mapping
from functools import cache

from copies import Notebooks, the_ground

OTHERWISE = 0.1  # how often someone does it in another way than usual
HELPERS = (0, 0, 1, 1, 2, 3)  # expressions that are given a function of their own
TRAINING = ("fit", "Train", "run_experiments")
_KEPT = frozenset({"patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio"})  # the weights were trained with these
_ANY = ast.Call | ast.BinOp
_INNER = (ast.Lambda, ast.NamedExpr, ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp, ast.Starred, ast.Await)


def own_hand(notebooks: Notebooks, lot: random.Random) -> Notebooks:
    """The notebooks as one student would have written them."""
    habits = {name: lot.random() < often for name, often in HABITS.items()}
    changed = copy.deepcopy(dict(notebooks))
    for notebook in changed.values():
        for cell in notebook.cells:
            if cell.cell_type == "code" and not _is_given(cell.source):
                cell.source = _rewritten(cell.source, habits, lot)
    _with_helpers(changed, lot.choice(HELPERS), lot)
    return changed


@cache
def _given() -> tuple[frozenset[str], frozenset[str]]:
    """The cells of the hand-out, and its statements as they are unparsed."""
    cells = [cell.source for stub in the_ground().stubs.values() for cell in stub.cells if cell.kind == "code"]
    found = set()
    for source in cells:
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue
        found |= {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.stmt)}
    return frozenset(cells), frozenset(found)


def _is_given(source: str) -> bool:
    return source in _given()[0]


HABITS: Mapping[str, float] = {  # how often someone has it
    "reshape": 0.4,
    "shape": 0.6,
    "contiguous": 0.3,
    "power": 0.3,
    "eq": 0.25,
    "none": 0.25,
    "times": 0.15,
    "from zero": 0.3,
    "square": 0.2,
    "not none": 0.1,
    "size in brackets": 0.2,
    "larger": 0.4,
}


class _Hand(ast.NodeTransformer):
    def __init__(self, habits: Mapping[str, bool], lot: random.Random) -> None:
        self._habits = habits
        self._lot = lot
        self._large = lot.choice([-1e10, -1e12, -1e15, -1e20])

    def _does(self, habit: str) -> bool:
        return self._habits[habit] != (self._lot.random() < OTHERWISE)

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.stmt) and ast.unparse(node) in _given()[1]:
            return node
        made: ast.AST = super().visit(node)
        return made

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = [self.visit(child) for child in node.body]  # neither defaults nor decorators
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called, args = node.func, node.args
        if isinstance(called, ast.Name) and called.id == "range" and len(args) == 1 and self._does("from zero"):
            args.insert(0, ast.Constant(0))
        if not isinstance(called, ast.Attribute):
            return node
        plain = not any(isinstance(argument, ast.Starred) for argument in args) and not node.keywords
        of_torch = isinstance(called.value, ast.Name) and called.value.id in ("torch", "F", "nn", "np", "math")
        if called.attr == "view" and not of_torch and not _is_text(args) and self._does("reshape"):
            called.attr = "reshape"
        if called.attr == "sqrt" and ast.unparse(called.value) == "math" and plain and self._does("power"):
            return ast.BinOp(args[0], ast.Pow(), ast.Constant(0.5))
        if called.attr == "arange" and of_torch and len(args) == 1 and self._does("from zero"):
            args.insert(0, ast.Constant(0))
        if called.attr in ("zeros", "ones") and of_torch and len(args) > 1 and self._does("size in brackets"):
            node.args = [ast.Tuple(args, ast.Load())]
        if of_torch or not plain:
            return node
        if called.attr == "size" and self._does("shape"):
            shape = ast.Attribute(called.value, "shape", ast.Load())
            return ast.Subscript(shape, args[0], ast.Load()) if args else shape
        if called.attr == "transpose" and self._does("contiguous"):
            return ast.Call(ast.Attribute(node, "contiguous", ast.Load()), [], [])
        first = args[0] if len(args) == 1 else None
        if called.attr == "unsqueeze" and isinstance(first, ast.Constant) and first.value == 0 and self._does("none"):
            return ast.Subscript(called.value, ast.Constant(None), ast.Load())
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        left, right, sign = node.left, node.comparators[0], node.ops[0]
        if isinstance(sign, ast.Eq) and isinstance(left, ast.Name) and "mask" in left.id and self._does("eq"):
            return ast.Call(ast.Attribute(left, "eq", ast.Load()), [right], [])
        none = isinstance(right, ast.Constant) and right.value is None
        if isinstance(sign, ast.IsNot) and none and self._does("not none"):
            return ast.UnaryOp(ast.Not(), ast.Compare(left, [ast.Is()], [right]))
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Div) and isinstance(node.right, ast.Call | ast.BinOp) and self._does("times"):
            return ast.BinOp(node.left, ast.Mult(), ast.BinOp(ast.Constant(1.0), ast.Div(), node.right))
        two = isinstance(node.right, ast.Constant) and node.right.value == 2
        if isinstance(node.op, ast.Pow) and two and isinstance(node.left, ast.Name) and self._does("square"):
            return ast.BinOp(node.left, ast.Mult(), node.left)
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and node.operand.value == 1e9:
            return ast.Constant(self._large) if self._does("larger") else node
        return node


class _Numbers(ast.NodeTransformer):
    """Other learning rates, epochs, sizes of a batch."""

    def __init__(self, lot: random.Random) -> None:
        self._lot = lot

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        names = {inner.id for target in node.targets for inner in ast.walk(target) if isinstance(inner, ast.Name)}
        return node if names & _KEPT else self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        return node if node.arg in _KEPT else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) in (int, float) and node.value not in (0, 1, 2) and self._lot.random() < 0.4:
            assert isinstance(node.value, int | float)
            changed = node.value * self._lot.choice([0.1, 0.5, 2, 3, 5])
            return ast.Constant(max(int(changed), 1) if isinstance(node.value, int) else changed)
        return node


def _is_text(args: list[ast.expr]) -> bool:
    return any(isinstance(argument, ast.Attribute) for argument in args)  # `view(torch.int)` reads the bits anew


def _rewritten(source: str, habits: Mapping[str, bool], lot: random.Random) -> str:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    tree = _Hand(habits, lot).visit(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in TRAINING:
            _Numbers(lot).visit(node)
    return ast.unparse(ast.fix_missing_locations(tree))


# ---- helpers --------------------------------------------------------------------------------------------------------


def _with_helpers(notebooks: Notebooks, count: int, lot: random.Random) -> None:
    """Give some expressions functions of their own, in the cells where they stand."""
    places = [cell for notebook in notebooks.values() for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(lot.sample(places, len(places))):
        if count == 0:
            return
        made = None if _is_given(cell.source) else _with_a_helper(cell.source, f"_part_{number}", lot)
        if made is not None:
            cell.source = made
            count -= 1


def _with_a_helper(source: str, name: str, lot: random.Random) -> str | None:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    fit = [
        (function, statement)
        for class_ in tree.body
        if isinstance(class_, ast.ClassDef) and not class_.decorator_list
        for function in class_.body
        if isinstance(function, ast.FunctionDef) and not function.decorator_list
        for statement in function.body
        if isinstance(statement, ast.Assign | ast.Return) and _can_move(statement, function)
    ]
    if not fit:
        return None
    function, statement = lot.choice(fit)
    assert statement.value is not None
    names = _loaded(statement.value) & _local(function)
    arguments = [ast.arg(one) for one in sorted(names)]
    helper = ast.FunctionDef(
        name=name,
        args=ast.arguments(posonlyargs=[], args=arguments, kwonlyargs=[], kw_defaults=[], defaults=[]),
        body=[ast.Return(statement.value)],
        decorator_list=[],
    )
    statement.value = ast.Call(ast.Name(name, ast.Load()), [ast.Name(one, ast.Load()) for one in sorted(names)], [])
    tree.body.insert(0, helper)
    return ast.unparse(ast.fix_missing_locations(tree))


def _can_move(statement: ast.Assign | ast.Return, function: ast.FunctionDef) -> bool:
    value = statement.value
    if not isinstance(value, _ANY) or ast.unparse(statement) in _given()[1]:
        return False
    inner = list(ast.walk(value))
    names = _loaded(value)
    calls = sum(isinstance(node, _ANY) for node in inner)
    return calls > 1 and not any(isinstance(node, _INNER) for node in inner) and not names & {"self", "super"}


def _loaded(value: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}


def _local(function: ast.FunctionDef) -> set[str]:
    stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    arguments = function.args
    return stored | {argument.arg for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
