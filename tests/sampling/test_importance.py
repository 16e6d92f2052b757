"""Importance weights against closed forms: E[w] = Z, ESS = n / (1 + chi^2), Pareto k against ArviZ."""

import math

import arviz
import pytest
import torch

from course_lib.energies import Banana, Funnel, Gaussian, StudentT, ring
from course_lib.sampling import grid_log_z, importance, pareto_k, systematic


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def weighted(seed=0, n=100_000):
    target = Gaussian([0.5, 0.0], [0.5, 0.8])
    return target, importance(lambda x: -target(x), Gaussian([0.0, 0.0]), n, generator=seeded(seed))


@pytest.mark.parametrize("seed", range(3))
def test_mean_weight_is_the_normaliser(seed):
    target, draws = weighted(seed)
    w = (draws.log_w - target.log_z).exp()
    z = (w.mean() - 1) / (w.std() / len(w) ** 0.5)
    assert abs(z) < 5 and draws.log_w.dtype == torch.float64
    assert draws.log_z.item() == pytest.approx(target.log_z, abs=0.02)


def test_ess_is_n_over_one_plus_chi_squared():
    """For N(0, s^2) against N(0, 1): E w^2 / (E w)^2 = 1 / (s sqrt(2 - s^2))."""
    for s in (0.5, 0.9, 1.2):
        target = Gaussian([0.0], s**2)
        draws = importance(lambda x, t=target: -t(x), Gaussian([0.0]), 200_000, generator=seeded())
        expected = s * math.sqrt(2 - s**2)
        assert draws.weight_ess.item() / 200_000 == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_expectations_normalised_and_self_normalised(seed):
    target, draws = weighted(seed)
    own = draws.expectation(lambda x: x)
    plain = draws.expectation(lambda x: x, log_z=target.log_z)
    for estimate in (own, plain):
        assert estimate.shape == (2,)
        assert abs(estimate[0] - 0.5) < 0.02 and abs(estimate[1]) < 0.02
    # Constants: exact when self-normalised, noisy when not.
    ones = draws.expectation(lambda x: torch.ones(len(x)))
    noisy = draws.expectation(lambda x: torch.ones(len(x)), log_z=target.log_z)
    assert ones.item() == pytest.approx(1.0, abs=1e-12) and 1e-6 < abs(noisy.item() - 1) < 0.02


def test_self_normalised_survives_weights_that_underflow():
    target = Gaussian([0.0])
    draws = importance(lambda x: -target(x) - 1e5, Gaussian([0.0], 2.0), 10_000, generator=seeded())
    assert draws.log_z.item() == pytest.approx(target.log_z - 1e5, abs=0.1)
    assert draws.expectation(lambda x: x.square()).item() == pytest.approx(1.0, abs=0.1)
    assert 1000 < draws.weight_ess < 10_000


def test_resampling_is_systematic():
    log_w = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.97, 0.01, 0.01, 0.01]]).log()
    counts = torch.zeros(2, 4)
    for seed in range(2000):
        index = systematic(log_w, 10, generator=seeded(seed))
        once = torch.stack([torch.bincount(row, minlength=4) for row in index]).double()
        expected = 10 * log_w.exp()
        assert ((once - expected).abs() < 1).all()  # rounded up or down, never more
        counts += once
    assert torch.allclose(counts / 2000, 10 * log_w.exp(), atol=0.06)
    _, draws = weighted()
    x = draws.resample(50_000, generator=seeded(5))
    assert abs(x[:, 0].mean() - 0.5) < 0.02 and abs(x[:, 1].var() - 0.8) < 0.03


def test_infinite_variance_is_seen_by_pareto_k():
    heavy, normal = StudentT(3.0, 1), Gaussian([0.0])

    def k(target, proposal, seed):
        return importance(lambda x: -target(x), proposal, 20_000, generator=seeded(seed)).pareto_k

    assert min(k(heavy, normal, seed) for seed in range(5)) > 0.65
    assert max(k(normal, heavy, seed) for seed in range(5)) < 0.5


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0, 30.0])
@pytest.mark.parametrize("n", [50, 1000])
def test_pareto_k_agrees_with_arviz(n, scale):
    log_w = scale * torch.randn(n, generator=seeded(n), dtype=torch.float64)
    _, expected = arviz.psislw(log_w.numpy().copy())
    assert pareto_k(log_w).item() == pytest.approx(float(expected), rel=1e-6)


def test_pareto_k_of_equal_and_of_too_few_weights():
    assert pareto_k(torch.zeros(100)) == -math.inf
    with pytest.raises(ValueError, match="too short"):
        pareto_k(torch.zeros(10))


@pytest.mark.parametrize(
    ("energy", "low", "high", "points"),
    [
        (ring(radius=2.0, scale=0.5), [-5.0, -5.0], [5.0, 5.0], 201),
        (Banana(0.8), [-6.0, -7.0], [6.0, 32.0], 801),
        (Gaussian([0.0, 1.0, 0.0]), [-7.0] * 3, [8.0] * 3, 61),
        (Gaussian([0.0]), [-8.0], [8.0], 101),
    ],
)
def test_grid_log_z(energy, low, high, points):
    assert grid_log_z(energy, low, high, points) == pytest.approx(energy.log_z, abs=1e-5)


def test_grid_cannot_follow_into_many_dimensions_and_bad_boxes_are_named():
    with pytest.raises(ValueError, match="into 10 dimensions"):
        grid_log_z(Gaussian(torch.zeros(10)), [-5.0] * 10, [5.0] * 10, 50)
    for low, high, points in (([], [], 5), ([0.0], [1.0], 1)):
        with pytest.raises(ValueError, match="two points"):
            grid_log_z(Gaussian([0.0]), low, high, points)
    with pytest.raises(ValueError, match="low < high"):
        grid_log_z(Gaussian([0.0]), [1.0], [0.0])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="nothing to resample"):
        systematic(torch.full((2, 3), -math.inf))
    with pytest.raises(ValueError, match="NaN"):
        pareto_k(torch.full((100,), math.nan))
    with pytest.raises(ValueError, match="n >= 1"):
        importance(lambda x: x[:, 0], Gaussian([0.0]), 0)
    with pytest.raises(ValueError, match="log-weight is nan"):
        importance(lambda x: x[:, 0] / 0 * 0, Gaussian([0.0]), 5)
    funnel = Funnel(3)
    funnel.log_z = None
    with pytest.raises(ValueError, match="Funnel has no known log_z"):
        importance(lambda x: x[:, 0], funnel, 5)
