"""A mistake is named where a wrong value is the one it would give, and only there."""

import math

import pytest
import torch

from course_lib.checks import Wrong
from course_lib.checks.candidates import blame, finite

MISTAKES = [(2.0, "twice"), (1.0, "never said"), (-1.0, "sign")]


@pytest.mark.parametrize("got, why", [(2.0, "twice"), (torch.tensor(-1.0), "sign"), (2.0 + 1e-9, "twice")])
def test_the_mistake_is_named(got, why):
    with pytest.raises(Wrong, match=f"^{why}$"):
        blame(got, 1.0, MISTAKES)


@pytest.mark.parametrize("got", [1.0, 2.1, math.nan, torch.tensor([2.0, 2.0])])
def test_nothing_is_said_of_the_truth_or_of_an_unknown_value(got):
    blame(got, 1.0, MISTAKES)


def test_tensors_are_compared_as_a_whole():
    truth = torch.arange(3.0)
    blame(truth + torch.tensor([0.0, 0.0, 1.0]), truth, [(-truth, "sign")])
    with pytest.raises(Wrong, match="sign"):
        blame(-truth, truth, [(-truth, "sign")])


@pytest.mark.parametrize("value", [math.inf, math.nan, torch.tensor([0.0, math.inf])])
def test_what_is_not_finite_is_wrong(value):
    with pytest.raises(Wrong, match="overflow"):
        finite(value, "overflow")


@pytest.mark.parametrize("value", [1.0, 3, torch.zeros(2), None, "x"])
def test_what_is_finite_or_no_number_is_left_to_others(value):
    finite(value, "overflow")
