"""Point sets against the geometry and the moments that they promise."""

import math

import pytest
import torch

from course_lib import energies
from course_lib.data import (
    CubeFrames,
    Line,
    Mixture,
    SwissRoll,
    five_gaussians,
    grid,
    line_of_modes,
    parallel_lines,
    ring,
)

SETS = [ring(), grid(), line_of_modes(), five_gaussians(), SwissRoll(), Line(0.5), CubeFrames()]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("points", SETS, ids=lambda p: type(p).__name__)
def test_draws_have_their_shape_and_repeat(points):
    x = points.sample(100, generator=seeded())
    assert x.shape == (100, points.dim) and x.dtype == torch.float32 and x.isfinite().all()
    assert torch.equal(x, points.sample(100, generator=seeded()))
    assert not torch.equal(x, points.sample(100, generator=seeded(1)))


def test_a_mixture_has_its_weights_scale_and_density():
    mixture = Mixture([[0.0, 0.0], [10.0, 0.0]], 0.5, weights=[1.0, 3.0])
    x = mixture.sample(40_000, generator=seeded())
    right = x[:, 0] > 5
    assert right.float().mean().item() == pytest.approx(0.75, abs=4 * math.sqrt(0.1875 / 40_000))
    assert (x[right] - mixture.means[1]).square().mean().item() == pytest.approx(0.25, rel=0.03)
    exact = energies.GaussianMixture(mixture.means, 0.5, [1.0, 3.0])
    want = torch.exp(-exact(x[:50]) - exact.log_z)
    assert torch.allclose(mixture.density(x[:50]), want, rtol=1e-4)


def test_the_named_mixtures():
    assert torch.allclose(ring().means.norm(dim=1), torch.full((8,), 2.0)) and ring().scale == 0.02
    assert torch.allclose((ring().means[0] - ring().means[1]).norm(), torch.tensor(4 * math.sin(math.pi / 8)))
    assert len(grid().means) == 25 and not grid().means.mean(0).any()
    gaps = torch.cdist(grid().means, grid().means).fill_diagonal_(9).min(1).values
    assert torch.allclose(gaps, torch.ones(25))
    assert five_gaussians().means.shape == (5, 3) and five_gaussians().means.abs().max() < 1
    assert line_of_modes().dim == 1
    moved = ring().to("cpu")
    assert torch.equal(moved.sample(5, generator=seeded()), ring().sample(5, generator=seeded()))


def test_the_swiss_roll_is_a_spiral():
    x = 7.5 * SwissRoll(noise=0.0).sample(2000, generator=seeded()).double()
    radius, angle = x.norm(dim=1), torch.atan2(x[:, 1], x[:, 0])
    turns = (radius - angle) / (2 * math.pi)  # radius = t, and the angle is t up to whole turns
    assert (turns - turns.round()).abs().max() < 1e-4
    assert radius.min() >= 1.5 * math.pi - 1e-4 and radius.max() <= 4.5 * math.pi + 1e-4
    wide, still = SwissRoll(3.0), SwissRoll(0.0)
    noise = 7.5 * (wide.sample(9000, generator=seeded()) - still.sample(9000, generator=seeded()))
    assert noise.std().item() == pytest.approx(3.0, rel=0.05)  # same t, as the noise is drawn after it


def test_parallel_lines():
    zero, shifted = parallel_lines(0.3)
    x, y = zero.sample(9000, generator=seeded()), shifted.sample(9000, generator=seeded())
    assert not x[:, 0].any() and (y[:, 0] == 0.3).all() and torch.equal(x[:, 1], y[:, 1])
    assert y[:, 1].min() >= 0 and y[:, 1].max() <= 1
    assert y[:, 1].mean().item() == pytest.approx(0.5, abs=0.015)


def test_cube_frames_are_their_edges():
    frames = CubeFrames()
    x = frames.sample(24_000, generator=seeded())
    edge, distance = frames.edges(x)
    assert distance.max() < 1e-6
    counts = torch.bincount(edge, minlength=24)
    assert len(counts) == 24 and (counts - 1000).abs().max() < 5 * math.sqrt(1000)
    outer = x.abs().amax(1) > 0.5
    assert torch.allclose(x[outer].abs().sort(1).values[:, 1:], torch.tensor(0.9))
    along = x[outer].abs().sort(1).values[:, 0]
    assert along.mean().item() == pytest.approx(0.45, abs=0.01)  # uniform along the edge
    _, away = frames.edges(torch.tensor([[0.9, 0.9, 1.0], [0.9, 0.8, 0.0], [0.0, 0.0, 0.0]]))
    assert away.tolist() == pytest.approx([0.1, 0.1, 0.45 * math.sqrt(2)], abs=1e-6)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Mixture([1.0, 2.0], 0.5), r"means \[K, D\]"),
        (lambda: Mixture([[1.0]], 0.0), "scale > 0"),
        (lambda: Mixture([[1.0]], 1.0, [1.0, 2.0]), "1 positive numbers"),
        (lambda: ring(0), "modes >= 1"),
        (lambda: grid(spacing=-1.0), "spacing > 0"),
        (lambda: CubeFrames((0.5, -0.5)), "positive half widths"),
    ],
)
def test_bad_sets_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
