"""Problem set 6: the solution has all points, the release none, and every mistake is called by its name."""

import math
import re

import pytest

from tests.exercises.judging import NULLS, Exercise, null

NAME = "ps06_game_dynamics"
EXERCISE = Exercise(NAME)
TASKS = ["game_step", "unrolled_slope", "consensus_step", "historical_average", "growth"]

MOVES = "psi = psi + lr * ascent"
BOTH = "return theta - lr * slope, psi"
AGAIN = "slope, _ = slopes(theta, psi)"
GRAD = "(ascent,) = torch.autograd.grad(value(theta, psi), psi, create_graph=True)"
SLOPE = "return torch.autograd.grad(value(theta, psi), theta)[0]"
FIELD = "slope, ascent = torch.autograd.grad(value(t, p), (t, p), create_graph=True)"
SIZE = "size = ((slope**2).sum() + (ascent**2).sum()) / 2"
PULLS = "pull_t, pull_p = torch.autograd.grad(size, (t, p))"
THETA = "theta = theta - lr * (slope.detach() + gamma * pull_t)"
PSI = "psi = psi - lr * (-ascent.detach() + gamma * pull_p)"
MEAN = "mean = (count * mean + now) / (count + 1)"
PULL = "return 2 * weight * (now - mean), mean"
RHO = "torch.linalg.eigvals(jacobian).abs().max()"

# (task, what the student wrote instead, what of the solution it replaces, the reason that must be given)
MUTANTS = {
    "both descend": ("game_step", "psi = psi - lr * ascent", MOVES, "simultaneous: both players descend"),
    "both ascend": ("game_step", BOTH.replace("-", "+"), BOTH, "simultaneous: both players ascend"),
    "both turned over": (
        "game_step",
        "psi = psi - lr * ascent\n    if True:\n        return theta + lr * slope, psi",
        MOVES,
        "both signs are turned over",
    ),
    "slopes exchanged": (
        "game_step",
        "ascent, slope = slopes(theta, psi)",
        "slope, ascent = slopes(theta, psi)",
        "slopes gives",
    ),
    "no learning rate": (
        "game_step",
        "return theta - slope, psi - lr * ascent + ascent",
        BOTH,
        "simultaneous: lr is not used",
    ),
    "always alternating": (
        "game_step",
        "if True",
        'if rule == "alternating"',
        "simultaneous: that is alternating",
    ),
    "stale critic": (
        "game_step",
        "pass",
        AGAIN,
        "alternating: that is simultaneous.*at the critic that has moved",
    ),
    "generator first": (
        "game_step",
        "psi = psi - lr * ascent\n        theta = theta - lr * slope\n"
        "        return theta, psi + lr * slopes(theta, psi)[1]",
        AGAIN,
        "alternating: the critic moves first",
    ),
    "critic moves twice": (
        "game_step",
        "psi = psi + lr * ascent\n        slope, _ = slopes(theta, psi)",
        AGAIN,
        "alternating: the critic moves once",
    ),
    "only the critic": ("game_step", "return theta, psi", BOTH, "theta has not moved"),
    "only the generator": (
        "game_step",
        "return theta - lr * slope, psi - lr * ascent",
        BOTH,
        "psi has not moved",
    ),
    "wrong order": ("game_step", "return psi, theta - lr * slope", BOTH, "returned in the wrong order"),
    "asks three times": (
        "game_step",
        "slopes(theta, psi)\n        slope, _ = slopes(theta, psi)",
        AGAIN,
        "slopes is called 3 times, 2 would do",
    ),
    "rate halved": ("game_step", "lr = lr / 2\n    " + MOVES, MOVES, "theta is not where the step leads"),
    "in place": ("game_step", "psi += lr * ascent", MOVES, "changes an argument in place"),
    "one player": ("game_step", "return psi", BOTH, "game_step must return the tuple"),
    "stop-gradient": (
        "unrolled_slope",
        "psi = (psi + lr * ascent).detach().requires_grad_()",
        "psi = psi + lr * ascent",
        r"does not flow through the critic's steps: create_graph=True.*psi \+ 2 k lr theta",
    ),
    "no create_graph": (
        "unrolled_slope",
        GRAD.replace(", create_graph=True", ""),
        GRAD,
        "does not flow through the critic's steps",
    ),
    "an optimiser steps the critic": (
        "unrolled_slope",
        "psi = psi.detach().clone().requires_grad_()\n"
        "    optimizer = torch.optim.SGD([psi], lr=lr, maximize=True)\n"
        "    for _ in range(k):\n"
        "        optimizer.zero_grad()\n"
        "        value(theta, psi).backward(inputs=[psi], create_graph=True)\n"
        "        optimizer.step()\n"
        "    for _ in range(0):",
        "for _ in range(k):",
        "does not flow through the critic's steps",
    ),
    "last step only": (
        "unrolled_slope",
        "psi = psi.detach().requires_grad_()\n        " + GRAD,
        GRAD,
        "through the last step only",
    ),
    "no look ahead": ("unrolled_slope", "range(0)", "range(k)", "no look ahead"),
    "one step short": ("unrolled_slope", "range(k - 1)", "range(k)", r"\d steps ahead instead of \d"),
    "one step too many": ("unrolled_slope", "range(k + 1)", "range(k)", r"\d steps ahead instead of \d"),
    "reaction only": (
        "unrolled_slope",
        "return torch.autograd.grad(value(theta.detach(), psi), theta)[0]",
        SLOPE,
        "only the way through the critic is left",
    ),
    "critic looks downhill": ("unrolled_slope", "psi - lr", "psi + lr", "the critic looks ahead downhill"),
    "sign of the slope": ("unrolled_slope", SLOPE.replace("return ", "return -"), SLOPE, "wrong sign"),
    "no learning rate ahead": ("unrolled_slope", "psi + ascent", "psi + lr * ascent", "lr is not used"),
    "one long step": (
        "unrolled_slope",
        "for _ in range(min(k, 1)):\n        lr = k * lr",
        "for _ in range(k):",
        "one long step is not k short ones",
    ),
    "generator moves": (
        "unrolled_slope",
        "return theta.detach() - lr * torch.autograd.grad(value(theta, psi), theta)[0]",
        SLOPE,
        r"the slope is \[.*expected",
    ),
    "arguments exchanged": (
        "unrolled_slope",
        "return torch.autograd.grad(value(theta[:2], psi[:2]), theta)[0]",
        SLOPE,
        r"theta, as value is given it, has shape \[2\]",
    ),
    "no pull": ("consensus_step", "pull_t, pull_p = 0, 0", PULLS, r"the pull of \|v\|\^2 is missing"),
    "pull turned over": ("consensus_step", "size = -" + SIZE[7:], SIZE, "the pull points the wrong way"),
    "critic raises the length": ("consensus_step", PSI.replace("+ gamma", "- gamma"), PSI, "psi must lower"),
    "not halved": ("consensus_step", SIZE.replace(" / 2", ""), SIZE, "halved before"),
    "own slope only": (
        "consensus_step",
        "kept = {'retain_graph': True, 'materialize_grads': True}\n"
        "    pull_t = torch.autograd.grad((slope**2).sum() / 2, t, **kept)[0]\n"
        "    pull_p = torch.autograd.grad((ascent**2).sum() / 2, p, **kept)[0]",
        PULLS,
        "is missing|own slope only",
    ),
    "other's slope only": (
        "consensus_step",
        "pull_t = torch.autograd.grad((ascent**2).sum() / 2, t, retain_graph=True)[0]\n"
        "    pull_p = torch.autograd.grad((slope**2).sum() / 2, p)[0]",
        PULLS,
        "the other's slope only",
    ),
    "length, not squared": (
        "consensus_step",
        "size = ((slope**2).sum() + (ascent**2).sum()).sqrt()",
        SIZE,
        r"gradient of \|v\|: square it",
    ),
    "both players descend V": ("consensus_step", PSI.replace("-ascent", "ascent"), PSI, "psi raises V"),
    "generator ascends": ("consensus_step", THETA.replace("(slope", "(-slope"), THETA, "theta lowers V"),
    "only the length": (
        "consensus_step",
        "theta = theta - lr * gamma * pull_t\n    psi = psi - lr * gamma * pull_p\n    return theta, psi",
        THETA,
        "the field itself is missing",
    ),
    "gamma forgotten": (
        "consensus_step",
        "gamma = 1\n    " + THETA,
        THETA,
        "gamma is not used",
    ),
    "one after the other": (
        "consensus_step",
        THETA
        + "\n    t = theta.detach().requires_grad_()\n    "
        + FIELD
        + "\n    "
        + SIZE
        + "\n    "
        + PULLS,
        THETA,
        "psi is not where the step leads",
    ),
    "old mean": ("historical_average", "new, mean = mean, mean", MEAN, "mean: the mean has not taken in"),
    "middle": ("historical_average", "mean = (mean + now) / 2", MEAN, "that is the middle|exponential"),
    "past forgotten": ("historical_average", "mean = now", MEAN, "the past is forgotten"),
    "divided by count": (
        "historical_average",
        "mean = (count * mean + now) / max(count, 1)",
        MEAN,
        r"divide by count \+ 1",
    ),
    "count includes now": (
        "historical_average",
        "mean = ((count - 1) * mean + now) / max(count, 1)",
        MEAN,
        "count is without now",
    ),
    "sum": ("historical_average", "mean = count * mean + now", MEAN, "that is the sum"),
    "exponential": ("historical_average", "mean = 0.9 * mean + 0.1 * now", MEAN, "exponential average"),
    "another rate": (
        "historical_average",
        "mean = 0.7 * mean + 0.3 * now",
        MEAN,
        "mean is not that of the 5 values",
    ),
    "pull outwards": ("historical_average", PULL.replace("(now - mean)", "(mean - now)"), PULL, "wrong sign"),
    "factor two": ("historical_average", PULL.replace("2 * ", ""), PULL, "a factor 2 is missing"),
    "pull to the old mean": (
        "historical_average",
        "old = mean\n    " + MEAN + "\n    return 2 * weight * (now - old), mean",
        MEAN,
        "distance from the new mean",
    ),
    "weight forgotten": ("historical_average", PULL.replace("weight * ", ""), PULL, "weight is not used"),
    "through the mean": (
        "historical_average",
        "return 2 * weight * (now - mean) * count / (count + 1), mean",
        PULL,
        "the mean is held fixed",
    ),
    "not the square": (
        "historical_average",
        "return weight * (now - mean) / (now - mean).norm().clamp(min=1e-12), mean",
        PULL,
        "the distance is squared",
    ),
    "term, not pull": (
        "historical_average",
        "return weight * (now - mean) ** 2, mean",
        PULL,
        "pull is not the",
    ),
    "mean not returned": (
        "historical_average",
        "return 2 * weight * (now - mean)",
        PULL,
        "must return the tuple",
    ),
    "real part": ("growth", "torch.linalg.eigvals(jacobian).real.max()", RHO, "the largest real part"),
    "imaginary part": ("growth", "torch.linalg.eigvals(jacobian).imag.max()", RHO, "largest imaginary part"),
    "modulus of the real part": (
        "growth",
        "torch.linalg.eigvals(jacobian).real.abs().max()",
        RHO,
        "the largest real part",
    ),
    "smallest": ("growth", RHO.replace("max", "min"), RHO, "that is the smallest"),
    "singular value": ("growth", "torch.linalg.svdvals(jacobian).max()", RHO, "that is a singular value"),
    "norm": ("growth", "jacobian.norm()", RHO, "that is the norm of the Jacobian"),
    "determinant": ("growth", "torch.linalg.det(jacobian).abs()", RHO, "that is the determinant"),
    "change": (
        "growth",
        "torch.linalg.eigvals(jacobian - torch.eye(len(point))).abs().max()",
        RHO,
        "not of the change that it makes",
    ),
    "squared": ("growth", RHO + " ** 2", RHO, "the square of the modulus"),
    "logarithm": ("growth", RHO + ".log()", RHO, "that is the logarithm"),
    "symmetric": ("growth", "torch.linalg.eigvalsh(jacobian).abs().max()", RHO, "eigvalsh is for symmetric"),
    "mean modulus": ("growth", RHO.replace("max", "mean"), RHO, "not the mean"),
    "finite difference": (
        "growth",
        "(update(point + 0.1) - update(point)).norm() / (0.1 * len(point) ** 0.5)",
        RHO,
        r"growth is \d.*, expected",
    ),
    "all of them": ("growth", "torch.linalg.eigvals(jacobian).abs()", RHO, "growth must be a number"),
}
ERRORS = {"in place"}  # the check cannot say what is wrong, but the error can


def mutant(name: str) -> tuple[str, str, str]:
    """(task, the mutated source, reason)."""
    task, new, old, reason = MUTANTS[name]
    source = EXERCISE.answers()[task]
    at = source.rindex(old)  # the last one: the first may be the signature
    return task, source[:at] + new + source[at + len(old) :], reason


@pytest.mark.parametrize("seed", [0, 7, 123_456_789])
def test_the_solution_has_full_marks(seed):
    exercise = Exercise(NAME, seed)
    results = exercise.judge(exercise.answers())
    assert results == dict.fromkeys(TASKS, ("passed", ""))
    assert [task.points for task in exercise.solution.tasks] == [4, 5, 5, 3, 3]


def test_the_release_is_not_attempted_and_nothing_else():
    results = EXERCISE.judge(EXERCISE.answers(EXERCISE.release))
    assert results == dict.fromkeys(TASKS, ("not attempted", ""))


@pytest.mark.parametrize("task", TASKS)
def test_no_task_needs_the_answer_of_another(task):
    answers = EXERCISE.answers(EXERCISE.release) | {task: EXERCISE.answers()[task]}
    results = EXERCISE.judge(answers)
    assert [name for name, result in results.items() if result[0] == "passed"] == [task]


@pytest.mark.parametrize("name", MUTANTS)
@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_every_mistake_is_named(name):
    task, source, reason = mutant(name)
    status, message = EXERCISE.judge({task: source}, [task], hidden=False)[task]
    assert status == ("error" if name in ERRORS else "wrong"), message
    assert re.search(reason, message), message


# Right answers that are not the solution's: none of them may be refused.
OTHERS = {
    "rules apart": (
        "game_step",
        'if rule == "simultaneous":\n        return theta - lr * slope, psi + lr * ascent\n    ' + MOVES,
        MOVES,
    ),
    "backward": (
        "unrolled_slope",
        "value(theta, psi).backward(inputs=[theta])\n    return theta.grad",
        SLOPE,
    ),
    "one vector": (
        "consensus_step",
        "size = torch.cat([slope, -ascent]).square().sum() / 2",
        SIZE,
    ),
    "running mean": ("historical_average", "mean = mean + (now - mean) / (count + 1)", MEAN),
    "row by row": (
        "growth",
        "x = point.detach().requires_grad_()\n"
        "    rows = [torch.autograd.grad(y, x, retain_graph=True)[0] for y in update(x)]\n"
        "    return torch.linalg.eigvals(torch.stack(rows)).abs().max().item()\n",
        "jacobian = torch.autograd.functional.jacobian(update, point)",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_right_answers_pass(name):
    task, new, old = OTHERS[name]
    source = EXERCISE.answers()[task]
    assert old in source
    results = EXERCISE.judge({task: source.replace(old, new)}, [task])
    assert results == {task: ("passed", "")}


def test_an_answer_for_the_visible_cases_fails_the_hidden_ones():
    """It recognises the visible points by their first number and is wrong on all others."""
    seen = []
    spy = EXERCISE.answers()["growth"].replace(
        "    jacobian =", "    SEEN.append(point[0].item())\n    jacobian ="
    )
    EXERCISE.given["SEEN"] = seen
    assert EXERCISE.judge({"growth": spy}, ["growth"], hidden=False)["growth"][0] == "passed"
    learned = spy.replace(
        "SEEN.append(point[0].item())", f"if point[0].item() not in {set(seen)}: return 1.0"
    )
    assert EXERCISE.judge({"growth": learned}, ["growth"], hidden=False)["growth"][0] == "passed"
    status, message = EXERCISE.judge({"growth": learned}, ["growth"])["growth"]
    assert status == "wrong"
    assert message.endswith("(in a case that is not shown)")


@pytest.mark.parametrize("name", NULLS)
@pytest.mark.parametrize("task", TASKS)
def test_answers_without_an_idea_get_nothing(task, name):
    status, message = EXERCISE.judge({task: null(task, NULLS[name])}, [task])[task]
    assert status in ("wrong", "error"), message
    assert message


def test_the_last_section_runs_with_the_solution(monkeypatch):
    names = dict(EXERCISE.given)
    for source in EXERCISE.answers().values():
        exec(source, names)
    (together,) = [cell.source for cell in EXERCISE.solution.notebook.cells if cell.get("id") == "together"]
    shown = []
    monkeypatch.setattr("course_lib.plots.show", lambda fig, alt: shown.append(alt))
    exec(together, names)
    measured, expected = names["measured"], names["expected"]
    assert expected["simultaneous"] == pytest.approx(math.sqrt(1.01), abs=1e-12)
    assert expected["alternating"] == pytest.approx(1, abs=1e-12)
    for name, factor in expected.items():
        assert measured[name] == pytest.approx(factor, abs=2e-3)
    assert max(expected["unrolled, 5 ahead"], expected["consensus, gamma 1"]) < 0.96
    assert float(names["paths"]["historical average"][-1].norm()) < 0.05
    assert "simultaneous 6.3e+00" in shown[0]
