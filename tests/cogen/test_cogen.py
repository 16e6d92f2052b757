"""Co-generation against closed forms: linear generators in any dimension, quadrature over a latent plane."""

import math

import pytest
import torch
from torch import nn

from course_lib.cogen import (
    Columns,
    Downsample,
    LatentPosterior,
    Mask,
    best_of,
    cogenerate,
    descend,
    frozen,
    interval,
    posterior_grid,
    posterior_mean,
    project,
    restarts,
)
from course_lib.energies import LinearPosterior
from course_lib.nets import mlp
from course_lib.sampling import HMC, ais, ais_reverse, geometric_betas, pilot, sandwich, sigmoid_betas

F64 = torch.float64
EVERYTHING = Mask(torch.ones(4, dtype=torch.bool))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def perceptron(seeds=None, activation=nn.Tanh, sizes=(2, 20, 20, 4)):
    torch.manual_seed(0)
    return mlp(list(sizes), seeds=seeds, activation=activation)


def linear(d=10, m=16, noise_var=0.01, observations=20):
    """A linear generator with simulated observations, their latent points and exact evidences."""
    weight = torch.randn(m, d, generator=seeded(1)) / d**0.5
    net = mlp([d, m])
    with torch.no_grad():
        net[0].weight.copy_(weight)
        net[0].bias.zero_()
    z = torch.randn(observations, d, generator=seeded(2))
    noise = torch.randn(observations, m, generator=seeded(3))
    x_o = z @ weight.T + noise_var**0.5 * noise
    posterior = LatentPosterior(net, Mask(torch.ones(m, dtype=torch.bool)), x_o, noise_var)
    exact = [LinearPosterior(weight, torch.zeros(m), one, noise_var) for one in x_o]
    return posterior, z, exact


# -- what is seen ------------------------------------------------------------------------------------------

OBSERVATIONS = {
    "mask": Mask(torch.tensor([True, False, True, True])),
    "mask of a picture": Mask(torch.tensor([[True, False], [False, True]])),
    "a mask for each": Mask(torch.rand(6, 4, generator=seeded()) > 0.4, per_observation=True),
    "area mean": Downsample(2, (1, 2, 2)),
    "stride": Downsample(2, (1, 2, 2), "stride"),
}
every = pytest.mark.parametrize("observe", OBSERVATIONS.values(), ids=OBSERVATIONS)


@every
def test_observations_are_linear_and_their_transposes_are_right(observe):
    x, y = (
        torch.randn(4, 12, generator=seeded(), dtype=F64),
        torch.randn(4, 12, generator=seeded(1), dtype=F64),
    )
    seen = observe.forward(x)
    assert torch.allclose(observe.forward(x + 2 * y), seen + 2 * observe.forward(y))
    r = torch.randn(seen.shape, generator=seeded(2), dtype=F64)
    assert torch.allclose((seen * r).sum(0), (x * observe.back(r)).sum(0))
    assert torch.equal(observe(x.T), seen.T)


def test_what_each_observation_sees():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert Downsample(2, (1, 4, 4))(x).tolist() == [[2.5, 4.5, 10.5, 12.5]]
    assert Downsample(2, (1, 4, 4), "stride")(x).tolist() == [[0, 2, 8, 10]]
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0] = True
    assert Mask(mask)(x).tolist() == [[0, 1, 2, 3]] and Mask(mask).count().tolist() == [4]
    two = Mask(torch.stack([mask, ~mask]), per_observation=True)
    assert two.count().tolist() == [4, 12] and two(x.repeat(2, 1, 1, 1))[1, :4].tolist() == [0, 0, 0, 0]
    assert Downsample(2, (3, 4, 4)).count().tolist() == [12]


# -- the landscape -----------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("seeds", [None, 3])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.Sigmoid, lambda: nn.LeakyReLU(0.2)])
def test_closed_form_gradient(observe, seeds, activation):
    net = perceptron(seeds, activation).to(F64)
    width = len(observe.forward(torch.zeros(4, 6)))
    noise_var = torch.linspace(0.1, 0.5, 6, dtype=F64)
    posterior = LatentPosterior(net, observe, torch.randn(6, width, generator=seeded(), dtype=F64), noise_var)
    z = torch.randn(30, 2, generator=seeded(1), dtype=F64)
    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(posterior(leaf).sum(), leaf)
    u, grad = posterior.value_and_grad(z)
    assert torch.allclose(u, posterior(z)) and torch.allclose(grad, expected)
    assert torch.allclose(posterior.grad(z), expected)


def test_any_module_works_by_autograd_and_gives_the_same_landscape():
    net = perceptron()
    wrapped = nn.Sequential(nn.Identity(), net)  # not a perceptron that Columns knows
    assert Columns.of(wrapped) is None and Columns.of(net) is not None
    x_o, z = torch.randn(3, 4, generator=seeded()), torch.randn(12, 2, generator=seeded(1))
    fast = LatentPosterior(net, EVERYTHING, x_o, 0.1)
    slow = LatentPosterior(wrapped, EVERYTHING, x_o, 0.1, latent_dim=2)
    for a, b in zip(fast.value_and_grad(z), slow.value_and_grad(z), strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_the_energy_is_normalised_over_what_is_seen_and_blind_to_what_is_hidden():
    net, z = perceptron(), torch.randn(8, 2, generator=seeded())
    x = torch.randn(2, 4, generator=seeded(1))
    mask = torch.tensor([True, False, True, False])
    posterior = LatentPosterior(net, Mask(mask), x[:, mask], 0.3)
    g = net(z).view(2, 4, 4)[..., mask]
    law = torch.distributions.Normal(g, 0.3**0.5)
    expected = (
        law.log_prob(x[:, None, mask]).sum(-1) - z.square().sum(-1).view(2, 4) / 2 - math.log(2 * math.pi)
    )
    assert torch.allclose(-posterior(z).view(2, 4), expected.detach(), atol=1e-5)
    # The same mask given once for each observation: hidden pixels of x_o carry no weight.
    each = Mask(mask.expand(2, 4), per_observation=True)
    spoilt = torch.where(mask, x, 0.0)
    assert torch.allclose(LatentPosterior(net, each, spoilt, 0.3)(z), posterior(z), atol=1e-5)


def test_generators_in_one_batch_are_the_generators_one_by_one():
    batch = perceptron(seeds=3)
    x_o, z = torch.randn(2, 4, generator=seeded()), torch.randn(3 * 2 * 5, 2, generator=seeded(1))
    posterior = LatentPosterior(batch, EVERYTHING, x_o.repeat(3, 1), 0.1)
    u = posterior(z).view(3, 10)
    for seed in range(3):
        one = perceptron()
        with torch.no_grad():
            for ours, theirs in zip(list(one)[::2], list(batch)[::2], strict=True):
                ours.weight.copy_(theirs.weight[seed].T)
                ours.bias.copy_(theirs.bias[seed, 0])
        alone = LatentPosterior(one, EVERYTHING, x_o, 0.1)
        assert torch.allclose(alone(z.view(3, 10, 2)[seed]), u[seed], atol=1e-4)


def test_frozen_is_eval_without_gradients_and_puts_everything_back():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 4))
    net[2].eval()
    net[0].bias.requires_grad_(False)
    with frozen(net):
        assert not any(m.training for m in net.modules()) and not any(
            p.requires_grad for p in net.parameters()
        )
    assert net.training and not net[2].training and net[0].weight.requires_grad
    assert not net[0].bias.requires_grad
    z = torch.randn(8, 2, generator=seeded())
    posterior = LatentPosterior(net, EVERYTHING, torch.zeros(1, 4), 0.1, latent_dim=2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    out = cogenerate(posterior, 8, betas=[0.0, 0.5, 1.0], kernel=HMC(0.1, 2), generator=seeded())
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items()) and net.training
    with frozen(net):  # batch norm in eval mode: a chain's completion does not depend on the others
        alone = net(out.z[0, :1])
    assert torch.allclose(alone, out.x[0, :1], atol=1e-5) and z.shape == (8, 2)


# -- evidence and posterior --------------------------------------------------------------------------------


def test_linear_generator_in_ten_dimensions():
    """abs bias <= .15 with 1,600 gradients a chain and 50 chains; moments within their noise."""
    posterior, z, exact = linear()
    betas = sigmoid_betas(160)
    truth = torch.tensor([one.log_z for one in exact])
    kernels = pilot(posterior.bridge(), 20, betas, HMC(0.3, 10, jitter=0.5), groups=20, generator=seeded(5))
    out = cogenerate(posterior, 50, betas=betas, kernel=kernels, generator=seeded(6))
    assert abs((out.log_evidence - truth).mean()) < 0.15
    forward = ais(posterior.bridge(), 50, betas, kernels, groups=20, generator=seeded(7))
    reverse = ais_reverse(posterior.bridge(), z, betas, kernels, generator=seeded(8))
    bounds = sandwich(forward, reverse)
    assert bounds.lower - 5 * bounds.lower_se < truth.mean() < bounds.upper + 5 * bounds.upper_se
    mean = torch.stack([one.exact.mean for one in exact])
    sd = torch.stack([one.exact.cov.diagonal().sqrt() for one in exact])
    error = (out.z.mean(1) - mean) / sd
    assert error.square().mean().sqrt() < 0.25  # 1 / sqrt(50) = .14, more for resampled chains
    ratio = out.z.var(1) / sd.square()
    assert abs(ratio.mean() - 1) < 0.1


@pytest.mark.parametrize(
    "options", [{"anneal": "ais", "betas": geometric_betas(150, 1e-2)}, {"anneal": "smc"}]
)
def test_a_curved_generator_against_quadrature(options):
    """Evidence and posterior mean on a latent plane, two observations at once."""
    net = perceptron(activation=nn.Tanh)
    x_o = net(torch.tensor([[0.5, -1.0], [-1.5, 0.3]])).detach()[:, :2]
    posterior = LatentPosterior(net, Mask(torch.tensor([True, True, False, False])), x_o, 0.01)
    grid, finer = posterior_grid(posterior), posterior_grid(posterior, n=1201)
    assert torch.allclose(grid.log_evidence, finer.log_evidence, atol=1e-4)
    out = cogenerate(posterior, 400, generator=seeded(), **options)
    assert (out.log_evidence - grid.log_evidence).abs().max() < 0.3
    spread = (grid.probability @ grid.x.double().square() - grid.mean().square()).sqrt()
    error = (posterior_mean(out) - grid.mean()) / spread
    assert error.abs().max() < 0.4
    inside = lambda x: x[:, 2] > grid.mean()[0, 2]  # noqa: E731
    share = (out.weights[0] * inside(out.x[0])).sum()
    assert abs(share - grid.share(inside)[0]) < 5 * (0.25 / 100) ** 0.5
    assert out.x.shape == (2, 400, 4) and torch.allclose(out.weights.sum(1), torch.ones(2, dtype=F64))


def test_the_grid_of_a_linear_generator_is_exact():
    posterior, _, exact = linear(d=2, m=3, noise_var=0.1, observations=4)
    grid = posterior_grid(posterior)
    assert torch.allclose(grid.log_evidence, torch.tensor([one.log_z for one in exact], dtype=F64), atol=1e-4)
    mean_z = grid.probability @ grid.z.double()
    assert torch.allclose(mean_z, torch.stack([one.exact.mean for one in exact]).double(), atol=1e-4)


def test_the_two_readings_of_the_paper_are_the_same_path_iff_the_posterior_includes_the_prior():
    posterior, _, _ = linear(d=2, m=3, observations=1)
    z = torch.randn(20, 2, generator=seeded())
    ours, literal = posterior.bridge(), posterior.bridge("literal")
    for beta in (0.0, 0.3, 1.0):
        prior, misfit = posterior.prior(z), posterior.misfit(z)
        assert torch.allclose(ours.at(beta)(z), prior + beta * misfit, rtol=1e-4)
        assert torch.allclose(literal.at(beta)(z), (1 - beta) * prior + beta * misfit, rtol=1e-4)
        # p(z|x_o)^b p(z)^(1-b) with the full posterior: prior + b misfit again.
        full = beta * (prior + misfit) + (1 - beta) * prior
        assert torch.allclose(ours.at(beta)(z), full, rtol=1e-4)


def test_where_the_literal_reading_fails():
    """One number seen of a plane: without the prior the direction that is not seen is unbounded."""
    net = mlp([2, 2])
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(2))
        net[0].bias.zero_()
    posterior = LatentPosterior(net, Mask(torch.tensor([False, True])), torch.zeros(1, 1), 0.01)
    betas = geometric_betas(100, 1e-2)
    options = {"betas": betas, "kernel": HMC(0.1, 10, jitter=0.5), "moves": 10}
    kept = cogenerate(posterior, 200, generator=seeded(), **options)
    lost = cogenerate(posterior, 200, path="literal", generator=seeded(), **options)
    assert kept.z[0, :, 0].std() == pytest.approx(1, abs=0.2) and lost.z[0, :, 0].std() > 1.4


def test_resampling_stays_within_the_observation_and_keeps_the_evidence():
    posterior, _, exact = linear(observations=5)
    plain = cogenerate(posterior, 40, resample_below=None, resample_at_end=False, generator=seeded())
    out = cogenerate(posterior, 40, generator=seeded())
    for o in (plain, out):
        error = o.log_evidence - torch.tensor([one.log_z for one in exact])
        assert error.abs().mean() < 0.6
    assert plain.log_w.std(1).min() > 0.1 and out.log_w.std(1).max() < 1e-9
    residual = (out.x - posterior.x_o[:, None]).square().mean((1, 2))
    assert (residual < 0.05).all()  # every group still explains its own observation


def test_same_seed_same_bits():
    posterior, _, _ = linear(observations=2)
    a, b, c = (cogenerate(posterior, 10, betas=sigmoid_betas(10), generator=seeded(s)) for s in (1, 1, 2))
    assert torch.equal(a.z, b.z) and not torch.equal(a.z, c.z)


# -- baselines and answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("optimizer", "lr"), [("sgd", 0.05), ("adam", 0.05)])
def test_descent_finds_the_least_squares_fit_and_rows_do_not_disturb_each_other(optimizer, lr):
    posterior, _, _ = linear(d=3, m=5, observations=2)
    weight = posterior.generator[0].weight
    best = torch.linalg.lstsq(weight, posterior.x_o.T).solution.T
    out = restarts(posterior, 4, 1500, lr, optimizer=optimizer, generator=seeded())
    assert torch.allclose(out.z, best[:, None].expand_as(out.z), atol=1e-2)
    assert torch.allclose(out.loss, posterior.squared_error(out.z.flatten(0, 1)).view(2, 4), atol=1e-5)
    z = torch.randn(2, 4, 3, generator=seeded(1))
    together = descend(posterior, z, 20, lr, optimizer=optimizer)
    one = LatentPosterior(
        posterior.generator, posterior.observe, posterior.x_o[:1], 0.5
    )  # noise plays no part
    alone = descend(one, z[:1, :1], 20, lr, optimizer=optimizer)
    assert torch.allclose(alone.z[0, 0], together.z[0, 0], atol=1e-5)


def test_maximum_a_posteriori_descent_finds_the_posterior_mean_of_a_linear_model():
    posterior, _, exact = linear(d=3, m=5, noise_var=0.1, observations=2)
    out = restarts(posterior, 2, 2000, 0.02, optimizer="sgd", prior_weight=0.1, generator=seeded())
    mean = torch.stack([one.exact.mean for one in exact])
    assert torch.allclose(out.z, mean[:, None].expand_as(out.z), atol=1e-3)


def test_best_of_starts_from_the_best_prior_draws():
    posterior, _, _ = linear(d=3, m=5, observations=2)
    out = best_of(posterior, 500, 0, keep=3, generator=seeded())
    pool = posterior.prior.sample(500, generator=seeded())
    for b in range(2):
        loss = (posterior.generator(pool) - posterior.x_o[b]).square().sum(1)
        assert torch.allclose(out.loss[b], loss.sort().values[:3], atol=1e-4)
    assert torch.allclose(out.best(), out.x[:, 0])


def test_answers():
    posterior, _, exact = linear(d=3, m=5, noise_var=0.05, observations=2)
    out = cogenerate(
        posterior, 4000, betas=sigmoid_betas(40), kernel=HMC(0.2, 5, jitter=0.5), generator=seeded()
    )
    weight = posterior.generator[0].weight.detach()
    mean = torch.stack([one.exact.mean @ weight.T for one in exact])
    sd = torch.stack([(weight @ one.exact.cov @ weight.T).diagonal().sqrt() for one in exact])
    assert torch.allclose(posterior_mean(out), mean, atol=0.03)
    low, high = interval(out, 0.9)
    assert torch.allclose((high - low) / 2, 1.645 * sd, rtol=0.1)
    wide_low, wide_high = interval(out, 0.9, noise_var=0.05)
    assert torch.allclose((wide_high - wide_low) / 2, 1.645 * (sd.square() + 0.05).sqrt(), rtol=0.1)
    # A linear generator can make any mean of its pictures, so the projection is the mean itself.
    assert torch.allclose(project(posterior, posterior_mean(out), out.z, 300), posterior_mean(out), atol=1e-2)


def one(net, observations=1):
    return LatentPosterior(net, EVERYTHING, torch.zeros(observations, 4), 0.1)


def two(net):
    return one(net, 2)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda n: Mask(torch.ones(4)), "bool tensor"),
        (lambda n: Mask(torch.zeros(4, dtype=torch.bool)), "hides everything"),
        (lambda n: Downsample(3, (1, 4, 4)), "must divide"),
        (lambda n: Downsample(2, (1, 4, 4), "cubic"), "mean"),
        (lambda n: EVERYTHING(torch.zeros(2, 5)), "4 coordinates"),
        (lambda n: LatentPosterior(n, EVERYTHING, torch.zeros(2, 3), 0.1), "sees 4 numbers"),
        (lambda n: LatentPosterior(n, EVERYTHING, torch.zeros(4), 0.1), r"\[B, m\]"),
        (lambda n: LatentPosterior(n, EVERYTHING, torch.zeros(2, 4), 0.0), "variance"),
        (lambda n: LatentPosterior(n, EVERYTHING, torch.full((2, 4), math.nan), 0.1), "NaN"),
        (lambda n: LatentPosterior(nn.Linear(2, 4), EVERYTHING, torch.zeros(2, 4), 0.1), "latent_dim"),
        (lambda n: cogenerate(one(n), anneal="gibbs"), "ais"),
        (lambda n: one(n).bridge("other"), "literal"),
        (
            lambda n: descend(two(n), torch.zeros(3, 1, 2)),
            "shape",
        ),
        (lambda n: best_of(two(n), 5, keep=6), "keep"),
        (lambda n: posterior_grid(linear(d=3, m=4, observations=1)[0]), "2-D latent space"),
        (lambda n: two(n)(torch.zeros(3, 2)), "shared out"),
    ],
)
def test_bad_input_is_named(act, message):
    with pytest.raises(ValueError, match=message):
        act(perceptron())
