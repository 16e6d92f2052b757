"""RejectionExplorer: the library's darts, every message at the ends of its sliders, quadrature."""

import math

import pytest
import torch
from scipy import stats

from course_lib.energies import Gaussian, GaussianMixture, Moved
from course_lib.sampling import rejection, throw
from course_lib.widgets import RejectionExplorer
from course_lib.widgets.darts import BINS, BLOCK, MOST, SCALES, SHOWN
from tests.widgets.talk import Told, say


@pytest.fixture
def explorer():
    return RejectionExplorer()


@pytest.fixture
def told(explorer):
    return Told(explorer)


def test_the_default_shows_darts_that_hit_and_darts_that_miss(explorer):
    assert explorer.thrown == 400 and 100 < explorer.accepted < 300
    assert "400 darts thrown" in explorer.alt and "exceeded" not in explorer.alt
    assert explorer.code.startswith("RejectionExplorer(target, mean=0, scale=1.6, k=")


def test_the_darts_are_those_of_the_library(explorer, told):
    board = explorer._board_now
    q = Moved(Gaussian([0.0]), [explorer.mean], explorer.scale)
    darts = throw(
        lambda x: -board.target(x), q, math.log(explorer.k), BLOCK, generator=torch.Generator().manual_seed(0)
    )
    say(explorer, told, kind="hello")
    assert torch.equal(told.floats(0), darts.x[:400, 0])
    assert torch.allclose(told.floats(1), darts.log_height.exp()[:400].float())
    assert torch.equal(told.floats(2).bool(), darts.hit[:400])
    assert explorer.accepted == darts.hit[:400].sum()


def test_the_same_seed_gives_the_same_darts_at_every_speed():
    slow, fast = RejectionExplorer(darts=0, seed=3), RejectionExplorer(darts=2500, seed=3)
    for _ in range(25):
        slow.more(100)
    assert slow.accepted == fast.accepted and torch.equal(slow._board_now.counts, fast._board_now.counts)
    assert torch.equal(slow._board_now.recent.x, fast._board_now.recent.x)
    assert RejectionExplorer(darts=2500, seed=4).accepted != fast.accepted


@pytest.mark.parametrize("name", ["two peaks", "double well", "Student t, 2 df"])
def test_area_and_expected_acceptance_are_true(name):
    explorer = RejectionExplorer(darts=50_000, scale=2.5, seed=1)
    explorer.set(target=name)
    board = explorer._board_now
    assert board.z == pytest.approx(math.exp(board.target.log_z), rel=1e-4)
    share = board.expected
    assert abs(explorer.acceptance - share) < 5 * (share * (1 - share) / explorer.thrown) ** 0.5
    if name != "Student t, 2 df":
        assert board.lost < 1e-4 or explorer.k < math.exp(board.smallest_log_k())


def test_below_the_smallest_k_the_envelope_is_exceeded_and_said_to_be(explorer, told):
    explorer.tighten()
    assert explorer._board_now.lost == pytest.approx(0, abs=1e-9) and "exceeded" not in explorer.alt
    target, q = explorer._board_now.target, explorer._board_now.proposal
    rejection(lambda x: -target(x), q, math.log(explorer.k), 5000)  # the library is content
    explorer.k = explorer.k / 2
    board = explorer._board_now
    assert board.lost > 0.01 and board.over > 0 and "are never drawn" in explorer.alt
    with pytest.raises(ValueError, match="exceeded"):
        rejection(lambda x: -target(x), q, math.log(explorer.k), 5000)
    header = say(explorer, told, kind="hello")
    assert header["lost"] == board.lost and header["over"] == board.over
    explorer.more(40_000)
    assert explorer.acceptance == pytest.approx(board.expected, abs=5 * 0.5 / 40_000**0.5)
    assert explorer.k * explorer.acceptance < board.z * 0.99  # the evidence comes out too small


def test_no_k_is_large_enough_for_tails_that_are_heavier(explorer, told):
    explorer.set(target="Student t, 2 df")
    k = explorer.k
    with pytest.raises(ValueError, match="no k is large enough"):
        explorer._on_msg(explorer, {"id": "a", "kind": "act", "name": "tighten"}, [])
    assert told.last["kind"] == "error" and explorer.k == k
    explorer.set(proposal="Student t, 3 df", scale=4.0)
    with pytest.raises(ValueError, match="no k is large enough"):
        explorer.tighten()  # 2 df are heavier than 3
    explorer.set(target="two peaks")
    explorer.tighten()
    assert explorer._board_now.lost < 1e-6


@pytest.mark.parametrize("target", ["two peaks", "double well", "Student t, 2 df"])
@pytest.mark.parametrize("proposal", ["normal", "Student t, 3 df"])
def test_every_message_at_the_ends_of_the_sliders(explorer, told, target, proposal):
    for mean in (-6.0, 6.0):
        for scale in SCALES:
            for k in (0.1, 100.0):
                values = {"target": target, "proposal": proposal, "mean": mean, "scale": scale, "k": k}
                header = say(explorer, told, kind="set", values=values)
                assert header["kind"] == "state" and header["settings"]["k"] == k and header["fresh"]
                assert 0 <= header["expected"] <= 1 and 0 <= header["lost"] <= 1
                assert told.floats(4).isfinite().all() and len(told.floats(3)) == BINS
                header = say(explorer, told, kind="more", count=10_000, playing=True)
                assert header["thrown"] == 10_400 and len(told.floats(0)) == SHOWN and not header["fresh"]


def test_play_pause_reset_and_count(explorer, told):
    before = explorer.alt
    say(explorer, told, kind="more", count=500, playing=True)
    assert explorer.thrown == 900 and explorer.alt == before  # while it plays nobody reads the alt text
    assert say(explorer, told, kind="pause")["kind"] == "idle" and "900 darts" in explorer.alt
    say(explorer, told, kind="more", count=1)
    assert "901 darts" in explorer.alt and told.last["thrown"] == 901
    assert say(explorer, told, kind="reset")["thrown"] == 400 and explorer.alt == before
    histogram = explorer._board_now.counts.sum()
    inside = (explorer._board_now.recent.x[explorer._board_now.recent.hit].abs() <= 6).sum()
    assert histogram == inside


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"kind": "nonsense"}, "knows hello"),
        ({"kind": "set"}, "knows hello"),
        ({"kind": "set", "values": {"size": 1}}, "settings here are"),
        ({"kind": "set", "values": {"mean": 7}}, "inside the picture"),
        ({"kind": "set", "values": {"scale": 0}}, "width of q"),
        ({"kind": "set", "values": {"k": None}}, "area of k q"),
        ({"kind": "set", "values": {"k": math.nan}}, "area of k q"),
        ({"kind": "set", "values": {"k": True}}, "area of k q"),
        ({"kind": "set", "values": {"seed": 1.5}}, "whole number"),
        ({"kind": "set", "values": {"target": "moon"}}, "one of two peaks"),
        ({"kind": "more", "count": 0}, "how much more"),
        ({"kind": "more"}, "how much more"),
        ({"kind": "act", "name": "close"}, "knows hello"),
        ("hello", "knows hello"),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_and_changes_nothing(explorer, told, message, words):
    before = repr(explorer)
    with pytest.raises(ValueError, match=words):
        explorer._on_msg(explorer, message, [])
    assert len(told) == 1 and told.last["kind"] == "error" and repr(explorer) == before


def test_there_is_an_end_to_the_darts(explorer, told):
    with pytest.raises(ValueError, match="are enough"):
        for _ in range(3):
            explorer._on_msg(explorer, {"kind": "more", "count": MOST // 2, "playing": True}, [])
    assert told.last["kind"] == "error" and explorer.thrown <= MOST


def test_settings_from_python(explorer, told):
    explorer.mean = 1.0
    assert told.last["settings"]["mean"] == 1.0 and "mean 1 " in explorer.alt
    with pytest.raises(ValueError, match="inside the picture"):
        explorer.mean = 60.0
    assert explorer.mean == 1.0 and told.last["settings"]["mean"] == 1.0
    assert explorer.log_z == pytest.approx(math.log(explorer.k * explorer.acceptance))


def test_own_targets_and_bad_ones():
    explorer = RejectionExplorer(GaussianMixture([[0.0], [2.0]], 0.7), mean=1.0, darts=20_000, seed=5)
    board = explorer._board_now
    kept = board.recent.x[board.recent.hit, 0]
    exact = board.target.sample(4000, generator=torch.Generator().manual_seed(0))[:, 0]
    assert stats.ks_2samp(kept.numpy(), exact.numpy()).pvalue > 1e-4
    for bad, words in (
        ({"target": Gaussian([0.0, 0.0])}, "1-D landscape"),
        ({"target": lambda x: x}, "1-D landscape"),
        ({"target": {}}, "at least one"),
        ({"box": (2.0, 1.0)}, "xmin < xmax"),
        ({"darts": -1}, "number of darts"),
        ({"scale": 100.0}, "width of q"),
        ({"proposal": "flat"}, "one of normal"),
    ):
        with pytest.raises(ValueError, match=words):
            RejectionExplorer(**bad)


def test_replay_is_one_page_that_needs_nothing(explorer):
    before = repr(explorer)
    page = explorer.replay_page(10)
    assert "<script" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert len(page) < 400_000 and repr(explorer) == before
    with pytest.raises(ValueError, match="frames"):
        explorer.replay_page(0)
