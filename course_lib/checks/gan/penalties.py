"""Tasks 3 and 4: penalties on the critic's slope: where they ask, what they find, who learns from it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.checks.candidates import blame
from course_lib.checks.gan.lesson import check_lesson
from course_lib.checks.invariance import P_VALUE, kolmogorov_smirnov, normality
from course_lib.checks.oracle import (
    StudentError,
    Wrong,
    close,
    need,
    oracle,
    seeded,
    tensor,
)

DIFFERENT = "two calls ask at the same points: draw from the generator, and never seed it"
SAME = "the same seed asks at other points: pass generator=generator to every random call"


class Watched:
    """A critic `D(x) = w . x + (v . x)^2 / 2`, as a call-back that remembers where it was asked."""

    def __init__(self, like: Tensor, random: torch.Generator):
        size = like[0].numel()
        self.like = like
        self.w, self.v = (torch.randn(2, size, generator=random, dtype=like.dtype) / math.sqrt(size)).unbind()
        self.asked: list[Tensor] = []

    def logits(self, x) -> Tensor:
        self.asked.append(tensor(x, self.like, "what the critic is given"))
        flat = x.flatten(1)
        return flat @ self.w + (flat @ self.v).square() / 2

    def slopes(self, x: Tensor) -> Tensor:
        """The gradient of each sample's logit with respect to that sample, `[B, features]`."""
        return (self.w + (x.flatten(1) @ self.v)[:, None] * self.v).view_as(x)

    def ask(self, call: Callable) -> tuple[Tensor, Tensor]:
        """(where the answer asked, its value) for one run of `call(self.logits)`."""
        self.asked.clear()
        try:
            value = call(self.logits)
        except StudentError as error:
            need(error.kind != Wrong.__name__, error.text)  # said by `logits`, and it came back
            need(
                error.kind != "RuntimeError" or "must match the size" not in error.text,
                "one number per sample, [B], cannot multiply samples [B, ...] as it is: give it a "
                "dimension of size 1 for each axis of a sample",
            )
            raise
        calls = len(self.asked)
        need(calls > 0, "the critic is never called")
        need(calls == 1, f"the critic is called {calls} times: once, on the whole batch, is enough")
        return self.asked[0], tensor(value, self.like.new_zeros(()), "the penalty")


def check_value(value: Tensor, slopes: Tensor, logits: Tensor, k: float) -> None:
    """`value` must be the mean of (|slope| - k)^2, with one norm per sample."""
    flat = slopes.flatten(1)
    norms = flat.norm(dim=1)
    truth = (norms - k).square().mean()
    d = logits.sigmoid()
    mistakes = (
        (
            (flat.norm() - k).square(),
            "one norm over the whole batch: each sample has a slope, and a norm, of its own",
        ),
        (
            (slopes.norm(dim=1) - k).square().mean(),
            "the norm is taken over dimension 1 only: of a picture [B, channels, height, width] flatten all "
            "features first",
        ),
        ((slopes.norm(dim=-1) - k).square().mean(), "the norm is taken over the last dimension only"),
        ((flat.abs() - k).square().mean(), "no norm: each coordinate of the slope is held against k"),
        ((flat - k).square().mean(), "no norm: each coordinate of the slope is held against k"),
        ((norms.mean() - k).square(), "first the square of each sample, then the mean over the batch"),
        ((norms - k).mean(), "not squared: slopes above and below k cancel"),
        ((norms - k).abs().mean(), "the distance from k is not squared"),
        ((norms - k).square().sum(), "take the mean over the batch, not the sum"),
        (
            (norms.square() - k).square().mean(),
            "that is |slope|^2 where |slope| belongs: the root is missing",
        ),
        ((norms / len(norms) - k).square().mean(), "differentiate the sum of the logits, not their mean"),
        ((norms - k).relu().square().mean(), "slopes below k cost as much: the penalty is two-sided"),
        ((norms - 1).square().mean(), "k is not used"),
        (norms.square().mean(), "k is not used: that is the mean of |slope|^2"),
        (norms.square().mean() / 2, "k is not used: that is R1"),
        (10 * truth, "leave out the weight lambda: the caller multiplies by it"),
        (
            ((d * (1 - d)) * norms - k).square().mean(),
            "that is the slope of a sigmoid of the critic: take the critic's output as it is",
        ),
    )
    blame(value, truth, [(wrong.reshape(()), why) for wrong, why in mistakes], 1e-5)
    need(
        close(value, truth, 1e-5),
        f"the penalty is {float(value):.4f}, expected {float(truth):.4f}: the mean over the samples of "
        "(|slope| - k)^2, at the points where the critic was asked",
    )


def _batches(random: torch.Generator, *shapes: tuple[int, ...]):
    """(k, real, fake, critic) for points and for pictures."""
    for shape in shapes:
        k = 0.4 + 0.3 * float(torch.rand((), generator=random))
        real, fake = torch.randn(2, *shape, generator=random, dtype=torch.float64).unbind()
        yield k, real + 1, 2 * fake - 1, Watched(real, random)


def _check_generator(ask: Callable, seed: int) -> None:
    """`ask(generator)` says where the critic is asked: one seed, one answer; a second call, another."""
    one, two = seeded(seed), seeded(seed)
    first = ask(one)
    need(torch.equal(first, ask(two)), SAME)
    need(not torch.equal(first, ask(one)), DIFFERENT)


@oracle
def gradient_penalty(answer, seed: int) -> None:
    """`gradient_penalty(critic, real, fake, k, *, generator) -> mean of (|slope| - k)^2 between the two`."""
    random = seeded(seed)
    for k, real, fake, critic in _batches(random, (400, 2), (300, 2, 3, 2)):

        def call(logits, generator=random, args=(real, fake, k)):
            return answer(logits, *args, generator=generator)

        x, value = critic.ask(call)
        _check_between(x, real, fake)
        check_value(value, critic.slopes(x), critic.logits(x), k)
        _check_generator(lambda g, c=critic, run=call: c.ask(lambda logits: run(logits, g))[0], seed)
        check_lesson(answer, (real[:9], fake[:9], k), k, random)


def _check_between(x: Tensor, real: Tensor, fake: Tensor) -> None:
    """x = alpha real + (1 - alpha) fake, alpha uniform and one for each sample."""
    need(not close(x, real), "the critic is asked at the data: go to points between the data and the fakes")
    need(not close(x, fake), "the critic is asked at the fakes: go to points between the data and the fakes")
    alpha = ((x - fake) / (real - fake)).flatten(1)
    if not close(alpha, alpha[:, :1].expand_as(alpha), 1e-5):
        inside = bool(((alpha > -1e-5) & (alpha < 1 + 1e-5)).all())
        need(
            not inside,
            "alpha is not the same in all coordinates of a sample: the points fill a box; draw one alpha per "
            "sample, so that they lie on the line from each fake to its partner",
        )
        need(False, "the critic is not asked on the lines between real[i] and fake[i]")
    alpha = alpha[:, 0]
    need(
        not close(alpha, alpha[:1].expand_as(alpha), 1e-5),
        f"one alpha ({float(alpha[0]):.3f}) for the whole batch: draw one per sample",
    )
    need(
        bool(((alpha > -1e-5) & (alpha < 1 + 1e-5)).all()),
        f"alpha goes from {float(alpha.min()):.2f} to {float(alpha.max()):.2f}: it is uniform on [0, 1]",
    )
    distance = kolmogorov_smirnov(torch.special.ndtri(alpha.clamp(1e-12, 1 - 1e-12)))
    need(
        2 * math.exp(-2 * len(alpha) * distance**2) > P_VALUE,
        f"alpha is not uniform on [0, 1]: its distribution function is off by {distance:.2f}",
    )


@oracle
def dragan(answer, seed: int) -> None:
    """`dragan(critic, real, c, k, *, generator) -> mean of (|slope| - k)^2 at real + N(0, c I)`."""
    random = seeded(seed)
    for k, real, _, critic in _batches(random, (4000, 2), (2000, 2, 2, 1)):
        c = 0.3 + 0.2 * float(torch.rand((), generator=random))

        def call(logits, generator=random, args=(real, c, k)):
            return answer(logits, *args, generator=generator)

        x, value = critic.ask(call)
        _check_around(x - real, c)
        check_value(value, critic.slopes(x), critic.logits(x), k)
        _check_generator(lambda g, m=critic, run=call: m.ask(lambda logits: run(logits, g))[0], seed)
        check_lesson(answer, (real[:9], c, k), k, random)


def _check_around(delta: Tensor, c: float) -> None:
    """delta ~ N(0, c I), sample by sample."""
    delta = delta.flatten(1)
    zero = torch.zeros_like(delta)
    need(not close(delta, zero, 1e-6), "the critic is asked at the data themselves: move each by a delta")
    need(
        not close(delta, delta[:1].expand_as(delta), 1e-6),
        "one delta for the whole batch: draw one per sample",
    )
    variance = float(delta.square().mean())  # about 0, which the mean must be
    for wrong, why in (
        (c**2, f"c^2: c is a variance, so scale a standard normal by sqrt(c), not by c = {c:.2f}"),
        (1.0, f"1: c = {c:.2f} is not used"),
        (math.sqrt(c), f"sqrt(c): the variance is c = {c:.2f}, so scale by its root, once"),
    ):
        spread = 4 * wrong * math.sqrt(2 / delta.numel())
        need(abs(variance - wrong) > spread, f"delta has the variance {variance:.3f}, about {why}")
    complaint = normality(delta / math.sqrt(c))
    need(complaint == "", f"delta / sqrt(c) is not a standard normal: {complaint}")
