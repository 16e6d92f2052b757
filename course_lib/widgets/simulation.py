"""What an explorer simulates: particles, a kernel, a generator. No widget in sight, so it is easy to test."""

from __future__ import annotations

import time
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.energies import Energy, value_and_grad
from course_lib.sampling import HMC, Langevin, State
from course_lib.sampling.mcmc import Kernel

MOST_PARTICLES = 2000


class Proposal(NamedTuple):
    """Where a transition wants to go: the path `[P, N, 2]`, total energy h and potential u `[P, N]`."""

    x: Tensor
    h: Tensor
    u: Tensor


class Frames(NamedTuple):
    """K pictures in a row, N particles in each."""

    x: Tensor
    """`[K, N, 2]`: positions"""
    ghosts: tuple[Tensor, ...]
    """K tensors `[r, 2]`: the proposals that were rejected on the way into each frame"""
    path: Tensor
    """`[K, P, 2]`: the proposal of the followed particle, point by point"""
    h: Tensor
    """`[K, P]`: total energy along it, nats"""
    u: Tensor
    """`[K, P]`: potential energy along it, nats"""
    facts: Tensor
    """`[K, 4]`: mean acceptance probability of all particles; then, for the followed one, the acceptance
    probability, delta_h in nats, and 1 where the proposal was accepted"""
    step: int
    """transitions done when the last of the K was taken"""
    era: int
    """how many times the kernel had been changed"""

    def first(self, k: int) -> Frames:
        """The first k of them, where each was one transition."""
        cut = (part[:k] for part in self[:6])
        return Frames(*cut, self.step - (len(self.x) - k), self.era)


class Simulation:
    """Particles on a landscape, moved by a kernel of `sampling` with a generator of their own.

    start: one point `[2]`, around which particles stand with standard deviation `spread` (the first exactly
    on it), or one point per particle `[n, 2]`. The same seed gives the same bits: after `reset`, frames are
    those of `sampling.run(kernel, energy, x0, steps, generator=torch.Generator().manual_seed(seed))`.
    """

    def __init__(self, energy: Energy, kernel: Kernel, start: Tensor, n: int, spread: float, seed: int):
        self.energy, self.kernel = value_and_grad(energy), kernel
        self.start, self.n, self.spread, self.seed = start, n, spread, seed
        self.focus, self.era = 0, 0
        self.reset()

    @property
    def x(self) -> Tensor:
        return self.state.x

    @property
    def acceptance(self) -> float:
        """Mean acceptance probability since the start or the last change of kernel; NaN before a move."""
        return self._accepted / self._moves if self._moves else float("nan")

    def begin(self) -> Tensor:
        """The positions `[n, 2]` that `reset` goes back to."""
        generator = self._generator(self.seed)
        noise = torch.empty(self.n, 2, dtype=self.start.dtype, device=self.start.device)
        noise.normal_(generator=generator).mul_(self.spread)
        points = self.start.reshape(-1, 2)
        noise[: len(points)] = 0  # the points that were asked for are met exactly
        return points[torch.arange(self.n, device=points.device) % len(points)] + noise

    def reset(self) -> None:
        """Back to the start, with the same random numbers to come."""
        with torch.no_grad():
            self.state = self.kernel.init(self.energy, self.begin())
        self.random = self._generator(self.seed)
        self.step, self.drops, self._moves, self._accepted = 0, 0, 0, 0.0
        self.pure = True  # nothing but this kernel has moved these particles so far
        self.focus = min(self.focus, self.n - 1)

    def restart(self, **changes) -> None:
        """Reset with another start, n or seed; where that fails, all stays as it was."""
        before = {name: getattr(self, name) for name in changes}
        vars(self).update(changes)
        try:
            self.reset()
        except ValueError:
            vars(self).update(before)
            raise

    def use(self, kernel: Kernel) -> None:
        """Go on with another kernel from where the particles are."""
        self.kernel, self.pure = kernel, self.step == 0 and self.pure
        self.era, self._moves, self._accepted = self.era + 1, 0, 0.0

    def drop(self, at: Tensor, count: int) -> None:
        """Let `count` more particles fall at the point `at [2]`; those that are there go on as they were."""
        room = MOST_PARTICLES - len(self.x)
        if room <= 0:
            raise ValueError(f"{MOST_PARTICLES} particles is the most; reset takes the dropped ones away")
        noise = torch.empty(min(count, room), 2, dtype=self.x.dtype, device=self.x.device)
        noise.normal_(generator=self._generator(self.seed + 1 + self.drops)).mul_(self.spread)
        with torch.no_grad():
            more = self.kernel.init(self.energy, at.to(noise) + noise)
        parts = zip(self.state[:3], more[:3], strict=True)
        aux = tuple(torch.cat(pair) for pair in zip(self.state.aux, more.aux, strict=True))
        self.state = State(*(torch.cat(pair) for pair in parts), aux)
        self.drops, self.pure = self.drops + 1, False

    def advance(self, frames: int, stride: int = 1, budget: float = float("inf")) -> Frames:
        """Make `frames * stride` transitions, keep every stride-th; fewer once `budget` seconds are over."""
        deadline, taken = time.perf_counter() + budget, []
        for _ in range(frames):
            taken.append(self._frame(stride))
            if time.perf_counter() > deadline:
                break
        return self._stack([frame for frame, _ in taken])

    def fly(self) -> tuple[Frames, Proposal]:
        """One transition, with the paths of all particles to it."""
        frame, proposal = self._frame(1)
        return self._stack([frame]), proposal

    def preview(self) -> Frames:
        """Where all stand now, and what the followed particle would do next. Changes nothing."""
        with torch.no_grad():
            proposal, (_, info) = self._propose(), self._step(self._copy())
        nothing = self.x.new_empty(0, 2)
        return self._stack([self._picture(self.x, nothing, proposal, info, float("nan"))])

    def _frame(self, stride: int) -> tuple[tuple, Proposal]:
        acceptance = 0.0
        with torch.no_grad():
            for last in range(stride - 1, -1, -1):
                if last == 0:
                    proposal = self._propose()
                self.state, info = self._step(self.random)
                acceptance += info.acceptance.mean().item() / stride
        self.step += stride
        self._moves += stride
        self._accepted += acceptance * stride
        ghosts = info.proposal[~info.accepted]
        return self._picture(self.x, ghosts, proposal, info, acceptance), proposal

    def _step(self, generator: torch.Generator):
        return self.kernel.step(self.energy, self.state, generator=generator)

    def _propose(self) -> Proposal:
        """The path of the coming transition, by a copy of the generator: `step` will go the same way."""
        kernel = self.kernel
        if type(kernel) is Langevin:  # MALA is HMC with one leapfrog step, and draws the same noise
            kernel = HMC(kernel.step_size, n_leapfrog=1)
        if hasattr(kernel, "trajectory"):
            x, p, h = kernel.trajectory(self.energy, self.state, generator=self._copy())
            return Proposal(x, h, h - p.square().sum(-1) / 2)
        _, info = self._step(self._copy())
        u = torch.stack([self.state.u, self.state.u + info.delta_h])
        return Proposal(torch.stack([self.x, info.proposal]), u, u)

    def _picture(self, x: Tensor, ghosts: Tensor, proposal: Proposal, info, acceptance: float) -> tuple:
        i = self.focus
        facts = [acceptance, info.acceptance[i].item(), info.delta_h[i].item(), float(info.accepted[i])]
        return x, ghosts, proposal.x[:, i], proposal.h[:, i], proposal.u[:, i], x.new_tensor(facts)

    def _stack(self, pictures: list[tuple]) -> Frames:
        x, ghosts, *rest = zip(*pictures, strict=True)
        return Frames(torch.stack(x), ghosts, *(torch.stack(part) for part in rest), self.step, self.era)

    def _copy(self) -> torch.Generator:
        copy = torch.Generator(self.random.device)
        copy.set_state(self.random.get_state())
        return copy

    def _generator(self, seed: int) -> torch.Generator:
        return torch.Generator(self.start.device).manual_seed(seed)
