"""Problem set 3: the solution has all points, the release none, and every mistake is called by its name."""

import re

import pytest

from course_lib.checks.annealing import walk
from course_lib.checks.oracle import seeded
from tests.exercises.judging import NULLS, Exercise, null

NAME = "ps03_annealed_importance_sampling"
EXERCISE = Exercise(NAME)
TASKS = ["sigmoid_betas", "bridge", "ais", "sandwich", "resample"]

SHIFTED = "(s - s[0]) / (s[-1] - s[0])"
BETWEEN = "u0 + beta * delta, grad0 + beta[:, None] * grad_delta, delta, grad_delta"
LOOP = "for t in range(1, len(betas)):"
WEIGH = "log_w = log_w - by * delta.double()"
MOVE = "state = move((x, u + by * delta, grad + by * grad_delta, delta, grad_delta), betas[t])"
ACCOUNT = "log_z = torch.logsumexp(log_w, dim=0) - math.log(len(log_w))"
RETURN = "return log_z_base + log_w.mean(), log_z_base + log_z, log_z_base + log_w_reverse.mean()"
SPENT = "torch.full_like(log_w, mean.item())"
TEETH = "(torch.arange(n, dtype=log_w.dtype) + u) / n"
TAKEN = "torch.searchsorted(heights, teeth).clamp(max=n - 1)"
MEAN = "mean = torch.logsumexp(log_w, dim=0) - math.log(n)"
SIGMOID = "s = torch.sigmoid(torch.linspace(low, high, n + 1, dtype=torch.float64))"
HEIGHTS = "torch.softmax(log_w, dim=0).cumsum(0)"

# (task, what the student wrote instead, what of the solution it replaces, the reason that must be given)
MUTANTS = {
    "un-normalised sigmoid": ("sigmoid_betas", "s", SHIFTED, r"run from 0\.12 to 0\.88.* not normalised"),
    "divided by the last only": ("sigmoid_betas", "s / s[-1]", SHIFTED, "only divided by the last value"),
    "shifted only": ("sigmoid_betas", "s - s[0]", SHIFTED, r"to 0\.76.*only shifted"),
    "shifted and divided by the last": (
        "sigmoid_betas",
        "(s - s[0]) / s[-1]",
        SHIFTED,
        "not divided by the whole range",
    ),
    "schedule turned over": ("sigmoid_betas", "1 - (s - s[0]) / (s[-1] - s[0])", SHIFTED, "turned over"),
    "one beta too few": (
        "sigmoid_betas",
        "high, n, dtype",
        "high, n + 1, dtype",
        "8 values for 8 transitions",
    ),
    "straight line": (
        "sigmoid_betas",
        "s = torch.linspace(0, 1, n + 1, dtype=torch.float64)",
        "s = torch.sigmoid(torch.linspace(low, high, n + 1, dtype=torch.float64))",
        "a straight line",
    ),
    "only float32": (
        "sigmoid_betas",
        "high, n + 1)",
        "high, n + 1, dtype=torch.float64)",
        "dtype torch.float32",
    ),
    "ends not exact": ("sigmoid_betas", "(s - s[0]) / (s[-1] - s[0] + 1e-8)", SHIFTED, "must be exactly 1"),
    "tanh": ("sigmoid_betas", "torch.tanh(", "torch.sigmoid(", r"betas\[1\] is .*, expected"),
    "a list": (
        "sigmoid_betas",
        "((s - s[0]) / (s[-1] - s[0])).tolist()",
        SHIFTED,
        "betas must be a tensor, not a list",
    ),
    "beta of the base": (
        "bridge",
        "u1 - beta * delta, grad1 - beta[:, None] * grad_delta, delta, grad_delta",
        BETWEEN,
        "exchanged",
    ),
    "gradient of the other end": (
        "bridge",
        "u0 + beta * delta, grad1 - beta[:, None] * grad_delta, delta, grad_delta",
        BETWEEN,
        "grad: beta and 1 - beta are exchanged",
    ),
    "base stays": (
        "bridge",
        "u0 + beta * u1, grad0 + beta[:, None] * grad1, delta, grad_delta",
        BETWEEN,
        "U_0 must fade",
    ),
    "base stays in the gradient": (
        "bridge",
        "u0 + beta * delta, grad0 + beta[:, None] * grad1, delta, grad_delta",
        BETWEEN,
        "gradient of U_0 must fade",
    ),
    "no base": (
        "bridge",
        "beta * u1, beta[:, None] * grad1, delta, grad_delta",
        BETWEEN,
        "at beta = 0 nothing is left",
    ),
    "densities mixed": (
        "bridge",
        "-torch.log((1 - beta) * torch.exp(-u0) + beta * torch.exp(-u1))",
        "u0 + beta * delta",
        "mix the energies, not the densities",
    ),
    "delta turned over": (
        "bridge",
        "u0 + beta * delta, grad0 + beta[:, None] * grad_delta, -delta, -grad_delta",
        BETWEEN,
        "delta has the wrong sign",
    ),
    "delta with beta": (
        "bridge",
        "u0 + beta * delta, grad0 + beta[:, None] * grad_delta, beta * delta, grad_delta",
        BETWEEN,
        "without beta",
    ),
    "grad_delta turned over": (
        "bridge",
        "u0 + beta * delta, grad0 + beta[:, None] * grad_delta, delta, -grad_delta",
        BETWEEN,
        "grad_delta has the wrong sign",
    ),
    "force": (
        "bridge",
        "u0 + beta * delta, -grad0 - beta[:, None] * grad_delta, delta, grad_delta",
        BETWEEN,
        "not the force",
    ),
    "gradient of the target": (
        "bridge",
        "u0 + beta * delta, grad1, delta, grad_delta",
        BETWEEN,
        "target alone",
    ),
    "beta without a second dimension": (
        "bridge",
        "grad0 + beta * grad_delta",
        "grad0 + beta[:, None] * grad_delta",
        r"beta\[:, None\]",
    ),
    "one beta for all": ("bridge", "u0 + beta.mean() * delta", "u0 + beta * delta", "u is not"),
    "base called twice": (
        "bridge",
        "grad0 = base(x)[1]\n    u0 = base(x)[0]",
        "u0, grad0 = base(x)",
        "base is called 2 times",
    ),
    "three results": (
        "bridge",
        "u0 + beta * delta, grad0 + beta[:, None] * grad_delta, delta",
        BETWEEN,
        "3 values came back",
    ),
    "weight after the move": (
        "ais",
        f"{MOVE}\n        log_w = log_w - by * state[3].double()",
        f"{WEIGH}\n        {MOVE}",
        r"weighed after the move: .* E\[w\] came out as 1\.\d+ times",
    ),
    "move at the old beta": (
        "ais",
        f"x, u, grad, delta, grad_delta = move(state, betas[t - 1])\n        state = {MOVE[13:-11]}",
        MOVE,
        r"moves? happens at the old beta.* E\[w\] came out as 0\.\d+ times",
    ),
    "old beta in the move only": ("ais", MOVE.replace("betas[t]", "betas[t - 1]"), MOVE, "at the old beta"),
    "stale energy and gradient": (
        "ais",
        "state = move(state, betas[t])",
        MOVE,
        r"u and grad are stale: .* E\[w\] came out as 0\.\d+ times",
    ),
    "stale gradient": (
        "ais",
        MOVE.replace("grad + by * grad_delta", "grad"),
        MOVE,
        "grad is stale: at x they are those of beta = 0.000",
    ),
    "stale energy": ("ais", MOVE.replace("u + by * delta", "u"), MOVE, "u is stale"),
    "stale from the second temperature on": (
        "ais",
        f"{WEIGH}\n        if t > 1:\n            state = move(state, betas[t])\n            continue",
        WEIGH,
        "stale",
    ),
    "whole path added again": (
        "ais",
        MOVE.replace("u + by *", "u + betas[t] *").replace("grad + by *", "grad + betas[t] *"),
        MOVE,
        "every step",
    ),
    "back along the path": (
        "ais",
        MOVE.replace("u + by", "u - by").replace("grad + by", "grad - by"),
        MOVE,
        "moves back along the path",
    ),
    "gradient with delta": (
        "ais",
        MOVE.replace("by * grad_delta", "by * delta[:, None]"),
        MOVE,
        "grad is not that of the landscape",
    ),
    "weights with beta": (
        "ais",
        "log_w = log_w - betas[t] * delta.double()",
        WEIGH,
        "the \\*change\\* of beta",
    ),
    "weights with the old beta": (
        "ais",
        "log_w = log_w - betas[t - 1] * delta.double()",
        WEIGH,
        "the \\*change\\* of beta",
    ),
    "weights without beta": ("ais", "log_w = log_w - delta.double()", WEIGH, "change of beta is missing"),
    "sign of the weights": ("ais", WEIGH.replace("- by", "+ by"), WEIGH, "wrong sign"),
    "only the last weight": (
        "ais",
        "log_w = -by * delta.double()",
        WEIGH,
        "only the last temperature is left",
    ),
    "weights averaged": (
        "ais",
        "return state[0], log_w / (len(betas) - 1)",
        "return state[0], log_w",
        "not averaged",
    ),
    "weights from u": ("ais", "log_w = log_w - by * (u + by * delta).double()", WEIGH, "use delta, not u"),
    "first temperature not weighed": (
        "ais",
        "log_w = log_w - (by if t > 1 else 0) * delta.double()",
        WEIGH,
        "the first temperature is not weighed",
    ),
    "last temperature not weighed": (
        "ais",
        "log_w = log_w - (by if betas[t] < 1 else 0) * delta.double()",
        WEIGH,
        "the last temperature is not weighed",
    ),
    "weights normalised": (
        "ais",
        "return state[0], log_w - torch.logsumexp(log_w, 0)",
        "return state[0], log_w",
        "do not normalise",
    ),
    "weights, not their logarithms": ("ais", "log_w.exp()", "log_w", "return their logarithms"),
    "no last temperature": (
        "ais",
        "for t in range(1, len(betas) - 1):",
        LOOP,
        "9 moves for 10 transitions",
    ),
    "a move at zero": ("ais", f"state = move(state, betas[0])\n    {LOOP}", LOOP, "a move at beta = 0 too"),
    "temperatures from the hot end": (
        "ais",
        "betas = betas.flip(0)\n    for t in range(1, len(betas)):",
        LOOP,
        "in this order",
    ),
    "two moves each": (
        "ais",
        f"{MOVE}\n        state = move(state, betas[t])",
        MOVE,
        "20 moves for 10 transitions",
    ),
    "never moves": ("ais", f"state = {MOVE[13:-11]}", MOVE, "0 moves for 10 transitions"),
    "chains start anew": (
        "ais",
        MOVE.replace("(x,", "(x.flip(0),"),
        MOVE,
        "must start where the one before ended",
    ),
    "start of the walk returned": (
        "ais",
        "return x, log_w",
        "return state[0], log_w",
        "where the last move ended",
    ),
    "float32 weights": (
        "ais",
        "log_w = (log_w - by * delta.double()).float()",
        WEIGH,
        "log_w has dtype torch.float32",
    ),
    "move gets four parts": (
        "ais",
        "state = move((x, u + by * delta, grad + by * grad_delta, delta), betas[t]) + (grad_delta,)",
        MOVE,
        "move takes the state as one tuple",
    ),
    "state instead of x": (
        "ais",
        "return state, log_w",
        "return state[0], log_w",
        "x must be a tensor, not a tuple",
    ),
    "in place": (
        "ais",
        MOVE.replace("u + by * delta", "u.add_(by * delta)"),
        MOVE,
        "changes an argument in place",
    ),
    "averaging log-weights": (
        "sandwich",
        "log_z = log_w.mean()",
        ACCOUNT,
        "averaging log-weights gives the lower bound",
    ),
    "base log Z forgotten": (
        "sandwich",
        RETURN.replace("log_z_base + log_z,", "log_z,"),
        RETURN,
        "log_z: the base's log Z is forgotten",
    ),
    "base log Z subtracted": (
        "sandwich",
        RETURN.replace("log_z_base + log_z,", "log_z - log_z_base,"),
        RETURN,
        "added, not subtracted",
    ),
    "base forgotten below": (
        "sandwich",
        RETURN.replace("log_z_base + log_w.mean()", "log_w.mean()"),
        RETURN,
        "lower: the base's log Z is forgotten",
    ),
    "base forgotten above": (
        "sandwich",
        RETURN.replace("log_z_base + log_w_reverse", "log_w_reverse"),
        RETURN,
        "upper: the base's log Z is forgotten",
    ),
    "sum of weights": ("sandwich", "log_z = torch.logsumexp(log_w, dim=0)", ACCOUNT, "not their sum"),
    "mean without logarithm": (
        "sandwich",
        "log_z = log_w.exp().mean()",
        ACCOUNT,
        "take the logarithm of the mean weight",
    ),
    "Z instead of log Z": (
        "sandwich",
        RETURN.replace("log_z_base + log_z,", "torch.exp(log_z_base + log_z),"),
        RETURN,
        "that is Z",
    ),
    "middle of the bounds": (
        "sandwich",
        "log_z = (log_w.mean() + log_w_reverse.mean()) / 2",
        ACCOUNT,
        "middle between the bounds",
    ),
    "exp overflow": (
        "sandwich",
        "log_z = torch.log(torch.exp(log_w).mean())",
        ACCOUNT,
        "over- or underflows",
    ),
    "bounds exchanged": (
        "sandwich",
        "return log_z_base + log_w_reverse.mean(), log_z_base + log_z, log_z_base + log_w.mean()",
        RETURN,
        "lower and upper are exchanged",
    ),
    "lower is the estimate": (
        "sandwich",
        RETURN.replace("log_w.mean()", "log_z"),
        RETURN,
        "lower: that is the estimate",
    ),
    "upper turned over": (
        "sandwich",
        RETURN.replace("+ log_w_rev", "- log_w_rev"),
        RETURN,
        "counts the same way",
    ),
    "upper from the forward walk": (
        "sandwich",
        RETURN.replace("log_w_reverse", "log_w"),
        RETURN,
        "comes from the reverse walk",
    ),
    "upper by log-mean-exp": (
        "sandwich",
        RETURN.replace(
            "log_w_reverse.mean()", "torch.logsumexp(log_w_reverse, 0) - math.log(len(log_w_reverse))"
        ),
        RETURN,
        "bounds nothing",
    ),
    "upper is an estimate": (
        "sandwich",
        RETURN.replace(
            "log_w_reverse.mean()", "math.log(len(log_w_reverse)) - torch.logsumexp(-log_w_reverse, 0)"
        ),
        RETURN,
        "upper: that is an estimate",
    ),
    "both walks pooled": (
        "sandwich",
        "log_z = torch.logsumexp(torch.cat([log_w, log_w_reverse]), 0) - math.log(50)",
        ACCOUNT,
        "log of the mean weight",
    ),
    "account closed": ("resample", "torch.zeros_like(log_w)", SPENT, "log_w is reset to 0"),
    "account at -log n": ("resample", "torch.full_like(log_w, -math.log(n))", SPENT, "reset to -log n"),
    "weights kept": ("resample", "log_w", SPENT, "kept although it has been spent"),
    "weights copied along": ("resample", "log_w[taken]", SPENT, "all weights are equal"),
    "averaging log-weights in the account": (
        "resample",
        "torch.full_like(log_w, log_w.mean().item())",
        SPENT,
        "averaging log-weights changes",
    ),
    "sum in the account": (
        "resample",
        "mean = torch.logsumexp(log_w, dim=0)",
        "mean = torch.logsumexp(log_w, dim=0) - math.log(n)",
        "not their sum",
    ),
    "largest weight in the account": (
        "resample",
        "mean = log_w.max()",
        "mean = torch.logsumexp(log_w, dim=0) - math.log(n)",
        "heaviest particle",
    ),
    "weight in the account": ("resample", SPENT + ".exp()", SPENT, "return their logarithms"),
    "multinomial": (
        "resample",
        "torch.multinomial(torch.softmax(log_w, 0), n, replacement=True)",
        "torch.searchsorted(heights, teeth).clamp(max=n - 1)",
        "rounded up or down",
    ),
    "best particle only": (
        "resample",
        "log_w.argmax().expand(n)",
        "torch.searchsorted(heights, teeth).clamp(max=n - 1)",
        "rounded up or down",
    ),
    "nothing resampled": (
        "resample",
        "torch.arange(n)",
        "torch.searchsorted(heights, teeth).clamp(max=n - 1)",
        "every particle is taken once",
    ),
    "next particle": (
        "resample",
        "(torch.searchsorted(heights, teeth) + 1)",
        "torch.searchsorted(heights, teeth)",
        "rounded up or down",
    ),
    "log-weights as weights": ("resample", "(log_w / log_w.sum()).cumsum(0)", HEIGHTS, "rounded up or down"),
    "weights not normalised": ("resample", "torch.exp(log_w).cumsum(0)", HEIGHTS, "rounded up or down"),
    "exp overflow in the weights": (
        "resample",
        "(torch.exp(log_w) / torch.exp(log_w).sum()).cumsum(0)",
        HEIGHTS,
        "over- or underflows",
    ),
    "exp overflow in the account": (
        "resample",
        "mean = torch.log(torch.exp(log_w).mean())",
        "mean = torch.logsumexp(log_w, dim=0) - math.log(n)",
        "over- or underflows",
    ),
    "comb at zero": ("resample", "torch.arange(n, dtype=log_w.dtype) / n", TEETH, "u is not used"),
    "comb half as wide": (
        "resample",
        "(torch.arange(n, dtype=log_w.dtype) + u / 2) / n",
        TEETH,
        "averaged over u",
    ),
    "teeth not divided": (
        "resample",
        "torch.arange(n, dtype=log_w.dtype) / n + u",
        TEETH,
        "rounded up or down",
    ),
    "own points": ("resample", "x[taken] + 0.01", "x[taken]", "copies of the particles"),
    "weights in float32": ("resample", SPENT + ".float()", SPENT, "log_w has dtype torch.float32"),
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
    assert [task.points for task in exercise.solution.tasks] == [3, 3, 6, 3, 5]


def test_the_release_is_not_attempted_and_nothing_else():
    results = EXERCISE.judge(EXERCISE.answers(EXERCISE.release))
    assert results == dict.fromkeys(TASKS, ("not attempted", ""))


@pytest.mark.parametrize("task", TASKS)
def test_no_task_needs_the_answer_of_another(task):
    answers = EXERCISE.answers(EXERCISE.release) | {task: EXERCISE.answers()[task]}
    results = EXERCISE.judge(answers)
    assert [name for name, result in results.items() if result[0] == "passed"] == [task]


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mistake_is_named(name):
    task, source, reason = mutant(name)
    status, message = EXERCISE.judge({task: source}, [task], hidden=False)[task]
    assert status == ("error" if name in ERRORS else "wrong"), message
    assert re.search(reason, message), message


def test_an_answer_for_the_visible_cases_fails_the_hidden_ones():
    """It recognises the visible particles by their first number and is wrong on all others."""
    seen = []
    spy = EXERCISE.answers()["resample"].replace("    n = ", "    SEEN.append(x[0, 0].item())\n    n = ")
    EXERCISE.given["SEEN"] = seen
    assert EXERCISE.judge({"resample": spy}, ["resample"], hidden=False)["resample"][0] == "passed"
    learned = spy.replace(
        "SEEN.append(x[0, 0].item())", f"if x[0, 0].item() not in {set(seen)}: return x, log_w"
    )
    assert EXERCISE.judge({"resample": learned}, ["resample"], hidden=False)["resample"][0] == "passed"
    status, message = EXERCISE.judge({"resample": learned}, ["resample"])["resample"]
    assert status == "wrong"
    assert message.endswith("(in a case that is not shown)")


RIGHT = {
    "sigmoid_betas": """
def sigmoid_betas(n, low, high):
    s = low + (high - low) * torch.arange(n + 1, dtype=torch.float64) / n
    raw = 1 / (1 + torch.exp(-s))
    return (raw - raw.min()) / (raw.max() - raw.min())
""",
    "bridge": """
def bridge(x, beta, base, target):
    (u0, grad0), (u1, grad1) = base(x), target(x)
    b = beta.unsqueeze(1)
    return (1 - beta) * u0 + beta * u1, (1 - b) * grad0 + b * grad1, u1 - u0, grad1 - grad0
""",
    "ais": """
def ais(state, betas, move):
    x, u, grad, delta, grad_delta = state
    u0, grad0, account, old = u, grad, 0.0, 0.0
    for beta in betas.tolist()[1:]:
        account = account - (beta - old) * delta.double()
        u0, grad0 = u - old * delta, grad - old * grad_delta
        x, u, grad, delta, grad_delta = move(
            (x, u0 + beta * delta, grad0 + beta * grad_delta, delta, grad_delta), beta
        )
        old = beta
    return x, account
""",
    "sandwich": """
def sandwich(log_w, log_w_reverse, log_z_base):
    top = log_w.max().item()
    mean = sum(math.exp(w - top) for w in log_w.tolist()) / len(log_w)
    lower, upper = (w.mean().item() for w in (log_w, log_w_reverse))
    return log_z_base + lower, log_z_base + top + math.log(mean), log_z_base + upper
""",
    "resample": """
def resample(x, log_w, u):
    n = len(log_w)
    w = torch.exp(log_w - log_w.max())
    share, kept, height, tooth = (w / w.sum()).tolist(), [], 0.0, u / n
    for i in reversed(range(n)):
        height += share[i]
        while tooth < height and len(kept) < n:
            kept.append(i)
            tooth += 1 / n
    kept += [0] * (n - len(kept))
    return x[kept], torch.zeros_like(log_w) + torch.log(w.mean()) + log_w.max()
""",
}


@pytest.mark.parametrize("task", RIGHT)
def test_other_right_answers_are_right(task):
    assert EXERCISE.judge({task: RIGHT[task]}, [task])[task] == ("passed", "")


def test_the_mean_weight_alone_finds_a_kernel_that_is_not_invariant(monkeypatch):
    """What no look at the states can see: a move that spreads the chains a little."""
    move = walk._Path.move

    def spread(path, state, beta):
        x, *_ = move(path, state, beta)
        path.moved[-1] = path.at(beta, 1.1 * x)
        return path.moved[-1]

    monkeypatch.setattr(walk._Path, "move", spread)
    status, message = EXERCISE.judge({"ais": EXERCISE.answers()["ais"]}, ["ais"])["ais"]
    assert status == "wrong"
    assert re.search(r"E\[w\] is .* times Z_1 / Z_0, [+-]\d+ standard errors off", message), message


@pytest.mark.parametrize("seed", range(3))
def test_the_paths_have_the_normalisers_they_claim(seed):
    """By importance sampling in one step, with as many draws as that takes."""
    for path in walk._paths(seeded(seed)):
        x = path.bridge.base.sample(400_000, generator=seeded(seed))
        ratio, z = path.account(-path.bridge.parts(x)[2].double())
        assert abs(z) < 5, (ratio, z)


@pytest.mark.parametrize("name", NULLS)
@pytest.mark.parametrize("task", TASKS)
def test_answers_without_an_idea_get_nothing(task, name):
    status, message = EXERCISE.judge({task: null(task, NULLS[name])}, [task])[task]
    assert status in ("wrong", "error"), message
    assert message


def test_the_last_section_runs_with_the_solution(capsys, monkeypatch):
    names = dict(EXERCISE.given)
    for source in EXERCISE.answers().values():
        exec(source, names)
    (together,) = [cell.source for cell in EXERCISE.solution.notebook.cells if cell.get("id") == "together"]
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    exec(together, names)
    truth = names["target"].log_z
    gaps = [upper - lower for lower, _, upper in names["bounds"]]
    assert gaps == sorted(gaps, reverse=True)
    lower, log_z, upper = names["bounds"][-1]
    assert lower - 0.1 < truth < upper + 0.1
    assert abs(log_z - truth) < 0.25
    assert float(names["shared"][0]) + names["base"].log_z == pytest.approx(log_z)
    wells = (names["chosen"][:, None] - names["target"].means).square().sum(-1).argmin(1)
    assert len(wells.unique()) == 8
    assert "the truth" in capsys.readouterr().out
