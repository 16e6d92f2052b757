"""Update rules on games with closed forms, the optimisers they use, and seeds at once against seeds alone."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from course_lib.gan import (
    BatchNorm,
    Game,
    MinibatchDiscrimination,
    adam,
    alternating,
    clipped,
    consensus,
    feature_matching,
    fixed_generator,
    hinge,
    historical_average,
    instance_noise,
    kernel_matching,
    locally_stable,
    minimax,
    pull_away,
    r1,
    rmsprop,
    sgd,
    simultaneous,
    unrolled,
    wasserstein,
)
from course_lib.gan.rules import Foreseen
from course_lib.nets import autoencoder_critic, mlp
from course_lib.nets import critic as make_critic
from tests.gan.toys import F64, dirac_game, norm, seeded


def after(steps, **how):
    game = dirac_game(**how)
    game.train(steps, progress=False)
    return norm(game)


# -- the bilinear game f = theta psi, from (1, 1), steps of .1 -------------------------------------------


@pytest.mark.parametrize(
    ("how", "low", "high"),
    [
        ({"rule": simultaneous()}, 16.9, 17.1),
        ({"rule": alternating()}, 1.3, 1.5),
        ({"rule": consensus(1.0)}, 0, 1e-10),
        ({"terms": [locally_stable(0.5)]}, 0, 1e-6),
        ({"rule": unrolled(5)}, 0, 1e-6),
        ({"rule": unrolled(0)}, 1.3, 1.5),
    ],
    ids=["simultaneous", "alternating", "consensus", "locally stable", "unrolled 5", "unrolled 0"],
)
def test_the_bilinear_game(how, low, high):
    assert low <= after(500, **how) <= high


def test_simultaneous_steps_grow_by_a_known_factor():
    assert after(137, rule=simultaneous()) == pytest.approx(math.sqrt(2) * 1.01 ** (137 / 2), rel=1e-9)


def test_regularised_rules_also_calm_the_logistic_game():
    """L_D = softplus(psi theta) + log 2 is flat at 0 and slower: 500 steps from (1, 1)."""
    ends = {
        "simultaneous": after(500, rule=simultaneous(), objective=minimax),
        "consensus": after(500, rule=consensus(1.0), objective=minimax),
        "locally stable": after(500, terms=[locally_stable(0.5)], objective=minimax),
        "r1": after(500, penalty=r1(1.0), objective=minimax),
    }
    assert 2.15 < ends["simultaneous"] < 2.35
    assert ends["consensus"] < 1e-4 and ends["locally stable"] < 1e-2 and ends["r1"] < 1e-2


def consensus_field(theta, psi, gamma):
    """v + gamma grad(|v|^2 / 2) of the minimax Dirac game, L_D = softplus(psi theta), by differences."""

    def v(theta, psi):
        s = 1 / (1 + math.exp(-psi * theta))
        return s * theta, -s * psi  # dL_D / dpsi, dL_G / dtheta

    def half_norm(theta, psi):
        a, b = v(theta, psi)
        return (a * a + b * b) / 2

    h = 1e-5
    d_psi = (half_norm(theta, psi + h) - half_norm(theta, psi - h)) / (2 * h)
    d_theta = (half_norm(theta + h, psi) - half_norm(theta - h, psi)) / (2 * h)
    a, b = v(theta, psi)
    return a + gamma * d_psi, b + gamma * d_theta


@pytest.mark.parametrize("gamma", [0.0, 1.0, 10.0])
def test_consensus_follows_its_vector_field(gamma):
    game = dirac_game(theta=0.7, psi=0.4, rule=consensus(gamma), objective=minimax)
    game.advance()
    d_psi, d_theta = consensus_field(0.7, 0.4, gamma)
    assert game.critic.psi.item() == pytest.approx(0.4 - 0.1 * d_psi, abs=1e-9)
    assert game.generator.theta.item() == pytest.approx(0.7 - 0.1 * d_theta, abs=1e-9)


def test_consensus_without_its_pull_is_simultaneous():
    assert after(50, rule=consensus(0.0)) == after(50, rule=simultaneous())


# -- unrolling -------------------------------------------------------------------------------------------


def generator_gradient(game):
    z, real = game.latents(), game.examples()
    fake = game.fakes(z)
    loss = game.generator_loss(game.turn(z, real, fake, game.rule.foresee(game, real, fake)))
    return game.g.gradients(loss)


class StopsTheGradient(unrolled):
    """The impostor: the critic does take k steps, but nothing flows through them."""

    def foresee(self, game, real, fake):
        found = super().foresee(game, real, fake.detach())
        return Foreseen(game.critic, game.d.names, [p.detach() for p in found.parameters()])


def check_unrolled_gradient(rule, k):
    """f = theta psi at psi = 0, theta = .4: df / dtheta = psi + 2 k h theta; the impostor has k for 2 k."""
    game = dirac_game(theta=0.4, psi=-0.0, rule=rule)
    (grad,) = generator_gradient(game)
    assert grad.item() == pytest.approx(2 * k * 0.1 * 0.4, abs=1e-9)


@pytest.mark.parametrize("k", [0, 1, 5])
def test_unrolled_gradient_on_the_bilinear_game(k):
    check_unrolled_gradient(unrolled(k), k)


def test_an_unrolling_that_stops_the_gradient_is_seen():
    with pytest.raises(AssertionError):
        check_unrolled_gradient(StopsTheGradient(5), 5)


def test_an_unrolled_step_is_the_critics_step_and_then_the_answer_to_its_next_ones():
    """psi' = psi - h theta, then theta' = theta - h d/dtheta of -(psi' - k h theta) theta."""
    game = dirac_game(theta=0.4, psi=0.3, rule=unrolled(5))
    game.advance()
    psi = 0.3 - 0.1 * 0.4
    assert game.critic.psi.item() == pytest.approx(psi, abs=1e-12)
    assert game.generator.theta.item() == pytest.approx(0.4 - 0.1 * (-psi + 2 * 5 * 0.1 * 0.4), abs=1e-12)


def differentiable_game(optimizer, rule, **how):
    torch.manual_seed(0)
    G = mlp([2, 5, 2], activation=nn.Tanh).double()
    D = make_critic([2, 5, 1], activation=nn.Tanh).double()
    data = torch.randn(32, 2, dtype=F64, generator=seeded(3))
    return Game(
        G, D, data, rule=rule, optimizer=optimizer, lr=0.05, adam_betas=(0.5, 0.9), batch=8, ema=None, **how
    )


@pytest.mark.parametrize("optimizer", [sgd, rmsprop, adam])
@pytest.mark.parametrize("penalty", [None, r1(0.5)], ids=["plain", "with r1"])
def test_unrolled_gradient_against_differences(optimizer, penalty):
    """The generator's loss on the critic of three steps ahead, differentiated by moving each parameter."""
    game = differentiable_game(optimizer, unrolled(3), penalty=penalty)
    for _ in range(3):
        game.advance()  # so that the optimiser remembers something
    z, real = game.latents(), game.examples()

    def loss():
        fake = game.fakes(z)
        return game.generator_loss(game.turn(z, real, fake, game.rule.foresee(game, real, fake)))

    exact = game.g.gradients(loss())
    for p, g in zip(game.g.params, exact, strict=True):
        flat, entry = p.detach().view(-1), 0
        old = flat[entry].item()
        ends = []
        for h in (1e-5, -1e-5):
            flat[entry] = old + h
            ends.append(loss().item())
        flat[entry] = old
        assert g.view(-1)[entry].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-9)


def test_unrolling_does_not_move_the_critic_nor_what_anyone_remembers():
    past = historical_average(0.1)
    game = differentiable_game(adam, unrolled(4), terms=[past], penalty=past.penalty)
    game.advance()
    before = [p.detach().clone() for p in game.d.params], game.d.memory, game.remembered()
    real = game.examples()
    game.rule.foresee(game, real, game.fakes(game.latents()))
    assert all(torch.equal(p, q) for p, q in zip(before[0], game.d.params, strict=True))
    assert game.d.memory is before[1] and past.memory["critic"][0] == before[2][0]["critic"][0]


def test_a_foreseen_critic_uses_its_parameters_in_every_method():
    critic = make_critic([2, 4, 1])
    twice = [2 * p for p in critic.parameters()]
    foreseen = Foreseen(critic, [n for n, _ in critic.named_parameters()], twice)
    x = torch.randn(5, 2)
    other = make_critic([2, 4, 1])
    with torch.no_grad():
        for p, q in zip(other.parameters(), twice, strict=True):
            p.copy_(q)
    assert torch.allclose(foreseen(x), other(x)) and torch.allclose(foreseen.features(x), other.features(x))
    assert foreseen.seeds is None and next(iter(foreseen.parameters())) is twice[0]


# -- schedules and projections ---------------------------------------------------------------------------


class Counting(Game):
    def __init__(self, *args, **how):
        self.moves = ""
        super().__init__(*args, **how)

    def update(self, player, loss, grads):
        self.moves += player.name[0]
        super().update(player, loss, grads)


def counting_game(rule, **how):
    torch.manual_seed(0)
    return Counting(mlp([2, 8, 2]), make_critic([2, 8, 1]), torch.randn(64, 2) + 2, rule=rule, **how)


@pytest.mark.parametrize(
    ("rule", "moves"),
    [
        (fixed_generator(2), "cc"),
        (alternating(3), "cccg"),
        (simultaneous(), "cg"),
        (unrolled(2), "cg"),
        (consensus(0.5), "cg"),
    ],
)
def test_who_moves_when(rule, moves):
    game = counting_game(rule)
    game.train(2, progress=False)
    assert game.moves == 2 * moves


def test_the_dynamic_schedule_waits_for_the_critic():
    game = counting_game(alternating(k=2, until=0.8, at_most=200), objective=hinge, lr=0.01)
    losses = []
    original = game.train_critic
    game.train_critic = lambda: losses.append(original()) or losses[-1]
    game.train_generator = lambda: torch.zeros(())
    game.rule(game)
    assert len(losses) > 2 and losses[-1] <= 0.8 and all(loss > 0.8 for loss in losses[1:-1])
    losses.clear()
    game.rule(game)
    assert len(losses) >= 2  # k critic steps in any case
    losses.clear()
    alternating(k=1, until=-1.0, at_most=7)(game)
    assert len(losses) == 7


@pytest.mark.parametrize("rule", [alternating(2), simultaneous(), unrolled(1)])
def test_clipping_bounds_every_critic_weight_and_no_other(rule):
    game = counting_game(clipped(rule, 0.05), objective=wasserstein, lr=0.1)
    for _ in range(3):
        game.advance()
        assert max(p.abs().max() for p in game.critic.parameters()) <= 0.05
    assert max(p.abs().max() for p in game.generator.parameters()) > 0.05
    game.rule = rule
    for _ in range(3):
        game.advance()
    assert max(p.abs().max() for p in game.critic.parameters()) > 0.05  # the bound went with the rule


@pytest.mark.parametrize(
    "make",
    [
        lambda: alternating(0),
        lambda: alternating(5, at_most=4),
        lambda: unrolled(-1),
        lambda: fixed_generator(0),
        lambda: clipped(alternating(), 0),
    ],
)
def test_bad_rules_are_refused(make):
    with pytest.raises(ValueError, match=r"needs|looks"):
        make()


# -- optimisers ------------------------------------------------------------------------------------------


def adam_on_paper(p, grads, lr, b1, b2):
    """Algorithm 1 of Kingma & Ba (2015), number by number."""
    m = v = 0.0
    for t, g in enumerate(grads, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        p -= lr * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + 1e-8)
    return p


def rmsprop_on_paper(p, grads, lr, _, beta):
    v = 0.0
    for g in grads:
        v = beta * v + (1 - beta) * g * g
        p -= lr * g / (math.sqrt(v) + 1e-8)
    return p


@pytest.mark.parametrize(
    ("ours", "paper", "betas"),
    [
        (adam, adam_on_paper, (0.5, 0.9)),
        (adam, adam_on_paper, (0.0, 0.99)),
        (rmsprop, rmsprop_on_paper, (0.0, 0.9)),
        (sgd, lambda p, grads, lr, *_: p - lr * sum(grads), (0.0, 0.0)),
    ],
    ids=["adam", "adam without momentum", "rmsprop", "sgd"],
)
def test_optimisers_are_those_of_the_papers(ours, paper, betas):
    start, grads = (
        torch.randn(5, dtype=F64, generator=seeded()),
        torch.randn(20, 5, dtype=F64, generator=seeded(1)),
    )
    params, memory = [start, start.view(5, 1)], None
    for g in grads:
        params, memory = ours(params, [g, g.view(5, 1)], memory, 0.01, betas)
    want = [paper(p, list(g), 0.01, *betas) for p, g in zip(start.tolist(), grads.T.tolist(), strict=True)]
    assert params[0].tolist() == pytest.approx(want, abs=1e-12)
    assert torch.equal(params[0], params[1].view(5))


def test_adam_has_a_slope_where_a_gradient_is_zero():
    g = torch.tensor([0.0, 1.0], requires_grad=True)
    new, memory = adam([torch.zeros(2)], [g], None, 0.1)
    new, _ = adam(new, [g], memory, 0.1)
    (slope,) = torch.autograd.grad(new[0].sum(), g)
    assert slope.isfinite().all()


# -- seeds at once ---------------------------------------------------------------------------------------


class Scripted(Game):
    """A game that plays given latent points and data, so that one of S can be played alone."""

    def __init__(self, *args, script, **how):
        self.script = None
        super().__init__(*args, **how)
        self.script = [list(part) for part in script]

    def latents(self, n=None, random=None):
        return super().latents(n, random) if self.script is None else self.script[0].pop(0)

    def reals(self, n, random=None):
        return super().reals(n, random) if self.script is None else self.script[1].pop(0)


def one_of(net, s, make):
    """Seed s of a batched net as a net of its own; nn.Linear keeps weights [out, in], ours [in, out]."""
    alone = make(None)
    turned = {id(m.weight) for m in alone.modules() if isinstance(m, nn.Linear)}
    with torch.no_grad():
        for p, q in zip(alone.parameters(), net.parameters(), strict=True):
            p.copy_(q[s].T if id(p) in turned else q[s].reshape(p.shape))
    return alone


PLAIN_D = partial(make_critic, [2, 6, 6, 1])


def crowd_critic(seeds):
    return make_critic([2, 6, 6, 1], seeds, last=MinibatchDiscrimination(6, 3, 2, seeds))


def normed(seeds):
    return mlp([2, 6, 6, 2], seeds, norm=lambda width: BatchNorm(width, seeds))


PLAIN_G = partial(mlp, [2, 6, 6, 2])
VARIANTS = {
    "alternating": (PLAIN_G, PLAIN_D, {"rule": alternating(2)}),
    "simultaneous": (PLAIN_G, PLAIN_D, {"rule": simultaneous(), "penalty": r1(0.5)}),
    "consensus": (PLAIN_G, PLAIN_D, {"rule": consensus(1.0)}),
    "unrolled": (PLAIN_G, PLAIN_D, {"rule": unrolled(2), "optimizer": rmsprop}),
    "clipped": (PLAIN_G, PLAIN_D, {"rule": clipped(alternating(), 0.1), "objective": wasserstein}),
    "terms": (PLAIN_G, PLAIN_D, {"terms": [locally_stable(), feature_matching(), kernel_matching()]}),
    "minibatch discrimination": (PLAIN_G, crowd_critic, {"penalty": r1(0.5)}),
    "batch norm": (normed, PLAIN_D, {"optimizer": sgd}),  # Adam would blow up the rounding of dead biases
    "pull-away": (PLAIN_G, partial(autoencoder_critic, [2, 6, 3]), {"terms": [pull_away()]}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_three_seeds_at_once_are_three_games(variant):
    make_g, make_d, how = VARIANTS[variant]
    torch.manual_seed(0)
    G, D = make_g(seeds=3).double(), make_d(seeds=3).double()
    draws = torch.randn(2, 60, 3, 8, 2, dtype=F64)
    pasts = [historical_average(0.1) for _ in range(4)]

    def play(G, D, script, past):
        past_how = {"terms": [past]} if "terms" not in how else {}
        game = Scripted(
            G, D, torch.zeros(9, 2, dtype=F64), script=script, batch=8, lr=0.01, **{**how, **past_how}
        )
        losses = [game.advance() for _ in range(5)]
        return game, torch.stack([torch.stack(pair) for pair in losses])

    alone = [
        play(
            one_of(G, s, make_g).double(),
            one_of(D, s, make_d).double(),
            [part[:, s] for part in draws],
            pasts[s],
        )
        for s in range(3)
    ]
    game, losses = play(G, D, draws, pasts[3])
    z = torch.randn(7, 2, dtype=F64)
    for s, (single, own_losses) in enumerate(alone):
        assert torch.allclose(losses[..., s], own_losses, atol=1e-9)
        assert torch.allclose(game.generator(z)[s], single.generator(z), atol=1e-8)
        assert torch.allclose(game.average(z)[s], single.average(z), atol=1e-8)


# -- noise -----------------------------------------------------------------------------------------------


def test_instance_noise_has_its_scale_and_its_schedule():
    x, fading = torch.zeros(40_000, 1), instance_noise(0.5, until=0.8)
    for progress, sigma in ((0.0, 0.5), (0.4, 0.25), (0.8, 0.0), (1.0, 0.0)):
        assert fading(x, progress, seeded()).std().item() == pytest.approx(sigma, rel=0.02)
    assert instance_noise(0.3)(x, 0.9, seeded()).std().item() == pytest.approx(0.3, rel=0.02)
    assert instance_noise(lambda u: 1 - u)(x, 0.75, seeded()).std().item() == pytest.approx(0.25, rel=0.02)
    with pytest.raises(ValueError, match="sigma >= 0"):
        instance_noise(-1.0)
    with pytest.raises(ValueError, match="until"):
        instance_noise(1.0, until=0.0)


def test_the_critic_sees_noise_on_real_and_fake_alike():
    game = dirac_game(theta=3.0, noise=instance_noise(0.5), batch=20_000)
    turn = game.turn()
    for x, centre in ((turn.real, 0.0), (turn.fake, 3.0), (game.examples(), 0.0)):
        assert x.mean().item() == pytest.approx(centre, abs=0.02)
        assert x.std().item() == pytest.approx(0.5, rel=0.03)
    assert game.sample(50).std().item() == 0  # samples are without
