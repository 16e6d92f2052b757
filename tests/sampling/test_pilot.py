"""The pilot's frozen kernels keep the acceptance it was asked for, and the estimate stays right."""

import pytest
import torch

from course_lib.energies import LinearPosterior
from course_lib.sampling import HMC, ais, pilot, sigmoid_betas


def test_pilot_finds_steps_for_every_temperature_and_freezes_them():
    sharp = LinearPosterior([[1.2, -0.7], [0.3, 1.0]], [0.0, 0.0], [0.8, 0.1], 0.001)
    betas = sigmoid_betas(200)
    kernels = pilot(
        sharp.bridge(), 50, betas, HMC(1.0, 5), target=0.75, generator=torch.Generator().manual_seed(0)
    )
    assert len(kernels) == 200 and all(isinstance(k.step_size, float) and k.n_leapfrog == 5 for k in kernels)
    assert kernels[-1].step_size < 0.2 * kernels[0].step_size  # the posterior is far narrower than the prior
    result = ais(sharp.bridge(), 2000, betas, kernels, generator=torch.Generator().manual_seed(1))
    assert result.acceptance[100:].mean() == pytest.approx(0.75, abs=0.12)
    w = (result.log_w - sharp.log_z).exp()
    assert abs((w.mean() - 1) / (w.std() / 2000**0.5)) < 5
