"""Equal slices of u become strips of equal area."""

import matplotlib.pyplot as plt
import pytest
import torch

from course_lib import plots


def area(collection) -> float:
    (path,) = collection.get_paths()
    x, y = path.vertices[:, 0], path.vertices[:, 1]
    return abs(float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())) / 2


def test_strips_have_equal_area():
    fig, (upper, lower) = plt.subplots(2)
    draws = torch.randn(100, generator=torch.Generator().manual_seed(0))
    plots.slices(lambda x: 5 * (-x.square() / 2).exp(), (-5.0, 5.0), upper, lower, n=8, draws=draws)
    areas = [area(collection) for collection in lower.collections]
    assert len(areas) == 4 and all(abs(one - 1 / 8) < 0.01 for one in areas)
    (curve,) = upper.lines
    u = torch.as_tensor(curve.get_ydata())
    assert abs(u[400] - 0.5) < 1e-6 and u[0] == 0 and abs(u[-1] - 1) < 1e-12 and len(lower.patches) == 60
    plt.close(fig)


@pytest.mark.parametrize("bad", [{"n": 1}, {"interval": (1.0, 1.0)}])
def test_bad_input_is_named(bad):
    fig, (upper, lower) = plt.subplots(2)
    with pytest.raises(ValueError, match="n >= 2 and low < high"):
        plots.slices(torch.ones_like, **{"interval": (0.0, 1.0), "upper": upper, "lower": lower, **bad})
    plt.close(fig)
