"""The annealing explorer without a browser: every slider at its ends, and that it shows `sampling.ais`."""

from __future__ import annotations

import base64
import html
import json
import math
import re

import numpy as np
import pytest
import torch
import traitlets

from course_lib.energies import Bridge, Gaussian, GaussianMixture, LinearPosterior, ring
from course_lib.sampling import HMC, ais, geometric_betas, log_mean_exp, sigmoid_betas, weight_ess
from course_lib.widgets import AnnealingExplorer
from course_lib.widgets.annealing import LIMITS, SETTABLE
from course_lib.widgets.annealing_run import Truth

STEPS = 65535


@pytest.fixture(scope="module")
def explorer():
    return AnnealingExplorer(temperatures=12, n=60, seed=3)


def curves(explorer) -> dict[str, np.ndarray]:
    """What the browser draws, unpacked as it does it."""
    rows = np.frombuffer(explorer.curves, "<f4").reshape(6, -1)
    return dict(zip(("betas", "ess", "log_z", "error", "truth", "acceptance"), rows, strict=True))


def points(explorer) -> np.ndarray:
    """`[T + 1, n, 2]`, NaN where a particle has left even the rim of the picture."""
    a, b, c, d = explorer.view["wide"]
    raw = np.frombuffer(explorer.points, "<u2").reshape(len(curves(explorer)["betas"]), -1, 2).astype(float)
    x = np.array([a, c]) + raw / STEPS * np.array([b - a, d - c])
    return np.where((raw == 0) | (raw == STEPS), np.nan, x)


def log_shares(explorer) -> np.ndarray:
    low, high = explorer.view["shares"]
    raw = np.frombuffer(explorer.shares, "<u2").reshape(len(curves(explorer)["betas"]), -1)
    return low + raw / STEPS * (high - low)


def by_hand(explorer):
    """The run that the explorer says it shows, made with the library alone."""
    betas = {
        "linear": torch.linspace(0, 1, explorer.temperatures + 1, dtype=torch.float64),
        "sigmoid": sigmoid_betas(explorer.temperatures),
        "geometric": geometric_betas(explorer.temperatures, 1e-3),
    }[explorer.schedule]
    assert torch.equal(explorer.betas, betas)
    return ais(
        explorer.bridge,
        explorer.n,
        betas,
        HMC(explorer.step_size, explorer.n_leapfrog, jitter=0.3),
        resample_below=0.5 if explorer.resample else None,
        keep=range(explorer.temperatures + 1),
        generator=torch.Generator().manual_seed(explorer.seed),
    )


def check(explorer) -> None:
    """Everything that is shown is that of the library's run."""
    run, shown = by_hand(explorer), curves(explorer)
    log_w = torch.stack([one.log_w for one in run.kept])
    x = torch.stack([one.x for one in run.kept]).double().numpy()
    a, b, c, d = explorer.view["wide"]
    seen = points(explorer)
    there = np.isfinite(seen)
    assert there.mean() > 0.9
    assert np.abs(seen - x)[there].max() <= max(b - a, d - c) / STEPS
    assert np.allclose(shown["betas"], explorer.betas) and len(shown["betas"]) == explorer.temperatures + 1
    assert np.allclose(shown["ess"], weight_ess(log_w), rtol=1e-4)
    assert np.allclose(shown["log_z"], log_mean_exp(log_w) + run.log_z_base, atol=1e-4)
    assert np.allclose(shown["acceptance"][1:], run.acceptance, atol=1e-5)
    assert math.isnan(shown["acceptance"][0])
    expected = (log_w - log_mean_exp(log_w)[:, None]).clamp(*explorer.view["shares"]).numpy()
    assert np.abs(log_shares(explorer) - expected).max() < 1e-3
    assert f"{run.log_z:.2f}" in explorer.alt and f"{run.weight_ess:.0f} of {explorer.n}" in explorer.alt
    assert torch.equal(explorer.result.x, run.x) and torch.equal(explorer.result.log_w, run.log_w)


def test_the_default_shows_the_phenomenon():
    """All eight wells are found, the weights are uneven but worth something, and log Z is near the truth."""
    explorer = AnnealingExplorer()
    check(explorer)
    wells = torch.cdist(explorer.result.x, ring().means).argmin(1)
    assert len(wells.unique()) == 8 and explorer.at == explorer.temperatures
    shown = curves(explorer)
    assert 0.2 * explorer.n < shown["ess"][-1] < 0.9 * explorer.n
    assert abs(shown["log_z"][-1] - ring().log_z) < 5 * shown["error"][-1] < 1


@pytest.mark.parametrize("end", [0, 1], ids=["least", "most"])
@pytest.mark.parametrize("name", ["temperatures", "step_size", "n_leapfrog", "n", "seed"])
def test_each_slider_at_its_ends(name, end):
    explorer = AnnealingExplorer(temperatures=5, n=20, seed=7)
    explorer.set_state({name: LIMITS[name][end]})  # what a message of the browser does
    assert getattr(explorer, name) == LIMITS[name][end] and explorer.run == 2
    check(explorer)


@pytest.mark.parametrize("end", [0, 1], ids=["least", "most"])
def test_all_sliders_at_the_same_end(end):
    names = ("temperatures", "n_leapfrog", "n", "step_size")
    explorer = AnnealingExplorer(resample=True, **{name: LIMITS[name][end] for name in names})
    check(explorer)
    assert explorer.at == explorer.temperatures


@pytest.mark.parametrize("schedule", ["linear", "sigmoid", "geometric"])
@pytest.mark.parametrize("resample", [False, True])
def test_schedules_and_resampling(schedule, resample):
    explorer = AnnealingExplorer(temperatures=30, n=100)
    explorer.set_state({"schedule": schedule})
    explorer.set_state({"resample": resample})
    check(explorer)
    assert explorer.betas[0] == 0 and explorer.betas[-1] == 1
    assert np.isnan(curves(explorer)["error"]).all() == resample  # dependent particles have no such error


def test_the_standard_error_is_that_of_the_weights(explorer):
    w = explorer.result.log_w.exp()
    expected = (w.std(correction=0) / w.mean() / len(w) ** 0.5).item()
    assert curves(explorer)["error"][-1] == pytest.approx(expected, rel=1e-4)


def test_the_same_seed_shows_the_same_bits_and_another_does_not(explorer):
    again = AnnealingExplorer(temperatures=12, n=60, seed=3)
    assert (again.points, again.shares, again.curves) == (explorer.points, explorer.shares, explorer.curves)
    again.seed = 4
    assert again.points != explorer.points


def test_the_place_on_the_way_is_kept_when_the_number_of_temperatures_changes():
    explorer = AnnealingExplorer(temperatures=20, n=20, at=5)
    for temperatures, at in [(40, 10), (1, 0), (20, 5)]:
        explorer.temperatures = temperatures
        assert explorer.at == at
    explorer.at = 20
    explorer.temperatures = 3
    assert explorer.at == 3
    with pytest.raises(ValueError, match="at is from 0 to 3"):
        explorer.at = 4


def test_the_curves_follow_the_truth():
    """By quadrature, against closed forms: a Gaussian bridge has log Z of a Gaussian at every temperature."""
    bridge = Bridge.between(Gaussian([0.0, 0.0], 4.0), Gaussian([1.0, 0.0], 0.25))
    betas = torch.linspace(0, 1, 9, dtype=torch.float64)
    precision = (1 - betas) / 4 + betas / 0.25
    mean = betas / 0.25 / precision
    lowest = (1 - betas) * mean**2 / 8 + betas * (mean - 1) ** 2 / 0.5
    expected = math.log(2 * math.pi) - precision.log() - lowest
    assert torch.allclose(Truth(bridge).at(betas), expected, atol=1e-3)


@pytest.mark.parametrize("scale", [0.3, 0.05, 0.003])
def test_a_landscape_too_sharp_for_the_grid_has_no_truth_rather_than_a_wrong_one(scale):
    target = GaussianMixture([[0.0, 0.0], [4.0, 0.0]], scale)
    truth = Truth(Bridge.between(Gaussian([0.0, 0.0], 9.0), target)).at(torch.tensor([0.0, 1.0]).double())
    if scale < 0.01:
        assert truth.isnan().all()
    else:
        assert truth[1].item() == pytest.approx(target.log_z, abs=0.01)


def test_many_temperatures_have_the_truth_at_some_of_them_and_at_the_last():
    explorer = AnnealingExplorer(temperatures=200, n=10, n_leapfrog=1)
    explorer._truth.WORK = 1_000_000
    explorer.seed = 1
    truth = curves(explorer)["truth"]
    assert 3 < np.isfinite(truth).sum() < 100
    assert truth[-1] == pytest.approx(ring().log_z, abs=1e-4) and math.isfinite(truth[0])


def test_a_posterior_is_a_bridge_too():
    posterior = LinearPosterior([[1.2, -0.7], [0.3, 1.0]], [0.0, 0.0], [0.8, 0.1], 0.09)
    explorer = AnnealingExplorer(posterior.bridge(), temperatures=10, n=100, name="posterior")
    check(explorer)
    assert curves(explorer)["truth"][-1] == pytest.approx(posterior.log_z, abs=0.01)
    assert "posterior" in explorer.alt


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_the_mixed_grids_are_the_landscape(explorer, beta):
    """What the browser paints, U_base + beta delta, is `bridge.at(beta)` on the grid."""
    size, (a, b, c, d) = explorer.view["size"], explorer.view["box"]
    base, delta = np.frombuffer(explorer.grids, "<f4").reshape(2, size, size)
    row, column = 17, 93
    x = torch.tensor([[a + (b - a) * column / (size - 1), c + (d - c) * row / (size - 1)]])
    expected = explorer.bridge.at(beta)(x).item()
    assert base[row, column] + beta * delta[row, column] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperatures", 0),
        ("temperatures", 201),
        ("step_size", 0.0),
        ("step_size", math.nan),
        ("n_leapfrog", 0),
        ("n", 9),
        ("seed", -1),
        ("schedule", "cosine"),
        ("speed", 0.0),
    ],
)
def test_bad_settings_are_named_and_taken_back(explorer, name, value):
    before, runs = getattr(explorer, name), explorer.run
    with pytest.raises(ValueError, match=re.escape(str(value))):
        setattr(explorer, name, value)
    with pytest.raises(traitlets.TraitError):
        explorer.set_state({name: value})
    assert getattr(explorer, name) == before and explorer.run == runs
    with pytest.raises(ValueError, match=re.escape(str(value))):
        AnnealingExplorer(n=10 if name != "n" else value, **({name: value} if name != "n" else {}))


def test_bad_bridges_and_boxes_are_named():
    with pytest.raises(ValueError, match="2-D Bridge"):
        AnnealingExplorer(Bridge.between(Gaussian([0.0]), Gaussian([1.0])))
    with pytest.raises(ValueError, match="2-D Bridge"):
        AnnealingExplorer(ring())
    with pytest.raises(ValueError, match="min < max"):
        AnnealingExplorer(box=(1.0, -1.0, 0.0, 1.0))


def test_the_copied_call_makes_the_same_experiment(explorer):
    again = eval(explorer.code, {"AnnealingExplorer": AnnealingExplorer, "bridge": explorer.bridge})
    assert again.points == explorer.points and again.curves == explorer.curves
    assert all(getattr(again, name) == getattr(explorer, name) for name in SETTABLE)


def test_in_words_where_nothing_can_be_drawn(explorer):
    bundle = explorer._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == explorer.alt and "truth -0.57" in explorer.alt


# ---- the stored animation


def stored(page: str) -> tuple[dict, dict[str, bytes]]:
    data = json.loads(re.search(r"^const \{ state, parts \} = (.*);$", page, re.MULTILINE)[1])
    return data["state"], {name: base64.b64decode(part) for name, part in data["parts"].items()}


def test_the_replay_holds_the_run_and_needs_nothing_else(explorer):
    page = explorer.replay_page()
    state, parts = stored(page)
    assert parts["points"] == explorer.points and parts["shares"] == explorer.shares
    assert parts["curves"] == explorer.curves and state["view"]["steps"] == list(range(13))
    assert len(parts["grids"]) == 2 * 4 * state["view"]["size"] ** 2
    assert not re.search(r"https?://(?!www\.w3\.org)", page)


def test_a_long_run_is_thinned_to_200_kB():
    explorer = AnnealingExplorer(temperatures=200, n=500, n_leapfrog=1)
    page = explorer.replay_page()
    state, parts = stored(page)
    steps = state["view"]["steps"]
    assert len(page.encode()) <= 200_000 and steps[0] == 0 and steps[-1] == 200 and 5 < len(steps) < 200
    assert len(parts["points"]) == len(steps) * 500 * 4 and len(parts["curves"]) == 6 * 4 * len(steps)
    kept = np.frombuffer(parts["curves"], "<f4").reshape(6, -1)
    assert np.array_equal(kept[:3], np.array(list(curves(explorer).values()))[:3, steps])
    last = np.frombuffer(parts["points"], "<u2").reshape(len(steps), -1)[-1]
    assert (last == np.frombuffer(explorer.points, "<u2").reshape(201, -1)[-1]).all()


def test_the_displayed_replay_says_in_words_what_it_shows(explorer):
    from course_lib.widgets.annealing_replay import bundle

    shown = bundle(explorer)
    assert explorer.alt in shown["text/plain"] and len(shown["text/html"].encode()) <= 200_000
    inner = html.unescape(re.search(r'srcdoc="(.*?)" loading', shown["text/html"], re.DOTALL)[1])
    assert stored(inner)[0]["at"] == 0
