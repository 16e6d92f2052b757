"""GameExplorer: the library's game, every message at the ends of its sliders, layers against autograd."""

import math

import pytest
import torch

from course_lib.data import Line, line_of_modes, ring
from course_lib.gan import Game, alternating, nonsaturating, simultaneous
from course_lib.nets import critic, mlp
from course_lib.widgets import GameExplorer
from course_lib.widgets.game import ALONE, RATES, SPEEDS
from course_lib.widgets.match import EVERY, GRID, MOST, OBJECTIVES, PENALTIES, RULES, SHOWN, WARP
from tests.widgets.talk import Told, say


@pytest.fixture
def explorer():
    return GameExplorer(turns=20)


@pytest.fixture
def told(explorer):
    return Told(explorer)


def weights(net):
    return [p.detach().clone() for p in net.parameters()]


def same(before, net):
    return all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def library_game(seed=0, **how):
    """What the explorer plays, made from the library alone."""
    torch.manual_seed(seed)
    nets = mlp([2, 64, 64, 2]), critic([2, 64, 64, 1])
    how = {"lr": (1e-3, 3e-4), "adam_betas": (0.5, 0.999), "decay": False, "ema": None, "seed": seed, **how}
    return Game(*nets, ring(8, 2.0, 0.02), **how)


def test_the_game_is_that_of_the_library(explorer, told):
    game = library_game()
    for _ in range(20):
        game.advance()
    z = game.latents(1000, game.look)
    say(explorer, told, kind="hello")
    assert torch.equal(told.floats(0).reshape(-1, 2), game.generator(z)[:SHOWN])
    assert torch.equal(told.floats(5).reshape(-1, 2), game.reals(1000, game.look)[:SHOWN])


def test_the_default_shows_a_lost_game():
    """A small cloud that runs from mode to mode, while the losses look like those of an equilibrium."""
    explorer, places = GameExplorer(), []
    for _ in range(12):
        score = explorer._match.score()
        assert score.share <= 0.25 and score.std < 1.0, score
        places.append(torch.tensor(score.mean))
        explorer.more(25)
    angles = torch.tensor([math.atan2(y, x) for x, y in places])
    assert (angles.diff().abs() > 0.3).sum() >= 3, "the cloud should have moved on"
    _, d_loss, g_loss = explorer._match.marks[-1]
    assert abs(d_loss - 2 * math.log(2)) < 0.2 and abs(g_loss - math.log(2)) < 0.2


def test_the_same_seed_gives_the_same_game_at_every_speed():
    slow, fast = GameExplorer(turns=0, seed=3), GameExplorer(turns=30, seed=3)
    for count in (1, 4, 10, 15):
        slow.more(count)
    assert torch.equal(slow._match.fakes, fast._match.fakes) and slow._match.marks == fast._match.marks
    other = GameExplorer(turns=30, seed=4)
    assert not torch.equal(other._match.fakes, fast._match.fakes)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    GameExplorer(turns=1)
    assert torch.equal(torch.random.get_rng_state(), before), "the notebook's own draws are left alone"


def test_one_player_alone(explorer, told):
    g, d = weights(explorer.game.generator), weights(explorer.game.critic)
    header = say(explorer, told, kind="act", name="only_critic")
    assert header["kind"] == "more" and header["turns"] == 20 + ALONE
    assert same(g, explorer.game.generator) and not same(d, explorer.game.critic)
    d = weights(explorer.game.critic)
    assert say(explorer, told, kind="act", name="only_generator")["turns"] == 20 + 2 * ALONE
    assert same(d, explorer.game.critic) and not same(g, explorer.game.generator)
    assert "one player stepped alone" in explorer.alt and "changed on the way" in explorer.code
    assert explorer.turns == 40


def test_settings_change_while_it_is_played_and_other_data_begin_anew(explorer, told):
    g = weights(explorer.game.generator)
    values = {"objective": "hinge", "rule": "simultaneous", "penalty": "R1, 0.5", "lr_g": 1e-4, "lr_d": 2e-3}
    header = say(explorer, told, kind="set", values=values)
    game = explorer.game
    assert header["turns"] == 20 and same(g, game.generator)
    assert (
        game.objective.name == "hinge"
        and game.rule == simultaneous()
        and (game.g.lr, game.d.lr) == (1e-4, 2e-3)
    )
    assert game.penalty is PENALTIES["R1, 0.5"]
    say(explorer, told, kind="set", values={"data": "Swiss roll"})
    assert (
        explorer.game is not game
        and explorer.game.objective.name == "hinge"
        and "told from real" in explorer.alt
    )
    say(explorer, told, kind="set", values={"seed": 1, "data": "ring of 8", "objective": "non-saturating"})
    assert "changed" not in explorer.alt + explorer.code


def test_reset_is_a_new_game_with_the_settings_of_now(explorer, told):
    explorer.rule = "alternating, 5 critic steps"
    explorer.more(7)
    assert say(explorer, told, kind="reset")["turns"] == 20 and "changed" not in explorer.code
    game = library_game(rule=alternating(5))
    for _ in range(20):
        game.advance()
    z = game.latents(1000, game.look)
    assert torch.equal(explorer._match.fakes, game.generator(z))


def test_the_arrows_are_the_generators_pull_on_each_fake(explorer, told):
    say(explorer, told, kind="hello")
    x = told.floats(0).reshape(-1, 2).clone().requires_grad_()
    loss = nonsaturating.g(explorer.game.critic(x))  # the mean over the fakes
    pull = -torch.autograd.grad(loss, x)[0] * len(x)
    assert pull.norm(dim=1).max() > 1e-3
    assert torch.allclose(told.floats(1).reshape(-1, 2), pull, atol=1e-6)
    nearer = explorer.game.critic(x + 1e-2 * pull / pull.norm(dim=1, keepdim=True)) > explorer.game.critic(x)
    assert nearer.all(), "a step along the arrow looks more real"


def test_map_and_mesh_are_what_the_players_say(explorer, told):
    say(explorer, told, kind="hello")
    match, shades = explorer._match, told[-1][1][4].reshape(GRID, GRID)
    corner = torch.tensor([[-3.5, -3.5], [3.5, -3.5], [-3.5, 3.5]])
    said = (explorer.game.critic(corner).sigmoid() * 255).round()
    assert torch.stack([shades[0, 0], shades[0, -1], shades[-1, 0]]).tolist() == said.tolist()
    mesh = told.floats(2).reshape(WARP, WARP, 2)
    middle = explorer.game.generator(torch.zeros(1, 2))[0]
    assert torch.allclose(mesh[WARP // 2, WARP // 2], middle, atol=1e-5)
    cell = torch.special.ndtr(match.sheet[:WARP, 0]).diff()
    assert torch.allclose(cell, torch.full_like(cell, 1 / WARP), atol=1e-4), "cells of equal probability"


def test_losses_are_recorded_on_the_samples_that_are_shown(explorer):
    match = explorer._match
    assert [turn for turn, *_ in match.marks] == list(range(0, 21, EVERY))
    fake, real = match.game.critic(match.fakes), match.game.critic(match.real)
    loss = nonsaturating.d(real, fake).item(), nonsaturating.g(fake).item()
    assert match.marks[-1][1:] == pytest.approx(loss)
    match.marks = [(i, float(i), -float(i)) for i in range(1001)]
    at, d_loss, g_loss = match.curves()
    assert len(at) <= 301 + 1 and at[-1] == 1000 and torch.equal(d_loss, at) and torch.equal(g_loss, -at)


def test_the_score_knows_truth_from_collapse(explorer):
    match = explorer._match
    match.game.generator = lambda z: match.data.sample(len(z), generator=torch.Generator().manual_seed(0))
    assert match.score().share == 1 and match.score().std == pytest.approx(2**0.5, abs=0.05)
    match.game.generator = lambda z: match.data.means[:1].expand(len(z), 2)
    assert match.score().share == 1 / 8 and match.score().words == "1 of 8 modes, 100% good"
    explorer.data = "Swiss roll"
    match = explorer._match
    match.game.generator = lambda z: match.data.sample(len(z), generator=torch.Generator().manual_seed(0))
    assert match.score().share == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_rule_and_penalty_at_the_ends_of_the_sliders(explorer, told, objective):
    for rule in RULES:
        for penalty in PENALTIES:
            for rates in (RATES, RATES[::-1]):
                values = {"objective": objective, "rule": rule, "penalty": penalty}
                values |= {"lr_g": rates[0], "lr_d": rates[1]}
                header = say(explorer, told, kind="set", values=values)
                assert header["kind"] == "state" and header["settings"]["rule"] == rule
                header = say(explorer, told, kind="more", count=1, playing=True)
                assert 0 <= header["real"] <= 1 and 0 <= header["fake"] <= 1
                assert all(told.floats(i).isfinite().all() for i in range(4))


def test_play_pause_and_count(explorer, told):
    before = explorer.alt
    say(explorer, told, kind="more", count=5, playing=True)
    assert explorer.turns == 25 and explorer.alt == before  # while it plays nobody reads the alt text
    assert say(explorer, told, kind="pause")["kind"] == "idle" and "after 25 turns" in explorer.alt
    assert SPEEDS[0] * 0.2 >= 1, "at the lowest speed there is still a round to ask for"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"kind": "nonsense"}, "knows hello"),
        ({"kind": "set", "values": {"batch": 1}}, "settings here are"),
        ({"kind": "set", "values": {"objective": "chess"}}, "the objective is one of"),
        ({"kind": "set", "values": {"rule": 3}}, "the rule is one of"),
        ({"kind": "set", "values": {"penalty": None}}, "the penalty is one of"),
        ({"kind": "set", "values": {"data": "moon"}}, "the data is one of"),
        ({"kind": "set", "values": {"lr_g": 0}}, "a learning rate"),
        ({"kind": "set", "values": {"lr_d": math.nan}}, "a learning rate"),
        ({"kind": "set", "values": {"seed": -1}}, "whole number"),
        ({"kind": "more", "count": 0}, "how much more"),
        ({"kind": "more", "count": MOST}, "turns are enough"),
        ({"kind": "act", "name": "close"}, "knows hello"),
    ],
)
def test_a_message_that_makes_no_sense_is_answered_and_changes_nothing(explorer, told, message, words):
    before, fakes = repr(explorer), explorer._match.fakes
    with pytest.raises(ValueError, match=words):
        explorer._on_msg(explorer, message, [])
    assert len(told) == 1 and told.last["kind"] == "error" and repr(explorer) == before
    assert torch.equal(explorer._match.fakes, fakes)


def test_a_game_that_diverges_says_so(explorer, told):
    with torch.no_grad():
        explorer.game.critic.head.bias.fill_(math.inf)
    with pytest.raises(ValueError, match=r"not finite at step 21.*smaller learning rates"):
        explorer._on_msg(explorer, {"id": "a", "kind": "more", "count": 3, "playing": True}, [])
    assert told.last["kind"] == "error"


def test_own_data_and_bad_ones():
    explorer = GameExplorer(ring(5), turns=0, lr=(1e-3, 1e-3))
    assert explorer.data == "Mixture" and "of 5 modes" in explorer.alt
    assert GameExplorer({"a line": Line(0.5)}, turns=0).data == "a line"
    for bad, words in (
        ({"data": line_of_modes()}, "points in the plane"),
        ({"data": 3}, "has no sample"),
        ({"data": {}}, "at least one"),
        ({"box": (2.0, 1.0, 0.0, 1.0)}, "min < max"),
        ({"lr": (1e-3,)}, "two rates"),
        ({"lr": (1e-3, 1.0)}, "a learning rate"),
        ({"turns": -1}, "number of rounds"),
        ({"rule": "chess"}, "the rule is one of"),
    ):
        with pytest.raises(ValueError, match=words):
            GameExplorer(**bad)


def test_replay_is_one_page_that_needs_nothing(explorer):
    before = repr(explorer)
    page = explorer.replay_page(6)
    assert "<script" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert len(page) < 400_000 and repr(explorer) == before
