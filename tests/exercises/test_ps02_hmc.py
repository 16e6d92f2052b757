"""Problem set 2: the solution has all points, the release none, and every mistake is called by its name."""

import re

import pytest
import torch

from course_lib import energies
from course_lib.checks.invariance import normality
from tests.exercises.judging import NULLS, Exercise, null

EXERCISE = Exercise("ps02_hmc")
TASKS = ["banana", "leapfrog", "accept", "hmc_step", "ess", "langevin"]

PAIRS = """range(0, n - 1, 2):
        pair = rho(lag) + rho(lag + 1)
        if pair <= 0:
            break
        tau += 2 * pair"""

PROPOSAL = "x - step_size**2 / 2 * grad + step_size * z"
BACK = "(x - x_new + step_size**2 / 2 * grad_new) / step_size"
CORRECTION = "(z_back**2 - z**2).sum(dim=1) / 2"

# (task, what the student wrote instead, what of the solution it replaces, the reason that must be given)
MUTANTS = {
    "gradient sign": ("banana", "return u, -grad", "return u, grad", "grad has the wrong sign"),
    "no chain rule": ("banana", "[x[:, 0], r]", "[x[:, 0] - 2 * b * x[:, 0] * r, r]", "chain rule"),
    "chain rule sign": ("banana", "[x[:, 0] + 2 * b", "[x[:, 0] - 2 * b", "sign of the chain rule"),
    "bend turned over": ("banana", "x[:, 1] + b", "x[:, 1] - b", "u is wrong"),
    "energy without half": (
        "banana",
        "u = x[:, 0] ** 2 + r**2",
        "u = (x[:, 0] ** 2 + r**2) / 2",
        "factor 1/2",
    ),
    "normaliser": ("banana", "return u + 1.8379, grad", "return u, grad", "off by the constant 1.838"),
    "log density": ("banana", "return -u, grad", "return u, grad", "u has the wrong sign"),
    "sum over chains": (
        "banana",
        "return u.sum(), grad",
        "return u, grad",
        r"u has shape \[\], expected \[7\]",
    ),
    "gradient on its side": ("banana", ", r])", ", r], dim=1)", r"grad has shape \[2, 7\]"),
    "only float32": ("banana", "return u.float(), grad", "return u, grad", "u has dtype torch.float32"),
    "no last half kick": (
        "leapfrog",
        "    return x, p + step_size / 2 * grad, u, grad",
        "    return x, p, u, grad",
        "the last half kick of the path is missing",
    ),
    "no last half kick in any step": (
        "leapfrog",
        "u, grad = value_and_grad(x)\n",
        "u, grad = value_and_grad(x)\n        p = p - step_size / 2 * grad\n",
        "the last half kick of every step is missing",
    ),
    "no first half kick": (
        "leapfrog",
        "for _ in range(n_steps):\n        x = x",
        "for _ in range(n_steps):\n        p = p - step_size / 2 * grad\n        x = x",
        "the first half kick of every step is missing",
    ),
    "full first kick": (
        "leapfrog",
        "    p = p - step_size / 2 * grad\n    for _ in",
        "    for _ in",
        "half kicks",
    ),
    "full first kick in every step": (
        "leapfrog",
        "p = p - step_size * grad\n        x = x",
        "p = p - step_size / 2 * grad\n        x = x",
        "half kicks",
    ),
    "kick before the drift only": (
        "leapfrog",
        "p = p - step_size * grad\n        x = x + step_size * p\n        u, grad = value_and_grad(x)\n",
        "p = p - step_size / 2 * grad\n        x = x + step_size * p\n        u, grad = value_and_grad(x)\n"
        "        p = p - step_size / 2 * grad\n",
        "between",
    ),
    "uphill": (
        "leapfrog",
        "p = p + step_size / 2 * grad\n        x = x + step_size * p\n        u, grad = value_and_grad(x)\n"
        "        p = p + step_size",
        "p = p - step_size / 2 * grad\n        x = x + step_size * p\n        u, grad = value_and_grad(x)\n"
        "        p = p - step_size",
        "uphill",
    ),
    "second kick with the old gradient": (
        "leapfrog",
        "p = p - step_size / 2 * grad\n        u, grad = value_and_grad(x)\n",
        "u, grad = value_and_grad(x)\n        p = p - step_size / 2 * grad\n",
        "not reversible",
    ),
    "half drift": (
        "leapfrog",
        "x + step_size / 2 * p",
        "x + step_size * p",
        "x is wrong although p is right",
    ),
    "gradient twice": (
        "leapfrog",
        "grad = value_and_grad(x)[1]\n        p = p - step_size / 2 * grad\n        x",
        "p = p - step_size / 2 * grad\n        x",
        "gradients for",
    ),
    "one step too few": ("leapfrog", "range(n_steps - 1)", "range(n_steps)", "kicks of step_size"),
    "in place": ("leapfrog", "x += step_size * p", "x = x + step_size * p", "changes an argument in place"),
    "old energy": ("leapfrog", "return x, p, 0 * u, grad", "return x, p, u, grad", "u is not the energy"),
    "three results": ("leapfrog", "return x, p, grad", "return x, p, u, grad", "3 values came back"),
    "always accept": (
        "accept",
        "< 2 + 0 * delta_h",
        "< torch.exp(-delta_h)",
        "a rise of 30 nats is accepted",
    ),
    "sign flipped": ("accept", "torch.exp(delta_h)", "torch.exp(-delta_h)", "delta_h has the wrong sign"),
    "never uphill": ("accept", "< (delta_h < 0)", "< torch.exp(-delta_h)", "draw one random number for each"),
    "one decision for all": (
        "accept",
        "torch.rand(1, generator=generator).expand(delta_h.shape)",
        "torch.rand(delta_h.shape, generator=generator, dtype=delta_h.dtype)",
        "all chains decide together",
    ),
    "blocks decide together": (
        "accept",
        "torch.rand(len(delta_h) // 4, generator=generator).repeat_interleave(4)",
        "torch.rand(delta_h.shape, generator=generator, dtype=delta_h.dtype)",
        "independently",
    ),
    "half the energy": ("accept", "torch.exp(-delta_h / 2)", "torch.exp(-delta_h)", r"expected exp\(-"),
    "rejected gradient kept": (
        "accept",
        "grad = proposal[2]",
        "grad = torch.where(accepted[:, None], proposal[2], current[2])",
        "its grad is the proposal's",
    ),
    "rejected energy kept": (
        "accept",
        "u = proposal[1]",
        "u = torch.where(accepted, proposal[1], current[1])",
        "its u is the proposal's",
    ),
    "old gradient after acceptance": (
        "accept",
        "grad = current[2]",
        "grad = torch.where(accepted[:, None], proposal[2], current[2])",
        "an accepted chain must take the grad",
    ),
    "nan accepted": (
        "accept",
        "~(torch.rand(delta_h.shape, generator=generator) >= torch.exp(-delta_h))",
        "torch.rand(delta_h.shape, generator=generator, dtype=delta_h.dtype) < torch.exp(-delta_h)",
        r"delta_h = nan \(a diverged path\) must be rejected",
    ),
    "no generator in accept": (
        "accept",
        "torch.rand(delta_h.shape, dtype",
        "torch.rand(delta_h.shape, generator=generator, dtype",
        "same seed gives other decisions",
    ),
    "decisions frozen": (
        "accept",
        "torch.rand(delta_h.shape, generator=torch.Generator().manual_seed(0), dtype",
        "torch.rand(delta_h.shape, generator=generator, dtype",
        "two calls make the same decisions",
    ),
    "decisions as numbers": ("accept", "grad), accepted.float()", "grad), accepted", "accepted must be bool"),
    "no kinetic term": (
        "hmc_step",
        "delta_h = u_end - u\n",
        "delta_h = (u_end + (p_end**2).sum(dim=1) / 2) - (u + (p**2).sum(dim=1) / 2)\n",
        "no kinetic term",
    ),
    "kinetic energy without half": (
        "hmc_step",
        "delta_h = (u_end + (p_end**2).sum(dim=1)) - (u + (p**2).sum(dim=1))\n",
        "delta_h = (u_end + (p_end**2).sum(dim=1) / 2) - (u + (p**2).sum(dim=1) / 2)\n",
        "factor 1/2 is missing",
    ),
    "kinetic sign": (
        "hmc_step",
        "delta_h = (u_end - (p_end**2).sum(dim=1) / 2) - (u - (p**2).sum(dim=1) / 2)\n",
        "delta_h = (u_end + (p_end**2).sum(dim=1) / 2) - (u + (p**2).sum(dim=1) / 2)\n",
        "kinetic term has the wrong sign",
    ),
    "energy difference turned over": (
        "hmc_step",
        "_end), -delta_h",
        "_end), delta_h",
        "wrong sign: it is H at the end",
    ),
    "momentum variance": (
        "hmc_step",
        "p = 0.5 * torch.randn",
        "p = torch.randn",
        "variance 0.25, expected 1",
    ),
    "momentum uniform": (
        "hmc_step",
        "p = 12**0.5 * (torch.rand(x.shape, generator=generator, dtype=x.dtype) - 0.5)",
        "p = torch.randn(x.shape, generator=generator, dtype=x.dtype)",
        "not a standard normal: coordinate 1 has the fourth moment",
    ),
    "one momentum for both coordinates": (
        "hmc_step",
        "torch.randn((len(x), 1), generator=generator, dtype=x.dtype).expand(x.shape)",
        "torch.randn(x.shape, generator=generator, dtype=x.dtype)",
        "coordinates 1 and 2 have the correlation",
    ),
    "no generator in the step": (
        "hmc_step",
        "torch.randn(x.shape, dtype",
        "torch.randn(x.shape, generator=generator, dtype",
        "the same seed gives other samples",
    ),
    "momentum frozen": (
        "hmc_step",
        "torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype",
        "torch.randn(x.shape, generator=generator, dtype",
        "two steps use the same momentum",
    ),
    "accepts by itself": (
        "hmc_step",
        "return (x_end, u_end, grad_end), delta_h < 9",
        "return accept(current, (x_end, u_end, grad_end), delta_h, generator=generator)",
        "must call the given accept once, not 0 times",
    ),
    "goes nowhere": (
        "hmc_step",
        "return current, accept(current, (x_end, u_end, grad_end), delta_h, generator=generator)[1]",
        "return accept(current, (x_end, u_end, grad_end), delta_h, generator=generator)",
        "return what accept returned",
    ),
    "step size halved": (
        "hmc_step",
        "value_and_grad, step_size / 2, n_steps)",
        "value_and_grad, step_size, n_steps)",
        "hand step_size and n_steps on",
    ),
    "proposal keeps the old gradient": (
        "hmc_step",
        "(x_end, u_end, grad)",
        "(x_end, u_end, grad_end)",
        "as the proposal",
    ),
    "no autocorrelation": ("ess", "return float(n)", "return n / tau", "autocorrelation is not counted"),
    "first negative lag": (
        "ess",
        PAIRS.replace("0, n - 1, 2", "1, n - 1").replace(" + rho(lag + 1)", "") + "\n    tau += 2",
        PAIRS,
        "stop at pairs of lags",
    ),
    "lags cut at five": ("ess", "range(0, 5, 2)", "range(0, n - 1, 2)", r"autocorrelation \.9\^t: ess is"),
    "all lags": (
        "ess",
        "if False",
        "if pair <= 0",
        "ess must be positive|independent draws|division by zero",
    ),
    "factor two missing": ("ess", "tau += pair", "tau += 2 * pair", "independent draws|ess must be positive"),
    "absolute correlations": (
        "ess",
        "pair = abs(rho(lag)) + abs(rho(lag + 1))\n        if pair <= 0.05",
        "pair = rho(lag) + rho(lag + 1)\n        if pair <= 0",
        r"autocorrelation \(-\.5\)\^t",
    ),
    "mean not subtracted": ("ess", "x = x - 0", "x = x - x.mean()", "shift by 50"),
    "not divided by lag 0": ("ess", ".sum()).item() / n", ".sum() / variance).item()", "a factor 3"),
    "ess of nothing": ("ess", "return float('nan')", "return n / tau", "ess is nan"),
    "Langevin uphill": ("langevin", PROPOSAL.replace("x -", "x +"), PROPOSAL, "the drift goes uphill"),
    "no drift": ("langevin", "x + step_size * z", PROPOSAL, "the gradient plays no part"),
    "drift eps": (
        "langevin",
        "x - step_size * grad + step_size * z",
        PROPOSAL,
        r"gradient enters with the factor .* \(this is step_size\), expected step_size\^2 / 2",
    ),
    "drift without half": (
        "langevin",
        "x - step_size**2 * grad + step_size * z",
        PROPOSAL,
        r"\(this is step_size\^2\), expected step_size\^2 / 2",
    ),
    "step size as time": (
        "langevin",
        "x - step_size * grad + (2 * step_size) ** 0.5 * z",
        PROPOSAL,
        "takes step_size as the time of the drift",
    ),
    "noise sqrt(2) eps": (
        "langevin",
        PROPOSAL.replace("+ step", "+ 2**0.5 * step"),
        PROPOSAL,
        r"noise z enters with the factor .* \(this is sqrt\(2\) \* step_size\)",
    ),
    "noise eps^2": (
        "langevin",
        PROPOSAL.replace("step_size * z", "step_size**2 * z"),
        PROPOSAL,
        r"noise z enters with the factor .* \(this is step_size\^2\)",
    ),
    "noise of its own": (
        "langevin",
        PROPOSAL.replace("* z", "* torch.randn(x.shape, dtype=x.dtype)"),
        PROPOSAL,
        "something else than the given gradient and the given noise",
    ),
    "gradient at x again": (
        "langevin",
        "x, u, grad = current\n    u, grad = value_and_grad(x)",
        "x, u, grad = current",
        "2 calls of value_and_grad, expected 1",
    ),
    "proposal with the old energy": ("langevin", "(x_new, u, ", "(x_new, u_new, ", "u is not the energy at"),
    "proposal with the old gradient": (
        "langevin",
        "u_new, grad), delta_h",
        "u_new, grad_new), delta_h",
        "grad is not the gradient at",
    ),
    "proposal without its energy": (
        "langevin",
        "return x_new, delta_h",
        "return (x_new, u_new, grad_new), delta_h",
        r"the proposal of langevin must return the tuple \(x, u, grad\), not a tensor",
    ),
    "sum over all chains": (
        "langevin",
        CORRECTION.replace("dim=1", ""),
        CORRECTION,
        "the chains influence each other",
    ),
    "one delta for all": (
        "langevin",
        "grad_new), delta_h.sum()",
        "grad_new), delta_h",
        r"delta_h has shape \[\], expected \[9\]",
    ),
    "no correction": ("langevin", "u_new - u\n", f"u_new - u + {CORRECTION}\n", "only U"),
    "correction turned over": (
        "langevin",
        "u_new - u - (z_back",
        "u_new - u + (z_back",
        "correction has the wrong sign",
    ),
    "delta turned over": (
        "langevin",
        "grad_new), -delta_h",
        "grad_new), delta_h",
        "delta_h has the wrong sign",
    ),
    "energies turned over": ("langevin", "u - u_new +", "u_new - u +", "with the factor -1.00, expected 1"),
    "only the way there": ("langevin", "(-(z**2))", "(z_back**2 - z**2)", "the way back is missing"),
    "only the way back": ("langevin", "(z_back**2)", "(z_back**2 - z**2)", "the way there is missing"),
    "correction without half": ("langevin", ".sum(dim=1)\n", ".sum(dim=1) / 2\n", "twice too large"),
    "variance eps": (
        "langevin",
        ".sum(dim=1) / 2 * step_size",
        ".sum(dim=1) / 2",
        r"q has the variance step_size\^2",
    ),
    "variance 2 eps^2": (
        "langevin",
        ".sum(dim=1) / 4",
        ".sum(dim=1) / 2",
        r"q\(x'\|x\) enters with 0.500 times and log q\(x\|x'\) with -0.500",
    ),
    "only the way back scaled": (
        "langevin",
        "((z_back * step_size) ** 2 - z**2)",
        "(z_back**2 - z**2)",
        "q has the variance",
    ),
    "square missing": ("langevin", "(z_back - z)", "(z_back**2 - z**2)", "the square is missing"),
    "norm not squared": (
        "langevin",
        "(z_back.norm(dim=1) - z.norm(dim=1)) / 2",
        CORRECTION,
        "the square is missing",
    ),
    "way back with the gradient at x": (
        "langevin",
        BACK.replace("grad_new", "grad"),
        BACK,
        r"q\(x\|x'\) has the gradient at x:",
    ),
    "way back uphill": ("langevin", BACK.replace("+ step", "- step"), BACK, "drifts uphill"),
    "way back without drift": ("langevin", "(x - x_new) / step_size", BACK, "has no drift"),
    "rises only": (
        "langevin",
        "grad_new), delta_h.clamp(min=0)",
        "grad_new), delta_h",
        "delta_h of the way back",
    ),
    "softened": ("langevin", "grad_new), delta_h.tanh()", "grad_new), delta_h", r"delta_h is not U\(x'\)"),
}


def mutant(name: str) -> tuple[str, str, str]:
    """(task, the mutated source, reason)."""
    task, new, old, reason = MUTANTS[name]
    source = EXERCISE.answers()[task]
    at = source.rindex(old)  # the last one: the first may be the signature
    return task, source[:at] + new + source[at + len(old) :], reason


@pytest.mark.parametrize("seed", [0, 7, 123_456_789])
def test_the_solution_has_full_marks(seed):
    exercise = Exercise("ps02_hmc", seed)
    results = exercise.judge(exercise.answers())
    assert results == dict.fromkeys(TASKS, ("passed", ""))
    assert [task.points for task in exercise.solution.tasks] == [3, 5, 4, 5, 3, 4]


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
    assert status == ("error" if name == "in place" else "wrong"), message
    assert re.search(reason, message), message


def test_what_the_oracle_asks_of_langevin_keeps_the_banana_and_less_does_not():
    """By another route than the oracle: 20,000 exact draws, moved by the student's own two functions."""

    def problem(answers: dict[str, str]) -> str:
        names = dict(EXERCISE.given)
        for source in answers.values():
            exec(source, names)
        banana, random = energies.Banana(0.8), torch.Generator().manual_seed(3)
        x = banana.sample(20_000, generator=random)
        state = (x, *banana.value_and_grad(x))
        for _ in range(20):
            z = torch.randn(x.shape, generator=random)
            proposed = names["langevin"](state, z, banana.value_and_grad, 0.7)
            state, _ = names["accept"](state, *proposed, generator=random)
        x1, x2 = state[0].T
        return normality(torch.stack([x1, x2 - 0.8 * (x1**2 - 1)], 1))

    answers = EXERCISE.answers()
    assert problem(answers) == ""
    for name in ("no correction", "correction turned over", "way back with the gradient at x"):
        assert problem(answers | {"langevin": mutant(name)[1]}) != "", name


def test_an_answer_for_the_visible_cases_fails_the_hidden_ones():
    """It recognises the visible chains by their first number and is wrong on all others."""
    seen = []
    spy = EXERCISE.answers()["ess"].replace(
        "    x = x - x.mean()", "    SEEN.append(x[0].item())\n    x = x - x.mean()"
    )
    EXERCISE.given["SEEN"] = seen
    assert EXERCISE.judge({"ess": spy}, hidden=False)["ess"][0] == "passed"
    learned = spy.replace("SEEN.append(x[0].item())", f"if x[0].item() not in {set(seen)}: return 1.0")
    assert EXERCISE.judge({"ess": learned}, ["ess"], hidden=False)["ess"][0] == "passed"
    status, message = EXERCISE.judge({"ess": learned}, ["ess"])["ess"]
    assert status == "wrong"
    assert message.endswith("(in a case that is not shown)")


@pytest.mark.parametrize("name", NULLS)
@pytest.mark.parametrize("task", TASKS)
def test_answers_without_an_idea_get_nothing(task, name):
    status, message = EXERCISE.judge({task: null(task, NULLS[name])}, [task])[task]
    assert status in ("wrong", "error"), message
    assert message
