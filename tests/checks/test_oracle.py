"""The author's tools: three outcomes, strict values, and exact-start tests that see planted bugs."""

import math
import re

import pytest
import torch

from course_lib import energies
from course_lib.checks import (
    NotAttempted,
    StudentError,
    Tampered,
    Wrong,
    need,
    number,
    oracle,
    parts,
    seeded,
    tensor,
)
from course_lib.checks.invariance import kolmogorov_smirnov, normality
from course_lib.sampling import mcmc


@oracle
def doubles(answer, seed):
    x = torch.randn(3, generator=seeded(seed))
    need(torch.equal(tensor(answer(x), x, "y"), 2 * x), "y is not twice x")


def test_a_right_answer_passes_and_says_so(capsys):
    doubles(lambda x: 2 * x)
    doubles(lambda x: 2 * x, seed=5)
    assert capsys.readouterr().out == "doubles: passed\n" * 2


def test_the_three_ways_to_fail():
    def later(x):
        raise NotImplementedError

    def breaks(x):
        return x / "0"

    with pytest.raises(Wrong, match="y is not twice x"):
        doubles(lambda x: 3 * x)
    with pytest.raises(NotAttempted, match="not attempted"):
        doubles(later)
    with pytest.raises(StudentError, match="TypeError") as caught:
        doubles(breaks)
    assert (
        caught.value.__cause__.__traceback__.tb_frame.f_code.co_name == "breaks"
    )  # the student's frame first
    with pytest.raises(NotAttempted):  # a stub that is called from within another function
        doubles(lambda x: later(x))


def test_an_oracle_cannot_swallow_interference():
    @oracle
    def careless(answer, seed):
        try:
            raise Tampered("forged")
        except Exception:
            return

    with pytest.raises(Tampered):
        careless(lambda: None)


@pytest.mark.parametrize("value", [torch.tensor(True), 1, "yes", None, [True]])
def test_only_true_is_true(value):
    with pytest.raises(Wrong):
        need(value, "no")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "return"),
        (torch.zeros(3), "shape"),
        (torch.zeros(2, 1), "shape"),
        (torch.zeros(2).double(), "dtype"),
        (torch.tensor([1.0, math.inf]), "not finite"),
        ([0.0, 0.0], "must be a tensor"),
        (torch.nn.Parameter(torch.zeros(2)), "must be a tensor"),
    ],
)
def test_tensor_is_strict(value, reason):
    with pytest.raises(Wrong, match=reason):
        tensor(value, torch.zeros(2), "x")


@pytest.mark.parametrize(
    "value", [None, True, "1", math.nan, math.inf, torch.zeros(1), torch.tensor(1j), [1.0]]
)
def test_number_is_strict(value):
    with pytest.raises(Wrong):
        number(value, "ess")


def test_number_and_parts_take_what_they_should():
    assert number(3, "n") == 3.0
    assert number(torch.tensor(2.5), "n") == 2.5
    assert parts((1, 2), ("a", "b"), "f") == (1, 2)
    with pytest.raises(Wrong, match="3 values came back"):
        parts((1, 2, 3), ("a", "b"), "f")
    with pytest.raises(Wrong, match="not a list"):
        parts([1, 2], ("a", "b"), "f")


@pytest.mark.parametrize("seed", range(20))
def test_normal_draws_look_normal(seed):
    assert normality(torch.randn(20_000, 2, generator=seeded(seed))) == ""


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda z: z + 0.06, "mean"),
        (lambda z: 1.06 * z, "variance"),
        (lambda z: 3**0.5 * z.sign() * (z.abs() > 0.9674), "the law of"),  # the first five moments are right
        (lambda z: torch.cat([z[:, :1], z[:, 1:] + 0.06 * z[:, :1]], 1), "correlation"),
        (lambda z: 3**0.5 * (2 * torch.special.ndtr(z) - 1), "fourth moment"),
        (lambda z: torch.cat([z[:1] * math.nan, z[1:]]), "not finite"),
    ],
)
def test_other_draws_do_not(change, found):
    assert re.search(found, normality(change(torch.randn(20_000, 2, generator=seeded(1)))))


def test_kolmogorov_smirnov_against_scipy():
    from scipy import stats

    x = torch.randn(500, generator=seeded(2), dtype=torch.float64) * 1.3
    assert kolmogorov_smirnov(x) == pytest.approx(stats.kstest(x.numpy(), "norm").statistic, abs=1e-12)


def hmc(energy, state, random, bug=""):
    """A step of HMC with a bug planted."""
    scale = 0.7 if bug == "momentum variance" else 1.0
    p = scale * torch.randn(state.x.shape, generator=random)
    if bug == "full first kick":
        p = p - 0.55 / 2 * state.grad
    x, q, u, grad = mcmc.leapfrog(state.x, p, state.grad, energy.value_and_grad, 0.55, 5)
    kinetic = (q.square() - p.square()).sum(-1) / 2
    delta_h = u - state.u + (0 if bug == "no kinetic term" else kinetic)
    if bug == "always accept":
        delta_h = torch.zeros_like(delta_h)
    if bug == "sign flipped":
        delta_h = -delta_h
    new, _ = mcmc.accept_or_keep(
        state, mcmc.State(x, u, grad), delta_h, torch.rand(u.shape, generator=random)
    )
    if bug == "rejected gradient":
        return new._replace(grad=grad)
    return new._replace(u=u) if bug == "rejected energy" else new


BUGS = ("always accept", "no kinetic term", "sign flipped", "full first kick", "momentum variance")
BUGS += ("rejected gradient", "rejected energy")


@pytest.mark.parametrize("bug", ["", *BUGS])
def test_exact_starts_on_the_banana_see_every_planted_bug(bug):
    energy, random = energies.Banana(0.8), seeded(3)
    x = energy.sample(20_000, generator=random)
    state = mcmc.State(x, *energy.value_and_grad(x))
    for _ in range(20):
        state = hmc(energy, state, random, bug)
    x1, x2 = state.x.T
    problem = normality(torch.stack([x1, x2 - 0.8 * (x1.square() - 1)], 1))
    assert (problem == "") == (bug == ""), problem
