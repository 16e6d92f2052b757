"""Does a critic learn from its penalty? Asked on a linear critic, where the answer is known by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.checks.oracle import close, lend, need, number, parts, tensor


class Linear(nn.Module):
    """The linear critic `D(x) = w . x`: its slope is w, everywhere."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight


def value_and_lesson(penalty, critic: Linear, args: tuple, generator: torch.Generator):
    """A penalty, and its gradient with respect to the critic's weights (None if there is none).

    Runs at the student's side, on a lent critic, and is no verdict.
    """
    value = penalty(critic, *args, generator=generator)
    if not isinstance(value, Tensor) or not value.requires_grad:
        return value, None
    (lesson,) = torch.autograd.grad(value, [critic.weight], allow_unused=True)
    return value.detach(), lesson


def check_lesson(answer, args: tuple, k: float, random: torch.Generator) -> None:
    """On a linear critic a centred penalty is (|w| - k)^2, and teaches w to have the length k."""
    weight = torch.randn(args[0][0].numel(), generator=random, dtype=torch.float64)
    run = lend(value_and_lesson, to=answer)
    for w in (weight, torch.zeros_like(weight)):
        critic = lend(Linear(w), to=answer)
        value, lesson = parts(run(answer, critic, args, random), ("value", "lesson"), "the penalty")
        size, value = float(w.norm()), number(value, "the penalty")
        need(
            abs(value - (size - k) ** 2) < 1e-5,
            f"for D(x) = w.x with |w| = {size:.3f} the penalty is {value:.4f}, "
            f"expected (|w| - k)^2 = {(size - k) ** 2:.4f}",
        )
        need(
            lesson is not None,
            "the penalty has no gradient with respect to the critic's weights, so nobody would learn from "
            "it: autograd.grad(..., create_graph=True), and no detach() or item() afterwards",
        )
        lesson = tensor(lesson, w, "the gradient of the penalty", finite=False)
        need(
            bool(lesson.isfinite().all()),
            "where the critic is flat the penalty's gradient is nan: a root has no slope at 0; use "
            ".norm(...), or add 1e-12 under the root",
        )
        wanted = 2 * (size - k) * w / max(size, 1e-9)
        need(close(lesson, wanted, 1e-4), "the critic's weights do not get the penalty's whole gradient")
