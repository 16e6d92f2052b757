"""Numbers to be read: a table of metrics, and a heat map of one number over two parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.plots.style import NUMBER_MAP


def metric_table(
    rows: Sequence[Mapping[str, object]],
    *,
    caption: str = "",
    digits: int = 3,
    best: Mapping[str, Callable] | None = None,
) -> None:
    """Show a table of results; numbers align right, the best of a column is bold and marked with a star.

    Args:
        rows: one mapping per row, all with the same keys: the columns.
        caption: a line above the table.
        digits: significant digits of the numbers.
        best: for a column, `max` or `min`: which of its numbers is best.

    Raises:
        ValueError: no rows, rows of different columns, or `best` names an unknown column.
    """
    from IPython.display import display

    rows = [{column: _plain_number(value) for column, value in row.items()} for row in rows]
    if not rows:
        raise ValueError("metric_table got no rows")
    columns = list(rows[0])
    if any(list(row) != columns for row in rows):
        raise ValueError(f"every row of a table needs the same columns {columns}, but they differ")
    if unknown := set(best or {}) - set(columns):
        raise ValueError(f"best names {sorted(unknown)}, but the columns are {columns}")
    numeric = {c for c in columns if all(isinstance(row[c], int | float) for row in rows)}
    top = {c: pick(row[c] for row in rows) for c, pick in (best or {}).items()}
    cells = [
        [_format(row[c], digits) + (" *" if c in top and row[c] == top[c] else "") for c in columns]
        for row in rows
    ]
    display(
        {
            "text/html": _html(columns, cells, numeric, caption),
            "text/plain": _plain(columns, cells, numeric, caption),
        },
        raw=True,
    )


def heatmap(
    values: Tensor,
    rows: Sequence[object],
    columns: Sequence[object],
    ax: Axes | None = None,
    *,
    row_name: str = "",
    column_name: str = "",
    label: str = "",
    title: str = "",
    fmt: str = ".2g",
) -> Axes:
    """One number over two parameters, `values [len(rows), len(columns)]`, each cell with its number."""
    import seaborn as sns

    values = torch.as_tensor(values).detach().cpu()
    if tuple(values.shape) != (len(rows), len(columns)):
        raise ValueError(
            f"{len(rows)} rows and {len(columns)} columns need values of shape "
            f"[{len(rows)}, {len(columns)}], but they have {list(values.shape)}"
        )
    ax = plt.subplots(figsize=(1.6 + 0.7 * len(columns), 1.0 + 0.45 * len(rows)))[1] if ax is None else ax
    sns.heatmap(
        values.numpy(),
        ax=ax,
        annot=True,
        fmt=fmt,
        cmap=NUMBER_MAP,
        linewidths=0.5,
        annot_kws={"size": 9},
        xticklabels=[str(c) for c in columns],
        yticklabels=[str(r) for r in rows],
        cbar_kws={"label": label},
    )
    ax.set(xlabel=column_name, ylabel=row_name, title=title)
    ax.tick_params(length=0)
    ax.set_yticklabels(ax.get_yticklabels(), rotation=0)
    return ax


def _format(value: object, digits: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float) and 10**digits <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _plain_number(value: object) -> object:
    """The number in a one-element tensor or a NumPy scalar; anything else as it is."""
    return value.item() if hasattr(value, "item") else value


def _html(columns: list[str], cells: list[list[str]], numeric: set[str], caption: str) -> str:
    def cell(tag: str, text: str, column: str) -> str:
        side = "right" if column in numeric else "left"
        inner = f"<b>{escape(text)}</b>" if text.endswith(" *") else escape(text)
        return f'<{tag} style="text-align: {side}">{inner}</{tag}>'

    head = "".join(cell("th", column, column) for column in columns)
    body = "".join("<tr>" + "".join(map(cell, ["td"] * len(row), row, columns)) + "</tr>" for row in cells)
    title = f'<caption style="text-align: left">{escape(caption)}</caption>' if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _plain(columns: list[str], cells: list[list[str]], numeric: set[str], caption: str) -> str:
    widths = [max(len(row[i]) for row in [columns, *cells]) for i in range(len(columns))]
    lines = [caption] if caption else []
    for row in [columns, *cells]:
        aligned = [t.rjust(w) if c in numeric else t.ljust(w) for t, w, c in zip(row, widths, columns)]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)
