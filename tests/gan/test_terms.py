"""Generator terms and layers against closed forms."""

import math

import pytest
import torch
from torch import nn

from course_lib.gan import (
    BatchNorm,
    Game,
    MinibatchDiscrimination,
    Turn,
    VirtualBatchNorm,
    alternating,
    critic_only,
    dual_step,
    feature_matching,
    historical_average,
    kernel_matching,
    locally_stable,
    minimax,
    nonsaturating,
    pull_away,
    simultaneous,
    with_reference,
)
from course_lib.nets import critic as make_critic
from course_lib.nets import mlp
from tests.gan.toys import F64, dirac_game, norm, seeded


def turn_of(real, fake, critic=None, objective=minimax):
    critic = critic or nn.Flatten(0)  # logits that no term under test looks at
    logits = fake.new_zeros(fake.shape[:-1]) if isinstance(critic, nn.Flatten) else critic(fake)
    return Turn(nn.Identity(), critic, fake, fake, logits, 0, objective, seeded(), lambda: real)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=seeded(seed))


# -- pull-away -------------------------------------------------------------------------------------------


def check_pull_away(term):
    """`term(codes)`, weight 1: 0 for orthogonal codes, 1 for parallel ones, blind to length and sign."""
    assert term(torch.eye(4, dtype=F64)).item() == pytest.approx(0, abs=1e-12)
    assert term(torch.ones(5, 3, dtype=F64)).item() == pytest.approx(1, abs=1e-12)
    codes = normal(6, 4)
    value = term(codes)
    scaled, flipped = codes.clone(), codes.clone()
    scaled[2] *= 7
    flipped[2] *= -1
    assert term(scaled).item() == pytest.approx(value.item(), abs=1e-12)
    assert term(flipped).item() == pytest.approx(value.item(), abs=1e-12)
    pairs = [
        (codes[i] @ codes[j] / (codes[i].norm() * codes[j].norm())) ** 2
        for i in range(6)
        for j in range(6)
        if i != j
    ]
    assert value.item() == pytest.approx((sum(pairs) / 30).item(), abs=1e-12)


def not_squared(s):
    s = nn.functional.normalize(s, dim=1)
    c = s @ s.T
    return (c.sum() - c.diagonal().sum()) / (len(s) * (len(s) - 1))


def normalised_across_the_batch(s):
    s = nn.functional.normalize(s, dim=0)
    c = (s @ s.T).square()
    return (c.sum() - c.diagonal().sum()) / (len(s) * (len(s) - 1))


def with_the_diagonal(s):
    s = nn.functional.normalize(s, dim=1)
    return (s @ s.T).square().sum() / (len(s) * (len(s) - 1))


def test_pull_away():
    term = pull_away(lambda x: x, weight=1.0)
    check_pull_away(lambda codes: term(turn_of(codes, codes)))
    for wrong in (not_squared, normalised_across_the_batch, with_the_diagonal):
        with pytest.raises(AssertionError):
            check_pull_away(wrong)
    with pytest.raises(ValueError, match="at least 2"):
        term(turn_of(normal(1, 3), normal(1, 3)))


# -- feature matching ------------------------------------------------------------------------------------


def test_feature_matching_compares_means_and_nothing_else():
    real, fake = normal(50, 2), (normal(30, 2, seed=1) + 1).requires_grad_()
    term = feature_matching(lambda x: x, weight=2.0)
    want = 2 * (real.mean(0) - fake.mean(0)).square().sum()
    assert torch.allclose(term(turn_of(real, fake)), want)
    (grad,) = torch.autograd.grad(term(turn_of(real, fake)), fake)
    assert torch.allclose(grad, (4 * (fake.mean(0) - real.mean(0)) / 30).expand(30, 2))
    wide = torch.tensor([[-5.0], [5.0]])
    assert feature_matching(lambda x: x)(turn_of(wide / 5, wide)).item() == 0  # its blind spot
    second = feature_matching(lambda x: torch.cat([x, x**2], -1))
    assert second(turn_of(wide / 5, wide)).item() == pytest.approx(24**2)


def test_feature_matching_uses_the_last_hidden_layer_of_the_critic():
    torch.manual_seed(0)
    critic = make_critic([2, 8, 4, 1], seeds=3)
    real, fake = torch.randn(3, 9, 2), torch.randn(3, 7, 2)
    assert critic.features(real).shape == (3, 9, 4)
    want = (critic.features(real).mean(1) - critic.features(fake).mean(1)).square().sum(1)
    assert torch.allclose(feature_matching()(turn_of(real, fake, critic)), want)


def test_feature_matching_can_replace_the_objective():
    torch.manual_seed(0)
    game = Game(
        mlp([2, 8, 2]),
        make_critic([2, 8, 1]),
        torch.randn(64, 2) + 3,
        objective=critic_only(nonsaturating),
        terms=[feature_matching(lambda x: x)],
        optimizer=lambda p, g, m, lr, betas: ([a - lr * b for a, b in zip(p, g, strict=True)], m),
        lr=0.05,
    )
    game.train(300, progress=False)
    assert (game.sample(500).mean(0) - game.data.mean(0)).abs().max() < 0.1


# -- historical averaging --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "weight", "end"),
    [
        (simultaneous(), 0.1, 0.0081),
        (simultaneous(), 0.5, 0.22),
        (simultaneous(), 1.0, 0.67),
        (alternating(), 0.1, 0.0090),
    ],
)
def test_historical_average_turns_orbits_into_spirals(rule, weight, end):
    """On f = theta psi from (1, 1), 500 steps of .1: without it 17.0 (simultaneous) and 1.4 (alternating)."""
    past = historical_average(weight)
    game = dirac_game(rule=rule, terms=[past], penalty=past.penalty)
    game.train(500, progress=False)
    assert norm(game) == pytest.approx(end, rel=0.04)


def test_historical_average_is_the_distance_from_the_mean_of_the_past():
    past, thetas = historical_average(2.0), torch.tensor([1.0, 3.0, -1.0], dtype=F64)
    turn = turn_of(normal(4, 1), normal(4, 1))
    values = []
    for theta in thetas:
        turn.generator = nn.ParameterList([nn.Parameter(theta.clone())])
        values.append(past(turn).item())
    means = [thetas[: i + 1].mean() for i in range(3)]
    assert values == pytest.approx(
        [2 * ((t - m) ** 2).item() for t, m in zip(thetas, means, strict=True)], abs=1e-12
    )


# -- the primal-dual step --------------------------------------------------------------------------------


def primal_dual(sigma=0.7, alpha=0.3):
    fake, real, w = normal(6, 2).requires_grad_(), normal(5, 2, seed=1), normal(2, seed=2)

    def critic(x):
        return x @ w

    turn = Turn(nn.Identity(), critic, fake, fake, critic(fake.detach()), 0, minimax, seeded(), lambda: real)
    density = torch.stack(
        [
            torch.stack([torch.exp(-(x - y).square().sum() / (2 * sigma**2)) for y in fake]).mean()
            for x in real
        ]
    )
    f_1 = math.log(2) + torch.log(1 - torch.sigmoid(critic(real)))
    return turn, fake, density, f_1, alpha, kernel_matching(sigma, alpha)


def test_kernel_matching_is_equation_13():
    """With p~ fixed: gradient that of (2 alpha / m) sum_i f_1(D(x_i)) p(x_i), value alpha^2 mean f_1^2."""
    turn, fake, density, f_1, alpha, term = primal_dual()
    value = term(turn)
    (grad,) = torch.autograd.grad(value, fake)
    (want,) = torch.autograd.grad((2 * alpha * f_1 * density).mean(), fake, retain_graph=True)
    assert (grad - want).abs().max() < 1e-12 and want.abs().max() > 1e-4
    assert value.item() == pytest.approx((alpha**2 * f_1**2).mean().item(), abs=1e-12)
    leaking = (dual_step(density, turn.critic(turn.real), alpha) - density).square().mean()
    (zero,) = torch.autograd.grad(leaking, fake)
    assert zero.abs().max() < 1e-15  # what a gradient through p~ would give: nothing to learn from


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_dual_step_finds_the_data_from_a_single_atom(alpha):
    data = torch.full((8,), 1 / 8, dtype=F64)
    p = torch.full((8,), 1e-6, dtype=F64)
    p[0] = 1 - 7e-6
    for _ in range(500):
        p = dual_step(p, (data / p).log(), alpha).clamp(min=1e-12)
    assert (p - data).abs().sum().item() / 2 < 1e-4
    assert p.sum().item() == pytest.approx(1, abs=1e-6)
    near = data + 1e-6
    after = dual_step(near, (data / near).log(), alpha) - data
    assert torch.allclose(after / 1e-6, torch.full_like(after, 1 - 4 * alpha), atol=1e-4)


# -- locally stable --------------------------------------------------------------------------------------


def test_locally_stable_is_the_squared_slope_of_the_critics_game():
    torch.manual_seed(0)
    critic = make_critic([2, 6, 1], seeds=3).double()
    real, fake = normal(3, 9, 2), normal(3, 9, 2, seed=1).requires_grad_()
    turn = turn_of(real, fake, critic)
    value = locally_stable(0.5)(turn)
    assert value.shape == (3,)
    for s in range(3):
        loss = minimax.d(critic(real), critic(fake))[s]
        grads = torch.autograd.grad(loss, list(critic.parameters()))
        assert value[s].item() == pytest.approx(0.5 * sum(g.square().sum() for g in grads).item(), abs=1e-12)
    (reaches,) = torch.autograd.grad(value.sum(), fake)
    assert reaches.abs().max() > 0


def test_locally_stable_on_the_bilinear_game():
    game = dirac_game(theta=0.8, terms=[locally_stable(0.5)])
    loss = game.generator_loss(game.turn())
    assert loss.item() == pytest.approx(0.8 + 0.5 * 0.8**2)  # -psi theta + eta theta^2
    assert game.g.gradients(loss)[0].item() == pytest.approx(1 + 0.8)


# -- minibatch discrimination ----------------------------------------------------------------------------


def test_closeness_is_the_mean_over_the_others():
    torch.manual_seed(0)
    layer, x = MinibatchDiscrimination(5, kernels=3, dims=2).double(), normal(7, 5)
    m = (x @ layer.weight).view(7, 2, 3)
    for i in range(7):
        for k in range(3):
            others = [torch.exp(-(m[i, :, k] - m[j, :, k]).abs().sum()) for j in range(7) if j != i]
            assert layer.closeness(x)[i, k].item() == pytest.approx((sum(others) / 6).item(), abs=1e-12)
    assert torch.equal(layer(x)[:, :5], x) and layer(x).shape == (7, layer.n_out) == (7, 8)


def test_closeness_sees_a_collapse_and_no_order():
    torch.manual_seed(0)
    layer, x = MinibatchDiscrimination(5, kernels=3).double(), normal(16, 5)
    order = torch.randperm(16, generator=seeded())
    assert torch.allclose(layer(x)[order], layer(x[order]), atol=1e-12)
    assert torch.allclose(layer.closeness(x[:1].expand(16, 5)), torch.ones(16, 3, dtype=F64))
    assert layer.closeness(1000 * x).max() < 0.01
    with pytest.raises(ValueError, match="at least 2"):
        layer(x[:1])


def test_closeness_has_two_derivatives():
    """Penalties need them, and the absolute value is written by hand."""
    torch.manual_seed(0)
    layer, x = MinibatchDiscrimination(3, kernels=2).double(), normal(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(layer.closeness, x) and torch.autograd.gradgradcheck(layer.closeness, x)


@pytest.mark.parametrize("seeds", [None, 3])
def test_layers_keep_seeds_apart(seeds):
    torch.manual_seed(0)
    lead = () if seeds is None else (seeds,)
    x = torch.randn(*lead, 6, 5)
    for layer in (MinibatchDiscrimination(5, 3, 2, seeds), BatchNorm(5, seeds)):
        out = layer(x)
        assert out.shape[:-1] == (*lead, 6)
        if seeds:
            changed = x.clone()
            changed[1] += torch.randn(6, 5)
            other = layer(changed)
            assert torch.equal(out[0], other[0]) and torch.equal(out[2], other[2])
            assert not torch.equal(out[1], other[1])


# -- norms -----------------------------------------------------------------------------------------------


def test_batch_norm_is_torchs():
    x, images = torch.randn(32, 5), torch.randn(8, 5, 4, 4)
    assert torch.allclose(BatchNorm(5)(x), nn.BatchNorm1d(5)(x), atol=1e-5)
    assert torch.allclose(BatchNorm(5)(images), nn.BatchNorm2d(5)(images), atol=1e-5)


def generator(norm_layer, seeds=None):
    torch.manual_seed(0)
    net = mlp([4, 16, 16, 2], seeds, norm=lambda width: norm_layer(width, seeds))
    if norm_layer is BatchNorm:
        return net
    lead = () if seeds is None else (seeds,)
    return with_reference(net, torch.randn(*lead, 32, 4, generator=seeded(9)))


@pytest.mark.parametrize("seeds", [None, 2])
def test_virtual_batch_norm_does_not_see_the_rest_of_the_batch(seeds):
    lead = () if seeds is None else (seeds,)
    z = torch.randn(*lead, 32, 4, generator=seeded())
    others = z.clone()
    others[..., 1:, :] *= 5
    virtual, plain = generator(VirtualBatchNorm, seeds), generator(BatchNorm, seeds)
    assert virtual(z).shape == (*lead, 32, 2)
    assert torch.equal(virtual(z)[..., 0, :], virtual(others)[..., 0, :])
    assert (plain(z)[..., 0, :] - plain(others)[..., 0, :]).abs().max() > 0.05
    one, two = z[..., :1, :], z[..., 1:2, :]
    assert (virtual(one) - virtual(two)).abs().max() > 0.05
    assert (plain(one) - plain(two)).abs().max() < 1e-6  # batch norm of one sample forgets its input


def test_virtual_batch_norm_is_the_reference_and_the_sample_itself():
    layer, reference, x = VirtualBatchNorm(3).double(), normal(10, 3), normal(4, 3, seed=1)
    out = with_reference(nn.Sequential(layer), reference)(x)
    for i in range(4):
        pool = torch.cat([reference, x[i : i + 1]])
        want = (x[i] - pool.mean(0)) / (pool.var(0, unbiased=False) + 1e-5).sqrt()
        assert torch.allclose(out[i], want, atol=1e-10)
    ahead = layer(torch.cat([reference, x]))[:10]  # what the next layer will take as its reference
    assert torch.allclose(ahead, BatchNorm(3).double()(reference), atol=1e-10)
    images, pictures = normal(10, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    layer.reference = 10
    out = layer(torch.cat([images, pictures]))[10:]
    pool = torch.cat([images, pictures[:1]])
    want = (pictures[0] - pool.mean((0, 2, 3), keepdim=True)[0]) / (
        pool.var((0, 2, 3), unbiased=False, keepdim=True)[0] + 1e-5
    ).sqrt()
    assert torch.allclose(out[0], want, atol=1e-10)


def test_virtual_batch_norm_needs_its_reference():
    with pytest.raises(ValueError, match="with_reference"):
        VirtualBatchNorm(3)(torch.randn(4, 3))
    with pytest.raises(ValueError, match="N >= 2"):
        with_reference(nn.Sequential(VirtualBatchNorm(3)), torch.randn(3))
    with pytest.raises(ValueError, match="no VirtualBatchNorm"):
        with_reference(mlp([2, 3, 2]), torch.randn(8, 2))
