"""Three ways to walk on a landscape: random walk Metropolis, Langevin and Hamiltonian Monte Carlo.

Every kernel leaves exp(-U) invariant (except the unadjusted Langevin, on purpose) and has the same
two members: `init(energy, x) -> State` and `step(energy, state, generator=...) -> (State, Info)`.
A step draws all its random numbers first and then moves: `draw` and `move`, the latter deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from course_lib.energies import Energy, ValueAndGrad, value_and_grad


class State(NamedTuple):
    """Where C chains are, with what the next step would otherwise compute again.

    A step costs L gradients instead of L + 1 because the last one of the step before is kept here.
    """

    x: Tensor
    """positions `[C, D]`"""
    u: Tensor
    """their energies `[C]`, nats"""
    grad: Tensor
    """the gradients there, `[C, D]`"""
    aux: tuple[Tensor, ...] = ()
    """whatever else the energy's `value_and_grad` returned at x, each `[C]` or `[C, D]`"""


class Info(NamedTuple):
    """What happened in one step, chain by chain."""

    accepted: Tensor
    """`[C]`, bool"""
    acceptance: Tensor
    """`[C]`: the probability min(1, exp(-delta_h)) with which the proposal was accepted"""
    delta_h: Tensor
    """`[C]`: by how much the proposal violates detailed balance, nats; for HMC the energy error"""
    proposal: Tensor
    """`[C, D]`: where the step wanted to go"""


class Trajectory(NamedTuple):
    """The path of one HMC proposal: positions and momenta `[L + 1, C, D]`, total energy `[L + 1, C]`."""

    x: Tensor
    p: Tensor
    h: Tensor


class Noise(NamedTuple):
    """All the randomness of one step, and the step size that goes with it."""

    normal: Tensor
    """`[C, D]`: the momentum of HMC, the kick of the others"""
    step: Tensor
    """the step size as it multiplies x: a scalar tensor, or `[C, 1]`, one per chain"""
    chance: Tensor
    """`[C]`, uniform on [0, 1): decides between the proposal and staying"""


class Kernel(Protocol):
    """What `run`, `ais` and the explorers ask of a transition."""

    @property
    def step_size(self) -> float | Tensor: ...

    def init(self, energy: Energy, x: Tensor) -> State: ...

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Noise: ...

    def move(self, energy: Energy, state: State, noise: Noise) -> tuple[State, Info]: ...

    def step(
        self, energy: Energy, state: State, *, generator: torch.Generator | None = None
    ) -> tuple[State, Info]: ...


def leapfrog(
    x: Tensor,
    p: Tensor,
    grad: Tensor,
    value_and_grad: ValueAndGrad | Callable[[Tensor], tuple[Tensor, ...]],
    step_size: float | Tensor,
    n_steps: int,
) -> tuple[Tensor, ...]:
    """Follow the Hamiltonian H = U(x) + |p|^2 / 2 for `n_steps` steps (Neal, 2011, section 2.3).

    x, p, grad: `[C, D]`, grad being the gradient at x. step_size: a number, or `[C, 1]`, one per chain.
    Returns `(x, p, u, grad)` at the end of the path, then any aux of the energy. Costs `n_steps`
    gradients: the two half kicks between neighbouring steps are one whole kick.
    """
    gradient = getattr(value_and_grad, "grad", lambda x: value_and_grad(x)[1])
    if n_steps < 1:
        raise ValueError(f"leapfrog needs n_steps >= 1, but got {n_steps}")
    step = torch.as_tensor(step_size, dtype=x.dtype, device=x.device)
    p = torch.addcmul(p, grad, step, value=-0.5)  # new tensors: the caller's x and p stay as they are
    x = torch.addcmul(x, p, step)
    for _ in range(n_steps - 1):
        p.addcmul_(gradient(x), step, value=-1.0)
        x.addcmul_(p, step)
    u, grad, *aux = value_and_grad(x)
    p.addcmul_(grad, step, value=-0.5)
    return x, p, u, grad, *aux


def accept_or_keep(state: State, proposed: State, delta_h: Tensor, chance: Tensor) -> tuple[State, Info]:
    """The Metropolis rule: take the proposal with probability min(1, exp(-delta_h)), chain by chain.

    chance: uniform draws `[C]`. A rejected chain keeps everything it had, position, energy and gradient
    alike. A proposal of non-finite energy is rejected: every comparison with NaN is false.
    """
    accepted = chance.log() < -delta_h
    rows = accepted[:, None]

    def pick(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(rows if new.dim() == 2 else accepted, new, old)

    x, u, grad = (pick(new, old) for new, old in zip(proposed[:3], state[:3], strict=True))
    aux = tuple(pick(new, old) for new, old in zip(proposed.aux, state.aux, strict=True))
    acceptance = (-delta_h).exp().clamp(max=1.0).nan_to_num(0.0)
    return State(x, u, grad, aux), Info(accepted, acceptance, delta_h, proposed.x)


@dataclass(frozen=True, eq=False)
class Metropolis:
    """What the kernels share: a step size, `init`, and a step that is `draw` followed by `move`."""

    step_size: float | Tensor

    def __post_init__(self) -> None:
        step = torch.as_tensor(self.step_size)
        if step.dim() > 1 or not (step.isfinite() & (step > 0)).all():
            raise ValueError(
                f"step_size must be a positive number, or [C] of them, but it is {self.step_size}; "
                "try .1 and let `warm_up` find a better one"
            )

    def init(self, energy: Energy, x: Tensor) -> State:
        """The state of chains that stand at `x: [C, D]`. Raises ValueError where the energy is not finite."""
        if x.dim() != 2 or x.numel() == 0:
            raise ValueError(f"chains start from points of shape [C, D], but x has shape {list(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"chains live on real numbers, but x has dtype {x.dtype}; use x.float()")
        step = torch.as_tensor(self.step_size)
        if step.dim() and len(step) != len(x):
            raise ValueError(f"there are {len(step)} step sizes for {len(x)} chains; give one, or one each")
        x = x.detach().T.contiguous().T  # shape [C, D], memory [D, C]: column arithmetic then never copies
        u, grad, *aux = value_and_grad(energy)(x)
        if u.shape != x.shape[:1]:
            raise ValueError(
                f"an energy maps x {list(x.shape)} to [C], but this one returned {list(u.shape)}"
            )
        if not u.isfinite().all():
            bad = (~u.isfinite()).nonzero()[0].item()
            raise ValueError(
                f"the energy is {u[bad].item()} at the start of chain {bad}, x = {x[bad].tolist()}; "
                "start where the density is positive"
            )
        return State(x, u, grad, tuple(aux))

    def step(
        self, energy: Energy, state: State, *, generator: torch.Generator | None = None
    ) -> tuple[State, Info]:
        """One transition of all chains: `move` with a fresh `draw`."""
        return self.move(energy, state, self.draw(state.x, generator))

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Noise:
        """The random numbers of one step of chains at `x: [C, D]`."""
        columns = x.new_empty(x.shape[::-1])  # [D, C]: the generator is slow on memory that is not in order
        normal = columns.normal_(generator=generator).T
        step = torch.as_tensor(self.step_size, dtype=x.dtype, device=x.device)
        chance = x.new_empty(len(x)).uniform_(generator=generator)
        return Noise(normal, step[:, None] if step.dim() else step, chance)

    def move(self, energy: Energy, state: State, noise: Noise) -> tuple[State, Info]:
        """The transition itself, a function of its arguments alone."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class RandomWalk(Metropolis):
    """Random walk Metropolis: propose `x + eps z`, z ~ N(0, I), and accept or stay.

    The gradient at x plays no part in the move; it is carried along so that all kernels share a State.
    """

    def move(self, energy: Energy, state: State, noise: Noise) -> tuple[State, Info]:
        x = state.x + noise.step * noise.normal
        u, grad, *aux = value_and_grad(energy)(x)
        return accept_or_keep(state, State(x, u, grad, tuple(aux)), u - state.u, noise.chance)


@dataclass(frozen=True, eq=False)
class Langevin(Metropolis):
    """Langevin dynamics: `x' = x - eps^2/2 grad U(x) + eps z`, downhill plus noise.

    adjust=True (MALA) accepts or rejects, and exp(-U) is kept exactly (Roberts & Tweedie, 1996).
    adjust=False (ULA) always moves and pays with a bias: a standard normal gets the variance
    1 / (1 - eps^2 / 4). MALA is HMC with one leapfrog step.
    """

    adjust: bool = True

    def move(self, energy: Energy, state: State, noise: Noise) -> tuple[State, Info]:
        z, step = noise.normal, noise.step
        x = state.x - step**2 / 2 * state.grad + step * z
        u, grad, *aux = value_and_grad(energy)(x)
        proposed = State(x, u, grad, tuple(aux))
        # The noise that would bring the proposal back; q(x | x') / q(x' | x) compares the two.
        back = (state.x - x + step**2 / 2 * grad) / step
        delta_h = (u - state.u) + (back.square() - z.square()).sum(-1) / 2
        if self.adjust:
            return accept_or_keep(state, proposed, delta_h, noise.chance)
        always = torch.ones_like(u)
        return proposed, Info(always.bool(), always, delta_h, x)


@dataclass(frozen=True, eq=False)
class HMC(Metropolis):
    """Hamiltonian Monte Carlo (Duane et al., 1987; Neal, 2011): kick, follow the leapfrog, accept.

    step_size: eps, or one per chain `[C]`. n_leapfrog: L, the gradients of one step.
    jitter: every chain's eps is scaled by a fresh factor, uniform on [1 - jitter, 1 + jitter].
    metric: a factor A `[D, D]`, or `[G, D, D]` for G equal groups of chains; the walk then happens in the
    coordinates y of x = A y. With A A' near the covariance of the target, all directions look alike.
    """

    n_leapfrog: int = 10
    jitter: float = 0.0
    metric: Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_leapfrog < 1 or self.n_leapfrog != int(self.n_leapfrog) or not 0 <= self.jitter < 1:
            raise ValueError(
                "HMC needs a whole n_leapfrog >= 1 and 0 <= jitter < 1, "
                f"but got n_leapfrog={self.n_leapfrog}, jitter={self.jitter}"
            )

    def init(self, energy: Energy, x: Tensor) -> State:
        state = super().init(energy, x)
        if self.metric is not None and self.metric.shape[-2:] != (x.shape[1], x.shape[1]):
            raise ValueError(
                f"a metric in {x.shape[1]}-D is a matrix of that size, not {list(self.metric.shape)}"
            )
        return state

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Noise:
        noise = super().draw(x, generator)
        if not self.jitter:
            return noise
        scale = x.new_empty(len(x), 1).uniform_(1 - self.jitter, 1 + self.jitter, generator=generator)
        return noise._replace(step=noise.step * scale)

    def move(self, energy: Energy, state: State, noise: Noise) -> tuple[State, Info]:
        function = value_and_grad(energy)
        if self.metric is None:
            x, p, u, grad, *aux = leapfrog(
                state.x, noise.normal, state.grad, function, noise.step, self.n_leapfrog
            )
        else:
            stretched = Stretched(function, state.x, self.metric)
            y, p, u, _, grad, *aux = leapfrog(
                torch.zeros_like(state.x),
                noise.normal,
                stretched.back(state.grad),
                stretched,
                noise.step,
                self.n_leapfrog,
            )
            x = stretched.point(y)
        delta_h = (u - state.u) + (p.square() - noise.normal.square()).sum(-1) / 2
        return accept_or_keep(state, State(x, u, grad, tuple(aux)), delta_h, noise.chance)

    def trajectory(
        self, energy: Energy, state: State, *, generator: torch.Generator | None = None
    ) -> Trajectory:
        """The whole path of the proposal that `step` makes with the same generator, point by point."""
        noise = self.draw(state.x, generator)
        metric = torch.eye(state.x.shape[1]).to(state.x) if self.metric is None else self.metric
        stretched = Stretched(value_and_grad(energy), state.x, metric)
        y, p, grad = torch.zeros_like(state.x), noise.normal, stretched.back(state.grad)
        points = [(state.x, p, state.u)]
        for _ in range(self.n_leapfrog):
            y, p, u, grad, *_ = leapfrog(y, p, grad, stretched, noise.step, 1)
            points.append((stretched.point(y), p, u))
        xs, ps, us = (torch.stack(part) for part in zip(*points, strict=True))
        return Trajectory(xs, ps, us + ps.square().sum(-1) / 2)

    def path(self, energy: Energy, state: State, *, generator: torch.Generator | None = None) -> Tensor:
        """The positions `[L + 1, C, D]` of `trajectory`: what the explorer draws."""
        return self.trajectory(energy, state, generator=generator).x


class Stretched:
    """An energy in the coordinates y of `x = origin + A y`; the gradient in x comes as its aux."""

    def __init__(self, function: ValueAndGrad, origin: Tensor, factor: Tensor):
        self.function, self.origin, self.factor = function, origin, factor.to(origin)

    def _times(self, y: Tensor, factor: Tensor) -> Tensor:
        if factor.dim() == 2:
            return y @ factor
        return (y.reshape(len(factor), -1, y.shape[1]) @ factor).view(y.shape)

    def point(self, y: Tensor) -> Tensor:
        """x `[C, D]` at y `[C, D]`."""
        return self.origin + self._times(y, self.factor.mT)

    def back(self, grad: Tensor) -> Tensor:
        """The gradient in y, `A' grad_x`, `[C, D]`."""
        return self._times(grad, self.factor)

    def __call__(self, y: Tensor) -> tuple[Tensor, ...]:
        u, grad, *aux = self.function(self.point(y))
        return u, self.back(grad), grad, *aux

    def grad(self, y: Tensor) -> Tensor:
        return self.back(self.function.grad(self.point(y)))
