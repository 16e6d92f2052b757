"""Every landscape against calculus, quadrature and its own exact draws."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from course_lib.energies import (
    Banana,
    DoubleWell,
    Funnel,
    Gaussian,
    GaussianMixture,
    Kidney,
    LinearPosterior,
    LogGamma,
    Posterior,
    StudentT,
    grid,
    on_grid,
    ring,
    value_and_grad,
    view_box,
)

LANDSCAPES = {
    "gaussian": Gaussian([0.5, -1.0], [[2.0, 0.6], [0.6, 1.0]]),
    "gaussian-3d": Gaussian([0.0, 1.0, 2.0], [1.0, 0.5, 2.0]),
    "mixture": GaussianMixture([[-1.0, 0.0], [2.0, 1.0], [0.0, -2.0]], 0.7, [0.2, 0.5, 0.3]),
    "ring": ring(8, radius=2.0, scale=0.5),
    "banana": Banana(0.8),
    "funnel": Funnel(2, scale=1.0),
    "funnel-4d": Funnel(4, scale=1.5),
    "double-well": DoubleWell(barrier=3.0, half_width=1.2),
    "double-well-1d": DoubleWell(dim=1),
    "kidney": Kidney(),
    "grid": grid(3, spacing=2.0, scale=0.3),
    "log-gamma": LogGamma(2.0, 3.0, 2),
    "log-gamma-small": LogGamma(0.3, 1.0, 2),
    "student": StudentT(5.0, 2),
    "linear-posterior": LinearPosterior([[1.2, -0.7]], [0.1], [0.8], 0.09),
    "linear-posterior-3d": LinearPosterior([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]], [0.5, 0.0], [1.0, -0.5], 0.2),
}
PLANE = [name for name, energy in LANDSCAPES.items() if energy.dim == 2]
HEAVY = {"student", "log-gamma-small"}  # what lies beyond any box is no longer negligible
every = pytest.mark.parametrize("energy", LANDSCAPES.values(), ids=LANDSCAPES)
plane = pytest.mark.parametrize("energy", [LANDSCAPES[name] for name in PLANE], ids=PLANE)


def draws(energy, n, seed=0, dtype=torch.float64):
    return energy.to(dtype).sample(n, generator=torch.Generator().manual_seed(seed))


@every
def test_closed_form_gradient_is_the_gradient_of_the_energy(energy):
    energy = energy.to(torch.float64)
    x = draws(energy, 20).requires_grad_()
    assert gradcheck(energy, (x,))
    (expected,) = torch.autograd.grad(energy(x).sum(), x)
    u, grad = energy.value_and_grad(x.detach())
    assert torch.allclose(u, energy(x.detach()), rtol=1e-12)
    assert torch.allclose(grad, expected, rtol=1e-9, atol=1e-9)
    assert torch.allclose(energy.grad(x.detach()), expected, rtol=1e-9, atol=1e-9)


@every
def test_autograd_fallback_agrees_with_the_closed_form(energy):
    x = draws(energy, 50)
    u, grad = value_and_grad(lambda points: energy.to(torch.float64)(points))(x)
    closed_u, closed_grad = value_and_grad(energy.to(torch.float64))(x)
    assert torch.allclose(u, closed_u) and torch.allclose(grad, closed_grad, atol=1e-9)
    assert not u.requires_grad and not x.requires_grad


@pytest.mark.parametrize("energy", [LANDSCAPES[name] for name in PLANE if name not in HEAVY])
def test_log_z_by_quadrature(energy):
    energy = energy.to(torch.float64)
    x = draws(energy, 20_000)
    low, high = x.amin(0) - 3, x.amax(0) + 3
    # Fine enough for the neck of the funnel; the trapezoid rule is exact to rounding for such integrands.
    xs, ys = (torch.linspace(a, b, 3001, dtype=torch.float64) for a, b in zip(low, high, strict=True))
    rows = [torch.trapezoid((-energy(torch.stack([xs, y.expand_as(xs)], 1))).exp(), xs) for y in ys]
    log_z = torch.trapezoid(torch.stack(rows), ys).log().item()
    assert log_z == pytest.approx(energy.log_z, abs=2e-3 if isinstance(energy, Funnel) else 1e-5)


def test_log_z_of_heavy_tails_in_polar_and_in_own_coordinates():
    from scipy.integrate import quad

    plane, line = StudentT(5.0, 2).to(torch.float64), LogGamma(0.3, 1.0, 1).to(torch.float64)

    def at(energy, *x):
        return math.exp(-energy(torch.tensor([x], dtype=torch.float64)).item())

    polar, _ = quad(lambda r: 2 * math.pi * r * at(plane, r, 0.0), 0, math.inf)
    assert math.log(polar) == pytest.approx(plane.log_z, abs=1e-6)
    whole, _ = quad(lambda x: at(line, x), -80, 8, limit=200)
    assert math.log(whole) == pytest.approx(line.log_z, abs=1e-6)


def test_log_z_of_the_double_well_by_an_independent_quadrature():
    from scipy.integrate import quad

    energy = DoubleWell(barrier=5.0, half_width=2.0, dim=3)
    first, _ = quad(lambda t: math.exp(-5 * ((t / 2) ** 2 - 1) ** 2), -8, 8, epsabs=1e-13)
    assert energy.log_z == pytest.approx(math.log(first) + math.log(2 * math.pi), abs=1e-9)


@every
def test_exact_draws_have_the_moments_that_integration_by_parts_demands(energy):
    """E[grad U] = 0 and E[x_i dU/dx_j] = delta_ij hold for exp(-U) alone; |z| < 5 with 200,000 draws."""
    energy = energy.to(torch.float64)
    x = draws(energy, 200_000, seed=1)
    _, grad = energy.value_and_grad(x)
    eye = torch.eye(energy.dim, dtype=torch.float64)
    for values in (grad, (x[:, :, None] * grad[:, None] - eye).flatten(1)):
        z = values.mean(0) / (values.std(0) / len(values) ** 0.5)
        assert z.abs().max() < 5, z


@pytest.mark.parametrize(
    ("energy", "mean", "variance"),
    [
        (LANDSCAPES["gaussian"], [0.5, -1.0], [2.0, 1.0]),
        (LANDSCAPES["mixture"], [0.8, -0.1], [0.2 + 2.0 + 0.49 - 0.64, 0.5 + 1.2 + 0.49 - 0.01]),
        (LANDSCAPES["ring"], [0.0, 0.0], [2.25, 2.25]),
        (LANDSCAPES["banana"], [0.0, 0.0], [1.0, 1 + 2 * 0.64]),
    ],
    ids=["gaussian", "mixture", "ring", "banana"],
)
def test_exact_draws_have_the_known_moments(energy, mean, variance):
    n = 200_000
    x = draws(energy, n, seed=2)
    for d in range(2):
        centred = x[:, d] - mean[d]
        assert abs(centred.mean()) < 5 * centred.std() / n**0.5
        squares = centred.square()
        assert abs(squares.mean() - variance[d]) < 5 * squares.std() / n**0.5


def test_double_well_draws_follow_its_density():
    from scipy.integrate import cumulative_trapezoid
    from scipy.stats import kstest

    energy = DoubleWell(barrier=2.0, half_width=1.5, dim=1)
    grid = torch.linspace(-5, 5, 20_001, dtype=torch.float64)
    cdf = cumulative_trapezoid((-energy(grid[:, None]) - energy.log_z).exp(), grid, initial=0)
    x = draws(energy, 20_000)[:, 0]
    assert kstest(x, lambda t: np.interp(t, grid, cdf)).pvalue > 1e-4


@every
def test_same_seed_same_draws_and_dtype_follows(energy):
    assert torch.equal(draws(energy, 10, seed=3), draws(energy, 10, seed=3))
    assert not torch.equal(draws(energy, 10, seed=3), draws(energy, 10, seed=4))
    x = draws(energy, 10, dtype=torch.float32)
    assert x.shape == (10, energy.dim) and x.dtype == torch.float32
    assert energy(x).dtype == torch.float32 and energy(x.double()).dtype == torch.float64
    assert energy.grad(x.double()).dtype == torch.float64


def test_parameters_keep_the_dtype_they_come_in():
    double = torch.zeros(2, dtype=torch.float64)
    for energy in (Gaussian(double), GaussianMixture(double[None], 1.0)):
        assert energy.sample(3).dtype == torch.float64
    torch.set_default_dtype(torch.float64)
    try:
        for energy in (Gaussian([0.0, 0.0]), Banana(), Funnel(2), DoubleWell(), Kidney(), LogGamma(), ring()):
            assert energy.sample(3).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@every
def test_no_draws_at_all(energy):
    assert energy.sample(0).shape == (0, energy.dim)


@every
def test_wrong_dimension_is_named(energy):
    with pytest.raises(ValueError, match=rf"\[C, {energy.dim}\]"):
        energy(torch.zeros(5, energy.dim + 1))
    with pytest.raises(ValueError, match="shape"):
        energy.value_and_grad(torch.zeros(energy.dim))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]), "positive definite"),
        (lambda: Gaussian([0.0, 0.0], [1.0, 2.0, 3.0]), "2-D Gaussian"),
        (lambda: Gaussian(0.0), r"shape \[D\]"),
        (lambda: GaussianMixture([0.0, 1.0], 1.0), r"\[K, D\]"),
        (lambda: GaussianMixture([[0.0]], 0.0), "positive"),
        (lambda: GaussianMixture([[0.0], [1.0]], 1.0, [1.0, -1.0]), "positive numbers"),
        (lambda: ring(0), "modes >= 1"),
        (lambda: Funnel(1), "dim >= 2"),
        (lambda: DoubleWell(barrier=-1.0), "barrier > 0"),
        (lambda: view_box(Funnel(3)), "2-D"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@plane
def test_view_box_holds_the_landscape_and_on_grid_is_indexed_row_by_row(energy):
    xmin, xmax, ymin, ymax = view_box(energy)
    x = draws(energy, 5_000, seed=5)
    inside = (x[:, 0] > xmin) & (x[:, 0] < xmax) & (x[:, 1] > ymin) & (x[:, 1] < ymax)
    assert inside.double().mean() > 0.97 and (xmax - xmin) == pytest.approx(ymax - ymin)
    xs, ys, u = on_grid(energy, (xmin, xmax, ymin, ymax), 7)
    assert torch.allclose(u[2, 5], energy(torch.stack([xs[5], ys[2]])[None])[0])


def test_posterior_is_prior_plus_misfit_and_its_closed_forms_survive():
    linear = LinearPosterior([[1.2, -0.7]], [0.1], [0.8], 0.09).to(torch.float64)
    likelihood = linear.misfit.function
    by_hand = Posterior(Gaussian([0.0, 0.0]), lambda z: likelihood(z)).to(torch.float64)
    z = draws(linear, 50)
    # exp(-U) / evidence is the exact Gaussian posterior, so their energies differ by a constant.
    exact = linear.exact
    assert torch.allclose(linear(z) + linear.log_z, exact(z) + exact.log_z, atol=1e-5)
    for posterior in (linear, by_hand):
        u, grad = value_and_grad(posterior)(z)
        assert torch.allclose(u, linear(z)) and torch.allclose(grad, linear.grad(z), atol=1e-9)
    assert by_hand.log_z is None


def test_posterior_needs_a_prior_that_can_be_normalised():
    with pytest.raises(ValueError, match="log_z"):
        Posterior(Posterior(Gaussian([0.0]), lambda z: z[:, 0]), lambda z: z[:, 0])
    with pytest.raises(ValueError, match="noise_var"):
        LinearPosterior([[1.0]], [0.0], [0.0], 0.0)
    with pytest.raises(ValueError, match="shapes"):
        LinearPosterior([[1.0]], [0.0, 1.0], [0.0], 1.0)


@pytest.mark.cuda
@every
def test_on_cuda(energy):
    x = energy.sample(100, generator=torch.Generator().manual_seed(0))
    moved = energy.to("cuda")
    u, grad = moved.value_and_grad(x.cuda())
    assert u.is_cuda and moved.sample(10, generator=torch.Generator("cuda")).is_cuda
    cpu_u, cpu_grad = energy.value_and_grad(x)
    assert torch.allclose(u.cpu(), cpu_u, rtol=1e-4, atol=1e-4)
    assert torch.allclose(grad.cpu(), cpu_grad, rtol=1e-3, atol=1e-3)


def test_a_uniform_of_zero_is_no_log_gamma_of_minus_infinity(monkeypatch):
    """`uniform_` gives 0 once in 2^24 float32 draws; a chain that starts there is lost."""
    energy = LogGamma(1.5, 1.0, 2)
    monkeypatch.setattr(LogGamma, "_uniform", lambda self, n, generator: torch.zeros(n))
    assert energy.sample(100).isfinite().all()
