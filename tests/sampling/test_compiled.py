"""Compiled transitions make the same chain, and machines without a compiler make it uncompiled."""

import shutil

import pytest
import torch

from course_lib.energies import Banana, LinearPosterior
from course_lib.sampling import HMC, ais, compiled, run, sigmoid_betas


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler (g++)")
@pytest.mark.slow
def test_compiled_chains_are_the_plain_chains_to_rounding():
    banana = Banana(0.8)
    x = banana.sample(64, generator=seeded()).double()
    plain = run(HMC(0.3, 2), banana, x, 5, generator=seeded(1))
    graph = run(HMC(0.3, 2), lambda x: banana(x), x, 5, generator=seeded(1), compile=True)
    assert torch.allclose(plain.x, graph.x, atol=1e-10)
    linear = LinearPosterior([[1.2, -0.7]], [0.0], [0.8], 0.09)
    kernels = [HMC(0.3 + 0.01 * t, 2, jitter=0.2) for t in range(10)]
    plain = ais(linear.bridge(), 64, sigmoid_betas(10), kernels, generator=seeded(1))
    graph = ais(linear.bridge(), 64, sigmoid_betas(10), kernels, generator=seeded(1), compile=True)
    assert torch.allclose(plain.log_w, graph.log_w, atol=1e-4)


def test_without_a_compiler_it_runs_uncompiled_with_one_warning(monkeypatch):
    def no_compiler(*args):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

    monkeypatch.setattr(compiled, "_compile", lambda: no_compiler)
    x = Banana().sample(8, generator=seeded())
    with pytest.warns(UserWarning, match=r"no working C\+\+ compiler") as caught:
        graph = run(HMC(0.3, 2), Banana(), x, 5, generator=seeded(1), compile=True)
    assert len(caught) == 1
    assert torch.equal(graph.x, run(HMC(0.3, 2), Banana(), x, 5, generator=seeded(1)).x)


def test_other_errors_are_not_swallowed(monkeypatch):
    def broken(*args):
        raise RuntimeError("something else")

    monkeypatch.setattr(compiled, "_compile", lambda: broken)
    with pytest.raises(RuntimeError, match="something else"):
        run(HMC(0.3, 2), Banana(), Banana().sample(8), 5, compile=True)


def test_one_kernel_for_all_temperatures_fails_and_warns_once(monkeypatch):
    calls = []

    def no_compiler(*args):
        calls.append(1)
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

    monkeypatch.setattr(compiled, "_compile", lambda: no_compiler)
    linear = LinearPosterior([[1.2, -0.7]], [0.0], [0.8], 0.09)
    with pytest.warns(UserWarning, match="no working") as caught:
        ais(linear.bridge(), 8, sigmoid_betas(6), HMC(0.3, 2), generator=seeded(), compile=True)
    assert len(calls) == 1 and len(caught) == 1
