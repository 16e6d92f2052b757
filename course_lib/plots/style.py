"""Colours with a meaning, the same in every chapter. The look itself is `course_lib/course.mplstyle`."""

from __future__ import annotations

from types import SimpleNamespace

# Okabe and Ito (2008), "Color universal design": eight colours that stay apart in all common kinds of
# colour blindness. Give each a marker or a label as well: blue and green come close for tritan readers.
colours = SimpleNamespace(
    blue="#0072B2",
    vermilion="#D55E00",
    green="#009E73",
    purple="#CC79A7",
    orange="#E69F00",
    sky="#56B4E9",
    yellow="#F0E442",
    black="#000000",
    # by meaning
    truth="#000000",
    samples="#0072B2",
    accepted="#009E73",
    rejected="#D55E00",
    start="#F0E442",
    muted="#6e6e6e",
)
CYCLE = (colours.blue, colours.vermilion, colours.green, colours.purple, colours.orange, colours.sky)
MARKERS = ("o", "^", "s", "D", "v", "P")
ENERGY_MAP = "viridis"  # monotone in lightness for every kind of colour vision
NUMBER_MAP = "cividis"
