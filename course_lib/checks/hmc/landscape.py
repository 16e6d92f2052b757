"""Task 1: the potential energy of the banana and its gradient, against their closed forms."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib import energies
from course_lib.checks.oracle import close, need, oracle, parts, seeded, tensor


@oracle
def banana(answer, seed: int) -> None:
    """`banana(x [C, 2], b) -> (u [C], grad [C, 2])`: the landscape U of the banana and its gradient."""
    random = seeded(seed)
    for dtype, tolerance in ((torch.float64, 1e-8), (torch.float32, 1e-4)):
        b = 0.3 + 0.9 * float(torch.rand((), generator=random))
        x = torch.randn(7, 2, dtype=dtype, generator=random)
        u_true, grad_true = energies.Banana(b).value_and_grad(x)
        u, grad = parts(answer(x, b), ("u", "grad"), "banana")
        _check_energy(tensor(u, u_true, "u"), u_true, tolerance)
        _check_gradient(tensor(grad, grad_true, "grad"), grad_true, x, tolerance)


def _check_energy(u: Tensor, truth: Tensor, tolerance: float) -> None:
    off = u - truth
    need(not close(u, -truth, tolerance), "u has the wrong sign: U is *minus* the logarithm of the density")
    need(not close(u, 2 * truth, tolerance), "u is twice too large: a factor 1/2 is missing")
    if not close(u, truth, tolerance):
        constant = float(off.mean())
        need(
            not close(off, torch.full_like(off, constant), tolerance),
            f"u is off by the constant {constant:.3f}: leave out the normaliser, U is defined without it",
        )
    worst = int(off.abs().argmax())
    need(
        close(u, truth, tolerance),
        f"u is wrong: in row {worst} it is {float(u[worst]):.4f}, expected {float(truth[worst]):.4f}",
    )


def _check_gradient(grad: Tensor, truth: Tensor, x: Tensor, tolerance: float) -> None:
    need(
        not close(grad, -truth, tolerance),
        "grad has the wrong sign: return the gradient of U, not the force (which is minus the gradient)",
    )
    first, second = close(grad[:, 0], truth[:, 0], tolerance), close(grad[:, 1], truth[:, 1], tolerance)
    need(second, "dU/dx2 is wrong: it is the distance from the bend, x2 - b (x1^2 - 1)")
    need(
        not close(grad[:, 0], x[:, 0], tolerance),
        "dU/dx1 is only x1: the bend depends on x1 too, so the chain rule gives a second term",
    )
    need(
        not close(grad[:, 0], 2 * x[:, 0] - truth[:, 0], tolerance),
        "dU/dx1: the sign of the chain rule's term is wrong",
    )
    need(first, "dU/dx1 is wrong: differentiate both squares with respect to x1")
