"""The plane problem: its exact gradient against quadrature on a grid, and the estimators against it."""

import math

import pytest
import torch

from course_lib.vae import PlaneProblem, score_function, sgvb_a, sgvb_b
from course_lib.vae.model import log_normal


def bound_on_a_grid(mean, scale):
    """The bound as a plain sum over a fine grid, float64."""
    side = torch.linspace(-7, 7, 801, dtype=torch.float64)
    z = torch.cartesian_prod(side, side)
    log_q = log_normal(z, torch.tensor(mean).double(), torch.tensor(2 * math.log(scale)).double().expand(2))
    f = PlaneProblem((0.0, 0.0), scale).log_joint(z) - log_q
    return ((log_q.exp() * f).sum() * (side[1] - side[0]) ** 2).item()


@pytest.mark.parametrize("place", [(0.0, 0.0), (1.0, 1.5), (-1.2, 0.3)])
def test_the_exact_gradient_is_that_of_the_bound(place):
    step, (a, b), scale = 1e-3, place, 0.5
    first = (bound_on_a_grid((a + step, b), scale) - bound_on_a_grid((a - step, b), scale)) / (2 * step)
    second = (bound_on_a_grid((a, b + step), scale) - bound_on_a_grid((a, b - step), scale)) / (2 * step)
    assert PlaneProblem(place, scale).exact_gradient().tolist() == pytest.approx(
        [first, second], rel=1e-4, abs=1e-4
    )


@pytest.mark.parametrize(
    ("estimator", "more"),
    [(sgvb_a, {}), (sgvb_b, {}), (score_function, {}), (score_function, {"leave_one_out": True})],
)
def test_every_estimator_is_unbiased_and_its_rows_are_independent(estimator, more):
    problem, n = PlaneProblem((0.5, -0.5), 0.6), 20_000
    g = problem.gradients(estimator, n, 3, generator=torch.Generator().manual_seed(0), **more)
    z = (g.mean(0) - problem.exact_gradient()) / (g.std(0) / n**0.5)
    assert z.abs().max() < 5
    neighbours = torch.corrcoef(torch.stack([g[:-1, 0], g[1:, 0]]))[0, 1]
    assert neighbours.abs() < 5 / n**0.5
