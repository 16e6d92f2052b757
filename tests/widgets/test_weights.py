"""ImportanceExplorer: the library's weights, every message at the ends of its sliders, bad input."""

import math

import pytest
import torch

from course_lib.energies import Banana, Gaussian, Moved, StudentT
from course_lib.sampling import importance, weight_ess
from course_lib.widgets import ImportanceExplorer
from course_lib.widgets.weights import BINS, MOST, MOST_SHOWN, SCALES
from tests.widgets.talk import Told, say


@pytest.fixture
def explorer():
    return ImportanceExplorer()


@pytest.fixture
def told(explorer):
    return Told(explorer)


def test_the_default_shows_a_few_draws_that_hold_most_of_the_weight(explorer):
    assert explorer.weighted.weight_ess < 0.4 * explorer.n and explorer.weighted.pareto_k > 0.5
    assert "400 particles" in explorer.alt and "the truth is 1.838" in explorer.alt


def test_the_weights_are_those_of_the_library(explorer, told):
    target, q = Banana(0.8), Moved(Gaussian([0.0, 0.0]), [0.5, 1.0], 1.5)
    explorer.set(x1=0.5, x2=1.0, scale=1.5, seed=7)
    drawn = importance(lambda x: -target(x), q, 400, generator=torch.Generator().manual_seed(7))
    assert torch.equal(explorer.weighted.log_w, drawn.log_w)
    header = told.last
    assert torch.equal(told.floats(0).view(-1, 2), drawn.x)
    assert torch.allclose(told.floats(1), (drawn.log_w - drawn.log_w.max()).float())
    assert told.floats(2).item() == pytest.approx(drawn.pareto_k.item(), rel=1e-6)
    assert told.floats(3).sum() == 400 and len(told.floats(3)) == BINS
    assert header["log_z"] == pytest.approx(drawn.log_z.item())
    assert header["share"] == pytest.approx(drawn.weight_ess.item() / 400)
    at, running = told.floats(4), told.floats(5)
    assert at[0] == 10 and at[-1] == 400 and running[-1].item() == pytest.approx(header["log_z"], abs=1e-6)
    tenth = drawn.log_w[:10].logsumexp(0).item() - math.log(10)
    assert running[0].item() == pytest.approx(tenth, abs=1e-6)


def test_draws_add_up_and_the_seed_decides(explorer, told):
    say(explorer, told, kind="more", count=2000, playing=True)
    assert explorer.draws == 2400 and told.last["draws"] == 2400
    other = ImportanceExplorer(batches=6)
    assert other.draws == 2400 and other.log_z == explorer.log_z
    assert torch.equal(other.weighted.log_w, explorer.weighted.log_w)
    w = explorer._cloud.log_w
    error = told.last["error"]
    assert error == pytest.approx(
        (w.exp().std(correction=0) / w.exp().mean() / len(w) ** 0.5).item(), rel=1e-6
    )
    assert told.last["share"] == pytest.approx(weight_ess(w).item() / 2400)
    say(explorer, told, kind="reset")
    assert explorer.draws == 400 and ImportanceExplorer(seed=1).log_z != explorer.log_z


@pytest.mark.parametrize("seed", range(3))
def test_the_estimate_and_its_stated_error_are_honest_where_tails_are_heavy(seed):
    explorer = ImportanceExplorer(Gaussian([0.5, 0.0]), proposal="Student t, 3 df", seed=seed, batches=50)
    truth = math.log(2 * math.pi)
    assert abs(explorer.log_z - truth) < 5 * explorer._cloud.relative_error
    assert explorer._cloud.all.pareto_k < 0.5


@pytest.mark.parametrize("target", ["banana", "ring", "Student t, 3 df"])
@pytest.mark.parametrize("proposal", ["normal", "Student t, 3 df"])
def test_every_message_at_the_ends_of_the_sliders(explorer, told, target, proposal):
    for x1, x2 in ((-6.0, -4.0), (6.0, 8.0)):
        for scale in SCALES:
            for n in (25, MOST_SHOWN):
                values = {"target": target, "proposal": proposal, "x1": x1, "x2": x2, "scale": scale, "n": n}
                header = say(explorer, told, kind="set", values=values)
                assert header["kind"] == "state" and header["land"]["size"] == 120
                assert header["settings"]["n"] == n and len(told.floats(1)) == n
                assert 0 < header["share"] <= 1.0001 and header["error"] >= 0
                assert not told.floats(1).isnan().any() and told.floats(1).max() == 0
                header = say(explorer, told, kind="more", count=50_000, playing=True)
                assert "land" not in header and header["draws"] == n + round(50_000 / n) * n
                assert told.floats(5).isfinite().all()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"kind": "nonsense"}, "knows hello"),
        ({"kind": "set", "values": {"x1": 100}}, "inside the picture"),
        ({"kind": "set", "values": {"scale": 0}}, "width of q"),
        ({"kind": "set", "values": {"n": 24}}, "number of particles"),
        ({"kind": "set", "values": {"n": 100.5}}, "whole number"),
        ({"kind": "set", "values": {"proposal": "flat"}}, "one of normal"),
        ({"kind": "set", "values": {"mean": 0}}, "settings here are"),
        ({"kind": "more", "count": -5}, "how much more"),
        ({"kind": "more", "count": "many"}, "how much more"),
        ({"kind": "act", "name": "reset"}, "knows hello"),
        (None, "knows hello"),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_and_changes_nothing(explorer, told, message, words):
    before = repr(explorer)
    with pytest.raises(ValueError, match=words):
        explorer._on_msg(explorer, message, [])
    assert len(told) == 1 and told.last["kind"] == "error" and repr(explorer) == before


def test_there_is_an_end_to_the_draws(explorer, told):
    with pytest.raises(ValueError, match="are enough"):
        explorer._on_msg(explorer, {"kind": "more", "count": MOST}, [])
    assert explorer.draws == 400 and told.last["kind"] == "error"


def test_a_proposal_that_never_meets_the_target_is_named():
    class Island(Gaussian):
        def __call__(self, x):
            return torch.where(x.norm(dim=1) < 0.1, 0.0, math.inf)

    explorer = ImportanceExplorer({"island": Island([0.0, 0.0])}, scale=1.0, n=2000)
    told = Told(explorer)
    with pytest.raises(ValueError, match="has any density"):
        explorer._on_msg(explorer, {"kind": "set", "values": {"x1": 5.0, "scale": 0.2}}, [])
    assert explorer.x1 == 0.0 and explorer.scale == 1.0 and told.last["kind"] == "error"


def test_equal_weights_and_an_unknown_truth():
    explorer = ImportanceExplorer(Gaussian([0.0, 0.0]))
    told = Told(explorer)
    header = say(explorer, told, kind="hello")
    assert header["share"] == pytest.approx(1) and header["error"] < 1e-3 and told.floats(2) < 0.2
    unknown = Gaussian([0.0, 2.0])
    unknown.log_z = None
    assert ImportanceExplorer(unknown)._cloud.log_z == pytest.approx(math.log(2 * math.pi), abs=1e-5)


def test_bad_input_is_named():
    for bad, words in (
        ({"target": StudentT(3.0, 1)}, "2-D landscape"),
        ({"target": {}}, "at least one"),
        ({"box": (0.0, 1.0, 2.0, 2.0)}, "min < max"),
        ({"centre": (1.0, 2.0, 3.0)}, "centre is a point"),
        ({"centre": (100.0, 0.0)}, "inside the picture"),
        ({"batches": 0}, "number of batches"),
        ({"n": 5000}, "number of particles"),
    ):
        with pytest.raises(ValueError, match=words):
            ImportanceExplorer(**bad)


def test_replay_is_one_page(explorer):
    page = explorer.replay_page(6)
    assert len(page) < 500_000 and "Animation." in page
