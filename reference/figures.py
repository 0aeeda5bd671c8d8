"""Draws the figures of the hand-out: python reference/figures.py

Each function draws one figure; the files go to reference/notebooks/imgs/. Nothing is read and nothing is random, so the
same version of matplotlib writes the same files again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.patheffects import withStroke

FOLDER = Path(__file__).resolve().parent / "notebooks" / "imgs"
DPI = 110

INK, LINE, PAPER = "#22303c", "#5b6b7a", "#f5f7f9"
ATTENTION, FEED, NORM, EMBED, OUTPUT = "#f6c28b", "#a9d3ef", "#f3eaa8", "#f2b5bf", "#cfc5e8"
HEADS = ("#f6c28b", "#a9d3ef", "#b9dfb3", "#cfc5e8")


def transformer() -> Figure:
    """Encoder and decoder with their sublayers, residual paths and inputs."""
    figure, ax = _canvas(7.6, 9.4)
    left, right = 2.0, 5.6

    _frame(ax, left - 1.45, 2.2, 2.75, 3.3)
    _frame(ax, right - 1.3, 2.2, 2.75, 4.75)
    ax.text(left - 1.62, 3.85, "layer_num ×", ha="center", va="center", rotation=90, color=LINE, fontsize=10)
    ax.text(right + 1.62, 4.55, "layer_num ×", ha="center", va="center", rotation=90, color=LINE, fontsize=10)

    for x, name in ((left, "source tokens"), (right, "target tokens")):
        ax.text(x, 0.1, name, ha="center", va="center", color=INK, fontsize=10.5)
        _arrow(ax, (x, 0.25), (x, 0.5))
        _box(ax, x, 0.75, "Embedding", EMBED)
        _arrow(ax, (x, 0.97), (x, 1.32))
        ax.text(x, 1.5, "+", ha="center", va="center", fontsize=13, color=INK)
        ax.add_patch(plt.Circle((x, 1.5), 0.16, fill=False, color=LINE, lw=1.2))
    ax.text((left + right) / 2, 1.5, "Positional\nencoding", ha="center", va="center", color=INK, fontsize=10)
    _arrow(ax, ((left + right) / 2 - 0.55, 1.5), (left + 0.2, 1.5))
    _arrow(ax, ((left + right) / 2 + 0.55, 1.5), (right - 0.2, 1.5))

    top = _sublayers(ax, left, -1, [("Multi-head\nself-attention", ATTENTION), ("Feed-forward", FEED)])
    # Over the encoder, across the gap and into the cross-attention: keys and values.
    gap = (left + right) / 2
    ax.plot([left, left, gap, gap], [top, 5.95, 5.95, 4.12], color=LINE, lw=1.4, solid_joinstyle="round")
    _arrow(ax, (gap, 4.12), (right - 0.95, 4.12))
    ax.text(gap - 0.08, 5.1, "enc_output", ha="right", va="center", rotation=90, color=LINE, fontsize=9)

    steps = [("Masked multi-head\nself-attention", ATTENTION), ("Multi-head\ncross-attention", ATTENTION)]
    top = _sublayers(ax, right, 1, [*steps, ("Feed-forward", FEED)])
    _arrow(ax, (right, top), (right, 7.35))
    _box(ax, right, 7.57, "Linear", OUTPUT)
    _arrow(ax, (right, 7.79), (right, 8.2))
    ax.text(right, 8.38, "scores of the next word", ha="center", va="center", color=INK, fontsize=10.5)
    ax.text(left - 1.4, 5.75, "Encoder", ha="left", va="center", color=INK, fontsize=13, weight="bold")
    ax.text(right - 1.25, 7.2, "Decoder", ha="left", va="center", color=INK, fontsize=13, weight="bold")
    _fit(ax, (0.05, 7.5), (-0.1, 8.6))
    return figure


def positional_encoding() -> Figure:
    """The table of the encoding, and four of its columns as curves."""
    dim, length = 64, 60
    angles = np.arange(length)[:, None] / 10000 ** (np.arange(0, dim, 2) / dim)
    table = np.empty((length, dim))
    table[:, 0::2], table[:, 1::2] = np.sin(angles), np.cos(angles)

    figure, (heat, curves) = plt.subplots(1, 2, figsize=(9.5, 3.6), width_ratios=(1.25, 1), layout="constrained")
    image = heat.imshow(table, cmap="RdBu", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    heat.set(xlabel="dimension", ylabel="position", title="PE, each row is added to one word")
    figure.colorbar(image, ax=heat, shrink=0.9)
    for dimension, colour in zip((0, 8, 16, 24), ("#c8553d", "#e09f3e", "#3a7ca5", "#2f6690"), strict=True):
        curves.plot(table[:, dimension], color=colour, label=f"dimension {dimension}")
    curves.set(xlabel="position", ylim=(-1.15, 1.55), title="Four columns: clocks of different speed")
    curves.legend(ncols=2, fontsize=8, frameon=False, loc="upper center")
    curves.spines[["top", "right"]].set_visible(False)
    return figure


def heads() -> Figure:
    """dim is split into heads, each attends on its own, the results are joined."""
    figure, ax = _canvas(9.6, 4.1)
    words, width, cell = 3, 2, 0.24

    def tensor(x: float, y: float, pieces: Sequence[str]) -> float:
        for row in range(words):
            for column, colour in enumerate(np.repeat(pieces, width)):
                place = (x + column * cell, y - (row + 1) * cell)
                ax.add_patch(Rectangle(place, cell, cell, facecolor=colour, edgecolor="white", lw=1.2))
        return x + len(pieces) * width * cell

    middle = 2.0
    half = words * cell / 2
    end = tensor(0.3, middle + half, HEADS)
    ax.text(0.2, middle, "length", rotation=90, ha="right", va="center", color=LINE, fontsize=9.5)
    ax.text((0.3 + end) / 2, middle + half + 0.15, "dim", ha="center", va="center", color=LINE, fontsize=9.5)
    ax.text((0.3 + end) / 2, middle - half - 0.22, "Q, K or V", ha="center", va="center", color=INK, fontsize=10.5)

    rows = (3.5, 2.5, 1.5, 0.5)
    for number, (y, colour) in enumerate(zip(rows, HEADS, strict=True), start=1):
        _arrow(ax, (end + 0.1, middle + (y - middle) * 0.12), (3.45, y))
        stop = tensor(3.55, y + half, [colour])
        _arrow(ax, (stop + 0.1, y), (4.75, y))
        _box(ax, 5.57, y, f"attention, head {number}", colour, width=1.6)
        _arrow(ax, (6.4, y), (6.8, y))
        stop = tensor(6.9, y + half, [colour])
        _arrow(ax, (stop + 0.1, y), (8.25, middle + (y - middle) * 0.12))
    ax.text(3.79, 3.5 + half + 0.15, "word_dim", ha="center", va="center", color=LINE, fontsize=9.5)
    ax.text(2.75, 3.35, "split", ha="center", va="center", color=INK, fontsize=11, style="italic")
    ax.text(8.3, 3.35, "combine", ha="center", va="center", color=INK, fontsize=11, style="italic")
    end = tensor(8.35, middle + half, HEADS)
    _arrow(ax, (end + 0.08, middle), (end + 0.4, middle))
    _box(ax, end + 0.75, middle, "W_o", OUTPUT, width=0.62)
    _fit(ax, (-0.1, end + 1.15), (-0.05, 4.1))
    return figure


def masks() -> Figure:
    """Who may look at whom: padding, the future, both."""
    words = ["I", "saw", "a", "cat", "·", "·"]
    real = np.array([word != "·" for word in words])
    padding = np.broadcast_to(real, (6, 6))
    causal = np.tril(np.ones((6, 6), dtype=bool))
    target = real[:, None] & causal
    figure, axes = plt.subplots(1, 3, figsize=(9.4, 4.2), layout="constrained")
    titles = ("source mask\n(padding)", "lower triangle\n(no future)", "target mask\n(both)")
    for ax, mask, title in zip(axes, (padding, causal, target), titles, strict=True):
        for row in range(6):
            for column in range(6):
                colour = "#8fc6a4" if mask[row, column] else "#eceff2"
                ax.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor="white", lw=2))
        ax.set(xlim=(0, 6), ylim=(6, 0), aspect="equal")
        ax.set_xticks(np.arange(6) + 0.5, words)
        ax.set_yticks(np.arange(6) + 0.5, words)
        ax.tick_params(length=0, labelsize=10)
        ax.set_title(title, fontsize=11, color=INK)
        ax.set_xlabel("key", color=LINE)
        ax.spines[:].set_visible(False)
    axes[0].set_ylabel("query", color=LINE)
    figure.legend(
        handles=[Rectangle((0, 0), 1, 1, color="#8fc6a4"), Rectangle((0, 0), 1, 1, color="#dfe4e8")],
        labels=["True: may attend", "False: hidden     ( · is padding, the number 0)"],
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=10,
    )
    return figure


def patches() -> Figure:
    """A 28 × 28 image in 16 patches of 7 × 7, and their order as tokens."""
    size = 7
    image = _shirt()
    figure, ax = _canvas(9.4, 3.9)
    ax.imshow(image, cmap="gray_r", vmin=0, vmax=1.25, extent=(0, 2.8, 0, 2.8), interpolation="nearest")
    ax.text(1.4, 3.0, "image, 28 × 28", ha="center", va="center", color=INK, fontsize=10.5)
    _arrow(ax, (2.95, 1.4), (3.4, 1.4))

    step = 0.78
    halo = [withStroke(linewidth=2.5, foreground="white")]
    for number in range(16):
        row, column = divmod(number, 4)
        x, y = 3.55 + column * step, 2.86 - (row + 1) * step + 0.15
        piece = image[row * size : (row + 1) * size, column * size : (column + 1) * size]
        ax.imshow(piece, cmap="gray_r", vmin=0, vmax=1.25, extent=(x, x + 0.7, y, y + 0.7), interpolation="nearest")
        ax.add_patch(Rectangle((x, y), 0.7, 0.7, fill=False, edgecolor=LINE, lw=0.8))
        ax.text(
            x + 0.06,
            y + 0.64,
            str(number),
            ha="left",
            va="top",
            fontsize=8.5,
            color="#b3312c",
            weight="bold",
            path_effects=halo,
        )
    ax.text(5.08, 3.22, "16 patches, 7 × 7", ha="center", va="center", color=INK, fontsize=10.5)
    _arrow(ax, (6.75, 1.4), (7.2, 1.4))
    ax.text(6.97, 1.62, "E", ha="center", va="center", color=INK, fontsize=11, style="italic")

    shades = 0.5 + 0.5 * np.sin(np.outer(np.arange(1, 17), np.arange(1, 9)) * 1.7)
    colours = matplotlib.colormaps["YlGnBu"](0.15 + 0.6 * shades)
    for number in range(16):
        y = 2.8 - (number + 1) * 0.175
        for column in range(8):
            ax.add_patch(Rectangle((7.6 + column * 0.2, y), 0.19, 0.155, facecolor=colours[number, column]))
        ax.text(7.52, y + 0.077, str(number), ha="right", va="center", fontsize=7.5, color="#b3312c", weight="bold")
    ax.text(8.4, 3.0, "16 tokens", ha="center", va="center", color=INK, fontsize=10.5)
    ax.text(8.4, -0.17, "embed_dim", ha="center", va="center", color=LINE, fontsize=9.5)
    _fit(ax, (-0.05, 9.3), (-0.32, 3.4))
    return figure


def vit() -> Figure:
    """From patches to class scores."""
    figure, ax = _canvas(7.8, 5.2)
    image, size = _shirt(), 7
    chosen = (0, 1, 2, 3)  # a row of patches stands for all
    xs = [1.5 + 1.05 * number for number in range(5)]
    for x, number in zip(xs[1:], chosen, strict=True):
        piece = image[size : 2 * size, number * size : (number + 1) * size]
        box = (x - 0.34, x + 0.34, 0.0, 0.68)
        ax.imshow(piece, cmap="gray_r", vmin=0, vmax=1.25, extent=box, interpolation="nearest")
        ax.add_patch(Rectangle((x - 0.34, 0), 0.68, 0.68, fill=False, edgecolor=LINE, lw=0.8))
        _arrow(ax, (x, 0.72), (x, 1.0))
    _box(ax, (xs[1] + xs[4]) / 2, 1.22, "patch embedding", FEED, width=4.0)
    ax.text(xs[4] + 0.75, 1.22, "…", fontsize=15, ha="center", va="center", color=LINE)
    for number, x in enumerate(xs):
        if number:
            _arrow(ax, (x, 1.44), (x, 1.72))
        _box(ax, x, 1.92, "class" if number == 0 else f"$z_{number}$", EMBED if number == 0 else PAPER, width=0.72)
        ax.text(x, 2.28, "+", ha="center", va="center", fontsize=12, color=INK)
        _box(ax, x, 2.62, f"$p_{number}$", NORM, width=0.72)
        _arrow(ax, (x, 2.84), (x, 3.16))
        if number:
            _arrow(ax, (x, 3.76), (x, 3.98), colour="#c4ccd3")
    ax.text(0.95, 1.92, "tokens", ha="right", va="center", color=LINE, fontsize=10)
    ax.text(0.95, 2.62, "positions", ha="right", va="center", color=LINE, fontsize=10)
    _box(ax, (xs[0] + xs[4]) / 2, 3.46, "depth × block", ATTENTION, width=5.0, height=0.56)
    # The class token alone goes on.
    _arrow(ax, (xs[0], 3.76), (xs[0], 4.12))
    _box(ax, xs[0], 4.34, "norm", NORM, width=0.8)
    _arrow(ax, (xs[0] + 0.42, 4.34), (xs[0] + 0.85, 4.34))
    _box(ax, xs[0] + 1.3, 4.34, "head", OUTPUT, width=0.86)
    _arrow(ax, (xs[0] + 1.75, 4.34), (xs[0] + 2.15, 4.34))
    bars = (0.1, 0.16, 0.08, 0.12, 0.1, 0.06, 0.46, 0.05, 0.12, 0.07)
    for number, value in enumerate(bars):
        colour = "#c8553d" if value == max(bars) else "#b8c4ce"
        ax.add_patch(Rectangle((xs[0] + 2.3 + number * 0.15, 4.14), 0.12, value, facecolor=colour))
    ax.text(xs[0] + 3.95, 4.34, "class scores: shirt", ha="left", va="center", color=INK, fontsize=10.5)
    _fit(ax, (0.05, 7.4), (-0.1, 4.75))
    return figure


def vit_block() -> Figure:
    """One pre-norm block, from left to right."""
    figure, ax = _canvas(9.4, 2.3)
    y = 0.8
    places = {"norm1": 1.35, "attn": 2.85, "norm2": 5.35, "mlp": 6.75}
    names = {"norm1": "LayerNorm 1", "attn": "Attention", "norm2": "LayerNorm 2", "mlp": "MLP"}
    colours = {"norm1": NORM, "attn": ATTENTION, "norm2": NORM, "mlp": FEED}
    ax.text(-0.05, y, "x", ha="center", va="center", fontsize=13, style="italic", color=INK)
    for start, first, second, plus in ((0.1, "norm1", "attn", 4.0), (4.16, "norm2", "mlp", 7.8)):
        _arrow(ax, (start, y), (places[first] - 0.6, y))
        _arrow(ax, (places[first] + 0.6, y), (places[second] - 0.56, y))
        _arrow(ax, (places[second] + 0.56, y), (plus - 0.17, y))
        fork = start + 0.25
        ax.plot([fork, fork, plus, plus], [y, 1.55, 1.55, y + 0.3], color=LINE, lw=1.4, solid_joinstyle="round")
        _arrow(ax, (plus, y + 0.4), (plus, y + 0.16))
        ax.add_patch(plt.Circle((plus, y), 0.16, facecolor="white", edgecolor=LINE, lw=1.2))
        ax.text(plus, y - 0.01, "+", ha="center", va="center", fontsize=13, color=INK)
        ax.text((fork + plus) / 2, 1.68, "residual", ha="center", va="center", fontsize=9.5, color=LINE)
        for part in (first, second):
            _box(ax, places[part], y, names[part], colours[part], width=1.14, height=0.56)
    _arrow(ax, (7.97, y), (8.35, y))
    ax.text(8.5, y, "x", ha="center", va="center", fontsize=13, style="italic", color=INK)
    _fit(ax, (-0.3, 8.75), (0.3, 1.9))
    return figure


FIGURES = (transformer, positional_encoding, heads, masks, patches, vit, vit_block)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for draw in FIGURES:
        path = FOLDER / f"{draw.__name__}.png"
        figure = draw()
        # Without the version of matplotlib in the file, only a change of the picture changes its bytes.
        figure.savefig(path, dpi=DPI, facecolor="white", metadata={"Software": None})
        plt.close(figure)
        print(f"{path.name}  {path.stat().st_size / 1000:.0f} kB")


def _sublayers(ax: Axes, x: float, side: int, parts: Sequence[tuple[str, str]]) -> float:
    """A stack of sublayers over x, each with Add & Norm and its residual path on one side; returns where it ends."""
    y = 1.66
    for text, colour in parts:
        _arrow(ax, (x, y), (x, y + 0.74))
        fork = y + 0.62 if y < 2 else y + 0.48
        _box(ax, x, y + 1.02, text, colour, height=0.5)
        _arrow(ax, (x, y + 1.28), (x, y + 1.43))
        _box(ax, x, y + 1.62, "Add & Norm", NORM, height=0.34)
        out = x + side * 1.15
        ax.plot([x, out, out], [fork, fork, y + 1.62], color=LINE, lw=1.2, solid_joinstyle="round")
        _arrow(ax, (out, y + 1.62), (x + side * 0.92, y + 1.62))
        y += 1.8 - 0.25
    return y + 0.25


def _shirt() -> np.ndarray:
    """A grey 28 × 28 shirt, drawn rather than taken from the data set."""
    rows, columns = np.mgrid[0:28, 0:28] + 0.5
    across = np.abs(columns - 14)
    body = (across < 6.2) & (rows > 3) & (rows < 26)
    sleeves = (across >= 6.2) & (across < 12) & (rows > 2.5 + (across - 6) * 0.75) & (rows < 10.5 + (across - 6) * 0.5)
    neck = (across / 3.4) ** 2 + ((rows - 3) / 2.6) ** 2 < 1
    stripes = 0.12 * np.cos(rows * math.pi / 2.5)
    shade = 0.62 + stripes - 0.012 * across**1.5
    return np.where((body | sleeves) & ~neck, shade, 0.04)


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = plt.figure(figsize=(width, height))
    return figure, figure.add_axes((0.01, 0.01, 0.98, 0.98))


def _fit(ax: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    ax.set(xlim=x, ylim=y, aspect="equal")
    ax.axis("off")


def _box(ax: Axes, x: float, y: float, text: str, colour: str, width: float = 1.8, height: float = 0.42) -> None:
    """A rounded box around its centre."""
    corner = (x - width / 2, y - height / 2)
    style = "round,pad=0,rounding_size=0.08"
    patch = FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=colour, edgecolor=LINE, lw=1.1, zorder=3)
    ax.add_patch(patch)
    ax.text(x, y, text, ha="center", va="center", fontsize=10, color=INK, zorder=4, linespacing=1.0)


def _frame(ax: Axes, x: float, y: float, width: float, height: float) -> None:
    style = "round,pad=0,rounding_size=0.2"
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=PAPER, edgecolor="#b8c4ce", lw=1.2))


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = LINE) -> None:
    arrow = {"arrowstyle": "-|>", "color": colour, "lw": 1.3, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 10}
    ax.annotate("", xy=end, xytext=start, arrowprops=arrow, zorder=2)


if __name__ == "__main__":
    main()
