"""Tasks 1, 3 and 4: simultaneous and alternating steps, consensus, and players that remember."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.checks.candidates import blame
from course_lib.checks.gan_dynamics.games import GAMES, Value, asked, heard, points, slopes
from course_lib.checks.oracle import close, need, oracle, parts, seeded, tensor

NAMES = ("theta", "psi")
Pair = tuple[Tensor, Tensor]


def _pair(value, like: Tensor, what: str) -> Pair:
    first, second = parts(value, NAMES, what)
    return tensor(first, like, "theta"), tensor(second, like, "psi")


def _blame_pair(got: Pair, truth: Pair, mistakes: list[tuple[Pair, str]], what: str) -> None:
    """Blame what explains both players, then what explains one."""
    both, right = torch.stack(got), torch.stack(truth)
    blame(both, right, [(torch.stack(pair), f"{what}{why}") for pair, why in mistakes])
    for i, name in enumerate(NAMES):
        blame(got[i], truth[i], [(pair[i], f"{what}{name}: {why}") for pair, why in mistakes])
        need(close(got[i], truth[i], 1e-7), f"{what}{name} is not where the step leads")


# -- one step ----------------------------------------------------------------------------------------------


@oracle
def game_step(answer, seed: int) -> None:
    """`game_step(theta, psi, slopes, lr, rule) -> (theta, psi)`, rule "simultaneous" or "alternating"."""
    random = seeded(seed)
    theta, psi = points(random)
    lr = 0.1 + 0.1 * float(torch.rand((), generator=random))
    for value in GAMES:
        for rule, calls in (("simultaneous", 1), ("alternating", 2)):
            count = 0

            def counted(t, p, value=value):
                nonlocal count
                count += 1
                t, p = tensor(t, theta, "theta, as slopes is given it,"), tensor(p, psi, "psi, as given,")
                return slopes(value, t, p)

            out = heard(lambda c=counted, rule=rule: answer(theta, psi, c, lr, rule))
            _check_step(_pair(out, theta, "game_step"), value, theta, psi, lr, rule)
            need(count <= calls, f"{rule}: slopes is called {count} times, {calls} would do")


def _check_step(got: Pair, value: Value, t: Tensor, p: Tensor, h: float, rule: str) -> None:
    a, b = slopes(value, t, p)
    critic, generator = p + h * b, t - h * a
    simultaneous = (generator, critic)
    alternating = (t - h * slopes(value, t, critic)[0], critic)
    other_way = (generator, p + h * slopes(value, generator, p)[1])
    mistakes = [
        ((t + h * a, p - h * b), "both signs are turned over: theta lowers V and psi raises it"),
        ((t - h * a, p - h * b), "both players descend: psi raises V"),
        ((t + h * a, p + h * b), "both players ascend: theta lowers V"),
        ((t - h * b, p + h * a), "the slopes are exchanged: slopes gives (dV/dtheta, dV/dpsi)"),
        ((t - a, p + b), "lr is not used"),
        ((t, critic), "theta has not moved"),
        ((generator, p), "psi has not moved"),
        (other_way, "the critic moves first, and then the generator answers it"),
        ((critic, generator), "the two are returned in the wrong order: (theta, psi)"),
    ]
    if rule == "simultaneous":
        why = "that is alternating: here both players look at the same point, before either has moved"
        truth = simultaneous
        mistakes.append((alternating, why))
    else:
        why = (
            "that is simultaneous: here the generator asks for its slope again, at the critic that has moved"
        )
        truth = alternating
        mistakes.append((simultaneous, why))
        moved = (t - h * slopes(value, t, p + 2 * h * b)[0], p + 2 * h * b)
        mistakes.append((moved, "the critic moves once, not twice"))
    _blame_pair(got, truth, mistakes, f"{rule}: ")


# -- consensus ---------------------------------------------------------------------------------------------


def _pull(value: Value, t: Tensor, p: Tensor, weights: tuple[float, float] = (1.0, 1.0)) -> Pair:
    """The gradient of half the squared length of the field, the players' parts of it weighted."""
    t, p = t.detach().requires_grad_(), p.detach().requires_grad_()
    a, b = torch.autograd.grad(value(t, p), (t, p), create_graph=True)
    size = (weights[0] * a.square().sum() + weights[1] * b.square().sum()) / 2
    first, second = torch.autograd.grad(size, (t, p))
    return first, second


@oracle
def consensus_step(answer, seed: int) -> None:
    """`consensus_step(theta, psi, value, gamma, lr) -> (theta, psi)`."""
    random = seeded(seed)
    theta, psi = points(random)
    gamma = 0.5 + float(torch.rand((), generator=random))
    for value in GAMES:
        for g in (gamma, 0.0):
            out = heard(lambda v=value, g=g: answer(theta, psi, asked(v, theta), g, 0.1))
            _check_consensus(_pair(out, theta, "consensus_step"), value, theta, psi, g, 0.1)


def _check_consensus(got: Pair, value: Value, t: Tensor, p: Tensor, gamma: float, lr: float) -> None:
    a, b = slopes(value, t, p)
    x, y = _pull(value, t, p)
    (own_x, _), (_, own_y) = _pull(value, t, p, (1.0, 0.0)), _pull(value, t, p, (0.0, 1.0))
    (cross_x, _), (_, cross_y) = _pull(value, t, p, (0.0, 1.0)), _pull(value, t, p, (1.0, 0.0))
    size = float((a.square().sum() + b.square().sum()).sqrt())

    def step(u: Tensor, v: Tensor, first: float = 1.0, second: float = 1.0) -> Pair:
        return t - lr * (first * a + gamma * u), p - lr * (-second * b + gamma * v)

    mistakes = [
        (
            step(0 * x, 0 * y),
            "the pull of |v|^2 is missing: differentiate it too, which asks for create_graph",
        ),
        (step(-x, -y), "the pull points the wrong way: both players *lower* |v|^2"),
        (step(x, -y), "psi must lower |v|^2 like theta, although it raises V"),
        (step(2 * x, 2 * y), "|v|^2 is halved before it is differentiated"),
        (
            step(own_x, own_y),
            "each player looks at its own slope only: |v|^2 is the length of the whole field",
        ),
        (step(cross_x, cross_y), "each player looks at the other's slope only: |v|^2 has both"),
        (step(x / size, y / size), "that is the gradient of |v|: square it"),
        (step(x, y, 1, -1), "psi raises V: its part of the field is minus dV/dpsi"),
        (step(x, y, -1, 1), "theta lowers V: its part of the field is dV/dtheta"),
        (step(x, y, 0, 0), "the field itself is missing: only |v|^2 is descended"),
        ((t - lr * (a + x), p - lr * (-b + y)), "gamma is not used"),
        ((t - a - gamma * x, p + b - gamma * y), "lr is not used"),
    ]
    _blame_pair(got, step(x, y), mistakes, "")


# -- historical averaging ----------------------------------------------------------------------------------


@oracle
def historical_average(answer, seed: int) -> None:
    """`historical_average(now [D], mean [D], count, weight) -> (pull [D], mean [D])`."""
    random = seeded(seed)
    past = torch.randn(6, 3, generator=random, dtype=torch.float64)
    weight = 0.2 + 0.5 * float(torch.rand((), generator=random))
    for count in (5, 3, 0):
        now, mean = past[count], past[:count].mean(0) if count else torch.zeros(3, dtype=torch.float64)
        out = parts(answer(now, mean, count, weight), ("pull", "mean"), "historical_average")
        found = [tensor(value, now, name) for value, name in zip(out, ("pull", "mean"), strict=True)]
        _check_memory(found[0], found[1], now, mean, count, weight)
    norm = _play_with_memory(answer, 0.1, 150)
    need(
        norm < 0.5, f"on V = theta psi the players do not spiral in: after 150 steps their norm is {norm:.2f}"
    )


def _check_memory(pull: Tensor, mean: Tensor, now: Tensor, before: Tensor, n: int, weight: float) -> None:
    truth = (n * before + now) / (n + 1)
    mistakes = (
        (before, "the mean has not taken in where the player is now"),
        (
            (before + now) / 2,
            "that is the middle of now and the old mean: the past counts as often as it was",
        ),
        (now, "the past is forgotten"),
        ((n * before + now) / max(n, 1), "divide by count + 1, now being one of them"),
        (((n - 1) * before + now) / max(n, 1), "count is without now: the past counts n times, and now once"),
        (n * before + now, "that is the sum"),
        (0.9 * before + 0.1 * now, "that is an exponential average, which forgets"),
    )
    blame(mean, truth, [(value, f"mean: {why}") for value, why in mistakes])
    need(close(mean, truth), f"mean is not that of the {n} values before and the present one")
    want = 2 * weight * (now - truth)
    mistakes = (
        (-want, "wrong sign: it is the gradient of the distance, which the caller descends"),
        (want / 2, "a factor 2 is missing: differentiate the square"),
        (2 * weight * (now - before), "take the distance from the new mean"),
        (2 * (now - truth), "weight is not used"),
        (want * n / (n + 1), "the mean is held fixed while the distance is differentiated"),
        (want / (now - truth).norm().clamp(min=1e-12) / 2, "the distance is squared"),
    )
    blame(pull, want, [(value, f"pull: {why}") for value, why in mistakes])
    need(close(pull, want), "pull is not the gradient of weight |now - mean|^2")


def _play_with_memory(answer, lr: float, steps: int) -> float:
    """Norm of (theta, psi) after simultaneous steps on V = theta psi, both players remembering."""
    theta = psi = torch.ones(1, dtype=torch.float64)
    memory = [torch.zeros_like(theta), torch.zeros_like(psi)]
    for t in range(steps):
        pulls = []
        for i, now in enumerate((theta, psi)):
            pull, memory[i] = parts(answer(now, memory[i], t, 0.1), ("pull", "mean"), "historical_average")
            pulls.append(tensor(pull, now, "pull"))
            tensor(memory[i], now, "mean")
        theta, psi = theta - lr * (psi + pulls[0]), psi + lr * (theta - pulls[1])
    return math.hypot(float(theta), float(psi))
