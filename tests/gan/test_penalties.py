"""Penalties on critics whose slope is known, and the mistakes of published implementations."""

import math

import pytest
import torch
from torch import nn

from course_lib.gan import Game, dragan, gradient_penalty, minimax, nonsaturating, r1, sgd
from course_lib.gan.penalties import mix, squared_slope
from course_lib.nets import critic as make_critic
from course_lib.nets import mlp
from tests.gan.toys import F64, Linear, seeded

W = torch.tensor([3.0, 0.0, 0.0, 4.0], dtype=F64)  # |w| = 5


def points(n, *shape, seed=0):
    return torch.randn(n, *(shape or (4,)), dtype=F64, generator=seeded(seed))


class Recorder(Linear):
    """Remembers the points at which a penalty asks for the slope."""

    def forward(self, x):
        self.seen = x.detach()
        return super().forward(x)


def check_gradient_penalty(penalty):
    """WGAN-GP with lam = 1, k = 1 is (5 - 1)^2 = 16 on any batch of points or images."""
    for n, shape in ((1, (4,)), (7, (4,)), (128, (4,)), (7, (1, 2, 2)), (7, (2, 2, 1)), (5, (4, 1, 1))):
        net = Linear(W)
        value = penalty(net, points(n, *shape), points(n, *shape, seed=1), seeded())
        assert value.item() == pytest.approx(16.0, abs=1e-5), f"batch {n} of {shape}: {value.item()}"
        assert value.requires_grad, "no gradient reaches the critic"
        (grad,) = torch.autograd.grad(value, net.w)
        assert torch.allclose(grad, 2 * (5 - 1) * W / 5, atol=1e-5)
    net, real, fake = Recorder(W), points(50), points(50, seed=1)
    net.seeds = None
    penalty(net, real, fake, seeded())
    share = (net.seen - fake) / (real - fake)
    assert share.min() >= 0 and share.max() <= 1
    assert (share - share[:, :1]).abs().max() < 1e-9, "a point is off the line between its real and its fake"
    assert share[:, 0].unique().numel() == 50, "one alpha for the whole batch"


def interpolate(real, fake, alpha):
    return (alpha * real + (1 - alpha) * fake).requires_grad_()


def grad_of(critic, x, create_graph=True):
    (grad,) = torch.autograd.grad(critic(x).sum(), x, create_graph=create_graph)
    return grad


def alpha_for(real, g):
    return torch.rand(len(real), *[1] * (real.dim() - 1), dtype=F64, generator=g)


def batch_wide_norm(critic, real, fake, g):
    return (grad_of(critic, interpolate(real, fake, alpha_for(real, g))).norm(2) - 1) ** 2


def norm_over_channels(critic, real, fake, g):
    return (grad_of(critic, interpolate(real, fake, alpha_for(real, g))).norm(2, dim=1) - 1).square().mean()


def shared_alpha(critic, real, fake, g):
    x = interpolate(real, fake, torch.rand((), dtype=F64, generator=g))
    return (grad_of(critic, x).flatten(1).norm(dim=1) - 1).square().mean()


def alpha_per_pixel(critic, real, fake, g):
    x = interpolate(real, fake, torch.rand(real.shape, dtype=F64, generator=g))
    return (grad_of(critic, x).flatten(1).norm(dim=1) - 1).square().mean()


def without_a_graph(critic, real, fake, g):
    x = interpolate(real, fake, alpha_for(real, g))
    return (grad_of(critic, x, create_graph=False).flatten(1).norm(dim=1) - 1).square().mean()


def of_the_sigmoid(critic, real, fake, g):
    x = interpolate(real, fake, alpha_for(real, g))
    (grad,) = torch.autograd.grad(critic(x).sigmoid().sum(), x, create_graph=True)
    return (grad.flatten(1).norm(dim=1) - 1).square().mean()


def square_of_the_mean(critic, real, fake, g):
    x = interpolate(real, fake, alpha_for(real, g))
    return (grad_of(critic, x).flatten(1).norm(dim=1) - 1).square().sum()


def test_gradient_penalty_on_a_linear_critic():
    check_gradient_penalty(gradient_penalty(lam=1.0, k=1.0))


@pytest.mark.parametrize(
    "wrong",
    [
        batch_wide_norm,
        norm_over_channels,
        shared_alpha,
        alpha_per_pixel,
        without_a_graph,
        of_the_sigmoid,
        square_of_the_mean,
    ],
)
def test_published_mistakes_are_seen(wrong):
    with pytest.raises(AssertionError):
        check_gradient_penalty(wrong)


@pytest.mark.parametrize(
    ("penalty", "value"),
    [
        (gradient_penalty(10.0, 2.0), 10 * 9),
        (r1(1.0), 12.5),
        (r1(0.1), 1.25),
        (dragan(2.0, c=0.5, k=1.0), 2 * 16),
        (dragan(2.0, c=0.5, form="flat"), 2 * 25),
        (dragan(2.0, c=0.5, k=1.0, form="hinge"), 2 * 24),
        (dragan(2.0, c=0.5, k=30.0, form="hinge"), 0),
    ],
)
@pytest.mark.parametrize("shape", [(4,), (1, 2, 2)])
def test_closed_forms_on_a_linear_critic(penalty, value, shape):
    net = Linear(W)
    got = penalty(net, points(9, *shape), points(9, *shape, seed=1), seeded())
    assert got.item() == pytest.approx(value, abs=1e-4)
    assert got.requires_grad


class Bowl(nn.Module):
    """|x|^2 / 2, whose slope at x is x."""

    seeds = None

    def forward(self, x):
        return x.flatten(1).square().sum(1) / 2


def test_where_penalties_look():
    """R1 on the data; DRAGAN at x + delta, delta of variance c: E |x + delta|^2 = |x|^2 + c D."""
    real, fake, n = torch.full((20_000, 3), 2.0), torch.full((20_000, 3), 9.0), 20_000
    assert r1(2.0)(Bowl(), real, fake, seeded()).item() == pytest.approx(12.0, rel=1e-4)
    c = 0.25
    flat = dragan(1.0, c=c, form="flat")(Bowl(), real, fake, seeded()).item()
    standard_error = math.sqrt((4 * 4 * c * 3 + 2 * c * c * 3) / n)
    assert abs(flat - (12 + 3 * c)) < 4 * standard_error
    assert abs(flat - (12 + 3 * c * c)) > 8 * standard_error  # c as a standard deviation
    middle = gradient_penalty(1.0, 0.0)(Bowl(), torch.zeros_like(real), fake, seeded()).item()
    assert middle == pytest.approx(3 * 81 / 3, rel=0.03)  # E alpha^2 = 1/3 of |fake|^2


def test_seeds_have_each_their_own_penalty():
    torch.manual_seed(0)
    nets = make_critic([2, 8, 8, 1], seeds=3)
    real, fake = torch.randn(3, 16, 2), torch.randn(3, 16, 2)
    assert mix(nets, real, fake, seeded()).shape == real.shape
    together = r1(1.0)(nets, real, fake, None)
    slopes = squared_slope(nets, real)
    assert together.shape == (3,) and slopes.shape == (3, 16)
    for s in range(3):
        alone = make_critic([2, 8, 8, 1])
        with torch.no_grad():
            for p, q in zip(alone.parameters(), nets.parameters(), strict=True):
                p.copy_(q[s].T.reshape(p.shape) if p.dim() == 2 else q[s].reshape(p.shape))
        assert together[s].item() == pytest.approx(r1(1.0)(alone, real[s], fake[s], None).item(), rel=1e-5)


@pytest.mark.parametrize("shape", [(6, 2), (3, 6, 2), (6, 1, 4, 4)])
def test_alpha_is_drawn_per_sample_for_any_critic(shape):
    """A critic without `seeds` is asked for its logits."""
    n = 2 if len(shape) == 3 else 1

    def plain(x):
        return x.flatten(n).sum(-1)

    zero, one = torch.zeros(shape), torch.ones(shape)
    alpha = mix(plain, one, zero, seeded()).flatten(n)
    assert (alpha == alpha[..., :1]).all() and alpha[..., 0].unique().numel() == math.prod(shape[:n])


def critic_gradient(game):
    """What plain descent with rate 1 changed the critic by: its gradient."""
    before = [p.detach().clone() for p in game.critic.parameters()]
    game.train_critic()
    return [p - q.detach() for p, q in zip(before, game.critic.parameters(), strict=True)]


def small_game(penalty, kind=Game):
    torch.manual_seed(0)
    G, D = mlp([2, 8, 2]).double(), make_critic([2, 8, 1]).double()
    data = points(64, 2)
    return kind(G, D, data, objective=minimax, penalty=penalty, optimizer=sgd, lr=1.0, decay=False, ema=None)


def check_penalty_is_added(kind):
    """The critic's gradient is grad(loss) + grad(penalty)."""
    with_it, without = small_game(r1(3.0), kind), small_game(None, kind)
    critic = small_game(None).critic
    twin = small_game(r1(3.0), kind)
    twin.latents()  # the fakes are drawn first, then the data
    real = twin.examples()
    want = torch.autograd.grad(
        r1(3.0)(critic, real, real, None), list(critic.parameters()), materialize_grads=True
    )
    for a, b, c in zip(critic_gradient(with_it), critic_gradient(without), want, strict=True):
        assert torch.allclose(a, b + c, atol=1e-10)


class ForgetsThePenalty(Game):
    """Computes the sum and descends something else, as a popular DRAGAN does."""

    def critic_loss(self, real, fake, critic=None):
        return self.objective.d(self.critic(real), self.critic(fake))


class OnlyThePenalty(Game):
    def critic_loss(self, real, fake, critic=None):
        loss = super().critic_loss(real, fake, critic)
        return loss if self.penalty is None else self.penalty(self.critic, real, fake, None)


def test_the_penalty_is_part_of_what_the_critic_descends():
    check_penalty_is_added(Game)
    for wrong in (ForgetsThePenalty, OnlyThePenalty):
        with pytest.raises(AssertionError):
            check_penalty_is_added(wrong)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: gradient_penalty(0.0), "lam > 0"),
        (lambda: r1(-1.0), "lam > 0"),
        (lambda: dragan(c=0.0), "c > 0"),
        (lambda: dragan(form="soft"), "centred, flat, hinge"),
    ],
)
def test_bad_settings_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_a_column_of_logits_is_refused():
    column = nn.Linear(2, 1)
    with pytest.raises(ValueError, match="one logit per sample"):
        squared_slope(column, torch.randn(5, 2))


def test_nonsaturating_is_the_default_objective():
    assert small_game(None).objective is minimax
    torch.manual_seed(0)
    game = Game(mlp([2, 4, 2]), make_critic([2, 4, 1]), torch.randn(9, 2))
    assert game.objective is nonsaturating and game.penalty is None
