"""What stands below a node of a syntax tree, found once and kept on the node.

About half of a hand-in's cells are as they were handed out, and `grader.statements` gives the same nodes for the same
cell: what was found out about them for one submission is there for all others, and ends with them. Contexts and
operators are no part of it: nobody asks for them, and they are a third of all nodes.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, TypeVar

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_PLAIN = {"id", "attr", "kind", "type_comment"}  # fields of text
_LEFT_OUT = {"ctx", "op", "ops"}

Answer = TypeVar("Answer")
_UNASKED = object()


def once_a_node(ask: Callable[[Any], Answer]) -> Callable[[Any], Answer]:
    """A function of one node that is asked once for each. Whoever gets the answer leaves it as it is.

    The answer must not have the node itself in it: they would hold each other until the garbage collector comes by.
    """
    kept = f"_{ask.__module__}.{ask.__qualname__}"

    def asked(node: Any) -> Answer:
        answer = node.__dict__.get(kept, _UNASKED)
        if answer is _UNASKED:
            answer = node.__dict__[kept] = ask(node)
        return answer  # type: ignore[no-any-return]

    return asked


_FIELDS = {
    kind: tuple(name for name in kind._fields if name not in _PLAIN | _LEFT_OUT)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes that stand directly in this one, in order, as `ast.iter_child_nodes` gives them."""
    found: list[ast.AST] = []
    for name in _FIELDS[type(node)]:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            found.append(value)
        elif isinstance(value, list):
            found += [item for item in value if isinstance(item, ast.AST)]
    return found


@once_a_node
def below(node: ast.AST) -> tuple[ast.AST, ...]:
    """All nodes inside this one, level by level, as `ast.walk` gives them; itself is none of them."""
    found = children(node)
    for inner in found:  # grows meanwhile
        found += children(inner)
    return tuple(found)
