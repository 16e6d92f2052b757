"""Effective sample size and R-hat against ArviZ and against chains whose autocorrelation is known."""

import math

import arviz
import pytest
import torch

from course_lib.sampling import ess, log_mean_exp, rhat, weight_ess


def autoregressive(rho, n, chains, seed=0):
    """Stationary chains x' = rho x + sqrt(1 - rho^2) z, `[n, chains]`, with ESS = n (1 - rho) / (1 + rho)."""
    noise = torch.randn(n, chains, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = [noise[0]]
    for z in noise[1:]:
        x.append(rho * x[-1] + math.sqrt(1 - rho**2) * z)
    return torch.stack(x)


CHAINS = {
    "independent": autoregressive(0.0, 400, 4),
    "sticky": autoregressive(0.9, 1000, 4),
    "antithetic": autoregressive(-0.5, 500, 3),
    "odd length": autoregressive(0.5, 501, 2),
    "one chain": autoregressive(0.5, 300, 1),
    "short": autoregressive(0.3, 11, 5),
    "drifting": autoregressive(0.5, 400, 4) + torch.linspace(0, 3, 400)[:, None],
    "one elsewhere": autoregressive(0.5, 400, 4) + torch.tensor([0.0, 0.0, 0.0, 4.0]),
    "heavy tails": autoregressive(0.5, 400, 4) ** 5,
    "ties": autoregressive(0.5, 400, 4).round(),
}


@pytest.mark.parametrize("x", CHAINS.values(), ids=CHAINS)
def test_ess_and_rhat_agree_with_arviz(x):
    table = x.T.numpy()
    assert ess(x).item() == pytest.approx(arviz.ess(table), rel=1e-9)
    if x.shape[1] > 1:
        assert rhat(x).item() == pytest.approx(arviz.rhat(table), rel=1e-9)


def test_ess_and_rhat_are_per_dimension():
    x = torch.stack([CHAINS["independent"], CHAINS["one elsewhere"]], -1)
    assert ess(x).shape == (2,) and ess(x)[0] == ess(x[..., 0]) and ess(x)[1] == ess(x[..., 1])
    assert rhat(x)[0] < 1.02 < 1.3 < rhat(x)[1]


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_ess_of_autoregressive_chains_is_the_known_one(rho):
    n, chains = 2500, 8
    expected = n * chains * (1 - rho) / (1 + rho)
    estimates = torch.tensor([ess(autoregressive(rho, n, chains, seed)) for seed in range(10)]) / expected
    # Truncating the sum at the first noisy pair costs a few per cent of bias beside the noise.
    assert abs(estimates.mean() - 1) < 0.05 + 5 * estimates.std() / 10**0.5
    assert estimates.std() < 0.15


def test_constant_chains_and_bad_shapes():
    assert ess(torch.ones(10, 2)) == 20
    assert ess(torch.full((10, 2), math.nan)).isnan()
    with pytest.raises(ValueError, match="shape"):
        ess(torch.zeros(10))
    for shape in ((3, 2), (10, 0)):
        with pytest.raises(ValueError, match="at least 4"):
            rhat(torch.zeros(shape))
    for judge in (log_mean_exp, weight_ess):
        with pytest.raises(ValueError, match="no weights"):
            judge(torch.empty(0))


def test_log_mean_exp_and_weight_ess_survive_extremes():
    log_w = torch.tensor([0.0, math.log(3.0)])
    assert log_mean_exp(log_w).item() == pytest.approx(math.log(2))
    assert weight_ess(log_w).item() == pytest.approx(16 / 10)
    far = torch.tensor([-1e4, -1e4 - 1.0])
    assert log_mean_exp(far).item() == pytest.approx(-1e4 + math.log((1 + math.exp(-1)) / 2))
    assert weight_ess(far).item() == pytest.approx((1 + math.exp(-1)) ** 2 / (1 + math.exp(-2)))
    assert weight_ess(torch.zeros(7)).item() == pytest.approx(7)
    batch = torch.randn(3, 50)
    assert torch.equal(weight_ess(batch), torch.stack([weight_ess(row) for row in batch]))
    assert log_mean_exp(batch).dtype == torch.float64
