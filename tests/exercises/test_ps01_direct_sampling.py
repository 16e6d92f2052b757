"""Problem set 1: the solution has all points, the release none, and every mistake is called by its name."""

import re

import pytest

from tests.exercises.judging import NULLS, Exercise, null

EXERCISE = Exercise("ps01_direct_sampling")
TASKS = ["triangle", "tabulated", "envelope", "rejection", "importance", "weight_ess"]

CLEARLY = "torch.where(u <= (peak - low) / (high - low), rising, falling)"
TABLE = "h = torch.cat([mass.new_zeros(1), mass.cumsum(0)]) / mass.sum()"
HIT = "torch.rand(len(x), generator=generator).log() < log_ratio"
SHARE = "share = torch.softmax(log_w, dim=0)\n    return 1 / (share**2).sum()"
LOG_K = "log_k = rate**2 / 2 - math.log(rate)"

# (task, what the student wrote instead, what of the solution it replaces, the reason that must be given)
MUTANTS = {
    "distribution function": (
        "triangle",
        "torch.where(u < peak, (u - low) ** 2 / ((high - low) * (peak - low)), "
        "1 - (high - u) ** 2 / ((high - low) * (high - peak)))",
        CLEARLY,
        r"that is h\(u\)",
    ),
    "no root": (
        "triangle",
        "low + u * (peak - low)",
        "low + torch.sqrt(u * (high - low) * (peak - low))",
        "wrong below it",
    ),
    "turned over": ("triangle", "u = 1 - u\n    rising = low", "rising = low", "y falls where u rises"),
    "rising branch only": ("triangle", "rising", CLEARLY, "beyond the peak"),
    "falling branch only": ("triangle", "falling", CLEARLY, r"wrong below it"),
    "u instead of 1 - u": ("triangle", "torch.sqrt(u", "torch.sqrt((1 - u)", "beyond the peak"),
    "branches at one half": ("triangle", "u <= 0.5", "u <= (peak - low) / (high - low)", "not at one half"),
    "branches at the peak": ("triangle", "u <= peak", "u <= (peak - low) / (high - low)", "wrong|at u ="),
    "branches swapped": ("triangle", "falling, rising)", "rising, falling)", "at u = "),
    "branch by mean": (
        "triangle",
        "rising if u.mean() < 0.5 else falling",
        CLEARLY,
        "wrong (below|above) it",
    ),
    "uniform": ("triangle", "low + u * (high - low)", CLEARLY, r"at u = .* has h\(y\)"),
    "random by itself": (
        "triangle",
        "u = torch.rand(u.shape, dtype=u.dtype)\n    rising = low",
        "rising = low",
        r"at u = .* has h\(y\)",
    ),
    "a number": ("triangle", f"{CLEARLY}.mean()", CLEARLY, r"y has shape \[\], expected \[202\]"),
    "always double": ("triangle", f"{CLEARLY}.double()", CLEARLY, "y has dtype torch.float64"),
    "in place": ("triangle", "u *= 1\n    rising = low", "rising = low", "changes an argument in place"),
    "left ends": ("tabulated", "density[:-1]", "(density[1:] + density[:-1]) / 2", "density at its left end"),
    "right ends": (
        "tabulated",
        "density[1:]",
        "(density[1:] + density[:-1]) / 2",
        "density at its right end",
    ),
    "widths ignored": ("tabulated", "/ 2", "/ 2 * grid.diff()", "different widths"),
    "left ends without widths": (
        "tabulated",
        "mass = density[:-1]",
        "mass = (density[1:] + density[:-1]) / 2 * grid.diff()",
        "different widths",
    ),
    "table not normalised": ("tabulated", TABLE.removesuffix(" / mass.sum()"), TABLE, "not normalised"),
    "no leading zero": (
        "tabulated",
        "h = torch.cat([mass.cumsum(0), 2 * mass.sum()[None]]) / mass.sum()",
        TABLE,
        "one cell too far to the left",
    ),
    "grid points only": (
        "tabulated",
        "grid[cell]",
        "grid[cell] + share * (grid[cell + 1] - grid[cell])",
        "interp",
    ),
    "share turned over": ("tabulated", "(h[cell + 1] - u)", "(u - h[cell])", "the table reaches this height"),
    "cell of the right end": (
        "tabulated",
        "torch.searchsorted(h, u).clamp(min=0",
        "(torch.searchsorted(h, u) - 1).clamp(min=0",
        "the table reaches this height",
    ),
    "no clamp": (
        "tabulated",
        "cell = torch.searchsorted(h, u, right=True) - 1",
        "cell = (torch.searchsorted(h, u) - 1).clamp(min=0, max=len(grid) - 2)",
        "clamp the index",
    ),
    "gap filled": (
        "tabulated",
        "mass = ((density[1:] + density[:-1]) / 2 * grid.diff()).clamp(min=1e-2)",
        "mass = (density[1:] + density[:-1]) / 2 * grid.diff()",
        "where the density is 0",
    ),
    "k instead of log k": (
        "envelope",
        "return math.exp(log_k),",
        "return log_k,",
        "that is k: return its log",
    ),
    "normaliser of q forgotten": ("envelope", "log_k = rate**2 / 2", LOG_K, "has the normaliser rate"),
    "normaliser of q above": ("envelope", "log_k = rate**2 / 2 + math.log(rate)", LOG_K, "minus"),
    "envelope constant from x = 0": ("envelope", "log_k = -math.log(rate)", LOG_K, "at x = 0"),
    "envelope constant too small": ("envelope", f"{LOG_K} - 0.3", LOG_K, "the envelope is exceeded: at x = "),
    "envelope constant too large": ("envelope", f"{LOG_K} + 0.3", LOG_K, "wastes darts"),
    "envelope turned over": ("envelope", "log_k = math.log(rate) - rate**2 / 2", LOG_K, "wrong sign"),
    "acceptance without Z": (
        "envelope",
        "math.exp(-log_k)",
        "math.sqrt(math.pi / 2) * math.exp(-log_k)",
        "not normalised",
    ),
    "acceptance of the whole normal": (
        "envelope",
        "math.sqrt(2 * math.pi)",
        "math.sqrt(math.pi / 2)",
        "x >= 0 only",
    ),
    "darts per hit": (
        "envelope",
        "math.exp(log_k) / math.sqrt(math.pi / 2)",
        "math.sqrt(math.pi / 2) * math.exp(-log_k)",
        "darts for one hit",
    ),
    "log acceptance": (
        "envelope",
        "math.log(math.sqrt(math.pi / 2)) - log_k",
        "math.sqrt(math.pi / 2) * math.exp(-log_k)",
        "logarithm of the acceptance",
    ),
    "one value": (
        "envelope",
        "return log_k  #",
        "return log_k, ",
        r"must return the tuple \(log_k, acceptance\)",
    ),
    "every dart": ("rejection", "torch.ones(len(x), dtype=torch.bool)", HIT, "every dart is kept"),
    "darts above": ("rejection", HIT.replace("<", ">"), HIT, "the wrong darts are kept"),
    "no height": ("rejection", "log_ratio > -0.7", HIT, "no dart is refused by chance"),
    "k forgotten": ("rejection", "log_ratio + log_k", "log_ratio", "always hit"),
    "k twice": (
        "rejection",
        "log_ratio - log_k",
        "log_ratio",
        "thrown for 2000 draws|it must be the same",
    ),
    "no logarithm": ("rejection", HIT.replace(".log()", ""), HIT, "is log v compared"),
    "height not below k q": (
        "rejection",
        f"{HIT} + log_proposal(x)",
        HIT,
        "it must be the same|wanted",
    ),
    "normal heights": (
        "rejection",
        HIT.replace("rand(", "randn(").replace(".log()", ".abs().log()"),
        HIT,
        "it must be",
    ),
    "one height for all": (
        "rejection",
        HIT.replace("len(x)", "1"),
        HIT,
        "all darts of a round share one height",
    ),
    "heights in pairs": (
        "rejection",
        "torch.rand(len(x) // 2, generator=generator).repeat_interleave(2).log() < log_ratio",
        HIT,
        "neighbouring darts share a height",
    ),
    "k from the darts": (
        "rejection",
        "log_ratio = log_ratio - log_ratio.max()\n        if False:",
        "if (log_ratio > 0).any():",
        "it must be the same",
    ),
    "wrong ratio": (
        "rejection",
        "log_ratio = log_proposal(x) - log_target(x) + log_k",
        "log_ratio = log_target(x) - log_proposal(x) - log_k",
        "ValueError, although the envelope holds",
    ),
    "target without proposal": (
        "rejection",
        "log_target(x) - log_k",
        "log_target(x) - log_proposal(x) - log_k",
        "it must be the same|wanted",
    ),
    "only returned hits": ("rejection", "n / thrown", "hits / thrown", "count all hits"),
    "darts for one hit": ("rejection", "thrown / hits", "hits / thrown", "darts per hit"),
    "count instead of share": ("rejection", "n", "hits / thrown", "number of draws"),
    "acceptance of the last round": (
        "rejection",
        "0.5 * hits / thrown",
        "hits / thrown",
        "expected about Z_p / k",
    ),
    "n darts only": (
        "rejection",
        "return torch.cat(kept), hits / thrown\n",
        "return torch.cat(kept)[:n], hits / thrown\n",
        r"x has shape",
    ),
    "envelope not watched": ("rejection", "if False:", "if (log_ratio > 0).any():", "nothing was said"),
    "heights frozen": (
        "rejection",
        HIT.replace("generator=generator", "generator=torch.Generator().manual_seed(0)"),
        HIT,
        "use the same heights",
    ),
    "heights without generator": (
        "rejection",
        HIT.replace(", generator=generator", ""),
        HIT,
        "same seed gives other draws",
    ),
    "hits repeated": (
        "rejection",
        "torch.cat(kept[:1] * 9)[:n]",
        "torch.cat(kept)[:n]",
        "returned more than once",
    ),
    "own darts": (
        "rejection",
        "x = 1.4 * torch.randn(n, 2, generator=generator)",
        "x = propose(n, generator=generator)",
        "no dart was thrown",
    ),
    "moved darts": ("rejection", "x[hit] + 0.01", "x[hit]", "not proposed"),
    "mean of log-weights": (
        "importance",
        "log_w.mean()",
        "torch.logsumexp(log_w, dim=0) - math.log(len(log_w))",
        "only a lower bound",
    ),
    "sum of weights": (
        "importance",
        "torch.logsumexp(log_w, dim=0)",
        "torch.logsumexp(log_w, dim=0) - math.log(len(log_w))",
        "not their sum",
    ),
    "Z instead of log Z": (
        "importance",
        "log_w.exp().mean()",
        "torch.logsumexp(log_w, dim=0) - math.log(len(log_w))",
        "return its logarithm",
    ),
    "exp overflow": (
        "importance",
        "torch.log(log_w.exp().mean())",
        "torch.logsumexp(log_w, dim=0) - math.log(len(log_w))",
        "over- or underflows",
    ),
    "exp overflow in the mean": (
        "importance",
        "log_w.exp() @ f / log_w.exp().sum()",
        "torch.softmax(log_w, dim=0) @ f",
        "over- or underflows",
    ),
    "clamped weights": (
        "importance",
        "log_w = (log_p - log_q).clamp(-700, 700)",
        "log_w = log_p - log_q",
        "over- or underflows",
    ),
    "weights turned over": ("importance", "log_q - log_p", "log_p - log_q", "turned over"),
    "proposal forgotten": ("importance", "log_w = log_p + 0 * log_q", "log_w = log_p - log_q", "log_z is"),
    "proposal forgotten in the mean": (
        "importance",
        "torch.softmax(log_p, dim=0)",
        "torch.softmax(log_w, dim=0)",
        "weights are p~ alone",
    ),
    "not weighted": ("importance", "f.mean(0)", "torch.softmax(log_w, dim=0) @ f", "not weighted"),
    "self-normalisation forgotten": (
        "importance",
        "log_w.exp() @ f / len(log_w)",
        "torch.softmax(log_w, dim=0) @ f",
        "self-normalisation is forgotten",
    ),
    "divided by n twice": (
        "importance",
        "torch.softmax(log_w, dim=0) @ f / len(f)",
        "torch.softmax(log_w, dim=0) @ f",
        "but the weighted mean",
    ),
    "log-weights as weights": (
        "importance",
        "log_w @ f / log_w.sum()",
        "torch.softmax(log_w, dim=0) @ f",
        "not the difference itself",
    ),
    "empty places left out": (
        "importance",
        "log_w = (log_p - log_q)[log_p > -1e9]\n    f = f[log_p > -1e9]",
        "log_w = log_p - log_q",
        "still counts",
    ),
    "means on their side": (
        "importance",
        "(torch.softmax(log_w, dim=0) @ f)[:, None]",
        "torch.softmax(log_w, dim=0) @ f",
        r"mean has shape \[3, 1\]",
    ),
    "ess is n": ("weight_ess", "return len(log_w)", SHARE, "that is n"),
    "ess as a share": (
        "weight_ess",
        "return 1 / (share**2).mean() / len(log_w) ** 2",
        "return 1 / (share**2).sum()",
        "share ess / n",
    ),
    "ess turned over": ("weight_ess", "(share**2).sum()", "1 / (share**2).sum()", "that is 1 / ess"),
    "ess without normalising": (
        "weight_ess",
        "share = log_w.exp()",
        "share = torch.softmax(log_w, dim=0)",
        "not normalised",
    ),
    "ess mean of squares": ("weight_ess", "(share**2).mean()", "(share**2).sum()", "not their mean"),
    "ess without square": (
        "weight_ess",
        "w = log_w.exp()\n    return w.sum() / (w**2).sum()",
        SHARE,
        "must be squared",
    ),
    "ess of log-weights": (
        "weight_ess",
        "return log_w.sum() ** 2 / (log_w**2).sum()",
        SHARE,
        "take exp first",
    ),
    "ess by entropy": (
        "weight_ess",
        "torch.exp(-(share * share.log()).sum())",
        "1 / (share**2).sum()",
        "entropy",
    ),
    "ess by the largest": ("weight_ess", "1 / share.max()", "1 / (share**2).sum()", "largest share"),
    "ess overflows": (
        "weight_ess",
        "w = log_w.exp()\n    return w.sum() ** 2 / (w**2).sum()",
        SHARE,
        "over- or underflows",
    ),
    "ess with a floor": (
        "weight_ess",
        "share = torch.softmax(log_w, dim=0) + 1e-3",
        "share = torch.softmax(log_w, dim=0)",
        "the ess of these 40 weights is",
    ),
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
    exercise = Exercise("ps01_direct_sampling", seed)
    results = exercise.judge(exercise.answers())
    assert results == dict.fromkeys(TASKS, ("passed", ""))
    assert [task.points for task in exercise.solution.tasks] == [3, 4, 3, 4, 4, 2]


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
    """It recognises the visible numbers by the third of them and is wrong on all others."""
    seen = []
    spy = EXERCISE.answers()["triangle"].replace(
        "    rising = ", "    SEEN.append(u[2].item())\n    rising = "
    )
    EXERCISE.given["SEEN"] = seen
    assert EXERCISE.judge({"triangle": spy}, ["triangle"], hidden=False)["triangle"][0] == "passed"
    learned = spy.replace("SEEN.append(u[2].item())", f"if u[2].item() not in {seen}: return u")
    assert EXERCISE.judge({"triangle": learned}, ["triangle"], hidden=False)["triangle"][0] == "passed"
    status, message = EXERCISE.judge({"triangle": learned}, ["triangle"])["triangle"]
    assert status == "wrong"
    assert message.endswith("(in a case that is not shown)")


@pytest.mark.parametrize("name", NULLS)
@pytest.mark.parametrize("task", TASKS)
def test_answers_without_an_idea_get_nothing(task, name):
    status, message = EXERCISE.judge({task: null(task, NULLS[name])}, [task])[task]
    assert status in ("wrong", "error"), message
    assert message


RIGHT = {
    "triangle": """
def triangle(u, low, peak, high):
    left, right = peak - low, high - peak
    y = low + (u * (left + right) * left) ** 0.5
    beyond = u > left / (left + right)
    y[beyond] = high - ((1 - u[beyond]) * (left + right) * right) ** 0.5
    return y
""",
    "tabulated": """
import numpy as np

def tabulated(u, grid, density):
    mass = torch.cumulative_trapezoid(density, grid)
    h = np.concatenate([[0.0], mass / mass[-1]])
    return torch.from_numpy(np.interp(u, h, grid))
""",
    "envelope": """
def envelope(rate):
    x = torch.tensor(float(rate), dtype=torch.float64)
    log_k = -x * x / 2 + rate * x - torch.log(x)
    return log_k, torch.exp(math.log(math.pi / 2) / 2 - log_k)
""",
    "rejection": """
def rejection(log_target, log_proposal, propose, log_k, n, *, generator=None):
    x = torch.empty(0, 2)
    thrown = hits = 0
    while hits < n:
        darts = propose(500, generator=generator)
        log_height = log_proposal(darts) + log_k
        if bool((log_target(darts) > log_height).any()):
            raise ValueError("too low")
        log_height = log_height + torch.log1p(-torch.rand(500, generator=generator))
        hit = darts[log_height <= log_target(darts)]
        thrown, hits, x = thrown + 500, hits + len(hit), torch.cat([x, hit])
    return x[:n], torch.tensor(hits / thrown)
""",
    "importance": """
def importance(log_p, log_q, f):
    log_w = log_p - log_q
    top = log_w.max()
    w = torch.exp(log_w - top)
    return top + torch.log(w.mean()), (w[:, None] * f).sum(0) / w.sum()
""",
    "weight_ess": """
def weight_ess(log_w):
    w = torch.exp(log_w - log_w.max())
    return (w.sum() ** 2 / (w**2).sum()).item()
""",
}


@pytest.mark.parametrize("task", RIGHT)
def test_other_right_answers_are_right(task):
    assert EXERCISE.judge({task: RIGHT[task]}, [task])[task] == ("passed", "")


def test_few_darts_at_a_time_are_right_too():
    answer = EXERCISE.answers()["rejection"].replace("propose(n, ", "propose(7, ")
    assert EXERCISE.judge({"rejection": answer}, ["rejection"])["rejection"] == ("passed", "")


def test_the_last_section_runs_with_the_solution(capsys, monkeypatch):
    names = dict(EXERCISE.given)
    for source in EXERCISE.answers().values():
        exec(source, names)
    (together,) = [cell.source for cell in EXERCISE.solution.notebook.cells if cell.get("id") == "together"]
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    exec(together, names)
    share, log_z, mean = names["share"], float(names["log_z"]), float(names["mean"])
    n = names["n"]
    assert abs(share - names["expected"]) < 5 * (names["expected"] / n) ** 0.5
    assert abs(log_z - names["truth"][0]) < 5 * (1 / names["worth"] - 1 / n) ** 0.5
    assert abs(mean - names["truth"][1]) < 5 / names["worth"] ** 0.5
    assert "log Z" in capsys.readouterr().out
