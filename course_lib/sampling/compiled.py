"""One whole transition as one compiled graph, for long runs on a machine with a C++ compiler."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.energies import Energy, value_and_grad
from course_lib.energies.bridge import BridgeAt
from course_lib.sampling.mcmc import Info, Kernel, Noise, State


def _transition(
    kernel: Kernel, energy: Any, beta: Tensor | None, state: State, noise: Noise
) -> tuple[State, Info]:
    # beta comes as a tensor, so that a new temperature is a new number and not a new graph.
    return kernel.move(energy if beta is None else energy.at(beta), state, noise)


@functools.cache
def _compile() -> Callable:
    import torch._dynamo  # takes a second or two, so only when asked for

    # Every new shape, kernel or energy is one more graph; the default limit of 8 is for whole models.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)
    return torch.compile(_transition, fullgraph=True, dynamic=False)


class Compiled:
    """A kernel whose transition runs as one compiled graph; the same draws, the same chain to rounding.

    The first step of every new shape or kernel takes ten seconds or more, so this pays from some 10,000
    steps on. Random numbers are drawn outside the graph, so seeds keep their meaning. Without a working
    C++ compiler it falls back to the plain kernel with one warning.
    """

    def __init__(self, kernel: Kernel):
        self.kernel = kernel
        self.step_size, self.init = kernel.step_size, kernel.init
        self.draw, self.move = kernel.draw, kernel.move
        self._plain = False

    def step(
        self, energy: Energy, state: State, *, generator: torch.Generator | None = None
    ) -> tuple[State, Info]:
        noise = self.draw(state.x, generator)
        function = value_and_grad(energy)
        if self._plain:
            return self.kernel.move(function, state, noise)
        landscape: Any = function.energy
        beta = None
        if isinstance(landscape, BridgeAt):
            beta = torch.as_tensor(landscape.beta, dtype=state.x.dtype, device=state.x.device)
            landscape = landscape.bridge
        try:
            return _compile()(self.kernel, landscape, beta, state, noise)
        except Exception as error:
            # torch names it InvalidCxxCompiler, wrapped in the error of whichever layer met it first.
            if "CxxCompiler" not in f"{type(error).__name__}: {error}":
                raise
            self._plain = True
            warnings.warn(
                f"no working C++ compiler, so the transition runs uncompiled ({type(error).__name__})",
                stacklevel=2,
            )
            return self.kernel.move(function, state, noise)
