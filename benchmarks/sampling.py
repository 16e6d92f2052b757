"""How fast the sampling room is beside its peers: HMC on a ring, AIS-HMC on a generator's posterior.

    python course.py bench sampling [chains ...]        # by default 100 1000 10000

Everything runs in one process, on one core and one thread, repetitions interleaved over the libraries; the
figures are medians of CPU time. Trust the ratios, not the milliseconds: they move with the machine.
The first call of each peer (compilation) is not counted.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from course_lib.energies import Bridge, Gaussian, Landscape, ring
from course_lib.energies.posterior import Normalised
from course_lib.sampling import HMC, ais, run

STEP, L, RING = 0.3, 10, ring(8, radius=2.0, scale=0.5)
AIS_STEP, TEMPERATURES, HIDDEN = 0.02, 1000, 128
OBSERVED, NOISE_VAR = 0.5, 0.05**2
REPETITIONS = 5


class GeneratorMisfit(Landscape):
    """(G(z)_1 - x_o)^2 / 2 noise_var for G a 2-128-128-2 ReLU net, gradient by hand, in columns."""

    dim = 2

    def __init__(self, seed: int = 0):
        rng = np.random.default_rng(seed)
        shapes = [
            (2, HIDDEN, 1.0),
            (HIDDEN, HIDDEN, (2 / HIDDEN) ** 0.5),
            (HIDDEN, 2, HIDDEN**-0.5),
        ]
        self.numpy = [(rng.normal(size=(a, b)) * s).astype(np.float32) for a, b, s in shapes]
        self.bias1 = (rng.normal(size=HIDDEN) * 0.5).astype(np.float32)
        self.w = [torch.from_numpy(w) for w in self.numpy]
        self.wt = [w.T.contiguous() for w in self.w]
        self.b1 = torch.from_numpy(self.bias1)[:, None]

    def _forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h1 = torch.addmm(self.b1, self.wt[0], z).relu_()
        h2 = (self.wt[1] @ h1).relu_()
        return h1, h2, (self.wt[2][:1] @ h2).sub_(OBSERVED)

    def _backward(self, h1: Tensor, h2: Tensor, residual: Tensor) -> Tensor:
        back = torch.ops.aten.threshold_backward(self.w[2][:, :1] @ (residual / NOISE_VAR), h2, 0.0)
        return (self.w[0] @ torch.ops.aten.threshold_backward(self.w[1] @ back, h1, 0.0)).T

    def __call__(self, x: Tensor) -> Tensor:
        return self._forward(self.columns(x))[2][0].square() / (2 * NOISE_VAR)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h1, h2, residual = self._forward(self.columns(x))
        return residual[0].square() / (2 * NOISE_VAR), self._backward(h1, h2, residual)

    def grad(self, x: Tensor) -> Tensor:
        return self._backward(*self._forward(self.columns(x)))


# -- ours --------------------------------------------------------------------------------------------------


def ours(compile: bool) -> Callable[[Tensor, int], None]:
    return lambda x, steps: run(HMC(STEP, L), RING, x, steps, compile=compile)


def ours_ais(compile: bool) -> Callable[[Tensor, int], None]:
    bridge = Bridge(Normalised(Gaussian([0.0, 0.0])), GeneratorMisfit())
    kernel = HMC(AIS_STEP, L)

    def go(x: Tensor, steps: int) -> None:
        ais(bridge, len(x), torch.linspace(0, 1, steps + 1, dtype=torch.float64), kernel, compile=compile)

    return go


# -- peers -------------------------------------------------------------------------------------------------


def blackjax_hmc() -> Callable[[Tensor, int], None]:
    import blackjax
    import jax
    import jax.numpy as jnp

    means = jnp.asarray(RING.means.numpy())

    def log_p(x):
        return jax.nn.logsumexp(-((x - means) ** 2).sum(-1) / (2 * RING.scale**2))

    kernel = blackjax.hmc(log_p, step_size=STEP, inverse_mass_matrix=jnp.ones(2), num_integration_steps=L)

    def chains(key, x, steps):
        def body(states, key):
            states, _ = jax.vmap(kernel.step)(jax.random.split(key, x.shape[0]), states)
            return states, states.position

        return jax.lax.scan(body, jax.vmap(kernel.init)(x), jax.random.split(key, steps))[1]

    compiled = jax.jit(chains, static_argnums=2)
    return lambda x, steps: compiled(jax.random.PRNGKey(0), jnp.asarray(x.numpy()), steps).block_until_ready()


def blackjax_ais() -> Callable[[Tensor, int], None]:
    import blackjax
    import jax
    import jax.numpy as jnp

    misfit_net = GeneratorMisfit()
    w, b1 = [jnp.asarray(one) for one in misfit_net.numpy], jnp.asarray(misfit_net.bias1)
    kernel = blackjax.hmc.build_kernel()

    def misfit(z):
        h = jax.nn.relu(jax.nn.relu(z @ w[0] + b1) @ w[1])
        return ((h @ w[2])[..., 0] - OBSERVED) ** 2 / (2 * NOISE_VAR)

    def anneal(key, z, steps):
        betas = jnp.linspace(0, 1, steps + 1)

        def body(carry, inputs):
            z, log_w = carry
            key, before, beta = inputs
            log_w = log_w - (beta - before) * misfit(z)

            def log_p(z):
                return -0.5 * (z * z).sum() - beta * misfit(z)

            states = jax.vmap(lambda z: blackjax.hmc.init(z, log_p))(z)
            keys = jax.random.split(key, z.shape[0])
            step = jax.vmap(lambda k, s: kernel(k, s, log_p, AIS_STEP, jnp.ones(2), L))
            states, _ = step(keys, states)
            return (states.position, log_w), None

        start = (z, jnp.zeros(z.shape[0]))
        return jax.lax.scan(body, start, (jax.random.split(key, steps), betas[:-1], betas[1:]))[0][1]

    compiled = jax.jit(anneal, static_argnums=2)
    return lambda x, steps: compiled(jax.random.PRNGKey(0), jnp.asarray(x.numpy()), steps).block_until_ready()


def numpyro_hmc() -> Callable[[Tensor, int], None]:
    import jax
    import jax.numpy as jnp
    from numpyro.infer import HMC as NumpyroHMC
    from numpyro.infer import MCMC

    means = jnp.asarray(RING.means.numpy())

    def energy(x):
        return -jax.nn.logsumexp(-((x - means) ** 2).sum(-1) / (2 * RING.scale**2))

    kernel = NumpyroHMC(
        potential_fn=energy, step_size=STEP, num_steps=L, adapt_step_size=False, adapt_mass_matrix=False
    )
    machines: dict = {}

    def go(x: Tensor, steps: int) -> None:
        key = (len(x), steps)
        if key not in machines:
            options = {"chain_method": "vectorized", "progress_bar": False}
            machines[key] = MCMC(kernel, num_warmup=0, num_samples=steps, num_chains=len(x), **options)
        machines[key].run(jax.random.PRNGKey(0), init_params=jnp.asarray(x.numpy()))
        jax.block_until_ready(machines[key].get_samples())  # or its work is charged to whoever runs next

    return go


def plain_energy(x: Tensor) -> Tensor:
    """The ring as one would write it first, for the libraries that differentiate it themselves."""
    squares = (x[:, None, :] - RING.means).square().sum(-1)
    return -torch.logsumexp(-squares / (2 * RING.scale**2), 1)


def torchebm_hmc() -> Callable[[Tensor, int], None]:
    from torchebm.core import BaseModel
    from torchebm.samplers import HamiltonianMonteCarlo

    class Ring(BaseModel):
        def forward(self, x: Tensor) -> Tensor:
            return plain_energy(x)

    sampler = HamiltonianMonteCarlo(Ring(), step_size=STEP, n_leapfrog_steps=L)
    return lambda x, steps: sampler.sample(x=x.clone(), n_steps=steps, return_trajectory=True)


def pyro_hmc() -> Callable[[Tensor, int], None]:
    from pyro.infer import HMC as PyroHMC
    from pyro.infer import MCMC

    def go(x: Tensor, steps: int) -> None:
        kernel = PyroHMC(
            potential_fn=lambda values: plain_energy(values["x"][None])[0],
            step_size=STEP,
            num_steps=L,
            adapt_step_size=False,
            adapt_mass_matrix=False,
        )
        options = {"warmup_steps": 0, "initial_params": {"x": x[0]}, "disable_progbar": True}
        MCMC(kernel, num_samples=steps, **options).run()

    return go


# -- the race ----------------------------------------------------------------------------------------------


def race(runners: dict[str, tuple[Callable, int]], x: Tensor) -> dict[str, float]:
    """Median CPU seconds per transition of all chains, repetitions interleaved."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for go, steps in runners.values():
        go(x, steps)  # compiles; the same shapes as in the race
    for _ in range(REPETITIONS):
        for name, (go, steps) in runners.items():
            start = time.process_time()
            go(x, steps)
            times[name].append((time.process_time() - start) / steps)
    return {name: statistics.median(values) for name, values in times.items()}


def show(title: str, peer: str, times: dict[str, float], flops: float = 0.0) -> None:
    table = Table("library", "ms / transition", f"speed, {peer} = 1", title=title)
    if flops:
        table.add_column("GFLOP/s")
    for name, seconds in times.items():
        row = [name, f"{1e3 * seconds:.3f}", f"{times[peer] / seconds:.2f}"]
        table.add_row(*row, *([f"{flops / seconds / 1e9:.0f}"] if flops else []))
    Console(width=100).print(table)


def gemm_limit(chains: int) -> float:
    """GFLOP/s of the product that dominates the generator's gradient: what no implementation can beat."""
    a, b = torch.randn(HIDDEN, HIDDEN), torch.randn(HIDDEN, chains)
    rates = []
    for _ in range(20):
        start = time.process_time()
        for _ in range(200):
            a @ b
        rates.append(200 * 2 * HIDDEN**2 * chains / (time.process_time() - start))
    return statistics.median(rates) / 1e9


def main(sizes: list[int]) -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for chains in sizes:
        x = RING.sample(chains, generator=torch.Generator().manual_seed(0))
        few, many = (20, 300) if chains < 10_000 else (5, 100)
        runners = {
            "course_lib": (ours(False), many),
            "course_lib, compile=True": (ours(True), many),
            "BlackJAX": (blackjax_hmc(), many),
            "NumPyro": (numpyro_hmc(), many),
            "torchebm": (torchebm_hmc(), few),
        }
        times = race(runners, x)
        if chains == min(sizes):
            # Pyro has no batched chains: this is what running them one after the other would take.
            times["Pyro, one chain at a time"] = chains * race({"pyro": (pyro_hmc(), 40)}, x)["pyro"]
        show(f"HMC on the ring, L = {L}, C = {chains:,} chains", "BlackJAX", times)
    for chains in (100, 1000):
        x = torch.randn(chains, 2, generator=torch.Generator().manual_seed(0))
        steps = TEMPERATURES if chains == 100 else TEMPERATURES // 10
        runners = {
            "course_lib": (ours_ais(False), steps),
            "course_lib, compile=True": (ours_ais(True), steps),
            "BlackJAX": (blackjax_ais(), steps),
        }
        # forward and backward of two layers of 2 x 128 and 128 x 128, and of one output
        flops = chains * L * 4 * (2 * HIDDEN + HIDDEN**2 + HIDDEN)
        title = f"AIS-HMC on a 2-128-128-2 generator, C = {chains:,}, L = {L}, per temperature"
        show(f"{title} (GEMM limit {gemm_limit(chains):.0f} GFLOP/s)", "BlackJAX", race(runners, x), flops)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [100, 1000, 10_000])
