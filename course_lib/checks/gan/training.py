"""Tasks 5 and 6: the term that keeps codes apart, and the critic's step on loss and penalty together."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.checks.candidates import blame
from course_lib.checks.oracle import StudentError, Wrong, close, need, oracle, seeded, tensor

# -- the pull-away term ------------------------------------------------------------------------------------


@oracle
def pull_away(answer, seed: int) -> None:
    """`pull_away(codes [B, K]) -> mean squared cosine of all pairs of different samples`."""
    random = seeded(seed)
    codes = torch.randn(7, 4, generator=random, dtype=torch.float64) + 0.5
    codes = codes * (0.5 + 2 * torch.rand(7, 1, generator=random, dtype=torch.float64))
    _check_codes(_value(answer, codes), codes)
    lengths = torch.linspace(0.5, 3, 4, dtype=torch.float64)[:, None]
    turned = torch.linalg.qr(torch.randn(6, 4, generator=random, dtype=torch.float64)).Q.T * lengths
    value = float(_value(answer, turned))
    need(abs(value) < 1e-9, f"orthogonal codes have nothing in common and cost 0, not {value:.4f}")
    opposed = torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64) * codes[:1]
    value = float(_value(answer, opposed))
    need(abs(value - 1) < 1e-9, f"parallel codes, opposed ones included, cost 1, not {value:.4f}")
    learner = codes.clone().requires_grad_()
    out = answer(learner)
    need(tensor(out, codes.new_zeros(()), "pull_away") is not None and out.requires_grad, _NO_GRADIENT)
    (slope,) = torch.autograd.grad(out, learner)
    (wanted,) = torch.autograd.grad(_mean_squared_cosine(learner), learner)
    need(close(slope, wanted, 1e-6), "the gradient with respect to the codes is wrong: is a part detached?")


_NO_GRADIENT = "pull_away carries no gradient: the generator learns from it, so return a tensor, not a number"


def _value(answer, codes: Tensor) -> Tensor:
    return tensor(answer(codes), codes.new_zeros(()), "pull_away")


def _cosines(codes: Tensor, dim: int = 1) -> Tensor:
    unit = codes / codes.norm(dim=dim, keepdim=True)
    return unit @ unit.T


def _mean_squared_cosine(codes: Tensor) -> Tensor:
    pairs = ~torch.eye(len(codes), dtype=torch.bool)
    return _cosines(codes)[pairs].square().mean()


def _check_codes(got: Tensor, codes: Tensor) -> None:
    n = len(codes)
    pairs = ~torch.eye(n, dtype=torch.bool)
    cosines, across = _cosines(codes), _cosines(codes, 0)
    off = cosines[pairs]
    truth = off.square().mean()
    unsquared = "the cosines are not squared: opposed codes would be welcome, and cancel parallel ones"
    batch = (
        "the codes are normalised across the batch: divide each row by its own length (dim=1, not dim=0), so "
        "that its numbers squared add up to 1"
    )
    diagonal = (
        "each sample is compared with itself: leave out the diagonal, which is 1 whatever the codes are"
    )
    mistakes = (
        (off.mean(), unsquared),
        (cosines.mean(), f"{unsquared}; and the diagonal is kept"),
        (cosines.sum() / (n * (n - 1)), f"{unsquared}; and the diagonal is kept"),
        ((cosines.sum() - n) / n**2, unsquared),
        (off.abs().mean(), "absolute values of the cosines: the term has their squares"),
        (
            off.mean().square(),
            "square each cosine, then average: the mean of all cosines squared is another thing",
        ),
        (across.square()[pairs].mean(), batch),
        (across.square().mean(), batch),
        (across.square().sum() / (n * (n - 1)), batch),
        (across[pairs].mean(), f"{batch}; and the cosines are not squared"),
        (cosines.square().mean(), diagonal),
        (cosines.square().sum() / (n * (n - 1)), diagonal),
        (off.square().sum(), "divide by the number of pairs, B (B - 1)"),
        (off.square().sum() / n**2, "there are B (B - 1) ordered pairs of different samples, not B^2"),
        (off.square().sum() / n, "divide by the number of pairs, B (B - 1), not by B"),
        (truth / 2, "each pair counts once: B (B - 1) ordered pairs, or half as many unordered ones"),
        (2 * truth, "each pair counts once: B (B - 1) ordered pairs, or half as many unordered ones"),
        (
            (codes @ codes.T)[pairs].square().mean(),
            "divide by the lengths of the codes, or longer codes cost more",
        ),
        (1 - truth, "turned over: alike codes must cost more"),
        (-truth, "wrong sign: alike codes must cost more"),
    )
    blame(got, truth, mistakes)
    need(
        close(got, truth, 1e-6),
        f"pull_away is {float(got):.4f}, expected {float(truth):.4f}: the mean of cos^2 over all pairs of "
        "different samples",
    )


# -- the critic's step -------------------------------------------------------------------------------------


def _bend(x: Tensor, weights: Tensor) -> Tensor:
    """A critic with a bend: `[B]` logits, sum of tanh(w_j x_j)."""
    return torch.tanh(x * weights).sum(1)


def _cost(weights: Tensor) -> Tensor:
    """Some penalty: (|w| - 1)^2."""
    return (weights.norm() - 1).square()


def _slope(loss, weights: Tensor) -> Tensor:
    weights = weights.detach().requires_grad_()
    return torch.autograd.grad(loss(weights), weights)[0]


@oracle
def critic_step(answer, seed: int) -> None:
    """`critic_step(weights, critic, penalty, real, fake, lam, lr) -> weights after one step of descent`."""
    random = seeded(seed)
    weights = 1 + torch.rand(3, generator=random, dtype=torch.float64)
    real = torch.randn(8, 3, generator=random, dtype=torch.float64) + 1
    fake = torch.randn(5, 3, generator=random, dtype=torch.float64) - 0.5
    lam, lr = 2.0 + float(torch.rand((), generator=random)), 0.1

    def critic(x, w):
        need(isinstance(x, Tensor) and x.dim() == 2, "critic takes the samples first, then the weights")
        return _bend(x, _like(w, weights))

    def penalty(w):
        return _cost(_like(w, weights))

    try:
        out = answer(weights, critic, penalty, real, fake, lam, lr)
    except StudentError as error:
        need(error.kind != Wrong.__name__, error.text)  # said by a call-back, and it came back
        raise
    _check_step(tensor(out, weights, "weights"), weights, real, fake, lam, lr)


def _like(value, weights: Tensor) -> Tensor:
    """`value` with its graph, once it is known to look like the weights."""
    tensor(value, weights, "the weights that critic and penalty are given")
    return value


def _check_step(got: Tensor, w: Tensor, real: Tensor, fake: Tensor, lam: float, lr: float) -> None:
    def loss(v):
        return _bend(fake, v).mean() - _bend(real, v).mean()

    a, b = _slope(loss, w), _slope(_cost, w)
    need(not close(got, w), "the weights have not moved")
    after, before = w - lr * a, w - lr * lam * b
    apart = "take one step on the sum of loss and penalty, not one after the other"

    def total(v):
        return _bend(fake, v).sum() - _bend(real, v).sum() + lam * _cost(v)

    mistakes = (
        (w - lr * lam * b, "only the penalty is descended: the loss itself teaches the critic nothing"),
        (w - lr * b, "only the penalty is descended: the loss itself teaches the critic nothing"),
        (
            w - lr * a,
            "the penalty does not teach the critic: add it to the loss before the gradient is taken",
        ),
        (w - lr * (a + b), "lam is not used"),
        (w - lr * (-a + lam * b), "real and fake are exchanged: the critic raises the logits of the data"),
        (w + lr * (a + lam * b), "uphill: a step of descent goes against the gradient"),
        (w - lr * (a - lam * b), "the penalty has the wrong sign: it is added to the loss"),
        (after - lr * lam * _slope(_cost, after), apart),
        (before - lr * _slope(loss, before), apart),
        (w - (a + lam * b), "lr is not used"),
        (w - lr * _slope(total, w), "take the means of the logits, not their sums"),
        (a + lam * b, "that is the gradient: return the weights after the step"),
        (-lr * (a + lam * b), "that is the change: return the weights after the step"),
    )
    truth = w - lr * (a + lam * b)
    blame(got, truth, mistakes)
    need(
        close(got, truth, 1e-6),
        "the weights are not weights - lr * gradient of [mean D(fake) - mean D(real) + lam * penalty]",
    )
