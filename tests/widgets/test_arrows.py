"""ArrowExplorer: the library's estimators, every message at the ends of its sliders, bad input."""

import pytest
import torch

from course_lib.vae import PlaneProblem, score_function, sgvb_b
from course_lib.widgets import ArrowExplorer
from course_lib.widgets.arrows import BOX, ESTIMATORS, MOST, MOST_L, MOST_SHOWN, SCALES
from tests.widgets.talk import Told, say


@pytest.fixture
def explorer():
    return ArrowExplorer()


@pytest.fixture
def told(explorer):
    return Told(explorer)


def test_the_default_shows_a_mean_that_is_far_off(explorer, told):
    header = say(explorer, told, kind="hello")
    exact = torch.tensor(header["exact"]).norm().item()
    assert header["off"] > 0.3 * exact and header["needed"] > 1000
    assert "score function" in explorer.alt


def test_the_arrows_are_those_of_the_library(explorer, told):
    explorer.set(estimator="score function, leave one out", m1=-1.0, m2=0.5, scale=0.7, L=4, seed=9)
    problem = PlaneProblem((-1.0, 0.5), 0.7)
    random = torch.Generator().manual_seed(9)
    g = problem.gradients(score_function, 30, 4, generator=random, leave_one_out=True)
    assert torch.equal(told.floats(0).view(-1, 2), g)
    more = problem.gradients(score_function, 50, 4, generator=random, leave_one_out=True)
    header = say(explorer, told, kind="more", count=50, playing=True)
    g = torch.cat([g, more])
    assert torch.equal(told.floats(0).view(-1, 2), g) and header["count"] == 80
    assert header["mean"] == pytest.approx(g.mean(0).tolist(), rel=1e-4)
    assert header["noise"] == pytest.approx(g.var(0).sum().item(), rel=1e-4)
    assert header["exact"] == pytest.approx(problem.exact_gradient().tolist())
    say(explorer, told, kind="reset")
    assert explorer.arrows.count == 30


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_comes_to_the_exact_gradient(estimator):
    explorer = ArrowExplorer(estimator=estimator, L=2, draws=40_000)
    header, _ = explorer._news()
    assert header["off"] < 5 * header["error"]


def test_b_needs_far_fewer_draws_than_the_score_function(explorer, told):
    many = say(explorer, told, kind="more", count=20_000, playing=True)["noise"]
    explorer.set(estimator="SGVB B")
    assert 5 * say(explorer, told, kind="more", count=20_000, playing=True)["noise"] < many


def test_a_draw_that_is_compared_has_another(explorer, told):
    header = say(explorer, told, kind="set", values={"estimator": "score function, leave one out", "L": 1})
    assert header["each"] == 2 and header["settings"]["L"] == 1


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_message_at_the_ends_of_the_sliders(explorer, told, estimator):
    for m1, m2 in ((BOX[0], BOX[2]), (BOX[1], BOX[3])):
        for scale in SCALES:
            for L in (1, MOST_L):
                values = {"estimator": estimator, "m1": m1, "m2": m2, "scale": scale, "L": L, "seed": 1}
                header = say(explorer, told, kind="set", values=values)
                assert header["kind"] == "state" and header["settings"]["scale"] == scale
                header = say(explorer, told, kind="more", count=2000, playing=True)
                assert header["count"] == 2030 and header["noise"] > 0
                assert len(told.floats(0)) == 2 * MOST_SHOWN and told.floats(0).isfinite().all()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"kind": "nonsense"}, "knows hello"),
        ({"kind": "set", "values": {"estimator": "REBAR"}}, "one of score function"),
        ({"kind": "set", "values": {"m1": 3.5}}, "of the guess q"),
        ({"kind": "set", "values": {"scale": 0}}, "of the guess q"),
        ({"kind": "set", "values": {"L": 0}}, "number of draws"),
        ({"kind": "more", "count": MOST}, "are enough"),
        ({"kind": "more", "count": 0.5}, "how much more"),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_and_changes_nothing(explorer, told, message, words):
    before = repr(explorer)
    with pytest.raises(ValueError, match=words):
        explorer._on_msg(explorer, message, [])
    assert len(told) == 1 and told.last["kind"] == "error" and repr(explorer) == before


def test_bad_input_is_named():
    for bad, words in (
        ({"mean": (1.0,)}, "mean is a point"),
        ({"mean": (9.0, 0.0)}, "of the guess q"),
        ({"draws": 1}, "two at least"),
        ({"estimator": "none"}, "one of"),
    ):
        with pytest.raises(ValueError, match=words):
            ArrowExplorer(**bad)


def test_the_call_makes_the_same_arrows_and_the_replay_is_one_page(explorer):
    explorer.set(m1=0.25, scale=0.8, L=3, seed=5)
    again = eval(repr(explorer), {"ArrowExplorer": ArrowExplorer})
    assert torch.equal(again.arrows.shown, explorer.arrows.shown) and again.arrows.count == 30
    page = explorer.replay_page(4)
    assert len(page) < 500_000 and "Animation." in page


def test_the_plane_problem_is_named_where_it_makes_no_sense():
    for bad in ({"mean": (0.0,)}, {"scale": 0.0}, {"noise_var": -1.0}):
        with pytest.raises(ValueError, match="the plane needs"):
            PlaneProblem(**bad)
    problem = PlaneProblem((0.0, 0.0), 0.5)
    problem.gradients(sgvb_b, 3)
    assert problem.encode(torch.zeros(5, 1))[0].shape == (5, 2)
