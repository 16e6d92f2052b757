"""Task 4: a whole step of HMC, against its definition and against a law that it must keep."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import energies
from course_lib.checks.invariance import normality
from course_lib.checks.oracle import close, need, oracle, parts, seeded, tensor
from course_lib.sampling import mcmc


class _Call(NamedTuple):
    name: str
    args: tuple
    out: tuple


class _Pieces:
    """The library's leapfrog and accept step, as call-backs that remember what they were asked."""

    def __init__(self):
        self.calls: list[_Call] = []

    def leapfrog(self, x, p, grad, value_and_grad, step_size, n_steps):
        args = (x, p, grad, value_and_grad, step_size, n_steps)
        return self._remember("leapfrog", args, mcmc.leapfrog(*args))

    def accept(self, current, proposal, delta_h, *, generator=None):
        states = (mcmc.State(*point) for point in (current, proposal))
        chance = torch.rand(delta_h.shape, generator=generator, dtype=delta_h.dtype)
        state, info = mcmc.accept_or_keep(*states, delta_h, chance)
        out = (tuple(state[:3]), info.accepted)
        return self._remember("accept", (current, proposal, delta_h), out)

    def _remember(self, name, args, out):
        self.calls.append(_Call(name, args, out))
        return out

    def one(self, name: str) -> _Call:
        calls = [call for call in self.calls if call.name == name]
        need(len(calls) == 1, f"hmc_step must call the given {name} once, not {len(calls)} times")
        return calls[0]


BANANA = energies.Banana(b=0.8)
STEP_SIZE, N_STEPS = 0.55, 5  # acceptance about .8: high enough to move, low enough for rejections to matter


@oracle
def hmc_step(answer, seed: int) -> None:
    """`hmc_step(current, value_and_grad, step_size, n_steps, leapfrog, accept, *, generator)`.

    Returns (state, accepted); first what one step does, then what twenty of them do to exact draws.
    """
    random = seeded(seed)
    x = BANANA.sample(20_000, generator=random)
    current = (x, *BANANA.value_and_grad(x))
    momenta = [_one_step(answer, current, random) for _ in range(2)]
    need(not torch.equal(*momenta), "two steps use the same momentum: draw a fresh one in each step")
    again = [_step(answer, current, seeded(seed))[0][0] for _ in range(2)]
    need(
        torch.equal(*again),
        "the same seed gives other samples: pass generator=generator to every random call",
    )
    _keeps_the_banana(answer, current, random)


def _call(answer, current, pieces: _Pieces, generator: torch.Generator):
    return answer(
        current,
        BANANA.value_and_grad,
        STEP_SIZE,
        N_STEPS,
        pieces.leapfrog,
        pieces.accept,
        generator=generator,
    )


def _result(out, current):
    """(state, accepted) of one call, once their form is right."""
    state, accepted = parts(out, ("state", "accepted"), "hmc_step")
    state = parts(state, ("x", "u", "grad"), "the state of hmc_step")
    for name, got, old in zip(("x", "u", "grad"), state, current, strict=True):
        tensor(got, old, name)
    need(type(accepted) is Tensor and accepted.shape == current[1].shape, "accepted must be a tensor [C]")
    return state, accepted


def _step(answer, current, generator: torch.Generator):
    return _result(_call(answer, current, _Pieces(), generator), current)


def _one_step(answer, current, random: torch.Generator) -> Tensor:
    """Hold one step against its definition, and return the momentum that it drew."""
    pieces = _Pieces()
    out = _call(answer, current, pieces, random)
    path, decision = pieces.one("leapfrog"), pieces.one("accept")
    x, p, grad, _, step_size, n_steps = path.args
    start = torch.equal(x, current[0]) and torch.equal(grad, current[2])
    need(start, "leapfrog must start at the current x and grad")
    need(
        step_size == STEP_SIZE and n_steps == N_STEPS, "hand step_size and n_steps on to leapfrog as they are"
    )
    _standard_normal(tensor(p, x, "the momentum"))
    y, q, u, new_grad = path.out
    old, new, delta_h = decision.args
    need(_same(old, current), "accept gets the current point (x, u, grad) first")
    need(_same(new, (y, u, new_grad)), "accept gets the end of the path, (x, u, grad), as the proposal")
    tensor(delta_h, u, "delta_h", finite=False)  # a path may diverge
    ends = (u, q.square().sum(-1) / 2, current[1], p.square().sum(-1) / 2)
    right = torch.stack([*ends, delta_h]).isfinite().all(0)
    u_end, k_end, u_start, k_start = (energy[right] for energy in ends)
    _energy_difference(delta_h[right], u_end - u_start, k_end - k_start)
    state, accepted = _result(out, current)
    need(
        _same(state, decision.out[0]) and torch.equal(accepted, decision.out[1]),
        "return what accept returned: its state and its decisions",
    )
    return p


def _same(a: tuple, b: tuple) -> bool:
    return len(a) == len(b) and all(torch.equal(one, two) for one, two in zip(a, b, strict=True))


def _standard_normal(p: Tensor) -> None:
    spread = float(p.square().mean())
    need(
        abs(spread - 1) < 5 * math.sqrt(2 / p.numel()),
        f"the momentum has the variance {spread:.2f}, expected 1: draw it from N(0, I)",
    )
    problem = normality(p)
    need(problem == "", f"the momentum is not a standard normal: {problem}")


def _energy_difference(delta_h: Tensor, potential: Tensor, kinetic: Tensor) -> None:
    def is_(truth: Tensor) -> bool:
        return close(delta_h, truth, 1e-4)

    total = potential + kinetic
    need(not is_(-total), "delta_h has the wrong sign: it is H at the end of the path minus H at its start")
    need(not is_(potential), "delta_h has no kinetic term: H = U + |p|^2 / 2")
    need(not is_(potential + 2 * kinetic), "the kinetic energy is |p|^2 / 2: a factor 1/2 is missing")
    need(not is_(potential - kinetic), "the kinetic term has the wrong sign in delta_h")
    need(is_(total), "delta_h is not H(end) - H(start) with H = U + |p|^2 / 2")


def _keeps_the_banana(answer, current, random: torch.Generator, transitions: int = 20) -> None:
    start, taken = current[0], []
    for _ in range(transitions):
        current, accepted = _step(answer, current, random)
        taken.append(accepted.float().mean())
    acceptance = float(torch.stack(taken).mean())
    need(
        0.7 < acceptance < 0.85,
        f"the mean acceptance is {acceptance:.2f} where a right step has about .8",
    )
    x1, x2 = current[0].T
    problem = normality(torch.stack([x1, x2 - BANANA.b * (x1.square() - 1)], 1))  # undo the bend
    need(
        problem == "",
        f"exact draws of the banana are not kept: after {transitions} steps and unbent, {problem}",
    )
    jump = float((current[0] - start).square().sum(-1).mean())
    need(jump > 1, f"the chains hardly move: mean squared distance {jump:.2f} after {transitions} steps")
