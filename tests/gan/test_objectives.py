"""Objectives against closed forms: cross-entropy, best critics, divergences, saturation, smoothing."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from course_lib.gan import (
    Objective,
    critic_only,
    ebgan,
    hinge,
    least_squares,
    minimax,
    nonsaturating,
    rkl,
    smooth_real,
    wasserstein,
)
from tests.gan.toys import F64, seeded

ALL = [minimax, nonsaturating, wasserstein, hinge, rkl, least_squares(), ebgan(), smooth_real(nonsaturating)]


def logits(*shape, seed=0, scale=3.0):
    return scale * torch.randn(*shape, dtype=F64, generator=seeded(seed))


def slope(pay, at):
    s = torch.tensor(at, requires_grad=True)
    (grad,) = torch.autograd.grad(pay(s), s)
    return grad.item()


def check_minimax_critic(objective):
    """The critic's loss is the cross-entropy of labels 1 and 0, at moderate logits and at extreme ones."""
    real, fake = logits(50), logits(50, seed=1)
    want = binary_cross_entropy_with_logits(real, torch.ones_like(real))
    want = want + binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    assert torch.allclose(objective.d(real, fake), want, atol=1e-12)
    assert abs(objective.fake(torch.tensor(-50.0)).item()) < 1e-20
    assert abs(objective.fake(torch.tensor(50.0)).item() - 50) < 1e-5
    assert abs(objective.real(torch.tensor(-50.0)).item() - 50) < 1e-5


def check_unsaturated(objective):
    """The generator still feels a critic that is sure."""
    assert slope(objective.fool, -20.0) < -0.99
    assert slope(objective.fool, -50.0) < -0.99


@pytest.mark.parametrize("objective", [minimax, nonsaturating])
def test_the_critic_of_the_first_gan_is_a_classifier(objective):
    check_minimax_critic(objective)


def test_wrong_classifiers_are_seen():
    shifted = replace(minimax, fake=lambda s: -logsigmoid(1 - s))  # a slip of a popular library
    through_sigmoid = replace(minimax, fake=lambda s: -torch.log(1 - torch.sigmoid(s) + 1e-8))
    for wrong in (shifted, through_sigmoid):
        with pytest.raises(AssertionError):
            check_minimax_critic(wrong)


def test_minimax_is_zero_sum_and_saturates_where_nonsaturating_does_not():
    fake = logits(20)
    assert torch.allclose(minimax.g(fake) + minimax.fake(fake).mean(), torch.zeros((), dtype=F64), atol=1e-14)
    assert abs(slope(minimax.fool, -20.0)) < 1e-8
    assert slope(minimax.fool, 20.0) < -0.99  # where the fakes already win
    check_unsaturated(nonsaturating)
    for wrong in (
        minimax,  # called "gan" in one library, although
        replace(nonsaturating, fool=lambda s: -torch.log(torch.sigmoid(s) + 1e-8)),  # this was meant
    ):
        with pytest.raises(AssertionError):
            check_unsaturated(wrong)


@pytest.mark.parametrize("objective", ALL, ids=lambda o: o.name)
def test_everything_is_finite_at_logits_of_fifty(objective):
    ends = torch.tensor([-50.0, 50.0], requires_grad=True)
    for loss in (objective.d(ends, ends), objective.g(ends)):
        (grad,) = torch.autograd.grad(loss, ends)
        assert loss.isfinite() and grad.isfinite().all()


@pytest.mark.parametrize("objective", [*ALL, critic_only(hinge)], ids=lambda o: o.name)
def test_only_the_last_axis_is_reduced(objective):
    real, fake = logits(3, 5), logits(3, 5, seed=1)
    d, g = objective.d(real, fake), objective.g(fake)
    assert d.shape == g.shape == (3,)
    assert torch.allclose(d, torch.stack([objective.d(r, f) for r, f in zip(real, fake, strict=True)]))
    assert torch.allclose(g, torch.stack([objective.g(f) for f in fake]))


@pytest.mark.parametrize(
    "objective",
    [
        minimax,
        hinge,
        rkl,
        least_squares(),
        least_squares(-1.0, 2.0, 0.0),
        ebgan(1.5),
        smooth_real(minimax, 0.9),
        smooth_real(least_squares(), 0.8),
    ],
    ids=lambda o: o.name,
)
def test_the_stated_optimum_is_the_best_logit(objective):
    """At each point the critic pays p real(s) + q fake(s); its minimiser is found by looking at every s."""
    p, q = torch.rand(2, 40, dtype=F64, generator=seeded()) + 0.05
    s = torch.linspace(-6, 0 if objective.name.startswith("energy") else 6, 6001, dtype=F64)
    cost = p[:, None] * objective.real(s) + q[:, None] * objective.fake(s)
    assert (s[cost.argmin(1)] - objective.optimum(p, q)).abs().max() < 2e-3


def normals():
    """Two normal densities p = N(0, 1) and q = N(.7, .64) on a fine grid."""
    x = torch.linspace(-12, 12, 24001, dtype=F64)
    p = torch.distributions.Normal(0.0, 1.0).log_prob(x).exp()
    q = torch.distributions.Normal(0.7, 0.8).log_prob(x).exp()
    return p, q, (x[1] - x[0]).item()


def kl(a, b, dx):
    return (torch.xlogy(a, a) - torch.xlogy(a, b)).sum().item() * dx


def test_the_best_critic_measures_a_divergence():
    p, q, dx = normals()

    def value(objective):
        s = objective.optimum(p, q)
        return ((p * objective.real(s) + q * objective.fake(s)).sum() * dx).item()

    mid = (p + q) / 2
    js = (kl(p, mid, dx) + kl(q, mid, dx)) / 2
    assert value(minimax) == pytest.approx(2 * math.log(2) - 2 * js, abs=1e-7)
    assert value(rkl) == pytest.approx(1 - kl(q, p, dx), abs=1e-7)  # KL(fake || data): reverse
    assert value(rkl) != pytest.approx(1 - kl(p, q, dx), abs=1e-2)

    pearson = least_squares(-1.0, 1.0, 0.0)  # b - c = 1, b - a = 2
    d = pearson.optimum(p, q)
    both = ((p + q) * pearson.fool(d)).sum().item() * dx
    chi_square = ((p + q - 2 * q).square() / (p + q)).sum().item() * dx  # Pearson's, between p + q and 2 q
    assert 2 * both == pytest.approx(chi_square, abs=1e-7)


def test_reverse_kl_moves_the_generator_along_the_gradient_of_kl():
    """At the best critic dE[fool] = dKL(q || p), q = N(m, s^2) and p = N(.5, 1): by quadrature."""
    u = (torch.arange(200_000, dtype=F64) + 0.5) / 200_000
    z = torch.special.ndtri(u)
    m, s = torch.tensor(0.2, dtype=F64, requires_grad=True), torch.tensor(0.7, dtype=F64, requires_grad=True)
    x = m + s * z
    log_q = -((x - m.detach()) ** 2) / (2 * s.detach() ** 2) - s.detach().log()
    best = -((x - 0.5) ** 2) / 2 - log_q  # the critic does not know m and s: they are detached in it
    dm, ds = torch.autograd.grad(rkl.g(best), (m, s))
    assert dm.item() == pytest.approx(0.2 - 0.5, abs=1e-4)
    assert ds.item() == pytest.approx(0.7 - 1 / 0.7, abs=1e-3)


def test_least_squares_aims_at_its_targets():
    objective = least_squares(a=-1.0, b=2.0, c=0.5)
    s = torch.tensor([0.0, 1.0], dtype=F64)
    assert objective.real(s).tolist() == [2.0, 0.5]
    assert objective.fake(s).tolist() == [0.5, 2.0]
    assert objective.fool(s).tolist() == [0.125, 0.125]


def test_energy_based_critic_pushes_fakes_up_to_the_margin_only():
    objective = ebgan(2.0)
    assert objective.real(torch.tensor(-0.3)).item() == pytest.approx(0.3)  # energy .3 of a real sample
    assert objective.fake(torch.tensor(-0.5)).item() == pytest.approx(1.5)
    assert objective.fake(torch.tensor(-3.0)).item() == 0 and slope(objective.fake, -3.0) == 0
    assert objective.fool(torch.tensor(-0.5)).item() == pytest.approx(0.5)


def check_smoothing(smooth):
    """D* = alpha p / (p + q): bounded on the data, a real pull on stray fakes (p = N(-1, 1), q = N(1, 1))."""
    x = torch.tensor([-4.0, 0.0, 4.0, 4.01], dtype=F64)
    p, q = torch.exp(-((x + 1) ** 2) / 2), torch.exp(-((x - 1) ** 2) / 2)
    s = smooth.optimum(p, q)
    grid = torch.linspace(-12, 4, 16001, dtype=F64)
    found = grid[(p[:, None] * smooth.real(grid) + q[:, None] * smooth.fake(grid)).argmin(1)]
    assert (found - s).abs().max() < 1e-2
    assert s[1].item() == pytest.approx(math.log(0.9 / 1.1), abs=1e-6)
    assert s[0].item() == pytest.approx(2.197, abs=5e-3)
    assert ((s[3] - s[2]) / 0.01).item() == pytest.approx(-2.0, abs=5e-3)


def test_one_sided_smoothing():
    check_smoothing(smooth_real(minimax, 0.9))
    assert smooth_real(minimax, 1.0).d(logits(9), logits(9)) == minimax.d(logits(9), logits(9))
    two_sided = replace(
        smooth_real(minimax, 0.9),
        fake=lambda s: 0.9 * minimax.fake(s) + 0.1 * minimax.real(s),
        optimum=lambda p, q: torch.logit((0.9 * p + 0.1 * q) / (p + q)),
    )
    with pytest.raises(AssertionError):
        check_smoothing(two_sided)


def test_critic_only_leaves_the_generator_without_a_push():
    silent = critic_only(nonsaturating)
    fake = logits(5).requires_grad_()
    (grad,) = torch.autograd.grad(silent.g(fake), fake)
    assert not grad.any() and silent.g(fake) == 0
    assert torch.equal(silent.d(fake, fake), nonsaturating.d(fake, fake))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ebgan(0.0), "positive margin"),
        (lambda: smooth_real(minimax, 0.4), "alpha"),
        (lambda: smooth_real(minimax, 1.1), "alpha"),
    ],
)
def test_bad_settings_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_objectives_say_their_names():
    assert isinstance(minimax, Objective) and len({o.name for o in ALL}) == len(ALL)
