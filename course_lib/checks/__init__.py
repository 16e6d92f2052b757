"""Oracles: what exercises and tests hold an answer against.

An oracle tests behaviour against the truth (reversibility, order of the error, exact-start invariance,
closed forms), never against a copied answer, and its message names the mistake. `oracle` has the tools of
an author, `link` and `codec` the line over which a check talks to a student's code, and each further module
(`hmc`, ...) the oracles of one exercise.
"""

from .codec import Tampered
from .oracle import (
    HIDDEN_SEED,
    VISIBLE_SEED,
    NotAttempted,
    Wrong,
    close,
    lend,
    need,
    number,
    oracle,
    parts,
    seeded,
    share,
    tensor,
)
from .remote import StudentError

__all__ = [
    "HIDDEN_SEED",
    "VISIBLE_SEED",
    "NotAttempted",
    "StudentError",
    "Tampered",
    "Wrong",
    "close",
    "lend",
    "need",
    "number",
    "oracle",
    "parts",
    "seeded",
    "share",
    "tensor",
]
