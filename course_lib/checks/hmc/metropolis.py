"""Task 3: the Metropolis decision, against the law min(1, exp(-delta_h)) and the rows it must keep."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.checks.oracle import need, oracle, parts, seeded, tensor


def _points(n: int, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(x, u, grad) of n chains, all numbers different, as if from some landscape."""
    draw = torch.randn(n, 5, generator=random)
    return draw[:, :2].clone(), draw[:, 2].clone(), draw[:, 3:].clone()


def _decide(answer, current, proposal, delta_h: Tensor, generator: torch.Generator):
    """The decisions `[C]` of one call, after its parts have been held against the two given points."""
    out = answer(current, proposal, delta_h, generator=generator)
    state, accepted = parts(out, ("state", "accepted"), "accept")
    state = parts(state, ("x", "u", "grad"), "the state of accept")
    need(type(accepted) is Tensor, "accepted must be a tensor of bools, one for each chain")
    need(
        accepted.shape == delta_h.shape and accepted.dtype == torch.bool,
        f"accepted must be bool with shape {list(delta_h.shape)}, one decision for each chain, "
        f"not {accepted.dtype} with shape {list(accepted.shape)}",
    )
    for name, got, old, new in zip(("x", "u", "grad"), state, current, proposal, strict=True):
        tensor(got, old, name)
        rows = accepted if old.dim() == 1 else accepted[:, None]
        took = got == new
        need(
            not bool((~rows & took).any()),
            f"a rejected chain keeps what it had, but its {name} is the proposal's",
        )
        need(bool((rows | (got == old)).all()), f"a rejected chain must keep its old {name} bit by bit")
        need(bool((~rows | took).all()), f"an accepted chain must take the {name} of the proposal")
    return accepted


@oracle
def accept(answer, seed: int) -> None:
    """`accept(current, proposal, delta_h [C], *, generator) -> (state, accepted [C])`, with (x, u, grad)."""
    random = seeded(seed)
    n = 20_000
    current, proposal = _points(n, random), _points(n, random)
    up, down = torch.full((n,), 30.0), torch.full((n,), -30.0)
    uphill = _decide(answer, current, proposal, up, random).float().mean()
    downhill = _decide(answer, current, proposal, down, random).float().mean()
    need(not (uphill > 0.99 and downhill < 0.01), "delta_h has the wrong sign: accept when the energy falls")
    need(bool(uphill < 0.01), "a rise of 30 nats is accepted: accept with probability min(1, exp(-delta_h))")
    need(bool(downhill == 1), "a fall in energy must always be accepted")
    _acceptance_is_exponential(answer, current, proposal, random)
    for bad in (math.inf, math.nan):
        diverged = _decide(answer, current, proposal, torch.full((n,), bad), random)
        need(not bool(diverged.any()), f"a proposal with delta_h = {bad} (a diverged path) must be rejected")
    _generator_is_used(answer, current, proposal, seed)


def _acceptance_is_exponential(answer, current, proposal, random) -> None:
    n = len(current[0])
    for delta in (0.2 + 1.6 * torch.rand(3, generator=random)).tolist():
        accepted = _decide(answer, current, proposal, torch.full((n,), delta), random).float()
        share, truth = float(accepted.mean()), math.exp(-delta)
        need(0 < share < 1, "all chains decide together: draw one random number for each chain")
        need(
            abs(share - truth) < 5 * math.sqrt(truth * (1 - truth) / n),
            f"{share:.3f} of the proposals with delta_h = {delta:.2f} are accepted, "
            f"expected exp(-{delta:.2f}) = {truth:.3f}",
        )
        neighbours = float((accepted[1:] - truth) @ (accepted[:-1] - truth)) / (truth * (1 - truth) * (n - 1))
        need(abs(neighbours) < 5 / math.sqrt(n), "the chains do not decide independently of each other")


def _generator_is_used(answer, current, proposal, seed: int) -> None:
    delta_h = torch.full((len(current[0]),), 0.7)
    one, two = seeded(seed), seeded(seed)
    first = _decide(answer, current, proposal, delta_h, one)
    need(
        bool((first == _decide(answer, current, proposal, delta_h, two)).all()),
        "the same seed gives other decisions: pass generator=generator to every random call",
    )
    need(
        not bool((first == _decide(answer, current, proposal, delta_h, one)).all()),
        "two calls make the same decisions: draw new random numbers from the generator at each call",
    )
