"""What all explorers of one picture share."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch

from course_lib.widgets import (
    ArrowExplorer,
    GameExplorer,
    ImportanceExplorer,
    LatentExplorer,
    QuantileExplorer,
    RejectionExplorer,
)
from tests.widgets.talk import Told, say
from tests.widgets.test_latent import pictures

EXPLORERS = {
    "arrows": (ArrowExplorer, {"m1": 0.7, "seed": 3}, 5),
    "darts": (RejectionExplorer, {"mean": 0.5, "seed": 3}, 70),
    "game": (lambda: GameExplorer(turns=10), {"lr_g": 2e-3}, 3),  # the settings change in mid-game
    "latent": (lambda: LatentExplorer(*pictures()), {"z1": 0.5, "example": 1}, 4),
    "slices": (QuantileExplorer, {"u": 0.8}, 9),
    "weights": (ImportanceExplorer, {"x1": 0.5, "scale": 2.0}, 800),
}
PLAIN = (bool, int, float, str, bytes, type(None), type, types.FunctionType, types.ModuleType)


def state(thing, path: str, out: dict, seen: dict) -> dict:
    """All that can be reached from `thing`, as path -> value, tensors and generators by their bits."""
    if isinstance(thing, torch.Generator):
        out[path] = thing.get_state().numpy().tobytes()
    elif isinstance(thing, torch.Tensor):
        out[path] = (thing.dtype, tuple(thing.shape), thing.detach().cpu().numpy().tobytes())
    elif isinstance(thing, np.ndarray):
        out[path] = thing.tobytes()
    elif isinstance(thing, PLAIN):
        out[path] = thing
    elif id(thing) in seen:
        out[path] = f"the same as {seen[id(thing)]}"
    else:
        seen[id(thing)] = path
        if isinstance(thing, dict):
            parts = {str(name): value for name, value in thing.items()}
        elif isinstance(thing, list | tuple):
            parts = {str(i): value for i, value in enumerate(thing)}
        else:
            parts = dict(getattr(thing, "__dict__", {}))
        out[path] = (type(thing), sorted(parts))
        for name, value in parts.items():
            state(value, f"{path}.{name}", out, seen)
    return out


def all_of(explorer) -> dict:
    """The explorer's own attributes and its traits; not the machinery of widgets around them."""
    own = {name: value for name, value in vars(explorer).items() if not name.startswith("_trait")}
    for name in ("comm", "send", "keys", "_msg_callbacks", "_cross_validation_lock"):
        own.pop(name, None)
    traits = {name: getattr(explorer, name) for name in explorer.trait_names(sync=True) if name != "layout"}
    return state({"own": own, "traits": traits}, "", {}, {})


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_replay_leaves_what_is_on_the_screen_as_it_is(name, monkeypatch):
    make, settings, more = EXPLORERS[name]
    explorer, twin = make(), make()
    told = Told(explorer)
    for one in (explorer, twin):
        one.set(**settings)
        one.more(more)
    before, heard = all_of(explorer), len(told)
    assert len(before) > 25
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **how: shown.append(data))
    page = explorer.replay_page(3)
    explorer.replay(2)
    after = all_of(explorer)
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == set()
    assert len(told) == heard  # no view was told anything

    explorer.more(more)
    twin.more(more)
    assert explorer.alt == twin.alt and explorer.code == twin.code  # and it goes on as if nothing had been
    say(explorer, told, kind="reset")
    assert explorer.replay_page(3) == page  # which showed the walk from the start
    assert shown[0]["text/plain"] == f"Animation. {explorer.alt}"


def test_a_replay_that_fails_leaves_all_as_it_was(monkeypatch):
    explorer = RejectionExplorer()
    explorer.more(70)
    before = all_of(explorer)

    def fail():
        raise ValueError("no news")

    monkeypatch.setattr(explorer, "_news", fail)
    with pytest.raises(ValueError, match="no news"):
        explorer.replay_page(3)
    monkeypatch.undo()
    assert all_of(explorer) == before and explorer.thrown == 470
