"""Task 6: the Langevin proposal, against one leapfrog step, and its correction, against the way back."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib import energies
from course_lib.checks.oracle import close, need, oracle, parts, seeded, tensor
from course_lib.sampling import mcmc


@oracle
def langevin(answer, seed: int) -> None:
    """`langevin(current, z [C, D], value_and_grad, step_size) -> ((x, u, grad), delta_h [C])`.

    The truth comes from elsewhere: a leapfrog step that starts with the momentum z ends at the same x,
    and its energy error is the same delta_h.
    """
    random = seeded(seed)
    step = 0.45 + 0.3 * float(torch.rand((), generator=random))
    energy = energies.Banana(0.6 + 0.4 * float(torch.rand((), generator=random)))
    x, z = (torch.randn(9, 2, dtype=torch.float64, generator=random) for _ in range(2))
    current = (x, *energy.value_and_grad(x))
    calls = 0

    def counted(x):
        nonlocal calls
        calls += 1
        return energy.value_and_grad(x)

    proposal, delta_h = _propose(answer, current, z, counted, step)
    _move(proposal[0] - x, current[2], z, step)
    need(
        calls == 1,
        f"{calls} calls of value_and_grad, expected 1: the gradient at x is given, the one at the proposal "
        "is needed once",
    )
    y, p, u, grad = mcmc.leapfrog(x, z, current[2], energy.value_and_grad, step, 1)
    need(close(proposal[1], u), "u is not the energy at the proposed x")
    need(close(proposal[2], grad), "grad is not the gradient at the proposed x")
    _rows_alone(answer, current, z, energy.value_and_grad, step, delta_h)
    _weights(delta_h, u - current[1], z, p)
    _way_back(delta_h, current, (y, u, grad), z, step)
    back, opposite = _propose(answer, (y, u, grad), -p, energy.value_and_grad, step)
    _energy_error(delta_h, close(back[0], x) and close(opposite, -delta_h), u - current[1], z, p)


def _propose(answer, current, z: Tensor, value_and_grad, step: float):
    """((x, u, grad), delta_h) of one call, once their form is right."""
    proposal, delta_h = parts(answer(current, z, value_and_grad, step), ("proposal", "delta_h"), "langevin")
    proposal = parts(proposal, ("x", "u", "grad"), "the proposal of langevin")
    x, u, grad = (
        tensor(got, old, name) for name, got, old in zip(("x", "u", "grad"), proposal, current, strict=True)
    )
    return (x, u, grad), tensor(delta_h, current[1], "delta_h")


def _rows_alone(answer, current, z: Tensor, value_and_grad, step: float, delta_h: Tensor) -> None:
    few = tuple(part[:3] for part in current)
    need(
        close(_propose(answer, few, z[:3], value_and_grad, step)[1], delta_h[:3]),
        "the chains influence each other: delta_h of the first three changes when the others are left out; "
        "sum over the coordinates only, dim=1",
    )


def _fit(target: Tensor, *columns: Tensor) -> tuple[list[float], bool]:
    """The factors of `columns` in `target`, by least squares, and whether nothing else is in it."""
    matrix = torch.stack([column.flatten() for column in columns], 1)
    factors = torch.linalg.lstsq(matrix, target.flatten()[:, None]).solution[:, 0]
    return factors.tolist(), close(matrix @ factors, target.flatten())


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)


def _called(value: float, step: float) -> str:
    """What a wrong factor is in terms of the step size, for the end of a message."""
    names = {
        "step_size": step,
        "step_size / 2": step / 2,
        "step_size^2": step**2,
        "step_size^2 / 2": step**2 / 2,
        "sqrt(2) * step_size": math.sqrt(2) * step,
        "sqrt(step_size)": math.sqrt(step),
        "sqrt(2 * step_size)": math.sqrt(2 * step),
    }
    return next((f" (this is {name})" for name, known in names.items() if _same(value, known)), "")


def _move(change: Tensor, grad: Tensor, z: Tensor, step: float) -> None:
    """Hold x' - x against -eps^2/2 grad + eps z."""
    (slope, noise), whole = _fit(change, grad, z)
    need(whole, "x moves by something else than the given gradient and the given noise z")
    need(slope < 1e-6, "the drift goes uphill: it is - step_size^2 / 2 * grad, with a minus")
    need(slope < -1e-6, "the gradient plays no part in the proposal: drift by - step_size^2 / 2 * grad first")
    need(
        not (_same(-slope, step) and _same(noise, math.sqrt(2 * step))),
        "this takes step_size as the time of the drift; here the drift is step_size^2 / 2 and the noise "
        "step_size, as in leapfrog",
    )
    need(
        _same(-slope, step**2 / 2),
        f"the gradient enters with the factor {-slope:.4f}{_called(-slope, step)}, "
        f"expected step_size^2 / 2 = {step**2 / 2:.4f}",
    )
    need(
        _same(noise, step),
        f"the noise z enters with the factor {noise:.4f}{_called(noise, step)}, "
        f"expected step_size = {step:.4f}",
    )


def _weights(delta_h: Tensor, rise: Tensor, z: Tensor, p: Tensor) -> None:
    """Name the mistake where delta_h is made of the right three parts with wrong factors.

    The parts: rise = U(x') - U(x), there = |z|^2/2 = -log q(x'|x) and back = |p|^2/2 = -log q(x|x').
    """
    factors, whole = _fit(delta_h, rise, z.square().sum(-1) / 2, p.square().sum(-1) / 2)
    if not whole:
        return
    potential, there, back = factors

    def are(*expected: float) -> bool:
        return all(_same(a, b) for a, b in zip(factors, expected, strict=True))

    need(not are(-1, 1, -1), "delta_h has the wrong sign: a rise in energy is positive")
    need(
        not are(1, 0, 0),
        "delta_h is only U(x') - U(x): the proposal prefers downhill, so q(x'|x) and q(x|x') must enter too",
    )
    need(
        not are(1, 1, -1),
        "the correction has the wrong sign: delta_h has + log q(x'|x) - log q(x|x')",
    )
    need(_same(potential, 1), f"U(x') - U(x) enters delta_h with the factor {potential:.2f}, expected 1")
    need(not _same(back, 0), "the way back is missing: - log q(x|x')")
    need(not _same(there, 0), "the way there is missing: + log q(x'|x)")
    need(
        not are(1, -2, 2),
        "the correction is twice too large: log q is - |...|^2 / (2 step_size^2), with a factor 1/2",
    )
    need(
        are(1, -1, 1),
        f"log q(x'|x) enters with {-there:.3f} times and log q(x|x') with {-back:.3f} times its value, "
        "expected 1 and -1: q has the variance step_size^2 in each coordinate, and log q sums over them",
    )


def _way_back(delta_h: Tensor, current, proposal, z: Tensor, step: float) -> None:
    """Name the mistake where the noise that leads back from the proposal is wrong."""
    (x, u, grad), (y, u_end, grad_end) = current, proposal
    need(
        not any(
            close(delta_h, u_end - u + part)
            for part in _without_square(z, (x - y + step**2 / 2 * grad_end) / step)
        ),
        "the square is missing in log q = - |...|^2 / (2 step_size^2)",
    )

    def with_drift(drift: Tensor) -> Tensor:
        back = (x - y + drift) / step
        return u_end - u + (back.square() - z.square()).sum(-1) / 2

    need(
        not close(delta_h, with_drift(step**2 / 2 * grad)),
        "q(x|x') has the gradient at x: the way back starts at x', so it drifts along the gradient there",
    )
    need(
        not close(delta_h, with_drift(-(step**2) / 2 * grad_end)),
        "q(x|x') drifts uphill: its mean is x' - step_size^2 / 2 * grad(x')",
    )
    need(
        not close(delta_h, with_drift(torch.zeros_like(grad))),
        "q(x|x') has no drift: its mean is x' - step_size^2 / 2 * grad(x'), not x'",
    )


def _without_square(z: Tensor, back: Tensor) -> list[Tensor]:
    """The correction of someone who forgot the square, with a norm or with a plain sum."""
    return [(back.norm(dim=-1) - z.norm(dim=-1)) / 2, (back - z).sum(-1) / 2]


def _energy_error(delta_h: Tensor, opposite: bool, rise: Tensor, z: Tensor, p: Tensor) -> None:
    """The last word, after all mistakes with a name. opposite: whether the way back has minus delta_h."""
    need(
        opposite,
        "delta_h of the way back must be minus delta_h of the way there: both compare the same two points",
    )
    need(
        close(delta_h, rise + (p.square() - z.square()).sum(-1) / 2),
        "delta_h is not U(x') - U(x) + log q(x'|x) - log q(x|x')",
    )
