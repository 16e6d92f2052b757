"""Tasks 1 and 2: the losses of the original game at every logit, and the critics that nobody can beat."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from course_lib.checks.candidates import blame
from course_lib.checks.oracle import close, need, oracle, parts, seeded, tensor

# -- the losses --------------------------------------------------------------------------------------------

LOSSES = ("critic", "saturating", "nonsaturating")


@oracle
def gan_losses(answer, seed: int) -> None:
    """`gan_losses(real_logits [B], fake_logits [B']) -> (critic, saturating, nonsaturating)`."""
    random = seeded(seed)
    real = 0.5 + 2 * torch.randn(6, generator=random, dtype=torch.float64)
    fake = -0.5 + 2 * torch.randn(9, generator=random, dtype=torch.float64)
    found = parts(answer(real, fake), LOSSES, "gan_losses")
    found = [tensor(value, real.new_zeros(()), name) for value, name in zip(found, LOSSES, strict=True)]
    _check_critic_loss(found[0], real, fake)
    _check_generator_losses(found[1], found[2], real, fake)
    for size in (50.0, 300.0):
        extreme = torch.tensor([size, -size, size / 2, -size / 2])
        noise = torch.randn(4, generator=random)
        _check_far_out(answer, extreme + noise, (extreme - noise).flip(0)[:3], size)


def _truth(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    critic = softplus(-real).mean() + softplus(fake).mean()
    return critic, -softplus(fake).mean(), softplus(-fake).mean()


def _check_critic_loss(got: Tensor, real: Tensor, fake: Tensor) -> None:
    truth = _truth(real, fake)[0]
    on_real, on_fake = softplus(-real), softplus(fake)
    twice = softplus(-real.sigmoid()).mean() + softplus(fake.sigmoid()).mean()
    mistakes = (
        (softplus(real).mean() + softplus(-fake).mean(), "real and fake are exchanged: a high logit is real"),
        (-truth, "the critic's loss has the wrong sign: it is minus V, since both players descend"),
        (on_real.sum() + on_fake.sum(), "take means over the batch, not sums: a larger batch is no worse"),
        (truth / 2, "add the two means: their average is half the critic's loss"),
        (torch.cat([on_real, on_fake]).mean(), "one mean over both batches: each side has a mean of its own"),
        (on_real.mean() + softplus(-fake).mean(), "the critic takes the fakes for real: they pay log(1 - D)"),
        (
            on_real.mean() + softplus(fake - 1).mean(),
            "log(1 - D) is logsigmoid(-f): D is a sigmoid of the logit, and 1 - f stands for nothing",
        ),
        (on_real.mean(), "the fakes are missing in the critic's loss"),
        (on_fake.mean(), "the data are missing in the critic's loss"),
        (twice, "two sigmoids: the arguments are logits already"),
    )
    blame(got, truth, [(value, f"critic: {why}") for value, why in mistakes])
    need(
        close(got, truth, 1e-6),
        f"critic is {float(got):.4f}, expected {float(truth):.4f}: minus the mean of log D over the data, "
        "minus the mean of log(1 - D) over the fakes",
    )


def _check_generator_losses(saturating: Tensor, nonsaturating: Tensor, real: Tensor, fake: Tensor) -> None:
    critic, low, high = _truth(real, fake)
    mistakes = (
        (high, "that is the non-saturating loss (some libraries call it minimax): lower log(1 - D)"),
        (-low, "wrong sign: the generator lowers log(1 - D), the critic raises it"),
        (low * len(fake), "take the mean over the batch, not the sum"),
        (-critic, "leave out the data: nothing that the generator does changes them"),
        (fake.mean(), "that is the loss of a Wasserstein critic's opponent, with a wrong sign"),
    )
    blame(saturating, low, [(value, f"saturating: {why}") for value, why in mistakes])
    need(close(saturating, low, 1e-6), "saturating is not the mean of log(1 - D) over the fakes")
    mistakes = (
        (low, "that is the saturating loss: raise log D instead"),
        (-low, "raise log D: the critic's own loss on the fakes is minus log(1 - D)"),
        (-high, "wrong sign: the generator raises log D, so it descends minus log D"),
        (high * len(fake), "take the mean over the batch, not the sum"),
    )
    blame(nonsaturating, high, [(value, f"nonsaturating: {why}") for value, why in mistakes])
    need(close(nonsaturating, high, 1e-6), "nonsaturating is not minus the mean of log D over the fakes")


def _check_far_out(answer, real: Tensor, fake: Tensor, size: float) -> None:
    """Values and slopes in float32, where sigmoids have run into 0 and 1."""
    inputs = (real.requires_grad_(), fake.requires_grad_())
    exact = tuple(x.detach().double().requires_grad_() for x in inputs)
    why = (
        f"at logits of about ±{size:.0f}, where a sigmoid has run into 0 or 1; "
        "log D(f) is logsigmoid(f), or -softplus(-f), without taking a sigmoid first"
    )
    found = parts(answer(*inputs), LOSSES, "gan_losses")
    named = list(zip(LOSSES, found, _truth(*exact), strict=True))
    for name, loss, truth in named:
        value, right = tensor(loss, real.new_zeros(()), name, finite=False), truth.detach()
        need(bool(value.isfinite()), f"{name} is {float(value)} {why}")
        need(
            close(value.double(), right, 1e-4),
            f"{name} is {float(value):.2f}, expected {float(right):.2f} {why}",
        )
        need(loss.requires_grad, f"{name} carries no gradient: return tensors, nobody learns from a number")
    for name, loss, truth in named:
        slopes = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
        wanted = torch.autograd.grad(truth, exact, retain_graph=True, allow_unused=True)
        for x, slope, want in zip(inputs, slopes, wanted, strict=True):
            slope, want = _whole(slope, x), _whole(want, x)
            need(bool(slope.isfinite().all()), f"a slope is {float(slope.sum())} {why}")
            need(close(slope, want, 1e-5), f"the slope of {name} is wrong {why}")


def _whole(slope: Tensor | None, x: Tensor) -> Tensor:
    """A slope with respect to x in float64; what was never used has none, which is 0."""
    return torch.zeros_like(x, dtype=torch.float64) if slope is None else slope.double()


# -- the best critics --------------------------------------------------------------------------------------

CRITICS = ("gan", "least_squares", "smoothed")


@oracle
def best_critic(answer, seed: int) -> None:
    """`best_critic(p [N], q [N], a, b, alpha) -> (gan [N], least_squares [N], smoothed [N])`."""
    random = seeded(seed)
    p, q = (0.1 + torch.rand(8, generator=random, dtype=torch.float64) for _ in range(2))
    p[0] = q[1] = 0.0  # only one of the two is there
    q[2] = p[2]
    b = 1 + float(torch.rand((), generator=random))
    a, alpha = -b / 2, 0.8 + 0.15 * float(torch.rand((), generator=random))
    found = parts(answer(p, q, a, b, alpha), CRITICS, "best_critic")
    gan, squares, smoothed = (
        tensor(value, p, name, finite=False) for value, name in zip(found, CRITICS, strict=True)
    )
    _check_gan(gan, p, q)
    _check_squares(squares, p, q, a, b)
    _check_smoothed(smoothed, p, q, alpha)


def _judge(name: str, got: Tensor, truth: Tensor, mistakes, cost, p: Tensor, q: Tensor) -> None:
    """Blame a known mistake, else show a point where the answer costs the critic more than the best."""
    need(bool(got[2:].isfinite().all()), f"{name} is not finite (nan or inf) where p and q are positive")
    blame(got[2:], truth[2:], [(value[2:], f"{name}: {why}") for value, why in mistakes])
    worst = int((got - truth).nan_to_num(torch.inf).abs().argmax())
    pays = (
        f"its critic pays {float(cost(got)[worst]):.4f} there and could pay {float(cost(truth)[worst]):.4f}"
    )
    need(
        close(got, truth),
        f"{name} is {float(got[worst]):.4f}, expected {float(truth[worst]):.4f}, "
        f"where p = {float(p[worst]):.3f} and q = {float(q[worst]):.3f}: {pays}",
    )


def _check_gan(got: Tensor, p: Tensor, q: Tensor) -> None:
    truth = p / (p + q)
    mistakes = (
        (q / (p + q), "p and q are exchanged: D is the probability that a sample is real"),
        (p / q, "that is the ratio of the densities; D is a probability, and 1/2 where they agree"),
        ((p / q).log(), "that is the best logit, log p/q; D is its sigmoid"),
        (torch.full_like(p, 0.5), "1/2 is right only where p = q, which is what the generator works for"),
        ((p > q).double(), "the best critic does not decide, it gives the probability"),
    )
    _judge("gan", got, truth, mistakes, lambda d: -torch.xlogy(p, d) - torch.xlogy(q, 1 - d), p, q)


def _check_squares(got: Tensor, p: Tensor, q: Tensor, a: float, b: float) -> None:
    truth = (b * p + a * q) / (p + q)
    mistakes = (
        ((a * p + b * q) / (p + q), "a and b are exchanged: the data aim at b, the fakes at a"),
        ((b * p) / (p + q), "the target a of the fakes is left out: that is right for a = 0 only"),
        (p / (p + q), "that is right for the targets a = 0 and b = 1 only"),
        ((b * p - a * q) / (p + q), "the sign of a: the critic lies between a, where p = 0, and b"),
        (b * p + a * q, "divide by p + q"),
        (torch.full_like(p, (a + b) / 2), "(a + b) / 2 is right only where p = q"),
        (truth.sigmoid(), "no sigmoid: a least-squares critic has no probabilities"),
    )

    def cost(d: Tensor) -> Tensor:
        return (p * (d - b) ** 2 + q * (d - a) ** 2) / 2

    _judge("least_squares", got, truth, mistakes, cost, p, q)


def _check_smoothed(got: Tensor, p: Tensor, q: Tensor, alpha: float) -> None:
    truth = alpha * p / (p + q)
    mistakes = (
        (p / (p + q), "alpha is not used"),
        (
            (alpha * p + (1 - alpha) * q) / (p + q),
            "fakes are smoothed too, so q is in the numerator, and stray fakes would feel no pull",
        ),
        (
            alpha * p / (alpha * p + q),
            "the data pay with their whole density p, a part alpha for log D and the rest for log(1 - D), so "
            "the denominator stays p + q",
        ),
        (alpha * p / (alpha * p + (1 - alpha) * q), "alpha is a label, not the share of data in the batch"),
        (p / (p + alpha * q), "smooth the data's label, not the fakes'"),
        ((1 - alpha) * p / (p + q), "the label of the data is alpha, not 1 - alpha"),
    )

    def cost(d: Tensor) -> Tensor:
        return -torch.xlogy(alpha * p, d) - torch.xlogy((1 - alpha) * p + q, 1 - d)

    _judge("smoothed", got, truth, mistakes, cost, p, q)
