"""The one way a notebook shows a figure: with words for those who cannot see it, and closed afterwards."""

from __future__ import annotations

import base64
import io
from html import escape

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

SHARPNESS = 2  # pixels per CSS pixel, so that lines are crisp on a high-resolution screen


def show(fig: Figure, *, alt: str) -> None:
    """Display a figure with its alt text, then close it so that nothing is shown twice or kept in memory.

    JupyterLab gives the pictures of an `image/png` output no alt attribute, so this one goes out as HTML
    that has one. The alt text is also its `text/plain` form, for terminals and wherever HTML is not shown.

    Args:
        fig: the figure.
        alt: what a reader who cannot see it must know: what is drawn, what it shows (a sentence or two).

    Raises:
        ValueError: the alt text is missing or too short to say anything, or the figure has no axes.
    """
    from IPython.display import display

    alt = " ".join(alt.split()) if isinstance(alt, str) else ""
    if len(alt.split()) < 5:
        raise ValueError(
            f"show(fig, alt={alt!r}): say in a sentence what the figure shows, for those who cannot see it"
        )
    if not isinstance(fig, Figure):
        raise ValueError(f"show needs a matplotlib Figure, got {type(fig).__name__}; for axes pass ax.figure")
    if not fig.axes:
        raise ValueError("show got a figure with no axes: draw something first")
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=SHARPNESS * fig.dpi)
    png = base64.b64encode(buffer.getvalue()).decode("ascii")
    width = round(fig.get_figwidth() * fig.dpi)
    words = f'alt="{escape(alt)}" width="{width}" style="max-width: 100%"'
    plt.close(fig)
    display({"text/html": f'<img src="data:image/png;base64,{png}" {words}>', "text/plain": alt}, raw=True)
