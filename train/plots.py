"""Plots that every kind of training shares: curves of losses, and grids of images."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a trainer logs beside losses.
NO_LOSSES = {"step", "epoch", "learning_rate", "grad_norm", "stage"}


def write_losses(file: Path, log: Sequence[Mapping[str, float]]) -> None:
    """Curves of the losses of a log, [{"step", "loss", a task's loss, ...}]; whatever else it holds is left out."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = dict.fromkeys(
        name for entry in log for name in entry if name not in NO_LOSSES and not name.endswith("_tokens")
    )
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for name in names:
        points = [(entry["step"], entry[name]) for entry in log if name in entry]
        axes.plot(*zip(*points, strict=True), label=name, linewidth=2.5 if name == "loss" else 1.2)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(ncols=2, fontsize=8)
    save(figure, file)


def new_axes(rows: int, columns: int, size: float, widths: Sequence[float] | None = None) -> tuple[Figure, list]:
    """A figure and its axes, row by row, without ticks and frames; `size` inches each."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    widths = widths or [1] * columns
    figure, axes = plt.subplots(
        rows, columns, figsize=(size * sum(widths), size * rows), squeeze=False, width_ratios=widths
    )
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, list(axes)


def save(figure: Figure, file: Path) -> None:
    import matplotlib.pyplot as plt

    file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():  # an untrained model writes signs of any alphabet, and the font has few
        warnings.filterwarnings("ignore", "(?s)Glyph .* missing")
        figure.tight_layout()
        figure.savefig(file, dpi=110)
    plt.close(figure)
