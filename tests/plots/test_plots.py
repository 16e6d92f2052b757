"""Figures: shown once, with words; drawn from the right numbers; in colours that stay apart."""

from __future__ import annotations

import base64
import gc
import io

import matplotlib.colors as mcolors
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import plots
from course_lib.energies import Banana, Funnel, Gaussian, ring
from course_lib.notebook import STYLE

WORDS = "A line that goes from zero to one."


@pytest.fixture(autouse=True)
def _style():
    with plt.style.context(STYLE):
        yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: bundles.append(bundle))
    return bundles


def figure():
    fig, ax = plt.subplots()
    ax.plot([0, 1])
    return fig


# --- show ----------------------------------------------------------------------------------------


def test_show_sends_the_picture_with_its_words(shown):
    plots.show(figure(), alt=WORDS)
    (bundle,) = shown
    assert bundle["text/plain"] == WORDS
    html = bundle["text/html"]
    assert f'alt="{WORDS}"' in html
    picture = Image.open(io.BytesIO(base64.b64decode(html.split("base64,")[1].split('"')[0])))
    assert picture.size == (1280, 720)  # 6.4 x 3.6 inches, two pixels per CSS pixel
    assert 'width="640"' in html
    assert len(np.unique(np.asarray(picture))) > 10


def test_words_are_made_safe_for_html(shown):
    plots.show(figure(), alt='H < 0 "and" <script>alert(1)</script> & so on')
    assert "<script>" not in shown[0]["text/html"] and "&lt;script&gt;" in shown[0]["text/html"]
    assert "<script>" in shown[0]["text/plain"]


def test_show_leaves_no_figure_behind(shown):
    before = plt.get_fignums()
    for _ in range(3):
        plots.show(figure(), alt=WORDS)
    gc.collect()
    assert plt.get_fignums() == before


@pytest.mark.parametrize("alt", ["", "   ", "a plot", None, 3])
def test_show_insists_on_words(shown, alt):
    fig = figure()
    with pytest.raises(ValueError, match="say in a sentence"):
        plots.show(fig, alt=alt)
    assert not shown
    with pytest.raises(TypeError):
        plots.show(fig)


def test_show_insists_on_a_figure_with_something_on_it(shown):
    with pytest.raises(ValueError, match=r"pass ax\.figure"):
        plots.show(figure().axes[0], alt=WORDS)
    with pytest.raises(ValueError, match="no axes"):
        plots.show(plt.figure(), alt=WORDS)
    assert not shown


# --- landscape -----------------------------------------------------------------------------------


def test_landscape_draws_the_energy_where_it_is():
    wells = ring()
    ax = plots.landscape(wells)
    (image,) = ax.images
    values, (x0, x1, y0, y1) = image.get_array(), image.get_extent()
    rows, columns = values.shape
    points = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.0, 0.0], [1.0, -3.0]])
    for x, y in points.tolist():
        column, row = int((x - x0) / (x1 - x0) * columns), int((y - y0) / (y1 - y0) * rows)
        centre = [[x0 + (column + 0.5) * (x1 - x0) / columns, y0 + (row + 0.5) * (y1 - y0) / rows]]
        here = (wells(torch.tensor(centre)) - wells(wells.means[:1])).item()
        assert values[row, column] == pytest.approx(here, abs=0.05 + 1e-3 * here)
    assert image.origin == "lower"
    assert ax.get_xlabel() == "$x_1$" and ax.get_ylabel() == "$x_2$"
    assert ax.get_aspect() == 1


def test_landscape_contours_stand_at_whole_standard_deviations():
    ax = plots.landscape(Gaussian([0.0, 0.0]), box=(-4, 4, -4, 4), n=201)
    (contours,) = (c for c in ax.collections if hasattr(c, "levels"))
    assert list(contours.levels[:4]) == [0.5, 2.0, 4.5, 8.0]
    radius = np.linalg.norm(contours.get_paths()[1].vertices, axis=1)
    assert radius.min() > 1.98 and radius.max() < 2.02


def test_landscape_takes_any_callable_and_a_box():
    ax = plots.landscape(lambda x: x.square().sum(1), box=(-1, 2, -3, 4), contours=False, colorbar=False)
    assert ax.get_xlim() == (-1, 2) and ax.get_ylim() == (-3, 4)
    assert len(ax.figure.axes) == 1 and not ax.collections


def test_landscape_copes_with_infinite_walls():
    ax = plots.landscape(lambda x: torch.where(x[:, 0] > 0, x[:, 1].square(), torch.inf), box=(-1, 1, -1, 1))
    assert np.isfinite(ax.images[0].norm.vmax)


def test_landscape_keeps_its_brightest_level():
    assert plots.landscape(Funnel(), box=(-6, 6, -9, 9), top=30).images[0].norm.vmax == 30


@pytest.mark.parametrize("box", [(1, 0, 0, 1), (0, 1, 2, 2)])
def test_landscape_refuses_an_empty_box(box):
    with pytest.raises(ValueError, match="min < max"):
        plots.landscape(Banana(), box=box)


def test_landscape_refuses_an_energy_that_is_nowhere_finite():
    with pytest.raises(ValueError, match="nowhere finite"):
        plots.landscape(lambda x: x[:, 0] * torch.nan, box=(0, 1, 0, 1))


def test_landscape_refuses_other_dimensions():
    with pytest.raises(ValueError, match="3 dimensions"):
        plots.landscape(Gaussian([0.0, 0.0, 0.0]))


@pytest.mark.parametrize("draw", [plots.scatter, plots.track])
def test_points_and_tracks_are_drawn_where_they_are(draw):
    ax = plots.landscape(Banana())
    x = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]], requires_grad=True)
    drawn = draw(ax, x)
    where = drawn.get_offsets() if draw is plots.scatter else drawn.get_xydata()
    assert np.allclose(where, x.detach().numpy())
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        draw(ax, torch.zeros(2, 3))


# --- chains --------------------------------------------------------------------------------------


def test_trace_draws_every_chain():
    x = torch.randn(50, 3)
    ax = plots.trace(x, spread=(0, 1))
    lines = [line for line in ax.lines if len(line.get_ydata()) == 50]
    assert len(lines) == 3
    assert all(np.allclose(line.get_ydata(), x[:, c]) for c, line in enumerate(lines))


def test_trace_names_its_chains():
    ax = plots.trace({"HMC": torch.zeros(9), "walk": torch.ones(9)})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["HMC", "walk"]


@pytest.mark.parametrize("empty", [{}, torch.zeros(0, 2), {"a": torch.zeros(0)}, torch.zeros(9, 2, 2)])
def test_trace_refuses_nothing(empty):
    with pytest.raises(ValueError, match="at least one chain"):
        plots.trace(empty)


def test_marginals_show_the_samples_and_the_truth():
    banana = Banana()
    truth = banana.sample(4_000, generator=torch.Generator().manual_seed(0))
    sets = {"good": truth[:1_000], "narrow": truth[1_000:2_000] * 0.5}
    fig = plots.marginals(sets, truth, energy=banana, bins=30)
    joint, top, right = fig.axes
    assert [len(points.get_offsets()) for points in joint.collections[:2]] == [1_000, 1_000]
    assert {text.get_text() for text in joint.get_legend().get_texts()} == {"good", "narrow", "truth"}
    outline = top.lines[-1].get_xydata()
    counts, _ = np.histogram(truth[:, 0], bins=30, range=top.get_xlim(), density=True)
    assert outline[:, 1].max() == pytest.approx(counts.max(), rel=1e-3)
    assert right.get_ylim() == joint.get_ylim() and top.get_xlim() == joint.get_xlim()


def test_marginals_of_one_set_need_no_truth():
    fig = plots.marginals(torch.randn(200, 2), box=(-5, 5, -6, 6))
    assert fig.axes[0].get_xlim() == (-5, 5) and fig.axes[0].get_ylim() == (-6, 6)


@pytest.mark.parametrize("wrong", [torch.zeros(5), torch.zeros(5, 3), torch.zeros(0, 2)])
def test_marginals_refuse_wrong_shapes(wrong):
    with pytest.raises(ValueError, match=r"needs points \[N, 2\]"):
        plots.marginals(wrong)
    with pytest.raises(ValueError, match="'truth'"):
        plots.marginals(torch.zeros(5, 2), wrong)


def test_acceptance_draws_the_mean_and_one_standard_error():
    rates = torch.tensor([[0.9, 0.8, 1.0], [0.5, 0.6, 0.4]])
    ax = plots.acceptance([0.1, 0.2], {"HMC": rates})
    bars = ax.containers[0]
    assert np.allclose(bars.lines[0].get_ydata(), [0.9, 0.5])
    low, high = bars.lines[1]
    assert np.allclose(high.get_ydata() - low.get_ydata(), 2 * 0.1 / 3**0.5)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.1", "0.2"]
    with pytest.raises(ValueError, match="3 step sizes"):
        plots.acceptance([0.1, 0.2, 0.3], rates)


# --- tables --------------------------------------------------------------------------------------

ROWS = [
    {"kernel": "HMC <L>", "ESS": 12345, "error": 0.012345},
    {"kernel": "walk", "ESS": 7, "error": 1.5},
]


def test_a_table_says_its_numbers_in_html_and_in_plain_text(shown):
    plots.metric_table(ROWS, caption="Four seeds", best={"ESS": max, "error": min})
    (bundle,) = shown
    plain = bundle["text/plain"].splitlines()
    assert plain[0] == "Four seeds"
    assert plain[1].split() == ["kernel", "ESS", "error"]
    assert plain[2].split() == ["HMC", "<L>", "12,345", "*", "0.0123", "*"]
    assert plain[3].split() == ["walk", "7", "1.5"]
    html = bundle["text/html"]
    assert html.count("<tr>") == 3 and html.count("<b>") == 2 and "HMC &lt;L&gt;" in html
    assert "color" not in html  # the reader's theme decides


def test_a_table_takes_numbers_of_every_kind(shown):
    kinds = [1234.5, 0.00012345, torch.tensor(2.5), np.float32(0.25), True, 1_000_000, float("nan")]
    plots.metric_table([{"value": kind} for kind in kinds])
    cells = [line.strip() for line in shown[0]["text/plain"].splitlines()[1:]]
    assert cells == ["1,234", "0.000123", "2.5", "0.25", "True", "1,000,000", "nan"]


@pytest.mark.parametrize(
    ("rows", "best", "words"),
    [
        ([], {}, "no rows"),
        ([{"a": 1}, {"b": 1}], {}, "same columns"),
        ([{"a": 1}], {"b": max}, "columns are"),
    ],
)
def test_a_table_refuses_what_it_cannot_show(shown, rows, best, words):
    with pytest.raises(ValueError, match=words):
        plots.metric_table(rows, best=best)
    assert not shown


def test_a_heatmap_writes_every_number_in_its_cell():
    ax = plots.heatmap(
        torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), ["a", "b"], [0.1, 0.2, 0.3], fmt=".0f"
    )
    assert [text.get_text() for text in ax.texts] == list("123456")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    with pytest.raises(ValueError, match=r"shape\s+\[1, 3\]"):
        plots.heatmap(torch.zeros(2, 3), ["a"], [1, 2, 3])


# --- colours -------------------------------------------------------------------------------------

# Machado, Oliveira & Fernandes (2009), full severity: what readers without one kind of cone see (linear RGB).
BLINDNESS = {
    "none": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(rgb: np.ndarray, seen: str) -> np.ndarray:
    """CIE L*a*b* of sRGB colours `[N, 3]` as a reader with that vision sees them."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(BLINDNESS[seen]).T, 0, 1)
    xyz = linear @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    t = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


@pytest.mark.parametrize("seen", BLINDNESS)
def test_maps_rise_in_lightness_for_every_vision(seen):
    from course_lib.plots.style import ENERGY_MAP, NUMBER_MAP

    for name in (ENERGY_MAP, NUMBER_MAP):
        lightness = lab(plt.get_cmap(name)(np.linspace(0, 1, 64))[:, :3], seen)[:, 0]
        assert (np.diff(lightness) > 0).all(), name


@pytest.mark.parametrize("seen", BLINDNESS)
def test_the_first_colours_stay_apart_for_every_vision(seen):
    three = lab(np.array([mcolors.to_rgb(colour) for colour in plots.CYCLE[:3]]), seen)
    pairs = [np.linalg.norm(three[i] - three[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert min(pairs) > 14  # 2 is just visible; blue and green come closest, for tritan readers
    assert len(set(plots.MARKERS)) == len(plots.CYCLE)  # a shape for every colour
    cycle = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    assert tuple("#" + colour.lstrip("#").upper() for colour in cycle[:3]) == plots.CYCLE[:3]
