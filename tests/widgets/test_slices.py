"""QuantileExplorer: the library's draws, strips of equal area, every message at the ends of its sliders."""

import pytest
import torch
from scipy import stats

from course_lib.sampling import inverse_cdf
from course_lib.widgets import QuantileExplorer
from course_lib.widgets.slices import MOST
from tests.widgets.talk import Told, say


@pytest.fixture
def explorer():
    return QuantileExplorer()


@pytest.fixture
def told(explorer):
    return Told(explorer)


def test_the_draws_are_those_of_the_library(explorer, told):
    expected = inverse_cdf(explorer._passage.quantile, 300, generator=torch.Generator().manual_seed(0))
    u = torch.rand(300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    say(explorer, told, kind="hello")
    assert torch.equal(told.floats(1), expected[-200:].float())
    assert torch.equal(told.floats(0), u[-200:].float())
    assert torch.equal(told.floats(2), torch.histc(expected, 60, -3.0, 3.0).float())


def test_strips_hold_equal_areas_and_the_followed_number_is_where_it_should_be(explorer, told):
    say(explorer, told, kind="set", values={"density": "normal", "slices": 8, "u": 0.975})
    edges = told.floats(4).double()
    assert len(edges) == 9
    assert torch.allclose(torch.special.ndtr(edges[1:]) - torch.special.ndtr(edges[:-1]),
                          torch.full((8,), 1 / 8, dtype=torch.float64), atol=1e-5)  # fmt: skip
    assert told.last["y"] == pytest.approx(1.95996, abs=1e-3)
    assert told.last["p"] == pytest.approx(stats.norm.pdf(told.last["y"]), rel=1e-3)
    x, p, h = told.floats(3).view(3, -1).double()
    assert torch.allclose(h, torch.special.ndtr(x), atol=1e-5)
    assert torch.trapezoid(p, x).item() == pytest.approx(1, abs=1e-4)


def test_another_u_keeps_the_draws_and_another_density_does_not(explorer, told):
    say(explorer, told, kind="more", count=50)
    counts = told.floats(2)
    assert told.last["draws"] == 350
    say(explorer, told, kind="set", values={"u": 0.9})
    assert told.last["draws"] == 350 and torch.equal(told.floats(2), counts)
    say(explorer, told, kind="reset")
    assert told.last["draws"] == 300
    assert say(explorer, told, kind="set", values={"seed": 5})["draws"] == 300
    assert not torch.equal(told.floats(2), counts)


@pytest.mark.parametrize("density", ["double well", "exponential", "normal", "triangle"])
def test_every_message_at_the_ends_of_the_sliders(explorer, told, density):
    for u in (0.001, 0.999):
        for slices in (2, 40):
            header = say(explorer, told, kind="set", values={"density": density, "u": u, "slices": slices})
            low, high = header["interval"]
            assert low <= header["y"] <= high and header["p"] >= 0 and len(told.floats(4)) == slices + 1
            assert all(buffer.view(torch.float32).isfinite().all() for buffer in told[-1][1])
            assert say(explorer, told, kind="more", count=2000, playing=True)["kind"] == "more"
            assert len(told.floats(0)) == len(told.floats(1)) == 200


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"kind": "set", "values": {"u": 0}}, r"inside \(0, 1\)"),
        ({"kind": "set", "values": {"u": 1}}, r"inside \(0, 1\)"),
        ({"kind": "set", "values": {"slices": 1}}, "equal parts"),
        ({"kind": "set", "values": {"density": "moon"}}, "one of double well"),
        ({"kind": "more", "count": 0.5}, "how much more"),
        ({"kind": "dance"}, "knows hello"),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_and_changes_nothing(explorer, told, message, words):
    before = repr(explorer)
    with pytest.raises(ValueError, match=words):
        explorer._on_msg(explorer, message, [])
    assert len(told) == 1 and told.last["kind"] == "error" and repr(explorer) == before


def test_bad_input_is_named_and_there_is_an_end():
    with pytest.raises(ValueError, match="at least one density"):
        QuantileExplorer({})
    with pytest.raises(ValueError, match="not all zero"):
        QuantileExplorer({"nothing": (torch.zeros_like, (0.0, 1.0))})
    explorer = QuantileExplorer(draws=0)
    with pytest.raises(ValueError, match="are enough"):
        for _ in range(3):
            explorer.more(MOST // 2)
    assert "Animation." in explorer.replay_page(3)
