"""What training does, at a budget of seconds: several seeds at once, bars far from what was measured.

The full figures, over more seeds and steps, are printed by benchmarks/gan.py.
"""

import pytest
import torch
from torch import nn

from course_lib.data import Line, SwissRoll, ring
from course_lib.gan import (
    Game,
    clipped,
    fixed_generator,
    gradient_penalty,
    locally_stable,
    minimax,
    nonsaturating,
    r1,
    rmsprop,
    wasserstein,
)
from course_lib.metrics import coverage, growth_per_layer, js_estimate, layer_slopes, spread
from course_lib.nets import critic as make_critic
from course_lib.nets import he_init, mlp

SEEDS = 3


def ring_game(z=2, **how):
    torch.manual_seed(1)
    return Game(mlp([z, 64, 64, 2], SEEDS), make_critic([2, 64, 64, 1], SEEDS), ring(), **how)


def rotating(**how):
    """A critic ten times slower than its generator: the generator runs from mode to mode."""
    return ring_game(
        16, lr=(1e-3, 1e-4), adam_betas=(0.5, 0.999), decay=False, ema=None, **{"objective": minimax, **how}
    )


def test_a_penalised_critic_learns_the_ring():
    game = ring_game(penalty=r1(0.02), lr=5e-3)
    game.train(1500, progress=False)
    found = coverage(game.sample(2500), ring())
    assert found.modes.min() >= 7 and found.high_quality.min() > 0.5, (found.modes, found.high_quality)
    std, mean = spread(game.sample(2500))
    assert (std - 1.41).abs().max() < 0.1 and mean.max() < 0.3


def test_a_slow_critic_is_run_around_and_local_stability_stops_it():
    lost, calm = rotating(objective=nonsaturating), rotating(terms=[locally_stable(0.5)])
    lost.train(800, progress=False)
    calm.train(800, progress=False)
    assert coverage(lost.sample(2500), ring()).modes.sum() <= 2 * SEEDS
    std_lost, mean_lost = spread(lost.sample(2500))
    std_calm, mean_calm = spread(calm.sample(2500))
    assert std_calm.min() > 1.1 and mean_calm.max() < 0.6, (std_calm, mean_calm)
    assert std_lost.max() < 1.1 or mean_lost.min() > 1.0, (std_lost, mean_lost)


@pytest.mark.parametrize(
    ("how", "low", "high"),
    [
        ({"penalty": gradient_penalty(10.0), "adam_betas": (0.5, 0.9)}, -0.15, 0.15),
        ({"rule": clipped(fixed_generator(), 0.1), "optimizer": rmsprop}, 0.3, 1.0),
        ({"rule": clipped(fixed_generator(), 0.01), "optimizer": rmsprop}, -4.0, -0.8),
    ],
    ids=["gradient penalty", "clipped at .1", "clipped at .01"],
)
def test_clipping_makes_slopes_explode_or_vanish(how, low, high):
    """Twelve layers on the Swiss roll; the generator is the data plus noise and does not learn."""
    torch.manual_seed(0)
    critic = he_init(make_critic([2, *[64] * 11, 1]))
    how = {"rule": fixed_generator(), **how}
    game = Game(Blurred(), critic, SwissRoll(), objective=wasserstein, decay=False, batch=64, lr=5e-4, **how)
    game.train(150, progress=False)
    growth = growth_per_layer(layer_slopes(critic, game.reals(256)))
    assert low < growth < high, growth


class Blurred(nn.Module):
    """The Swiss roll plus standard normal noise, as a function of five normal numbers."""

    latent_dim = 5

    def forward(self, z):
        t = 1.5 * torch.pi * (1 + 2 * torch.special.ndtr(z[:, 0]))
        roll = torch.stack([t * t.cos(), t * t.sin()], 1)
        return (roll + 0.25 * z[:, 1:3]) / 7.5 + z[:, 3:]


def test_parallel_lines_have_no_gradient_but_in_the_wasserstein_game():
    """Lines at 0 and .5: a sure classifier says log 2 and is flat, a Wasserstein critic has slope 1."""
    slopes = {}
    for objective, penalty in ((minimax, None), (wasserstein, gradient_penalty(10.0))):
        torch.manual_seed(0)
        critic, how = make_critic([2, 64, 64, 1]), {"adam_betas": (0.5, 0.9), "decay": False, "batch": 256}
        game = Game(
            Shifted(0.5),
            critic,
            Line(0.0),
            objective=objective,
            penalty=penalty,
            rule=fixed_generator(),
            **how,
        )
        game.train(400, progress=False)
        fake = game.generator(game.latents(512))
        (slope,) = torch.autograd.grad(objective.g(critic(fake)), game.generator.theta)
        slopes[objective.name] = slope.abs().item()
        if objective is minimax:
            js = js_estimate(critic(game.reals(512)), critic(fake))
            assert 0.68 < js < 0.694
    assert slopes["minimax"] < 1e-3 and 0.8 < slopes["Wasserstein"] < 2


class Shifted(nn.Module):
    """The line at theta."""

    latent_dim = 1

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, z):
        height = torch.special.ndtr(z[:, 0])
        return torch.stack([self.theta.expand(len(z)), height], 1)
