"""Metrics on samples whose score is known, and on the models that each of them flatters."""

import math

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import nn

from course_lib import energies
from course_lib.data import Mixture, grid, parallel_lines, ring
from course_lib.metrics import (
    classes,
    coverage,
    frechet,
    growth_per_layer,
    js_estimate,
    layer_slopes,
    spread,
    two_sample,
    wasserstein,
)
from course_lib.nets import critic as make_critic
from course_lib.nets import he_init

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=seeded(seed))


# -- coverage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixture", [ring(), grid(), energies.ring(radius=2.0, scale=0.02)])
def test_the_data_themselves_score_full_marks(mixture):
    found = coverage(mixture.sample(2500, generator=seeded()), mixture)
    assert found.modes == len(mixture.means) and found.kl < 0.01
    assert found.high_quality.item() == pytest.approx(1 - math.exp(-4.5), abs=0.01)  # P(|z| < 3) in 2-D


def test_every_number_of_a_known_sample():
    mixture = Mixture([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], 1.0, weights=[2.0, 1.0, 1.0])
    far = torch.tensor([[5.0, 5.0]]).expand(40, 2)
    x = torch.cat([mixture.means[:1].expand(60, 2), mixture.means[1:2].expand(19, 2) + 2.9, far])
    x[60:79, 1] = 0.0
    found = coverage(x, mixture)
    assert found.counts.tolist() == [60, 19, 0] and found.modes == 1
    assert found.high_quality.item() == pytest.approx(79 / 119)
    shares = torch.tensor([60 / 79, 19 / 79])
    want = (shares * (shares / torch.tensor([0.5, 0.25])).log()).sum()
    assert found.kl.item() == pytest.approx(want.item(), abs=1e-6)
    assert coverage(x, mixture, need=19).modes == 2 and coverage(x, mixture, radius=2.8).counts[1] == 0


def test_seeds_are_scored_apart():
    mixture = ring()
    x = torch.stack([mixture.sample(400, generator=seeded(s)) for s in range(3)])
    x[1] = mixture.means[0]
    found = coverage(x, mixture)
    assert found.modes.tolist() == [8, 1, 8] and found.counts.shape == (3, 8)
    assert found.kl[1].item() == pytest.approx(math.log(8), abs=1e-5)
    assert torch.equal(coverage(x[2], mixture).counts, found.counts[2])


def test_a_blob_covers_every_mode_until_twenty_samples_are_asked_for():
    blob = 2 * torch.randn(2500, 2, generator=seeded())
    loose, strict = coverage(blob, ring(std=0.05), need=1), coverage(blob, ring(std=0.05))
    assert loose.modes == 8 and strict.modes == 0 and strict.high_quality < 0.05


def test_no_good_sample_has_no_histogram():
    nowhere = coverage(torch.full((50, 2), 99.0), ring())
    assert nowhere.kl.isnan() and nowhere.high_quality == 0 and nowhere.modes == 0


def test_coverage_refuses_other_spaces():
    with pytest.raises(ValueError, match=r"shape \[..., N, 2\], but got \[9, 3\]"):
        coverage(torch.randn(9, 3), ring())
    with pytest.raises(ValueError, match="need >= 1"):
        coverage(torch.randn(9, 2), ring(), need=0)


def test_spread_tells_a_moving_blob_from_a_cloud():
    x = torch.stack([torch.tensor([2.0, 0.0]) + 0.1 * torch.randn(4000, 2), 1.5 * torch.randn(4000, 2)])
    std, mean = spread(x)
    assert std.tolist() == pytest.approx([0.1, 1.5], rel=0.05)
    assert mean.tolist() == pytest.approx([2.0, 0.0], abs=0.1)


def test_classes_counts_those_above_a_share():
    said = torch.tensor([0] * 90 + [1] * 8 + [2] * 2)
    assert classes(nn.functional.one_hot(said, 5).float()) == 2
    assert classes(nn.functional.one_hot(said, 5).float(), least=0.01) == 3
    both = torch.stack([said, torch.zeros_like(said)])
    assert classes(nn.functional.one_hot(both, 5).float()).tolist() == [2, 1]


# -- transport -------------------------------------------------------------------------------------------


def test_wasserstein_on_the_line_is_the_distance_of_sorted_samples():
    x, y = normal(60, 1), 2 * normal(60, 1, seed=1) + 1
    pairs = x.sort(0).values - y.sort(0).values
    assert wasserstein(x, y) == pytest.approx(pairs.abs().mean().item(), abs=1e-9)
    assert wasserstein(x, y, p=2) == pytest.approx(pairs.square().mean().sqrt().item(), abs=1e-9)


def test_wasserstein_of_a_shift_is_its_length():
    x, shift = normal(80, 3), torch.tensor([1.0, -2.0, 2.0], dtype=F64)
    for p in (1, 2):
        assert wasserstein(x, x + shift, p) == pytest.approx(3.0, abs=1e-9)
    assert wasserstein(x, x[:40].repeat(2, 1)) == pytest.approx(wasserstein(x[:40], x), abs=1e-9)
    for theta in (0.1, 1.0):
        lines = [line.sample(300, generator=seeded()) for line in parallel_lines(theta)]
        assert wasserstein(*lines) == pytest.approx(theta, abs=1e-6)


def test_wasserstein_refuses_what_it_cannot_transport():
    with pytest.raises(ValueError, match="compares samples"):
        wasserstein(normal(5, 2), normal(5, 3))
    with pytest.raises(ValueError, match="p=3"):
        wasserstein(normal(5, 2), normal(5, 2), p=3)
    with pytest.raises(ValueError, match="compares samples"):
        wasserstein(normal(0, 2), normal(5, 2))


# -- classifiers -----------------------------------------------------------------------------------------


def test_js_estimate_of_the_best_critic_is_js():
    """p = N(0, 1), q = N(1, 1), by quadrature and from 200,000 samples with the true log ratio as logit."""
    grid_ = torch.linspace(-9, 10, 19001, dtype=F64)
    p, q = (torch.exp(-((grid_ - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (0, 1))
    js = (p * (2 * p / (p + q)).log() + q * (2 * q / (p + q)).log()).sum().item() / 2 * 1e-3
    x, y = normal(200_000), normal(200_000, seed=1) + 1
    best = js_estimate(0.5 - x, 0.5 - y).item()
    assert best == pytest.approx(js, abs=3e-3)
    assert js_estimate(0.3 * (0.5 - x), 0.3 * (0.5 - y)) < best  # any other critic sees less
    assert js_estimate(torch.full((9,), 60.0), torch.full((9,), -60.0)).item() == pytest.approx(math.log(2))
    assert js_estimate(torch.zeros(4, 9), torch.zeros(4, 9)).tolist() == pytest.approx([0.0] * 4, abs=1e-6)


def test_two_sample_test():
    x = normal(600, 2)
    assert two_sample(x, normal(600, 2, seed=1)).item() == pytest.approx(0.5, abs=0.06)
    assert two_sample(x, x + 50).item() == 1
    assert two_sample(x, x + 1e-9).item() == 0  # copies: each point's nearest neighbour is its twin
    assert two_sample(x, normal(600, 2, seed=1), k=5).item() == pytest.approx(0.5, abs=0.06)
    both = two_sample(torch.stack([x, x]), torch.stack([x + 50, x + 1e-9]))
    assert both.tolist() == [1.0, 0.0]


def test_two_sample_by_hand():
    x, y = torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[0.9], [5.2], [5.3]])
    # nearest: 0 -> .9 (y), 1 -> .9 (y), 5 -> 5.2 (y); .9 -> 1 (x), 5.2 -> 5.3 (y), 5.3 -> 5.2 (y)
    assert two_sample(x, y).item() == pytest.approx(2 / 6)
    for bad in ((x, y[:2], 1), (x, y, 2), (x, y, 7)):
        with pytest.raises(ValueError, match="odd k"):
            two_sample(*bad)


def test_frechet_of_gaussians():
    x, shift = normal(4000, 3), torch.tensor([1.0, 2.0, 2.0], dtype=F64)
    assert frechet(x, x).item() == pytest.approx(0, abs=1e-9)
    assert frechet(x, x + shift).item() == pytest.approx(9.0, abs=1e-9)
    assert frechet(x, 3 * x).item() == pytest.approx(
        (2 * x.std(0)).square().sum().item() + (2 * x.mean(0)).square().sum().item(), rel=1e-9
    )
    mix = normal(3, 3, seed=5)
    y = normal(4000, 3, seed=1) @ mix
    cx, cy = (np.cov(a.numpy().T) for a in (x, y))
    want = (x.mean(0) - y.mean(0)).square().sum().item()
    want += np.trace(cx + cy - 2 * linalg.sqrtm(cx @ cy).real)
    assert frechet(x, y).item() == pytest.approx(want, rel=1e-8)
    assert frechet(torch.stack([x, x]), torch.stack([y, x])).tolist() == pytest.approx([want, 0], abs=1e-8)


def test_frechet_of_fewer_samples_than_features_is_finite():
    x = normal(5, 20)
    assert frechet(x, x).item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="at least 2"):
        frechet(x[:1], x)


# -- slopes ----------------------------------------------------------------------------------------------


def test_layer_slopes_of_a_linear_chain():
    """Layers x -> 2 x: each h_l moves the output by a factor of 2 more on the way back."""
    chain = nn.Sequential(*[nn.Linear(1, 1, bias=False) for _ in range(5)], nn.Flatten(0))
    with torch.no_grad():
        for layer in chain[:5]:
            layer.weight.fill_(2.0)
    slopes = layer_slopes(chain, torch.randn(7, 1))
    assert slopes.tolist() == [16, 8, 4, 2, 1]
    assert growth_per_layer(slopes).item() == pytest.approx(math.log10(2), abs=1e-6)
    assert not chain[0]._forward_hooks


def test_layer_slopes_with_seeds():
    torch.manual_seed(0)
    nets = he_init(make_critic([2, *[64] * 11, 1], seeds=3))
    small = he_init(make_critic([2, *[64] * 11, 1], seeds=3))
    with torch.no_grad():
        for p in small.parameters():
            p.mul_(0.1)
    x = torch.randn(3, 50, 2)
    slopes = layer_slopes(nets, x)
    assert slopes.shape == (12, 3)
    assert growth_per_layer(slopes).abs().max() < 0.1
    assert torch.allclose(growth_per_layer(layer_slopes(small, x)), torch.tensor(-1.0), atol=0.1)
    silent = growth_per_layer(torch.zeros(5, 3))
    assert silent.isfinite().all()


def test_slopes_refuse_nets_without_layers():
    with pytest.raises(ValueError, match=r"no nn\.Linear"):
        layer_slopes(nn.Flatten(0), torch.randn(3))
    with pytest.raises(ValueError, match="at least 3 layers"):
        growth_per_layer(torch.ones(2))
