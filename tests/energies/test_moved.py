"""A moved landscape is the change of variables that it says it is."""

import math

import pytest
import torch
from scipy import stats

from course_lib.energies import Banana, Gaussian, Moved, StudentT
from course_lib.sampling import grid_log_z


def test_a_moved_normal_is_a_gaussian():
    moved, gaussian = Moved(Gaussian([0.0, 0.0]), [1.0, -2.0], 3.0), Gaussian([1.0, -2.0], 9.0)
    x = gaussian.sample(50, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(moved(x), gaussian(x), atol=1e-5)
    assert torch.allclose(moved.grad(x), gaussian.grad(x), atol=1e-5)
    assert moved.log_z == pytest.approx(gaussian.log_z)
    assert torch.allclose(moved.sample(50, generator=torch.Generator().manual_seed(0)), x, atol=1e-5)


def test_gradient_normaliser_and_draws_of_a_moved_banana():
    energy = Moved(Banana(0.5), [2.0, 1.0], 0.5).to(torch.float64)
    x = energy.sample(20, generator=torch.Generator().manual_seed(0)).requires_grad_()
    u, grad = energy.value_and_grad(x)
    (expected,) = torch.autograd.grad(u.sum(), x)
    assert torch.allclose(grad, expected) and torch.allclose(energy.grad(x), expected)
    assert grid_log_z(energy, [-2.0, -3.0], [6.0, 14.0], 801) == pytest.approx(energy.log_z, abs=1e-5)
    draws = Moved(StudentT(5.0), [3.0], 2.0).sample(20_000, generator=torch.Generator().manual_seed(1))
    assert stats.kstest(draws[:, 0].numpy(), stats.t(5, loc=3, scale=2).cdf).pvalue > 1e-4


def test_bad_input_is_named_and_an_unknown_normaliser_stays_unknown():
    base = Gaussian([0.0, 0.0])
    with pytest.raises(ValueError, match=r"centre must have shape \[2\]"):
        Moved(base, [0.0])
    for scale in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="scale must be a positive number"):
            Moved(base, [0.0, 0.0], scale)
    base.log_z = None
    assert Moved(base, [0.0, 0.0], 2.0).log_z is None
