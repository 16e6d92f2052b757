"""Inverse CDF and rejection against distributions that are known exactly."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from course_lib.energies import DoubleWell, Gaussian, GaussianMixture, StudentT
from course_lib.sampling import inverse_cdf, rejection, tabulate_quantile, throw


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", range(3))
def test_inverse_cdf_draws_the_density(seed):
    y = inverse_cdf(lambda u: -torch.log1p(-u) / 2, 20_000, generator=seeded(seed))
    assert y.dtype == torch.float64
    assert stats.kstest(y.numpy(), stats.expon(scale=0.5).cdf).pvalue > 1e-4
    z = inverse_cdf(torch.special.ndtri, 20_000, generator=seeded(seed))
    assert z.isfinite().all() and stats.kstest(z.numpy(), "norm").pvalue > 1e-4


def test_inverse_cdf_is_deterministic():
    a, b, c = (inverse_cdf(torch.special.ndtri, 5, generator=seeded(s)) for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_tabulated_quantile_is_exact_for_piecewise_linear_densities():
    # The triangle density on [0, 2] has the quantile function sqrt(2u), then 2 - sqrt(2 (1 - u)).
    quantile = tabulate_quantile(lambda x: 7 * (1 - (x - 1).abs()), torch.tensor([0.0, 1.0, 2.0]))
    u = torch.linspace(0, 1, 101, dtype=torch.float64)
    exact = torch.where(u < 0.5, (2 * u).sqrt(), 2 - (2 * (1 - u)).sqrt())
    assert (quantile(u) - exact).abs().max() < 1e-12


def test_tabulated_quantile_of_smooth_densities():
    grid = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    quantile = tabulate_quantile(lambda x: 3 * (-x.square() / 2).exp(), grid)
    u = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    x = quantile(u)
    assert (x - torch.special.ndtri(u)).abs().max() < 1e-5 and (x.diff() > 0).all()
    assert (torch.special.ndtr(x) - u).abs().max() < 1e-6  # there and back
    assert quantile(torch.tensor([0.0, 1.0])).isfinite().all()
    energy = DoubleWell(dim=1).to(torch.float64)
    draws = inverse_cdf(
        tabulate_quantile(lambda x: (-energy(x[:, None])).exp(), grid), 20_000, generator=seeded()
    )
    exact = energy.sample(20_000, generator=seeded(1))[:, 0]
    assert stats.ks_2samp(draws.numpy(), exact.numpy()).pvalue > 1e-4


def test_tabulated_quantile_skips_gaps():
    grid = torch.linspace(0, 3, 3001, dtype=torch.float64)
    quantile = tabulate_quantile(lambda x: ((x < 1) | (x > 2)).double(), grid)
    x = inverse_cdf(quantile, 5000, generator=seeded())
    assert ((x < 1.002) | (x > 1.998)).all() and abs((x < 1.5).double().mean() - 0.5) < 5 * 0.5 / 5000**0.5


@pytest.mark.parametrize(
    ("density", "grid", "message"),
    [
        (torch.ones_like, torch.tensor([0.0, 0.0, 1.0]), "increasing"),
        (torch.ones_like, torch.tensor([0.0]), "increasing"),
        (lambda x: x, torch.tensor([-1.0, 1.0]), ">= 0"),
        (lambda x: 0 * x, torch.tensor([-1.0, 1.0]), "not all zero"),
        (lambda x: x[:1], torch.tensor([1.0, 2.0]), r"\[G\]"),
    ],
)
def test_bad_tables_are_named(density, grid, message):
    with pytest.raises(ValueError, match=message):
        tabulate_quantile(density, grid)


def test_quantile_argument_outside_the_unit_interval_is_named():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        tabulate_quantile(torch.ones_like, torch.tensor([0.0, 1.0]))(torch.tensor([1.5]))


@pytest.mark.parametrize("seed", range(3))
def test_rejection_accepts_the_share_Z_over_k_and_draws_the_target(seed):
    target = GaussianMixture([[-1.0, 0.5], [1.5, 0.0]], 0.4, [0.3, 0.7])
    proposal = Gaussian([0.0, 0.0], 2.0)
    # On a fine grid max p~ / q is found to 1e-4; a little more makes it a bound.
    axis = torch.linspace(-4, 4, 401)
    points = torch.cartesian_prod(axis, axis)
    log_bound = (-target(points) + proposal(points) + proposal.log_z).max().item() + 1e-3
    result = rejection(lambda x: -target(x), proposal, log_bound, 20_000, generator=seeded(seed))
    expected = math.exp(target.log_z - log_bound)
    assert abs(result.acceptance - expected) < 5 * (expected * (1 - expected) / result.thrown) ** 0.5
    exact = target.sample(20_000, generator=seeded(seed + 10))
    assert result.x.shape == (20_000, 2)
    for d in range(2):
        assert stats.ks_2samp(result.x[:, d].numpy(), exact[:, d].numpy()).pvalue > 1e-4


def test_rejection_in_many_dimensions_accepts_like_the_ratio_of_widths():
    """1 / k = (sigma_p / sigma_q)^D for concentric Gaussians: the curse of dimension."""
    for dim in (1, 5, 20):
        target, proposal = Gaussian(torch.zeros(dim)), Gaussian(torch.zeros(dim), 1.1**2)
        log_bound = dim * math.log(1.1)  # at x = 0, with p normalised
        result = rejection(
            lambda x, t=target: -t(x) - t.log_z, proposal, log_bound, 20_000, generator=seeded()
        )
        expected = 1.1**-dim
        assert abs(result.acceptance - expected) < 5 * (expected * (1 - expected) / result.thrown) ** 0.5


def test_an_exceeded_envelope_is_an_error_that_names_the_point():
    target = StudentT(3.0, 1)
    with pytest.raises(ValueError, match=r"exceeded at x = \[-?\d+\.\d+\].*heavier tails"):
        rejection(lambda x: -target(x), Gaussian([0.0]), 1.0, 10_000, generator=seeded())


def test_a_hopeless_envelope_and_an_unnormalised_proposal_are_errors():
    target = Gaussian([0.0])
    with pytest.raises(ValueError, match="too loose"):
        rejection(lambda x: -target(x), target, 40.0, 10, generator=seeded(), max_thrown=5000)
    proposal = Gaussian([0.0])
    proposal.log_z = None
    with pytest.raises(ValueError, match="log_z"):
        rejection(lambda x: -target(x), proposal, 1.0, 10)


def test_darts_are_what_rejection_keeps():
    target, proposal = GaussianMixture([[-1.0], [1.5]], 0.5), Gaussian([0.0], 4.0)
    darts = throw(lambda x: -target(x), proposal, 1.5, 1000, generator=seeded())
    kept = rejection(lambda x: -target(x), proposal, 1.5, 100, generator=seeded())
    assert torch.equal(kept.x, darts.x[darts.hit][:100]) and darts.x.shape == (1000, 1)
    assert darts.log_height.dtype == torch.float64 and (darts.log_height <= 0).all()
    ratio = -target(darts.x) + proposal(darts.x) + proposal.log_z - 1.5
    assert torch.allclose(darts.log_ratio, ratio.double(), atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_darts_under_an_envelope_that_is_exceeded_draw_the_smaller_of_the_two(seed):
    """What goes wrong where nobody checks: the accepted follow min(p~, k q)."""
    target, proposal, log_bound = Gaussian([0.0]), Gaussian([0.0], 0.25), math.log(2.0)
    darts = throw(lambda x: -target(x), proposal, log_bound, 40_000, generator=seeded(seed))
    grid = torch.linspace(-8, 8, 8001, dtype=torch.float64)
    rows = grid[:, None].float()
    wrong = torch.minimum(-target(rows), log_bound - proposal(rows) - proposal.log_z).double().exp()
    cdf = torch.cat([wrong.new_zeros(1), torch.cumulative_trapezoid(wrong, grid)])
    drawn = darts.x[darts.hit, 0].numpy()
    assert (darts.log_ratio > 0).any()
    assert stats.kstest(drawn, lambda x: np.interp(x, grid, cdf / cdf[-1])).pvalue > 1e-4
    assert stats.kstest(drawn, "norm").pvalue < 1e-20


def test_a_target_that_is_nan_is_an_error_that_names_the_point():
    with pytest.raises(ValueError, match="NaN at x = "):
        rejection(
            lambda x: torch.where(x[:, 0] > 0, torch.nan, 0.0), Gaussian([0.0]), 3.0, 100, generator=seeded()
        )


def test_rounding_of_large_energies_is_no_broken_envelope():
    target = Gaussian(torch.zeros(1000))
    result = rejection(lambda x: -target(x), target, target.log_z, 100, generator=seeded())
    assert result.acceptance > 0.99 and result.x.shape == (100, 1000)


@pytest.mark.parametrize("n", [0, -1])
def test_no_draws_at_all_is_an_error(n):
    with pytest.raises(ValueError, match="n >= 1"):
        rejection(lambda x: x[:, 0], Gaussian([0.0]), 1.0, n)
    if n == 0:
        assert inverse_cdf(torch.special.ndtri, n).shape == (0,)
    else:
        with pytest.raises(ValueError, match="cannot make"):
            inverse_cdf(torch.special.ndtri, n)
