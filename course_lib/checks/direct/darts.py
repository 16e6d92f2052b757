"""Tasks 3 and 4: the smallest envelope, and the decision over every single dart below it."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import energies
from course_lib.checks.candidates import blame
from course_lib.checks.oracle import StudentError, need, number, oracle, parts, seeded, tensor

# -- the envelope ------------------------------------------------------------------------------------------

HALF_NORMAL_Z = math.sqrt(math.pi / 2)  # the integral of exp(-x^2 / 2) over x >= 0


@oracle
def envelope(answer, seed: int) -> None:
    """`envelope(rate) -> (log_k, acceptance)`: exponential proposals for half a normal density."""
    random = seeded(seed)
    for rate in (0.5 + 1.8 * torch.rand(4, generator=random)).tolist():
        if abs(rate - 1) < 0.1:
            rate += 0.25  # at rate 1 a forgotten normaliser does not show
        log_k, acceptance = parts(answer(rate), ("log_k", "acceptance"), "envelope")
        _check_bound(number(log_k, "log_k"), rate)
        _check_share(number(acceptance, "acceptance"), rate)


def _check_bound(log_k: float, rate: float) -> None:
    truth = rate**2 / 2 - math.log(rate)  # of log p~ - log q = -x^2/2 + rate x - log rate, at x = rate
    mistakes = (
        (math.exp(truth), "that is k: return its logarithm"),
        (rate**2 / 2, "log_k: q(x) = rate exp(-rate x) has the normaliser rate, and so p~ / q has it too"),
        (-math.log(rate), "log_k: that is p~ / q at x = 0, but it grows up to where its derivative vanishes"),
        (rate**2 / 2 + math.log(rate), "log_k: log p~ - log q has *minus* log rate, since q stands below"),
        (-truth, "log_k has the wrong sign: k is the largest value of p~ / q, not of q / p~"),
    )
    blame(log_k, truth, mistakes, 1e-5)
    need(
        log_k > truth - 1e-6,
        f"for rate {rate:.2f} the envelope is exceeded: at x = {rate:.2f} log p~ - log q = {truth:.3f}, "
        f"but log_k is {log_k:.3f}",
    )
    need(
        log_k < truth + 1e-6,
        f"for rate {rate:.2f} the envelope holds but wastes darts: log_k is {log_k:.3f}, and {truth:.3f} is "
        "enough to touch p~",
    )


def _check_share(share: float, rate: float) -> None:
    k = math.exp(rate**2 / 2 - math.log(rate))
    truth = HALF_NORMAL_Z / k
    mistakes = (
        (1 / k, "acceptance: of the area k under the envelope p~ fills Z_p, not 1: p~ is not normalised"),
        (k / HALF_NORMAL_Z, "acceptance: k / Z_p is the number of darts for one hit; you want its inverse"),
        (2 * truth, "acceptance: Z_p is the integral over x >= 0 only, half of that over the whole axis"),
        (math.log(truth), "that is the logarithm of the acceptance"),
    )
    blame(share, truth, mistakes, 1e-5)
    need(
        abs(share - truth) < 1e-5,
        f"for rate {rate:.2f} a share {truth:.4f} of the area under k q lies under p~, not {share:.4f}",
    )


# -- the darts ---------------------------------------------------------------------------------------------

N = 2000  # wanted draws; the chance of every dart is known, so this many show any mistake
TOO_MANY = 100_000  # darts for 2,000 draws at acceptance .3


class _Board:
    """A target, a wider proposal, and a memory of every dart."""

    def __init__(self, random: torch.Generator):
        shift, spread, turn, level = torch.rand(4, generator=random).tolist()
        cov = torch.tensor([[1.0, 0.4 + 0.4 * turn], [0.4 + 0.4 * turn, 1.0]])
        self.target = energies.Gaussian([0.3 * shift, -0.3 * shift], cov)
        self.proposal = energies.Gaussian([0.0, 0.0], 2.0 + 0.3 * spread)
        self.level = 3 + 2 * level  # p~ = exp(level - U): k must be used, and is far from 1
        precision = torch.linalg.inv(cov) - torch.eye(2) / (2.0 + 0.3 * spread)
        top = torch.linalg.solve(precision, torch.linalg.solve(cov, self.target.mean))
        self.log_k = float(self.log_ratio(top[None])) + 0.3  # loose, so that nothing else can stand for k
        self.rate = math.exp(self.level + self.target.log_z - self.log_k)
        self.darts: list[Tensor] = []
        self.thrown = 0

    def log_target(self, x: Tensor) -> Tensor:
        return self.level - self.target(x)

    def log_proposal(self, x: Tensor) -> Tensor:
        return -self.proposal(x) - self.proposal.log_z

    def log_ratio(self, x: Tensor) -> Tensor:
        return self.log_target(x) - self.log_proposal(x)

    def propose(self, n, *, generator=None):
        if type(n) is not int:
            raise TypeError(f"propose takes a whole number of darts, not {n!r}")
        self.thrown += max(n, 1)
        if self.thrown > TOO_MANY:
            raise ValueError("too many darts")
        self.darts.append(self.proposal.sample(n, generator=generator))
        return self.darts[-1]

    def play(self, answer, generator: torch.Generator, n: int = N, log_k: float | None = None):
        """(x, acceptance) of one call, once their form is right; the memory holds the darts of this call."""
        self.darts, self.thrown = [], 0
        functions = (self.log_target, self.log_proposal, self.propose)
        try:
            out = answer(*functions, self.log_k if log_k is None else log_k, n, generator=generator)
        except StudentError as error:
            need(
                self.thrown <= TOO_MANY,
                f"{TOO_MANY:,} darts were thrown for {n} draws and still more are wanted, although a share "
                f"{self.rate:.2f} of them hits: is log v compared with log p~ - log q - log k, and no more?",
            )
            need(
                error.kind != "ValueError" or log_k is not None,
                "a ValueError, although the envelope holds at every dart: is it log p~ - log q that must "
                "not be above log_k?",
            )
            raise
        x, acceptance = parts(out, ("x", "acceptance"), "rejection")
        x = tensor(x, torch.empty(n, 2), "x")
        need(bool(self.darts), "no dart was thrown: x comes from propose(m, generator=generator)")
        return x, number(acceptance, "acceptance")


class _Round(NamedTuple):
    """The darts of one call of propose."""

    chance: Tensor  # p~ / (k q) of each, in the order thrown
    kept: Tensor  # bool: was it returned?


@oracle
def rejection(answer, seed: int) -> None:
    """`rejection(log_target, log_proposal, propose, log_k, n, *, generator) -> (x [n, D], acceptance)`."""
    random = seeded(seed)
    board = _Board(random)
    x, acceptance = board.play(answer, random)
    rounds = _decisions(board, x)
    mistake = _mistake(rounds)
    need(mistake == "", mistake)
    _check_acceptance(acceptance, board)
    x, _ = board.play(answer, random, N // 4)
    need(
        not _repeats(rounds + _decisions(board, x)),
        "the rounds use the same heights: draw new ones from the generator each time",
    )
    again = [board.play(answer, seeded(seed), 50)[0] for _ in range(2)]
    need(
        torch.equal(*again), "the same seed gives other draws: pass generator=generator to every random call"
    )
    _exceeded(answer, board, random)


def _decisions(board: _Board, x: Tensor) -> list[_Round]:
    """Which darts came back, round by round, up to the last of them (what hit later was cut off)."""
    darts = torch.cat(board.darts)
    names = torch.cat([darts, x]).unique(dim=0, return_inverse=True)[1]
    thrown, returned = names.split([len(darts), len(x)])
    need(
        bool(torch.isin(returned, thrown).all()),
        "x holds points that were not proposed: return the darts that hit, as they are",
    )
    need(len(returned.unique()) == len(returned), "the same dart is returned more than once")
    kept = torch.isin(thrown, returned)
    chance = (board.log_ratio(darts) - board.log_k).double().exp()
    end, start, rounds = int(kept.nonzero().max()) + 1, 0, []
    for part in board.darts:
        here = slice(start, min(start + len(part), end))
        rounds.append(_Round(chance[here], kept[here]))
        start += len(part)
    return [one for one in rounds if len(one.kept)]


def _mistake(rounds: list[_Round]) -> str:
    """Why these decisions are not those of independent darts with their known chances ('' if they are)."""
    chance, kept = (torch.cat(parts) for parts in zip(*rounds, strict=True))
    if bool(kept.all()):
        return "every dart is kept: a dart hits only if its height lies below p~"
    high, low = chance > chance.quantile(0.9), chance < chance.quantile(0.1)
    if kept[high].sum() / high.sum() < kept[low].sum() / low.sum():
        return "the wrong darts are kept, those above p~: keep the ones whose height is *below* it"
    if _without_chance(_Round(chance, kept)):
        return "no dart is refused by chance: draw a height for each, uniform between 0 and k q(x)"
    large = [one for one in rounds if len(one.kept) > 50]
    if large and all(_without_chance(one) for one in large):
        return "all darts of a round share one height: draw one uniform number for each dart"
    if bool(kept[chance > 0.5].all()):
        return "the darts near the peak always hit: is the height uniform between 0 and k q(x), with log_k?"
    for part in chance.argsort().tensor_split(5):
        truth, share = float(chance[part].mean()), float(kept[part].double().mean())
        spread = float((chance * (1 - chance))[part].sum().sqrt())
        if len(part) * abs(share - truth) > 5 * spread + 3:  # + 3: rare hits are not normal, but Poisson
            return (
                f"of the darts with p~ / (k q) about {truth:.2f}, a share {share:.2f} is kept: "
                "it must be the same number"
            )
    noise = _noise(_Round(chance, kept))
    if abs(float((noise[1:] * noise[:-1]).mean())) > 8 / math.sqrt(len(noise)):
        return "neighbouring darts share a height: draw one uniform number for each dart"
    return ""


def _without_chance(darts: _Round) -> bool:
    """Whether a threshold for p~ / (k q) explains every decision."""
    hits, misses = darts.chance[darts.kept], darts.chance[~darts.kept]
    return len(hits) == 0 or len(misses) == 0 or bool(hits.min() > misses.max())


def _noise(darts: _Round) -> Tensor:
    """The decisions less their chances, of variance 1; 0 for darts that are almost sure to hit or to miss."""
    unsure = (darts.chance > 0.05) & (darts.chance < 0.95)
    noise = (darts.kept.double() - darts.chance) / (darts.chance * (1 - darts.chance)).sqrt()
    return torch.where(unsure, noise, 0.0)


def _repeats(rounds: list[_Round]) -> bool:
    """Whether the decisions of a round go with those of the round before."""
    for one, two in itertools.pairwise(rounds):
        n = min(len(one.kept), len(two.kept))
        if n > 200 and abs(float((_noise(one)[:n] * _noise(two)[:n]).mean())) > 8 / math.sqrt(n):
            return True
    return False


def _check_acceptance(acceptance: float, board: _Board) -> None:
    truth = board.rate
    allowed = 5 * math.sqrt(truth * (1 - truth) / board.thrown)
    mistakes = (
        (1 / truth, allowed / truth, "that is darts per hit; it is hits per dart"),
        (N, 0.5, "that is the number of draws; it is the share of the darts that hit"),
        (
            N / board.thrown,
            1e-6,
            f"more than {N} of the {board.thrown} darts hit: count all hits, not only n",
        ),
    )
    for value, width, why in mistakes:
        need(abs(acceptance - value) > width or abs(value - truth) < allowed, f"acceptance: {why}")
    need(
        abs(acceptance - truth) < allowed,
        f"the acceptance is {acceptance:.3f}, expected about Z_p / k = {truth:.3f}: hits divided by darts, "
        "over all rounds",
    )


def _exceeded(answer, board: _Board, random: torch.Generator) -> None:
    try:
        board.play(answer, random, log_k=board.log_k - 1.5)
    except StudentError as error:
        if error.kind == "ValueError":
            return
        raise
    need(
        False,
        "with a k that is too small nothing was said, and the draws are wrong without a trace: raise a "
        "ValueError when log_target - log_proposal > log_k at some dart",
    )
