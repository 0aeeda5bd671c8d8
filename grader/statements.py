"""From cells to top-level statements: magics neutralised, line numbers kept, broken code confined to its own piece."""

from __future__ import annotations

import ast
import functools
import re
import tokenize
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

import msgspec

from grader.names import Uses, uses
from grader.notebook import Cell, Notebook, Problem

MAX_CELL_CHARS = 200_000  # of code; a whole course notebook has about 40,000
MAX_NOTEBOOK_CHARS = 400_000
_MAX_JOINS = 60  # pieces that one unclosed bracket or string is tried over
_MAX_RETRIES = 500  # such tries in one cell; without it, a cell of nothing but "[" takes minutes

# Their bodies run in the notebook's own namespace; other cell magics hand theirs to a shell, a file or a browser.
_CODE_MAGICS = {"time", "capture", "prun", "memit", "debug", "wandb"}
_LOOKS_MAGIC = re.compile(r"^\s*[%!?]|\?\s*$|=\s*[%!]|\A\s*\n*[ \t]+\S", re.MULTILINE)
_CONTINUES = re.compile(r"\s|#|[)\]}]|(?:else|elif|except|finally)\b|$")  # a line that starts no statement
_SEEMS_DEFINED = re.compile(r"^(?:(?:async\s+)?def\s+|class\s+)(\w+)|^(\w+)\s*(?::[^=\n]+)?=(?!=)", re.MULTILINE)
_UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One top-level statement. Compiling `"\\n" * (line - 1) + source` gives the cell's own line numbers."""

    source: str
    cell: int
    line: int
    node: ast.stmt
    uses: Uses
    offset: int = 0  # add it to a line number of `node` to have the cell's


@dataclass(frozen=True, slots=True)
class Code:
    """All code of a notebook, in the order of "restart and run all"."""

    statements: tuple[Statement, ...]
    problems: tuple[Problem, ...]


@functools.lru_cache(maxsize=16)  # those of one submission, its template, its solution
def code(notebook: Notebook) -> Code:
    """Each cell is parsed once, whatever is asked of the notebook. Never raises."""
    statements: list[Statement] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    left = MAX_NOTEBOOK_CHARS
    for cell in notebook.cells:
        if cell.kind != "code":
            continue
        size = len(cell.source)
        if size > min(MAX_CELL_CHARS, left):
            problems.append(_problem(cell, 1, f"the cell is too long to be read ({size:,} characters)", cell.source))
            continue
        left -= size
        # A cell that stands there twice is read twice: nodes are told apart by what they are, not by what they say.
        found = _known(cell.source) if cell.source not in seen else tuple(_read(cell))
        seen.add(cell.source)
        for piece in found:
            if isinstance(piece, Statement):
                statements.append(replace(piece, cell=cell.index))
            else:
                problems.append(msgspec.structs.replace(piece, cell=cell.index))
    return Code(tuple(statements), tuple(problems))


@functools.lru_cache(maxsize=128)  # about half of what a class hands in is code that was handed out
def _known(source: str) -> tuple[Statement | Problem, ...]:
    """What a code cell holds, wherever it stands. Nobody changes the nodes: other notebooks have the same ones."""
    return tuple(_read(Cell(index=0, kind="code", source=source)))


def _read(cell: Cell) -> Iterator[Statement | Problem]:
    text = _without_cell_magic("\n".join(_lines(cell.source)))
    if text is None:
        return
    tree, _ = _parsed_piece(text)
    if tree is not None:
        yield from _statements(cell, tree[0].body, tree[1], 0)
    else:
        yield from _recovered(cell, _neutralised(text))


@functools.lru_cache(maxsize=1)  # asked again for each problem of the same cell
def _lines(source: str) -> tuple[str, ...]:
    """As Python counts them: a form feed, or a Unicode separator in a string, ends no line."""
    return tuple(source.replace("\r\n", "\n").replace("\r", "\n").split("\n"))


def _parsed(text: str) -> ast.Module:
    """Parse, and compile too: `return` outside a function passes the parser alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\d" in a student's string is no concern of ours
        tree = ast.parse(text)
        compile(tree, "<cell>", "exec", dont_inherit=True)
    return tree


def _without_cell_magic(text: str) -> str | None:
    """The code below `%%time` and its like, its lines where they were; None when the cell holds no Python."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        magic = re.match(r"\s*%%(\w*)", line)
        if magic is None:
            break
        if magic[1] not in _CODE_MAGICS:
            return None
        lines[number] = ""
    return "\n".join(lines)


def _neutralised(text: str) -> str:
    """`%x`, `!x`, `y = !x` and `x?` made harmless, each line staying where it is. IPython finds them."""
    if not _LOOKS_MAGIC.search(text):
        return text
    lines = [line + "\n" for line in text.split("\n")]
    first = next((line for line in lines if line.strip()), "")
    if indent := re.match(r"[ \t]*", first)[0]:  # type: ignore[index]  # it always matches
        lines = [line.removeprefix(indent) for line in lines]  # as IPython does for a cell that is indented whole
    for _ in range(20):  # what stands behind a shell's lone quote is found on a later round
        magics = _magics(lines)
        if not magics:
            break
        for line, column, last, stand_in in magics:
            lines[line] = lines[line][:column] + stand_in + "\n"
            lines[line + 1 : last + 1] = ["\n"] * (last - line)
    return "".join(lines)[:-1]


def _magics(lines: list[str]) -> list[tuple[int, int, int, str]]:
    """(line, column, last line, harmless code) of each magic, none inside another."""
    from IPython.core import inputtransformer2 as ipython  # slow to import, and needed where there are magics only

    kinds = (
        (ipython.HelpEnd, "pass"),
        (ipython.MagicAssign, "None"),
        (ipython.SystemAssign, "[]"),
        (ipython.EscapedCommand, "pass"),
    )
    found: list[tuple[int, int, int, str]] = []
    try:
        logical = ipython.make_tokens_by_line(lines)
    except (SyntaxError, tokenize.TokenError, IndexError):  # the tokenizer's own words for broken code
        return found
    for tokens in logical:
        for kind, stand_in in kinds:
            try:
                magic = kind.find([tokens])  # type: ignore[no-untyped-call]  # IPython's
            except IndexError:  # IPython looks one token too far at the end of a cell
                continue
            if magic is None:
                continue
            last = getattr(magic, "q_line", magic.start_line)
            while lines[last].endswith("\\\n") and last + 1 < len(lines):
                last += 1
            if not found or magic.start_line > found[-1][2]:
                found.append((magic.start_line, magic.start_col, last, stand_in))
            break
    return found


def _recovered(cell: Cell, text: str) -> Iterator[Statement | Problem]:
    """Piece by piece, split where statements start at the left margin, so that a broken class costs itself alone."""
    lines = text.split("\n")
    starts = _piece_starts(lines)
    ends = [*starts[1:], len(lines)]
    piece = retries = 0
    while piece < len(starts):
        start = starts[piece]
        for last in range(piece, min(piece + _MAX_JOINS, len(starts))):
            source = "\n".join(lines[start : ends[last]])
            tree, error = _parsed_piece(source)
            if tree is not None:
                yield from _statements(cell, tree[0].body, tree[1], start)
                piece = last
                break
            if last == piece:
                line = start + min(max(getattr(error, "lineno", None) or 1, 1), ends[piece] - start)
                message = error.msg if isinstance(error, SyntaxError) else str(error) or "the code is nested too deeply"
                problem = _problem(cell, line, message, source)
            # Text at the margin may be the inside of a string or a bracket: then, and only then, take in more.
            open_ended = "never closed" in str(error) or "unterminated triple-quoted" in str(error)
            retries += 1 if open_ended else 0
            if not open_ended or retries > _MAX_RETRIES:
                yield problem
                break
        else:
            yield problem
        piece += 1


def _piece_starts(lines: Sequence[str]) -> list[int]:
    starts: list[int] = []
    decorated = False
    for number, line in enumerate(lines):
        if _CONTINUES.match(line):
            continue
        if not decorated:
            starts.append(number)
        decorated = line.startswith("@")
    if not starts or _has_code(lines[: starts[0]]):
        starts.insert(0, 0)
    return starts


def _has_code(lines: Sequence[str]) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def _parsed_piece(source: str) -> tuple[tuple[ast.Module, str], None] | tuple[None, Exception]:
    try:
        return (_parsed(source), source), None
    except _UNPARSABLE as error:
        first = error
    try:
        calm = _neutralised(source)
        if calm != source:
            return (_parsed(calm), calm), None
    except _UNPARSABLE:
        pass
    return None, first


def _statements(cell: Cell, body: Sequence[ast.stmt], text: str, offset: int) -> Iterator[Statement | Problem]:
    """`offset`: lines of the cell above `text`."""
    lines = text.split("\n")
    stack = list(reversed(body))
    while stack:
        node = stack.pop()
        if _is_main_guard(node):
            stack.extend(reversed(node.body))
            continue
        source, line = _source(lines, node)
        try:
            yield Statement(source, cell.index, line + offset, node, uses(node), offset)
        except RecursionError:
            yield _problem(cell, line + offset, "the code is nested too deeply", source)


def _is_main_guard(node: ast.stmt) -> TypeGuard[ast.If]:
    """`if __name__ == "__main__":` is entered in a notebook."""
    if not (isinstance(node, ast.If) and isinstance(node.test, ast.Compare) and len(node.test.ops) == 1):
        return False
    sides = [node.test.left, *node.test.comparators]
    return (
        isinstance(node.test.ops[0], ast.Eq)
        and any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
        and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)
    )


def _source(lines: Sequence[str], node: ast.stmt) -> tuple[str, int]:
    """The statement's text and its first line, decorators included."""
    assert node.end_lineno is not None  # ast.parse always sets it
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])
    chunk = list(lines[first - 1 : node.end_lineno])
    chunk[-1] = chunk[-1].encode()[: node.end_col_offset].decode()  # columns count bytes
    if node.col_offset == 0:
        return "\n".join(chunk), first
    if hasattr(node, "body"):  # only a compound statement depends on its indentation; exact text under a header
        return "\n".join(["if True:", *chunk]), first - 1
    chunk[0] = chunk[0].encode()[node.col_offset :].decode()
    return "\n".join(chunk), first


def _problem(cell: Cell, line: int, message: str, source: str) -> Problem:
    """`line` counts within the cell."""
    written = _lines(cell.source)
    text = written[line - 1].strip()[:200] if line <= len(written) else ""
    names = {unicodedata.normalize("NFKC", match[1] or match[2]) for match in _SEEMS_DEFINED.finditer(source)}
    return Problem(cell=cell.index, line=line, message=message[:300], text=text, names=tuple(sorted(names)))
