"""Annealing against known normalisers, with few temperatures, where mistakes cannot hide.

`BUGS` plants the classic mistakes of annealed importance sampling into the library's own functions.
"""

import math

import pytest
import torch

from course_lib.energies import (
    Bridge,
    Gaussian,
    GaussianMixture,
    LinearPosterior,
    LogGamma,
    Posterior,
    ring,
    value_and_grad,
)
from course_lib.sampling import (
    HMC,
    Langevin,
    RandomWalk,
    State,
    ais,
    ais_reverse,
    annealed,
    geometric_betas,
    log_mean_exp,
    mcmc,
    next_beta,
    parallel_tempering,
    sandwich,
    sigmoid_betas,
    smc,
    tempering,
)

LINEAR = LinearPosterior([[1.2, -0.7]], [0.0], [0.8], 0.09)
GAMMA = LogGamma(2.0, 3.0, 2)
RING = ring(8, radius=2.0, scale=0.5)
PATHS = {
    "linear posterior": (LINEAR.bridge(), LINEAR, HMC(0.35, 5)),
    "log-gamma": (Bridge.between(Gaussian([0.0, 0.0]), GAMMA), GAMMA, HMC(0.6, 5)),
    "ring": (Bridge.between(Gaussian([0.0, 0.0], 4.0), RING), RING, HMC(0.5, 5)),
}
BRIDGE_1D = Bridge.between(Gaussian([0.0], 4.0), Gaussian([1.0], 0.25))
paths = pytest.mark.parametrize(("bridge", "target", "kernel"), PATHS.values(), ids=PATHS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear_betas(n):
    return torch.linspace(0, 1, n + 1, dtype=torch.float64)


def z_score(result, log_z):
    """How many standard errors E[exp(log_w)] Z_0 is away from Z_1."""
    w = (result.log_w.flatten() + result.log_z_base - log_z).exp()
    return ((w.mean() - 1) / (w.std() / len(w) ** 0.5)).item()


# -- the bridge --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0, torch.linspace(0, 1, 20, dtype=torch.float64)])
def test_both_kinds_of_bridge_are_the_same_path(beta):
    base, target = Gaussian([0.0, 0.0], 2.0), RING
    between = Bridge.between(base, target)
    delta = Bridge(base, lambda x: target(x) - base(x))
    x = target.sample(20, generator=seeded()).double()
    b = torch.as_tensor(beta, dtype=torch.float64)
    expected = (1 - b) * base(x) + b * target(x)
    for bridge in (between, delta):
        u, grad, u_delta, grad_delta = bridge.at(beta).value_and_grad(x)
        assert torch.allclose(u, expected) and torch.allclose(bridge.at(beta)(x), expected)
        assert torch.allclose(u_delta, target(x) - base(x))
        assert torch.allclose(grad_delta, target.grad(x) - base.grad(x))
        _, by_autograd = value_and_grad(lambda y, bridge=bridge: bridge.at(beta)(y))(x)
        assert torch.allclose(grad, by_autograd)
        assert torch.allclose(bridge.at(beta).grad(x), grad)


@paths
def test_moving_to_another_temperature_reforms_the_state(bridge, target, kernel):
    x = target.sample(20, generator=seeded()).double()
    state = bridge.move(kernel.init(bridge.at(0.2), x), 0.2, 0.7)
    fresh = kernel.init(bridge.at(0.7), x)
    for moved, formed in zip(state[:3], fresh[:3], strict=True):
        assert torch.allclose(moved, formed, atol=1e-9)


@pytest.mark.parametrize(("n_leapfrog", "moves", "temperatures"), [(3, 1, 4), (2, 3, 5)])
def test_each_temperature_costs_exactly_L_gradients(n_leapfrog, moves, temperatures):
    calls = []

    class Counted(Gaussian):
        def value_and_grad(self, x):
            calls.append("both")
            return super().value_and_grad(x)

        def grad(self, x):
            calls.append("grad")
            return super().grad(x)

    target = Counted([1.0, 0.0], 0.5)
    for bridge in (Bridge.between(Gaussian([0.0, 0.0]), target), Bridge(Gaussian([0.0, 0.0]), target)):
        calls.clear()
        ais(bridge, 10, linear_betas(temperatures), HMC(0.3, n_leapfrog), moves=moves, generator=seeded())
        assert len(calls) == 1 + temperatures * moves * n_leapfrog  # one at the start


# -- schedules ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_schedules_run_exactly_from_zero_to_one(n):
    for betas in (sigmoid_betas(n), sigmoid_betas(n, -10, 2), geometric_betas(n, 1e-4)):
        assert len(betas) == n + 1 and betas[0] == 0 and betas[-1] == 1 and (betas.diff() > 0).all()
        assert betas.dtype == torch.float64
    if n > 2:
        ratios = geometric_betas(n, 1e-3)[2:] / geometric_betas(n, 1e-3)[1:-1]
        assert torch.allclose(ratios, ratios[:1])
        assert geometric_betas(n, 1e-3)[1].item() == pytest.approx(1e-3)
        s = torch.linspace(-4, 4, n + 1, dtype=torch.float64).sigmoid()
        assert torch.allclose(sigmoid_betas(n), (s - s[0]) / (s[-1] - s[0]))


@pytest.mark.parametrize(
    "betas",
    [
        [0.0, 0.5, 0.88],
        [0.018, 0.5, 1.0],
        [0.0, 0.7, 0.3, 1.0],
        [1.0, 0.5, 0.0],
        [0.0],
        [[0.0, 1.0]],
        [0.0, math.nan, 1.0],
    ],
)
def test_bad_schedules_are_named(betas):
    bridge, target, kernel = PATHS["ring"]
    with pytest.raises(ValueError, match="exactly 0 to exactly 1"):
        ais(bridge, 10, betas, kernel)
    with pytest.raises(ValueError, match="exactly 0 to exactly 1"):
        ais_reverse(bridge, target.sample(5), betas, kernel)
    with pytest.raises(ValueError, match="exactly 0 to exactly 1"):
        parallel_tempering(bridge, 5, betas, kernel, 10)


# -- log Z with few temperatures ---------------------------------------------------------------------------


@paths
@pytest.mark.parametrize("temperatures", [5, 20])
@pytest.mark.parametrize("seed", range(2))
def test_mean_weight_is_the_ratio_of_normalisers(bridge, target, kernel, temperatures, seed):
    result = ais(bridge, 20_000, linear_betas(temperatures), kernel, generator=seeded(seed))
    assert abs(z_score(result, target.log_z)) < 5
    assert result.log_w.dtype == torch.float64 and result.log_w.shape == (20_000,)
    assert result.log_z.item() == pytest.approx(target.log_z, abs=0.1)
    assert torch.isclose(result.log_z, log_mean_exp(result.log_w) + result.log_z_base)
    assert result.acceptance.shape == (temperatures,) and result.acceptance.min() > 0.5


@pytest.mark.parametrize(
    "kernel",
    [
        HMC(0.4, 3, jitter=0.5),
        Langevin(0.5),
        RandomWalk(0.6),
        [HMC(0.3 + 0.02 * t, 4) for t in range(10)],
        HMC(0.5, 4, metric=torch.tensor([[0.5, 0.0], [0.3, 0.4]])),
    ],
    ids=["jitter", "mala", "walk", "one per temperature", "metric"],
)
def test_every_kernel_gives_the_right_normaliser(kernel):
    bridge, target, _ = PATHS["linear posterior"]
    for moves in (1, 3):
        result = ais(bridge, 20_000, linear_betas(10), kernel, moves=moves, generator=seeded(moves))
        assert abs(z_score(result, target.log_z)) < 5


@paths
def test_reverse_gives_the_inverse_ratio_and_the_sandwich_holds(bridge, target, kernel):
    gaps = []
    for temperatures in (10, 100):
        betas, n = linear_betas(temperatures), 4000
        forward = ais(bridge, n, betas, kernel, generator=seeded(1))
        reverse = ais_reverse(
            bridge, target.sample(n, generator=seeded(2)), betas, kernel, generator=seeded(3)
        )
        w = (-(reverse.log_w + reverse.log_z_base - target.log_z)).exp()
        if target is not LINEAR:  # there the reverse weights are heavy-tailed, and their mean tells nothing
            assert abs((w.mean() - 1) / (w.std() / n**0.5)) < 5
        bounds = sandwich(forward, reverse)
        assert bounds.lower - 5 * bounds.lower_se <= target.log_z <= bounds.upper + 5 * bounds.upper_se
        assert bounds.gap == pytest.approx(bounds.upper - bounds.lower) and bounds.gap > 0
        gaps.append(bounds.gap)
    assert gaps[1] < 0.6 and 3 < gaps[0] / gaps[1] < 20  # towards 1 / T


def test_evidence_of_a_posterior_from_an_unnormalised_prior():
    prior = GaussianMixture([[0.0, 0.0]], 1.0)  # its U lacks the normaliser that Posterior adds
    likelihood = LINEAR.misfit.function
    posterior = Posterior(prior, lambda z: likelihood(z))
    result = ais(posterior.bridge(), 20_000, linear_betas(10), HMC(0.35, 5), generator=seeded())
    assert abs(z_score(result, LINEAR.log_z)) < 5


# -- planted bugs ------------------------------------------------------------------------------------------

true_move, true_accept, true_leapfrog = annealed.move_at, mcmc.accept_or_keep, mcmc.leapfrog


def weight_after_the_move(monkeypatch):
    """The increment of temperature t is taken at the point that the move at t has reached."""

    def late(bridge, state, before, beta, kernel, moves, generator):
        new, rate = true_move(bridge, state, before, beta, kernel, moves, generator)
        by = (beta - before) * (state.aux[0] - new.aux[0])
        # `ais` has weighed the old point; undo it on the account that the next weighing reads.
        late.debt = late.debt + by if late.debt is not None else by
        return new, rate

    late.debt = None
    monkeypatch.setattr(annealed, "move_at", late)
    return lambda result: result._replace(log_w=result.log_w + late.debt.double())


def move_at_the_old_temperature(monkeypatch):
    monkeypatch.setattr(
        annealed,
        "move_at",
        lambda bridge, state, before, beta, *rest: (
            lambda moved: (bridge.move(moved[0], before, beta), moved[1])
        )(true_move(bridge, state, before, before, *rest)),
    )


def stale_gradient(monkeypatch):
    """The cached energy and gradient of the previous temperature are used at the new one."""

    def stale(bridge, state, before, beta, kernel, moves, generator):
        energy = bridge.at(beta)
        rate = 0.0
        for _ in range(moves):
            state, info = kernel.step(energy, state, generator=generator)
            rate = rate + info.acceptance
        return state, rate / moves

    monkeypatch.setattr(annealed, "move_at", stale)


def always_accept(monkeypatch):
    monkeypatch.setattr(
        mcmc, "accept_or_keep", lambda s, q, dh, u: true_accept(s, q, dh.nan_to_num(0.0) * 0, u)
    )


def no_kinetic_term(monkeypatch):
    monkeypatch.setattr(mcmc, "accept_or_keep", lambda s, q, dh, u: true_accept(s, q, q.u - s.u, u))


def full_last_kick(monkeypatch):
    def broken(x, p, grad, function, step, n_steps):
        x, p, u, grad, *aux = true_leapfrog(x, p, grad, function, step, n_steps)
        return x, p - step / 2 * grad, u, grad, *aux

    monkeypatch.setattr(mcmc, "leapfrog", broken)


def sign_of_the_weight(monkeypatch):
    return lambda result: result._replace(log_w=-result.log_w)


def base_normaliser_forgotten(monkeypatch):
    return lambda result: result._replace(log_z_base=0.0)


AIS_BUGS = [
    weight_after_the_move,
    move_at_the_old_temperature,
    stale_gradient,
    always_accept,
    no_kinetic_term,
    full_last_kick,
    sign_of_the_weight,
]


@pytest.mark.parametrize("bug", AIS_BUGS, ids=lambda bug: bug.__name__)
@paths
def test_few_temperatures_catch(bug, bridge, target, kernel, monkeypatch):
    spoil = bug(monkeypatch) or (lambda result: result)
    result = spoil(ais(bridge, 20_000, linear_betas(20), kernel, generator=seeded()))
    z, error = z_score(result, target.log_z), log_mean_exp(result.log_w) + result.log_z_base - target.log_z
    # A NaN counts as caught; so does an error so large that its few huge weights hide it from z.
    assert not (abs(z) < 5 and abs(error) < 1), (z, error)


@pytest.mark.parametrize("name", ["log-gamma", "ring"])
def test_forgetting_the_base_normaliser_is_caught(name):
    bridge, target, kernel = PATHS[name]
    result = ais(bridge, 20_000, linear_betas(20), kernel, generator=seeded())
    assert abs(z_score(base_normaliser_forgotten(None)(result), target.log_z)) > 5


def test_many_temperatures_would_hide_the_stale_gradient(monkeypatch):
    """Why the tests use 20 temperatures: at 400 the TFP-style bug passes on the linear posterior."""
    stale_gradient(monkeypatch)
    bridge, target, kernel = PATHS["linear posterior"]
    result = ais(bridge, 4000, linear_betas(400), kernel, generator=seeded())
    assert abs(z_score(result, target.log_z)) < 5


# -- groups, resampling, keeping, interrupting -------------------------------------------------------------


def test_groups_are_independent_populations():
    bridge, target, kernel = PATHS["ring"]
    result = ais(bridge, 500, linear_betas(10), kernel, groups=40, generator=seeded())
    assert result.x.shape == (20_000, 2) and result.log_w.shape == (40, 500)
    assert result.log_z.shape == result.weight_ess.shape == (40,)
    assert abs(z_score(result, target.log_z)) < 5
    assert torch.allclose(result.log_z, log_mean_exp(result.log_w) + bridge.base.log_z)


def test_resampling_keeps_the_estimate_unbiased_and_within_its_group():
    """E[Z_hat] = Z also with resampling; groups give independent Z_hats (chains of one group are not)."""
    bridge, target, kernel = PATHS["linear posterior"]
    result = ais(bridge, 100, linear_betas(10), kernel, groups=400, resample_below=0.9, generator=seeded())
    ratio = (result.log_z - target.log_z).exp()
    assert abs((ratio.mean() - 1) / (ratio.std() / 20)) < 5
    assert (result.log_w.std(1) < 1e-12).any()  # it did happen
    plain = ais(bridge, 100, linear_betas(10), kernel, groups=400, generator=seeded())
    assert result.weight_ess.mean() > 1.2 * plain.weight_ess.mean()


def test_resampling_moves_no_chain_across_groups():
    """Each group has an island of its own; after resampling every chain is still on it."""
    island = torch.tensor([-50.0, 0.0, 50.0]).repeat_interleave(40)
    state = State(island[:, None], island.clone(), island[:, None], (island.clone(), island[:, None]))
    log_w = torch.randn(3, 40, generator=seeded(), dtype=torch.float64)
    new, new_w = annealed.resample_groups(state, log_w, torch.tensor([True, False, True]), seeded(1))
    assert torch.equal(new.x[:, 0], island) and torch.equal(new.aux[0], island)
    assert torch.equal(new_w[1], log_w[1])
    assert torch.allclose(new_w[0], log_mean_exp(log_w[0]).expand(40))


def test_kept_populations_and_same_seed_same_bits():
    bridge, _, kernel = PATHS["ring"]
    betas = linear_betas(10)
    a = ais(bridge, 50, betas, kernel, keep=(0, 5, 10), generator=seeded(3))
    b = ais(bridge, 50, betas, kernel, generator=seeded(3))
    assert [one.beta.item() for one in a.kept] == [0.0, 0.5, 1.0]
    assert torch.equal(a.kept[-1].x, a.x) and torch.equal(a.kept[-1].log_w, a.log_w)
    assert not a.kept[0].log_w.any() and a.kept[1].x.shape == (50, 2)
    assert torch.equal(a.x, b.x) and torch.equal(a.log_w, b.log_w) and not b.kept


def test_an_interrupted_anneal_keeps_the_temperature_it_reached():
    bridge, _, _ = PATHS["ring"]

    class Interrupting(HMC):
        def step(self, energy, state, *, generator=None):
            if countdown.pop() == 0:
                raise KeyboardInterrupt
            return super().step(energy, state, generator=generator)

    countdown = [0, 1, 1, 1, 1, 1, 1]
    with pytest.warns(UserWarning, match="interrupted at temperature 6 of 10"):
        result = ais(bridge, 50, linear_betas(10), Interrupting(0.5, 5), generator=seeded())
    assert not result.finished and result.betas[-1] == pytest.approx(0.6)
    assert result.acceptance.shape == (6,)
    whole = ais(bridge, 50, linear_betas(10), HMC(0.5, 5), keep=(6,), generator=seeded())
    assert torch.equal(result.x, whole.kept[0].x) and torch.equal(result.log_w, whole.kept[0].log_w)


def test_an_interrupted_smc_keeps_the_population_it_had():
    bridge, _, _ = PATHS["linear posterior"]

    class Interrupting(HMC):
        def step(self, energy, state, *, generator=None):
            if not countdown:
                raise KeyboardInterrupt
            countdown.pop()
            return super().step(energy, state, generator=generator)

    countdown = [1] * 6
    with pytest.warns(UserWarning, match="after 3 temperatures"):
        part = smc(bridge, 50, kernel=Interrupting(0.3, 3), moves=2, generator=seeded())
    whole = smc(bridge, 50, kernel=HMC(0.3, 3), moves=2, keep=True, generator=seeded())
    assert not part.finished and torch.equal(part.betas, whole.betas[:4])
    assert torch.equal(part.x, whole.kept[3].x) and torch.equal(part.log_w, whole.kept[3].log_w)


def test_reverse_uses_the_kernel_of_each_temperature():
    seen = []

    class Recording(HMC):
        def step(self, energy, state, *, generator=None):
            seen.append((self.step_size, energy.beta))
            return super().step(energy, state, generator=generator)

    bridge, target, _ = PATHS["ring"]
    betas = linear_betas(4)
    kernels = [Recording(float(beta), 2) for beta in betas[1:]]
    ais_reverse(bridge, target.sample(5, generator=seeded()), betas, kernels, generator=seeded())
    assert seen == [(beta, beta) for beta in (1.0, 0.75, 0.5, 0.25)]


def test_a_hard_wall_is_not_seen_at_beta_zero():
    class Wall:
        def __call__(self, x):
            return torch.where(x[:, 0] > 0, 0.0, torch.inf)

        def value_and_grad(self, x):
            return self(x), torch.zeros_like(x)

    wall = Bridge(Gaussian([0.0]), Wall())
    result = ais(wall, 4000, linear_betas(1), RandomWalk(0.5), generator=seeded())
    assert abs((result.log_w.exp().mean() - 0.5) * 4000**0.5 / 0.5) < 5  # half of the mass is behind it


def nameless(bridge):
    """The same bridge from a base whose normaliser is unknown."""
    base = Posterior(Gaussian([0.0, 0.0]), lambda x: x[:, 0])
    return Bridge(base, bridge.delta)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda b, k: ais(b, 0, [0.0, 1.0], k), "n, groups, moves >= 1"),
        (lambda b, k: ais(b, 5, [0.0, 1.0], k, moves=0), "n, groups, moves >= 1"),
        (lambda b, k: ais(b, 5, [0.0, 0.5, 1.0], [k]), "2 kernels are needed"),
        (lambda b, k: ais(nameless(b), 5, [0.0, 1.0], k), "known log_z"),
        (lambda b, k: ais_reverse(nameless(b), torch.zeros(5, 2), [0.0, 1.0], k), "known log_z"),
        (lambda b, k: smc(nameless(b), 5), "known log_z"),
        (lambda b, k: sigmoid_betas(0), "n >= 1"),
        (lambda b, k: sigmoid_betas(5, 4, -4), "low < high"),
        (lambda b, k: geometric_betas(5, 0.0), "0 < first"),
        (lambda b, k: smc(b, 10, cess=1.0), "0 < cess < 1"),
        (lambda b, k: smc(b, 10, warm_start=5), "warm_start"),
        (lambda b, k: ais(b, 5, [0.0, 1.0], k, keep=(2,)), "keep lists"),
        (lambda b, k: ais_reverse(b, torch.zeros(5, 2), [0.0, 1.0], k, moves=0), "moves >= 1"),
        (lambda b, k: parallel_tempering(b, 2, [0.0, 1.0], [k, HMC(0.1, 3)], 5), "step size only"),
        (lambda b, k: parallel_tempering(b, 2, [0.0, 1.0], [k, Langevin(0.1)], 5), "step size only"),
        (lambda b, k: parallel_tempering(b, 2, [0.0, 1.0], k, 0), "steps >= 1"),
        (lambda b, k: parallel_tempering(b, 2, [0.0, 1.0], k, 5, x=torch.zeros(3, 2)), r"\[4, 2\]"),
    ],
)
def test_bad_input_is_named(act, message):
    bridge, _, kernel = PATHS["ring"]
    with pytest.raises(ValueError, match=message):
        act(bridge, kernel)


# -- sequential Monte Carlo --------------------------------------------------------------------------------


@paths
@pytest.mark.parametrize("warm_start", [0, 5000])
def test_smc_finds_the_evidence_and_the_posterior(bridge, target, kernel, warm_start):
    groups, n = 40, 500
    result = smc(bridge, n, groups=groups, warm_start=warm_start, generator=seeded())
    error = result.log_z - target.log_z
    assert abs(error.mean()) < 5 * error.std() / groups**0.5 + 0.01 and error.std() < 0.15
    if not warm_start:  # it is that before the last resampling, which makes all weights equal
        assert (result.weight_ess < 0.999 * n).any()
    exact = target.sample(20_000, generator=seeded(1))
    scale = exact.std(0)
    assert ((result.x.mean(0) - exact.mean(0)) / scale).abs().max() < 0.05
    assert (result.x.std(0) / scale - 1).abs().max() < 0.05
    assert torch.equal(result.betas[-1], torch.ones(groups, dtype=torch.float64))
    assert (result.betas.diff(dim=0) >= 0).all() and result.acceptance.shape == (
        len(result.betas) - 1,
        groups,
    )


def test_next_beta_meets_the_conditional_ess():
    delta = torch.randn(3, 1000, generator=seeded(), dtype=torch.float64) * torch.tensor(
        [[1.0], [10.0], [0.01]]
    )
    beta = torch.tensor([0.2, 0.0, 0.5], dtype=torch.float64)
    log_w = torch.randn(3, 1000, generator=seeded(1), dtype=torch.float64)
    new = next_beta(log_w, delta, beta, 0.9)
    assert new[2] == 1 and (new > beta).all()
    for g in range(2):
        w, v = log_w[g].softmax(0), (-(new[g] - beta[g]) * delta[g]).exp()
        assert ((w * v).sum() ** 2 / (w * v * v).sum()).item() == pytest.approx(0.9, abs=1e-6)


def test_smc_says_when_it_cannot_arrive():
    bridge, _, _ = PATHS["linear posterior"]
    with pytest.raises(RuntimeError, match="lower cess or raise max_temperatures"):
        smc(bridge, 50, cess=0.99, max_temperatures=2, generator=seeded())


def test_temperatures_found_by_smc_serve_ais():
    bridge, target, kernel = PATHS["linear posterior"]
    found = smc(bridge, 1000, generator=seeded()).betas
    assert abs(z_score(ais(bridge, 20_000, found, kernel, generator=seeded(1)), target.log_z)) < 5


# -- parallel tempering ------------------------------------------------------------------------------------


def test_swaps_keep_each_chain_at_the_energy_of_its_temperature():
    bridge, target, kernel = PATHS["ring"]
    ladder = torch.tensor([0.0, 0.3, 0.6, 1.0], dtype=torch.float64)
    x = target.sample(40, generator=seeded()).double()
    energy = bridge.at(ladder.repeat_interleave(10))
    state = kernel.init(energy, x)
    for first in (0, 1):
        new, rate = tempering.swap(state, ladder, first, seeded(first))
        fresh = kernel.init(energy, new.x)
        assert torch.allclose(new.u, fresh.u) and torch.allclose(new.grad, fresh.grad, atol=1e-9)
        assert torch.equal(new.x.sort(0).values, x.sort(0).values) and not torch.equal(new.x, x)
        assert rate.shape == (2 - first, 10)


@pytest.mark.parametrize("seed", range(2))
def test_tempering_is_invariant_from_an_exact_start(seed):
    """All rungs start from exact draws of their own Gaussian; each must still have its law at the end."""
    bridge = BRIDGE_1D
    ladder, n = [0.0, 0.2, 0.5, 1.0], 5000
    precision = torch.tensor([(1 - b) / 4 + b / 0.25 for b in ladder])
    mean = torch.tensor([b / 0.25 for b in ladder]) / precision
    z = torch.randn(4, n, generator=seeded(seed))
    x = (mean[:, None] + z / precision.sqrt()[:, None]).reshape(-1, 1)
    out = parallel_tempering(bridge, n, ladder, HMC(0.5, 3), 20, x=x, generator=seeded(seed + 5))
    assert (out.swaps > 0.2).all() and out.x.shape == (20, n, 1)
    w = (out.state.x.view(4, n) - mean[:, None]) * precision.sqrt()[:, None]
    for rung in w:
        assert abs(rung.mean()) < 5 / n**0.5 and abs(rung.square().mean() - 1) < 5 * (2 / n) ** 0.5


def test_the_exact_start_catches_a_swap_that_always_happens(monkeypatch):
    real = tempering.swap

    def always(state, betas, first, generator):
        far = state._replace(aux=(torch.full_like(state.aux[0], 0.0), state.aux[1]))
        new, rate = real(far, betas, first, generator)  # equal deltas: every swap is accepted
        n = len(new.u) // len(betas)
        return HMC(0.5, 3).init(BRIDGE_1D.at(betas.repeat_interleave(n)), new.x), rate

    monkeypatch.setattr(tempering, "swap", always)
    with pytest.raises(AssertionError):
        test_tempering_is_invariant_from_an_exact_start(0)


def test_swap_rates_are_those_of_each_pair():
    """Between exact draws of both ends the mean swap acceptance is known; a run must report the same."""
    ladder, n = torch.tensor([0.0, 0.1, 1.0]), 20_000
    precision = (1 - ladder) / 4 + ladder / 0.25
    z = torch.randn(3, n, generator=seeded())
    x = (ladder / 0.25 / precision)[:, None] + z / precision.sqrt()[:, None]
    state = HMC(0.1, 1).init(BRIDGE_1D.at(ladder.repeat_interleave(n)), x.reshape(-1, 1))
    exact = [tempering.swap(state, ladder, k, seeded(k))[1].mean().item() for k in (0, 1)]
    few = x[:, :2000].reshape(-1, 1)
    out = parallel_tempering(BRIDGE_1D, 2000, ladder.double(), HMC(0.5, 3), 60, x=few, generator=seeded(3))
    assert abs(exact[0] - exact[1]) > 0.1
    assert out.swaps.tolist() == pytest.approx(exact, abs=0.03)


def test_tempering_crosses_where_hmc_cannot():
    """Ring of radius 4, scale .3: the chains at beta = 1 visit all modes in equal shares."""
    far = ring(8, radius=4.0, scale=0.3)
    bridge = Bridge.between(Gaussian([0.0, 0.0], 9.0), far)
    ladder = linear_betas(8) ** 2
    kernels = [HMC(0.5 / (1 + b.item()), 8) for b in ladder]
    out = parallel_tempering(bridge, 20, ladder, kernels, 1000, generator=seeded())
    angle = torch.atan2(out.x[..., 1], out.x[..., 0])
    mode = ((angle / (math.pi / 4)).round() % 8).long()
    shares = torch.stack([torch.bincount(chain, minlength=8) for chain in mode.T]).double() / len(mode)
    standard_error = shares.std(0) / 20**0.5
    assert ((shares.mean(0) - 1 / 8).abs() < 5 * standard_error).all()
    assert (shares > 0).all() and out.swaps.min() > 0.2 and out.rates.min() > 0.6


def test_an_interrupted_ladder_keeps_what_it_drew():
    bridge, _, _ = PATHS["ring"]

    class Interrupting(HMC):
        def step(self, energy, state, *, generator=None):
            if not left:
                raise KeyboardInterrupt
            left.pop()
            return super().step(energy, state, generator=generator)

    left = [1] * 7
    with pytest.warns(UserWarning, match="after 7 of 20"):
        out = parallel_tempering(bridge, 3, [0.0, 1.0], Interrupting(0.3, 2), 20, generator=seeded())
    assert not out.finished and out.x.shape == (7, 3, 2)
