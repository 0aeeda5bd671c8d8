"""Matrices and grey images as PNG data URIs, one pixel a number: the page scales them up without smoothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from grader.records import Figure, Matrix

Colour = tuple[int, int, int]
# Few anchors, straight lines between them. Signed: blue, white, orange, which the colour-blind tell apart as well.
SIGNED: tuple[Colour, ...] = ((24, 56, 140), (106, 150, 220), (246, 246, 244), (238, 156, 84), (158, 66, 8))
RISING: tuple[Colour, ...] = ((244, 244, 240), (170, 198, 236), (72, 118, 204), (30, 46, 120), (12, 16, 48))
MOST_SIDE = 256  # of a matrix; a record says at most so much


@dataclass(frozen=True)
class Panel:
    title: str
    uri: str
    rows: int
    cols: int
    alt: str


@dataclass(frozen=True)
class Picture:
    """A figure as the template shows it. `stops`: the colours of its scale, for a CSS gradient."""

    id: str
    title: str
    caption: str
    row: str
    col: str
    low: str
    high: str
    stops: str
    panels: tuple[Panel, ...]


def picture(figure: Figure) -> Picture | None:
    """All matrices of a figure on one scale; None where they are no picture (no cells, or bytes that do not fit)."""
    matrices = [m for m in figure.matrices if 0 < m.rows <= MOST_SIDE and 0 < m.cols <= MOST_SIDE]
    matrices = [m for m in matrices if len(m.levels) == m.rows * m.cols]
    if not matrices:
        return None
    low, high = min(m.low for m in matrices), max(m.high for m in matrices)
    if figure.signed:  # zero is in the middle
        high = max(abs(low), abs(high))
        low = -high
    colours = SIGNED if figure.signed else RISING
    return Picture(
        id=f"figure-{figure.id}",
        title=figure.title,
        caption=figure.caption,
        row=figure.row,
        col=figure.col,
        low=_short(low),
        high=_short(high),
        stops=", ".join(f"rgb{colour}" for colour in colours),
        panels=tuple(_panel(figure, matrix, low, high, colours) for matrix in matrices),
    )


def _panel(figure: Figure, matrix: Matrix, low: float, high: float, colours: Sequence[Colour]) -> Panel:
    alt = f"{figure.title}: {matrix.title}, {matrix.rows} × {matrix.cols}, from {matrix.low:.3g} to {matrix.high:.3g}"
    levels = matrix.levels.translate(_rescaled(matrix.low, matrix.high, low, high))
    uri = _png("P", matrix.rows, matrix.cols, levels, _palette(tuple(colours)))
    return Panel(matrix.title, uri, matrix.rows, matrix.cols, alt)


def grey(pixels: bytes, rows: int, cols: int) -> str:
    """A grey image as a data URI; "" where the bytes do not fit."""
    fits = 0 < rows <= MOST_SIDE and 0 < cols <= MOST_SIDE and len(pixels) == rows * cols
    return _png("L", rows, cols, pixels) if fits else ""


@lru_cache(maxsize=64)
def _rescaled(from_low: float, from_high: float, low: float, high: float) -> bytes:
    """A table from the levels of a matrix's own scale to those of the figure's common one."""
    span = (high - low) or 1.0
    step = (from_high - from_low) / 255
    return bytes(min(max(round(255 * (from_low + level * step - low) / span), 0), 255) for level in range(256))


@lru_cache(maxsize=4)
def _palette(anchors: tuple[Colour, ...]) -> bytes:
    """256 colours, three bytes each."""
    found = bytearray()
    for level in range(256):
        place = level / 255 * (len(anchors) - 1)
        at = min(int(place), len(anchors) - 2)
        found += bytes(round(a + (b - a) * (place - at)) for a, b in zip(anchors[at], anchors[at + 1], strict=True))
    return bytes(found)


@lru_cache(maxsize=128)  # the right one of a figure is the same for a whole class
def _png(mode: str, rows: int, cols: int, data: bytes, palette: bytes = b"") -> str:
    from PIL import Image  # only who draws needs it

    image = Image.frombytes(mode, (cols, rows), data)
    if palette:
        image.putpalette(palette)
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _short(number: float) -> str:
    return f"{number:.3g}".replace("-", "−")
