"""Task 2: the leapfrog integrator, against exact motion, time reversal and the order of its error."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.checks.oracle import close, need, oracle, parts, seeded, tensor


def _quartic(x: Tensor) -> tuple[Tensor, Tensor]:
    """U = sum x^4 / 4 + x1 x2: neither quadratic nor separable, so no mistake cancels."""
    return x.pow(4).sum(-1) / 4 + x[:, 0] * x[:, 1], x**3 + x.flip(-1)


@oracle
def leapfrog(answer, seed: int) -> None:
    """`leapfrog(x, p, grad, value_and_grad, step_size, n_steps) -> (x, p, u, grad)`."""
    random = seeded(seed)
    x, p = (torch.randn(7, 2, dtype=torch.float64, generator=random) for _ in range(2))
    step = 0.04 + 0.03 * float(torch.rand((), generator=random))
    n = int(torch.randint(5, 9, (), generator=random))
    _exact_under_constant_force(answer, x, p, step, n, random)
    calls = -1  # one call is ours: the gradient at the start

    def counted(x):
        nonlocal calls
        calls += 1
        return _quartic(x)

    y, _, u, grad = _integrate(answer, x, p, counted, step, n)
    need(
        calls <= n,
        f"{calls} gradients for {n} steps: the gradient at the end of a step is also the one at the start "
        "of the next, and the first one is given",
    )
    need(
        calls == n, f"only {calls} gradients for {n} steps: each step needs the gradient at its new position"
    )
    need(close(u, _quartic(y)[0]), "u is not the energy at the returned x")
    need(close(grad, _quartic(y)[1]), "grad is not the gradient at the returned x")
    _reversible(answer, x, p, step, n)
    _second_order(answer, x, p)


def _integrate(answer, x: Tensor, p: Tensor, value_and_grad, step: float, n: int):
    """The four checked parts of the answer's path on `value_and_grad`."""
    out = answer(x, p, value_and_grad(x)[1], value_and_grad, step, n)
    y, q, u, grad = parts(out, ("x", "p", "u", "grad"), "leapfrog")
    tensor(u, x[:, 0], "u")
    return tensor(y, x, "x"), tensor(q, p, "p"), u, tensor(grad, x, "grad")


def _exact_under_constant_force(answer, x, p, step, n, random) -> None:
    """U = a . x: p falls by eps a in each step and x follows a parabola, exactly; count the kicks."""
    a = torch.randn(2, dtype=torch.float64, generator=random)

    def slope(x):
        return x @ a, a.expand_as(x).clone()

    y, q, *_ = _integrate(answer, x, p, slope, step, n)
    change = (p - q) / (step * a)
    kicks = float(change.mean())
    need(
        close(change, torch.full_like(change, kicks), 1e-6), "p must change by multiples of step_size * grad"
    )
    need(abs(kicks + n) > 1e-6, "p moves uphill: the kick is p - step_size / 2 * grad, with a minus")
    drift = float(((x + n * step * p - y) / (step**2 * a)).mean())
    mistake = _kick_mistake(kicks, drift, n)
    need(mistake == "", mistake)


def _kick_mistake(kicks: float, drift: float, n: int) -> str:
    """Which kicks are missing or too large, from their sum and from how far they moved x ('' if none is)."""

    def are(expected_kicks: float, expected_drift: float | None = None) -> bool:
        same = abs(kicks - expected_kicks) < 1e-6
        return same and (expected_drift is None or abs(drift - expected_drift) < 1e-6)

    if are(n, n**2 / 2):
        return ""
    if are(n / 2, n * (n + 1) / 4) or are(n - 0.5, n**2 / 2):
        often = "of every step" if are(n / 2) else "of the path"
        return f"the last half kick {often} is missing: p stays half a kick behind x"
    if are(n / 2) or are(n - 0.5):
        return f"the first half kick {'of every step' if are(n / 2) else 'of the path'} is missing"
    if kicks > n + 1e-6:
        return (
            f"p gets {kicks:g} kicks of step_size * grad in {n} steps: the kicks before and after the drift "
            "are half kicks"
        )
    if are(n):
        return "x is wrong although p is right: it moves by step_size * p *between* the two half kicks"
    return f"p gets {kicks:.2f} kicks of step_size * grad in {n} steps, expected {n}"


def _reversible(answer, x: Tensor, p: Tensor, step: float, n: int) -> None:
    y, q, *_ = _integrate(answer, x, p, _quartic, step, n)
    z, r, *_ = _integrate(answer, y, -q, _quartic, step, n)
    need(
        close(z, x, 1e-9) and close(-r, p, 1e-9),
        "not reversible: with the momentum flipped, the same steps must lead back to the start; "
        "are both half kicks of each step there, with the gradient at the position of that moment?",
    )


def _second_order(answer, x: Tensor, p: Tensor) -> None:
    def error(step: float, n: int) -> float:
        y, q, *_ = _integrate(answer, x, p, _quartic, step, n)
        before, after = _quartic(x)[0] + p.square().sum(-1) / 2, _quartic(y)[0] + q.square().sum(-1) / 2
        return float((after - before).abs().median())

    order = math.log2(max(error(0.02, 20), 1e-300) / max(error(0.01, 40), 1e-300))
    need(
        1.8 < order < 2.2,
        f"halving the step size divides the energy error by 2^{order:.1f}; a leapfrog divides it by 2^2",
    )
