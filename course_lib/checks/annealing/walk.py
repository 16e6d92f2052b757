"""Task 3: the AIS loop, state by state, and then by the one number that nothing but a right loop gives."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib import energies
from course_lib.checks.candidates import blame
from course_lib.checks.oracle import StudentError, Wrong, close, need, number, oracle, parts, seeded, tensor
from course_lib.sampling import HMC, sigmoid_betas
from course_lib.sampling.mcmc import State

PARTS = ("x", "u", "grad", "delta", "grad_delta")


class _Path:
    """A bridge with a kernel on it, as a call-back that remembers what it was given and what it returned."""

    def __init__(self, base, target, kernel: HMC, transitions: int, n: int, random: torch.Generator):
        self.bridge, self.kernel, self.random = energies.Bridge.between(base, target), kernel, random
        self.betas = sigmoid_betas(transitions, -2.0, 2.0)
        self.log_ratio = target.log_z - base.log_z  # log of Z_1 / Z_0, which E[w] must be
        self.start = self.at(0.0, base.sample(n, generator=random))
        self.given: list[tuple] = []
        self.moved: list[tuple] = []
        self.asked: list[float] = []

    def at(self, beta: float, x: Tensor) -> tuple[Tensor, ...]:
        """The state at x: (x, u, grad, delta, grad_delta)."""
        return (x, *self.bridge.at(beta).value_and_grad(x))

    def move(self, state, beta):
        if len(self.asked) > 2 * len(self.betas):
            raise ValueError("move was called far more often than there are temperatures")
        need(
            isinstance(state, tuple) and len(state) == len(PARTS),
            f"move takes the state as one tuple ({', '.join(PARTS)})",
        )
        checked = [tensor(a, b, name) for a, b, name in zip(state, self.start, PARTS, strict=True)]
        beta = number(beta, "beta")
        x, u, grad, *aux = checked
        new, _ = self.kernel.step(self.bridge.at(beta), State(x, u, grad, tuple(aux)), generator=self.random)
        self.given.append(tuple(checked))
        self.asked.append(beta)
        self.moved.append((new.x, new.u, new.grad, *new.aux))
        return self.moved[-1]

    def account(self, log_w: Tensor) -> tuple[float, float]:
        """(E[w] over the truth, its distance from 1 in standard errors)."""
        w = (log_w - self.log_ratio).exp()
        return float(w.mean()), float((w.mean() - 1) / (w.std() / math.sqrt(len(w))))


def _paths(random: torch.Generator):
    """Two paths with few temperatures: that makes the mean weight sharp against every mistake."""
    base, target = energies.Gaussian([0.0, 0.0], 4.0), energies.ring(8, radius=2.0, scale=0.5)
    yield _Path(base, target, HMC(0.45, 4), 10, 6_000, random)
    shape = 5 + 2 * float(torch.rand((), generator=random))
    base, target = energies.LogGamma(1.5, 1.0), energies.LogGamma(shape, 4.0)
    yield _Path(base, target, HMC(0.35, 5), 5, 10_000, random)


@oracle
def ais(answer, seed: int) -> None:
    """`ais(state, betas [T + 1], move) -> (x [C, D], log_w [C])`: the loop, and E[exp(log_w)] = Z_1 / Z_0."""
    for path in _paths(seeded(seed)):
        x, log_w = _walked(answer, path)
        x = tensor(x, path.start[0], "x")
        log_w = tensor(log_w, torch.empty(len(x), dtype=torch.float64), "log_w")
        damage = _damage(path, log_w)
        _check_temperatures(path, damage)
        for t in range(len(path.asked)):
            _check_state(path, t, damage)
        need(torch.equal(x, path.moved[-1][0]), "x must be where the last move ended")
        _check_weights(path, log_w, damage)
        ratio, z = path.account(log_w)
        need(abs(z) < 5, f"E[w] is {ratio:.3f} times Z_1 / Z_0, {z:+.0f} standard errors off")


def _walked(answer, path: _Path):
    try:
        return parts(answer(path.start, path.betas, path.move), ("x", "log_w"), "ais")
    except StudentError as error:
        need(error.kind != Wrong.__name__, error.text)  # said by move, and it came back through the answer
        raise


def _damage(path: _Path, log_w: Tensor) -> str:
    """What a mistake did to the account, where it shows."""
    ratio, z = path.account(log_w)
    if not abs(z) > 5:
        return ""
    distance = f", {abs(z):.0f} standard errors off" if 0.1 < ratio < 10 else ""
    return f" (so E[w] came out as {ratio:.3g} times the truth{distance})"


def _check_temperatures(path: _Path, damage: str) -> None:
    asked, betas = path.asked, path.betas.tolist()
    count = len(betas) - 1

    def are(wanted: list[float]) -> bool:
        return len(asked) == len(wanted) and all(abs(a - b) < 1e-6 for a, b in zip(asked, wanted))

    need(
        not are(betas),
        "there is a move at beta = 0 too: the state given is already an exact draw of the base",
    )
    need(
        not are(betas[:-1]),
        f"each move happens at the old beta: weigh, go on to the next beta, then move there{damage}",
    )
    need(
        len(asked) == count,
        f"{len(asked)} moves for {count} transitions: one move at each of betas[1], ..., betas[{count}]",
    )
    need(are(betas[1:]), "the moves must happen at betas[1], betas[2], ... in this order")


def _check_state(path: _Path, t: int, damage: str) -> None:
    """The state that move t was given: unmoved chains, with u and grad of the new landscape."""
    x, u, grad, delta, grad_delta = path.given[t]
    before = path.moved[t - 1] if t else path.start
    old, beta = path.betas[t].item(), path.betas[t + 1].item()
    need(torch.equal(x, before[0]), "each move must start where the one before ended")
    need(
        torch.equal(delta, before[3]) and torch.equal(grad_delta, before[4]),
        "delta and grad_delta belong to x and not to beta: hand them on as move returned them",
    )
    _, u_true, grad_true, *_ = path.at(beta, x)
    change = f"at x they are those of beta = {old:.3f} and the move is at {beta:.3f}"
    stale_u, stale_grad = _near(u, before[1], u_true), _near(grad, before[2], grad_true)
    need(
        not (stale_u and stale_grad),
        f"u and grad are stale: {change}; add the change of beta times delta{damage}",
    )
    need(not stale_grad, f"grad is stale: {change}; add the change of beta times grad_delta{damage}")
    need(not stale_u, f"u is stale: {change}; add the change of beta times delta{damage}")
    for name, got, truth, previous, part in (
        ("u", u, u_true, before[1], delta),
        ("grad", grad, grad_true, before[2], grad_delta),
    ):
        step = f"u + (beta - before) delta, and the same for grad{damage}"
        blame(
            got,
            truth,
            [
                (
                    previous + beta * part,
                    f"{name} gets beta times the change of the whole path, at every step: {step}",
                ),
                (previous - (beta - old) * part, f"{name} moves back along the path: {step}"),
                (beta * part, f"the part of the base is missing in {name}: {step}"),
            ],
            1e-3,
        )
        need(close(got, truth, 2e-3), f"{name} is not that of the landscape at beta = {beta:.3f}: {step}")


def _near(got: Tensor, wrong: Tensor, truth: Tensor) -> bool:
    return close(got, wrong, 1e-4) and not close(truth, wrong, 1e-4)


def _check_weights(path: _Path, log_w: Tensor, damage: str) -> None:
    steps = path.betas.diff()
    before = torch.stack([state[3].double() for state in path.given])
    after = torch.stack([state[3].double() for state in path.moved])
    truth = -(steps @ before)
    mistakes = (
        (-(steps @ after), "weighed after the move: at each temperature first weigh, then move"),
        (-truth, "log_w has the wrong sign: where delta is large the target is improbable"),
        (-(path.betas[1:] @ before), "each weight gets beta times delta: it must be the *change* of beta"),
        (-(path.betas[:-1] @ before), "each weight gets beta times delta: it must be the *change* of beta"),
        (-before.sum(0), "the change of beta is missing in the weights"),
        (-(steps[1:] @ before[1:]), "the first temperature is not weighed"),
        (-(steps[:-1] @ before[:-1]), "the last temperature is not weighed"),
        (-steps[-1] * before[-1], "only the last temperature is left: add the log-weights up"),
        (truth / len(steps), "log-weights add up along the path, they are not averaged"),
        (
            -(steps @ torch.stack([state[1].double() for state in path.given])),
            "use delta, not u, in the weights",
        ),
        (
            truth - truth.logsumexp(0) + math.log(len(truth)),
            "do not normalise: the mean weight is the result",
        ),
        (truth - truth.logsumexp(0), "do not normalise: the mean weight is the result"),
        (truth.exp(), "these are weights: return their logarithms"),
    )
    blame(log_w, truth, [(value, why + damage) for value, why in mistakes], 1e-4)
    need(
        close(log_w, truth, 1e-4),
        f"log_w is not the sum of -(beta_t - beta_(t-1)) delta(x), with x before the move at beta_t{damage}",
    )
