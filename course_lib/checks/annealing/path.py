"""Tasks 1 and 2: the inverse temperatures, which reach both ends, and the landscapes between them."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib import energies
from course_lib.checks.candidates import blame
from course_lib.checks.oracle import StudentError, close, need, oracle, parts, seeded, tensor

# -- the schedule ------------------------------------------------------------------------------------------


@oracle
def sigmoid_betas(answer, seed: int) -> None:
    """`sigmoid_betas(n, low, high) -> [n + 1]`: a sigmoid from exactly 0 to exactly 1, float64."""
    random = seeded(seed)
    cases = [(8, -2.0, 2.0)]  # sigmoid(2) = .88: far enough from 1 for everybody to see
    for _ in range(3):
        low, high = (1 + 4 * torch.rand(2, generator=random)).tolist()
        cases.append((int(torch.randint(5, 40, (), generator=random)), -low, high))
    for n, low, high in cases:
        _check_betas(answer(n, low, high), n, low, high)


def _check_betas(betas, n: int, low: float, high: float) -> None:
    raw = torch.linspace(low, high, n + 1, dtype=torch.float64).sigmoid()
    truth = (raw - raw[0]) / (raw[-1] - raw[0])
    need(
        type(betas) is not Tensor or betas.shape != (n,),
        f"{n} values for {n} transitions: n transitions lead through n + 1 inverse temperatures",
    )
    betas = tensor(betas, truth, "betas")
    first, last = float(betas[0]), float(betas[-1])
    mistakes = (
        (raw, "not normalised"),
        (raw / raw[-1], "only divided by the last value"),
        (raw - raw[0], "only shifted to begin at 0"),
        (1 - truth, "turned over"),
        ((raw - raw[0]) / raw[-1], "shifted by the first value, but then not divided by the whole range"),
    )
    ends = f"betas run from {first:.2f} to {last:.2f}, so the path misses its ends, 0 (base) and 1 (target)"
    blame(betas, truth, [(value, f"{ends}: the sigmoid is {what}") for value, what in mistakes])
    need(
        not close(betas, torch.linspace(0, 1, n + 1, dtype=torch.float64)),
        "a straight line: take the sigmoid of evenly spaced numbers from low to high",
    )
    need(first == 0, f"the first beta is {first!r}, it must be exactly 0: the base, where exact draws exist")
    need(last == 1, f"the last beta is {last!r}, it must be exactly 1: the target")
    need(bool((betas.diff() > 0).all()), "betas must rise at every step")
    need(
        close(betas, truth),
        f"betas[1] is {float(betas[1]):.4f}, expected {float(truth[1]):.4f}: a sigmoid of {n + 1} evenly "
        "spaced numbers from low to high, shifted and divided so that it runs from 0 to 1",
    )


# -- the landscapes between --------------------------------------------------------------------------------


class _End:
    """One end of the path as a call-back that counts its calls."""

    def __init__(self, energy):
        self.energy, self.calls = energy, 0

    def value_and_grad(self, x):
        self.calls += 1
        return self.energy.value_and_grad(x)


@oracle
def bridge(answer, seed: int) -> None:
    """`bridge(x, beta [C], base, target) -> (u [C], grad [C, D], delta [C], grad_delta [C, D])`."""
    random = seeded(seed)
    x = torch.randn(7, 2, generator=random, dtype=torch.float64)
    beta = torch.rand(7, generator=random, dtype=torch.float64)
    beta[0], beta[1] = 0.0, 1.0
    cov = 1 + 2 * float(torch.rand((), generator=random))
    base, target = _End(energies.Gaussian([0.5, -0.5], cov)), _End(energies.Banana(0.8))
    try:
        out = answer(x, beta, base.value_and_grad, target.value_and_grad)
    except StudentError as error:
        need(
            error.kind != "RuntimeError" or "must match the size" not in error.text,
            "beta has the shape [C]: where it multiplies gradients [C, D] it needs a second dimension, "
            "beta[:, None]",
        )
        raise
    names = ("u", "grad", "delta", "grad_delta")
    out = parts(out, names, "bridge")
    out = [
        tensor(value, like, name) for value, like, name in zip(out, (beta, x, beta, x), names, strict=True)
    ]
    _check_bridge(out, x, beta, base.energy, target.energy)
    for name, end in (("base", base), ("target", target)):
        need(
            end.calls == 1, f"{name} is called {end.calls} times: one call gives both its energy and gradient"
        )


def _check_bridge(out: list[Tensor], x: Tensor, beta: Tensor, base, target) -> None:
    (u0, g0), (u1, g1) = base.value_and_grad(x), target.value_and_grad(x)
    u, grad, delta, grad_delta = out
    b = beta[:, None]
    blame(delta, u1 - u0, [(u0 - u1, "delta has the wrong sign: it is U_1 - U_0, the change along the path")])
    blame(delta, u1 - u0, [(beta * (u1 - u0), "delta is U_1 - U_0 itself, without beta")])
    need(close(delta, u1 - u0), "delta is not U_1 - U_0")
    density = torch.logaddexp((1 - beta).log() - u0, beta.log() - u1)
    mistakes = (
        ((1 - beta) * u1 + beta * u0, "beta and 1 - beta are exchanged: beta = 0 is the base, 1 the target"),
        (u0 + beta * u1, "at beta = 1 only the target must be left: U_0 must fade as U_1 comes"),
        (-density, "mix the energies, not the densities: log p is linear in beta, not p"),
        (beta * u1, "at beta = 0 nothing is left: add (1 - beta) U_0"),
    )
    blame(u, (1 - beta) * u0 + beta * u1, mistakes)
    need(close(u, (1 - beta) * u0 + beta * u1), "u is not (1 - beta) U_0 + beta U_1")
    blame(grad_delta, g1 - g0, [(g0 - g1, "grad_delta has the wrong sign: it is the gradient of U_1 - U_0")])
    need(close(grad_delta, g1 - g0), "grad_delta is not the gradient of delta")
    mistakes = (
        ((1 - b) * g1 + b * g0, "grad: beta and 1 - beta are exchanged"),
        (g0 + b * g1, "grad: the gradient of U_0 must fade as that of U_1 comes"),
        (-((1 - b) * g0 + b * g1), "grad has the wrong sign: it is the gradient of U, not the force"),
        (g1, "grad is that of the target alone, at every beta"),
    )
    blame(grad, (1 - b) * g0 + b * g1, mistakes)
    need(close(grad, (1 - b) * g0 + b * g1), "grad is not the gradient of u")
