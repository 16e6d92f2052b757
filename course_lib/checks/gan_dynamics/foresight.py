"""Tasks 2 and 5: the slope through a look ahead, and how fast a game runs from its equilibrium."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.checks.candidates import blame
from course_lib.checks.gan_dynamics.games import GAMES, Value, asked, heard, points
from course_lib.checks.oracle import close, need, number, oracle, seeded, tensor

# -- unrolling ---------------------------------------------------------------------------------------------


def _foreseen(value: Value, theta: Tensor, psi: Tensor, k: int, lr: float, *, stop: str = "") -> Tensor:
    """d/dtheta of V(theta, psi_k(theta)); stop: "" nowhere, "between" the steps, or at the "end"."""
    theta, psi = theta.detach().requires_grad_(), psi.detach().requires_grad_()
    for i in range(k):
        (slope,) = torch.autograd.grad(value(theta, psi), psi, create_graph=True)
        psi = psi + lr * slope
        if stop == "end" or (stop == "between" and i < k - 1):
            psi = psi.detach().requires_grad_()
    return torch.autograd.grad(value(theta, psi), theta)[0]


@oracle
def unrolled_slope(answer, seed: int) -> None:
    """`unrolled_slope(theta, psi, value, k, lr) -> d/dtheta of V(theta, psi_k(theta)) [D]`."""
    random = seeded(seed)
    theta, psi = points(random)
    k, lr = int(torch.randint(3, 6, (), generator=random)), 0.1
    for value in GAMES:
        for steps in (k, 0):
            out = heard(lambda v=value, n=steps: answer(theta, psi, asked(v, theta), n, lr))
            _check_unrolled(tensor(out, theta, "the slope"), value, theta, psi, steps, lr)


def _check_unrolled(got: Tensor, value: Value, theta: Tensor, psi: Tensor, k: int, lr: float) -> None:
    def foreseen(steps: int, rate: float = lr, stop: str = "") -> Tensor:
        return _foreseen(value, theta, psi, max(steps, 0), rate, stop=stop)

    truth, direct = foreseen(k), foreseen(k, stop="end")
    mistakes = (
        (
            direct,
            "the gradient does not flow through the critic's steps: create_graph=True in each, and no "
            "detach (on V = theta psi that gives psi + k lr theta instead of psi + 2 k lr theta)",
        ),
        (
            foreseen(k, stop="between"),
            "the gradient flows through the last step only: keep the graph of all k",
        ),
        (foreseen(0), "no look ahead: that is the slope at today's critic"),
        (truth - direct, "only the way through the critic is left: theta also acts on V itself"),
        (foreseen(k, -lr), "the critic looks ahead downhill: it raises V"),
        (foreseen(k - 1), f"{k - 1} steps ahead instead of {k}"),
        (foreseen(k + 1), f"{k + 1} steps ahead instead of {k}"),
        (-truth, "wrong sign: return the slope of V, which the generator then descends"),
        (foreseen(k, 1.0), "lr is not used"),
        (foreseen(1, k * lr), "one long step is not k short ones: the slope changes on the way"),
    )
    blame(got, truth, mistakes, 1e-7)
    need(
        close(got, truth, 1e-7),
        f"the slope is {_listed(got)}, expected {_listed(truth)}: V at theta and at the critic {k} steps of "
        "ascent from now, as a function of theta",
    )


def _listed(x: Tensor) -> str:
    return "[" + ", ".join(f"{v:.3f}" for v in x.tolist()) + "]"


# -- growth ------------------------------------------------------------------------------------------------


@oracle
def growth(answer, seed: int) -> None:
    """`growth(update, point [D]) -> the largest modulus of the eigenvalues of update's Jacobian there`."""
    random = seeded(seed)
    for matrix in _matrices(random):
        point = torch.randn(len(matrix), generator=random, dtype=torch.float64)

        def update(x, matrix=matrix, point=point):
            tensor(x, point, "the point that update is given")
            y = x - point
            return point + matrix @ y + y**2  # `point` stays where it is

        got = number(heard(lambda u=update, p=point: answer(u, p)), "growth")
        _check_growth(got, matrix)


def _matrices(random: torch.Generator):
    """Jacobians of updates: a slanted spiral outwards, a round one out and in, and two that do not rotate."""
    h = 0.2 + 0.2 * float(torch.rand((), generator=random))
    spiral = torch.tensor([[1.0, -h], [h, 1.0]], dtype=torch.float64)
    basis = torch.eye(3, dtype=torch.float64) + 0.3 * torch.rand(3, 3, generator=random, dtype=torch.float64)
    slow = torch.tensor([[0.4]], dtype=torch.float64)
    yield basis @ torch.block_diag(1.1 * spiral, slow) @ basis.inverse()
    yield spiral
    yield spiral - h * torch.eye(2, dtype=torch.float64)
    yield torch.tensor([[-1.2, 0.7], [0.0, 0.5]], dtype=torch.float64) * (1 + h)
    yield torch.tensor([[0.9, 0.5], [0.0, 0.3]], dtype=torch.float64)


def _check_growth(got: float, matrix: Tensor) -> None:
    eigenvalues = torch.linalg.eigvals(matrix)
    sizes = eigenvalues.abs()
    shifted = torch.linalg.eigvals(matrix - torch.eye(len(matrix), dtype=matrix.dtype))
    truth = sizes.max()
    mistakes = (
        (
            eigenvalues.real.max(),
            "that is the largest real part: a complex eigenvalue grows with its modulus",
        ),
        (eigenvalues.imag.max(), "that is the largest imaginary part: take the modulus"),
        (eigenvalues.real.abs().max(), "the imaginary parts are lost: take the modulus"),
        (sizes.min(), "that is the smallest: after many steps the largest is what is left"),
        (torch.linalg.matrix_norm(matrix, 2), "that is a singular value: take the eigenvalues"),
        (torch.linalg.matrix_norm(matrix), "that is the norm of the Jacobian: take the eigenvalues"),
        (torch.linalg.det(matrix).abs(), "that is the determinant: take the eigenvalues"),
        (shifted.abs().max(), "take the Jacobian of the update itself, not of the change that it makes"),
        (truth**2, "that is the square of the modulus"),
        (truth.log(), "that is the logarithm"),
        (
            torch.linalg.eigvalsh(matrix).abs().max(),
            "eigvalsh is for symmetric matrices: a game's Jacobian is not, which is why it rotates",
        ),
        (sizes.mean(), "take the largest modulus, not the mean"),
    )
    blame(got, truth, mistakes)
    need(abs(got - float(truth)) < 1e-6, f"growth is {got:.4f}, expected {float(truth):.4f}")
