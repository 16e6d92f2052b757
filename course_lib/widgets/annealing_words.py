"""An annealing explorer in words: what a screen reader says, and the call that makes the experiment again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_lib.widgets.annealing import AnnealingExplorer

SETTABLE = ("temperatures", "schedule", "step_size", "n_leapfrog", "resample", "n", "seed")


def describe(explorer: AnnealingExplorer) -> str:
    """The run for those who do not see it, from the numbers that are shown."""
    frames, n = explorer._frames, explorer.n
    count = f"{explorer.temperatures} temperature{'s' * (explorer.temperatures > 1)}"
    words = [
        f"Annealed importance sampling from {type(explorer.bridge.base).__name__} to {explorer._name}: {n} "
        f"particles, {count}, {explorer.schedule} schedule, HMC with step size {explorer.step_size:g} and "
        f"{explorer.n_leapfrog} leapfrog step{'s' * (explorer.n_leapfrog > 1)}"
        + (", resampled when the effective sample size falls below half." if explorer.resample else ".")
    ]
    words.append(f"Effective sample size at the end {frames.ess[-1]:.0f} of {n}, lowest on the way")
    words[-1] += f" {frames.ess.min():.0f}; mean acceptance {explorer._result.acceptance.mean():.2f}."
    words.append(f"Estimate of log Z {frames.log_z[-1]:.2f}")
    if math.isfinite(frames.error[-1]):
        words[-1] += f" with standard error {frames.error[-1]:.2f}"
    if math.isfinite(explorer._log_z_truth[-1]):
        words[-1] += f", truth {explorer._log_z_truth[-1]:.2f}"
    x, w = frames.x[-1].double(), frames.log_share[-1].softmax(0)
    mean = w @ x
    words[-1] += f"; weighted mean ({mean[0]:.2f}, {mean[1]:.2f})."
    return " ".join(words)


def experiment(explorer: AnnealingExplorer) -> str:
    """The Python call that makes this experiment again, to the bit."""
    given = {name: getattr(explorer, name) for name in SETTABLE} | {"box": tuple(explorer._box)}
    return f"AnnealingExplorer(bridge, {', '.join(f'{name}={value!r}' for name, value in given.items())})"
