"""Problem set 4: the solution has all points, the release none, and every mistake is called by its name."""

import re

import pytest

from tests.exercises.judging import NULLS, Exercise, null

EXERCISE = Exercise("ps04_vae")
TASKS = ["kl", "reparameterise", "log_bernoulli", "elbo_a", "elbo_b", "iwae", "helmholtz"]

EPS = "torch.randn((n, *mean.shape), generator=generator, dtype=mean.dtype)"
KL = "(mean**2 + log_var.exp() - 1 - log_var).sum(dim=1) / 2"
PIXELS = "(x * logits - torch.nn.functional.softplus(logits)).sum(dim=-1)"
BOUND = "(log_lik + log_prior - log_q).mean(dim=0)"
MEAN_WEIGHT = "torch.logsumexp(log_w, dim=0) - torch.tensor(float(K), dtype=log_w.dtype).log()"

# (task, what the student wrote instead, what of the solution it replaces, the reason that must be given)
MUTANTS = {
    "kl sign": ("kl", f"-{KL}", KL, "wrong sign"),
    "kl without half": ("kl", KL.removesuffix(" / 2"), KL, "factor 1/2"),
    "kl mean over coordinates": ("kl", KL.replace("sum", "mean"), KL, "mean over the latent"),
    "kl sum over the batch": ("kl", KL.replace("sum(dim=1)", "sum()"), KL, r"kl has shape \[\]"),
    "kl log of the deviation": (
        "kl",
        "(mean**2 + (2 * log_var).exp() - 1 - 2 * log_var).sum(dim=1) / 2",
        KL,
        "log of the \\*variance",
    ),
    "kl variance as deviation": ("kl", "(log_var / 2).exp() - 1", "log_var.exp() - 1", "variance is exp"),
    "kl log term sign": ("kl", "- 1 + log_var", "- 1 - log_var", "sign of the log_var term"),
    "kl without minus one": ("kl", "log_var.exp() - log_var", "log_var.exp() - 1 - log_var", "-1 is missing"),
    "kl turned over": (
        "kl",
        "((1 + mean**2) / log_var.exp() - 1 + log_var).sum(dim=1) / 2",
        KL,
        "turned over",
    ),
    "kl not a closed form": ("kl", f"{KL} + 0.1", KL, "but the divergence is"),
    "noise times variance": ("reparameterise", "log_var.exp() *", "(log_var / 2).exp() *", "by the variance"),
    "noise not scaled": ("reparameterise", "1 *", "(log_var / 2).exp() *", "standard deviation is 1"),
    "log not undone": ("reparameterise", "log_var *", "(log_var / 2).exp() *", "is the \\*log\\*"),
    "no mean": ("reparameterise", "return (log_var", "return mean + (log_var", "add the mean"),
    "noise shared by the batch": (
        "reparameterise",
        EPS.replace("*mean.shape", "1, mean.shape[1]"),
        EPS,
        "shared by the batch",
    ),
    "noise shared by the coordinates": (
        "reparameterise",
        EPS.replace("*mean.shape", "len(mean), 1"),
        EPS,
        "shared by the latent coordinates",
    ),
    "one draw for all": (
        "reparameterise",
        EPS.replace("(n, *mean.shape)", "mean.shape").replace("dtype=mean.dtype)", "dtype=mean.dtype)")
        + "\n    eps = eps.expand(n, *mean.shape)",
        EPS,
        "all n draws are the same",
    ),
    "uniform noise": (
        "reparameterise",
        f"12**0.5 * ({EPS.replace('randn', 'rand')} - 0.5)",
        EPS,
        "not standard normal",
    ),
    "no generator": (
        "reparameterise",
        EPS.replace("generator=generator, ", ""),
        EPS,
        "same seed gives other draws",
    ),
    "frozen noise": (
        "reparameterise",
        EPS.replace("generator=generator", "generator=torch.Generator().manual_seed(0)"),
        EPS,
        "two generators give the same",
    ),
    "draw detached": (
        "reparameterise",
        "(mean + (log_var / 2).exp() * eps).detach()",
        "mean + (log_var / 2).exp() * eps",
        "no gradient flows",
    ),
    "deviation detached": (
        "reparameterise",
        "(log_var / 2).exp().detach()",
        "(log_var / 2).exp()",
        "no gradient flows|deviation detached",
    ),
    "draws last": (
        "reparameterise",
        "(mean + (log_var / 2).exp() * eps).movedim(0, -1)",
        "mean + (log_var / 2).exp() * eps",
        "z has shape",
    ),
    "mean over pixels": ("log_bernoulli", PIXELS.replace("sum(", "mean("), PIXELS, "mean over the pixels"),
    "cross entropy": ("log_bernoulli", f"-{PIXELS}", PIXELS, "wrong sign"),
    "ink and paper": ("log_bernoulli", PIXELS.replace("logits", "(-logits)"), PIXELS, "exchanged"),
    "no normaliser": ("log_bernoulli", "(x * logits).sum(dim=-1)", PIXELS, "normaliser is missing"),
    "ink only": (
        "log_bernoulli",
        "(x * torch.nn.functional.logsigmoid(logits)).sum(dim=-1)",
        PIXELS,
        "pixels with x = 0",
    ),
    "probability": ("log_bernoulli", f"{PIXELS}.exp()", PIXELS, "return its logarithm"),
    "log of sigmoid": (
        "log_bernoulli",
        "(x * logits.sigmoid().log() + (1 - x) * (1 - logits.sigmoid()).log()).sum(dim=-1)",
        PIXELS,
        "logit of 200",
    ),
    "log of one plus exp": (
        "log_bernoulli",
        "(x * logits - (1 + logits.exp()).log()).sum(dim=-1)",
        PIXELS,
        "logit of 200",
    ),
    "clamped": (
        "log_bernoulli",
        "(x * logits.sigmoid().clamp(1e-7).log()"
        " + (1 - x) * (1 - logits.sigmoid()).clamp(1e-7).log()).sum(-1)",
        PIXELS,
        "logit of 200",
    ),
    "summed over draws": ("elbo_a", BOUND.replace("mean", "sum"), BOUND, "sum over the draws"),
    "log q added": ("elbo_a", BOUND.replace("- log_q", "+ log_q"), BOUND, "log q has the wrong sign"),
    "prior subtracted": (
        "elbo_a",
        BOUND.replace("+ log_prior", "- log_prior"),
        BOUND,
        r"log p\(z\) has the wrong sign",
    ),
    "prior and guess exchanged": (
        "elbo_a",
        "(log_lik - log_prior + log_q).mean(dim=0)",
        BOUND,
        "exchanged",
    ),
    "no log q": ("elbo_a", "(log_lik + log_prior).mean(dim=0)", BOUND, r"log q\(z \| x\) is missing|lacks"),
    "no prior": ("elbo_a", "(log_lik - log_q).mean(dim=0)", BOUND, r"log p\(z\) is missing|lacks"),
    "reconstruction only": ("elbo_a", "log_lik.mean(dim=0)", BOUND, "reconstruction alone"),
    "negative bound": ("elbo_a", f"-{BOUND}", BOUND, "minus the bound"),
    "no normaliser of q": (
        "elbo_a",
        "((z - mean) ** 2 / log_var.exp())",
        "((z - mean) ** 2 / log_var.exp() + log_var)",
        "lacks its normaliser",
    ),
    "q of the deviation": (
        "elbo_a",
        "((z - mean) ** 2 / (2 * log_var).exp() + 2 * log_var)",
        "((z - mean) ** 2 / log_var.exp() + log_var)",
        "log of the \\*variance",
    ),
    "a as b": (
        "elbo_a",
        "log_lik.mean(dim=0) - (mean**2 + log_var.exp() - 1 - log_var).sum(dim=1) / 2",
        BOUND,
        "that is estimator B",
    ),
    "two pi once": ("elbo_a", f"{BOUND} - 0.9189", BOUND, "elbo_a is"),
    "kl added": ("elbo_b", "mean(dim=0) + kl", "mean(dim=0) - kl", "pays"),
    "b summed": ("elbo_b", "log_lik.sum(dim=0)", "log_lik.mean(dim=0)", "sum over the draws"),
    "b negative": ("elbo_b", "kl - log_lik.mean(dim=0)", "log_lik.mean(dim=0) - kl", "minus the bound"),
    "b without kl": ("elbo_b", "log_lik.mean(dim=0)", "log_lik.mean(dim=0) - kl", "divergence is missing"),
    "kl averaged": ("elbo_b", "- kl / len(log_lik)", "- kl", "charged once"),
    "first draw only": ("elbo_b", "log_lik[0]", "log_lik.mean(dim=0)", "only the first draw"),
    "averaged over the batch": (
        "elbo_b",
        "mean(dim=1)[:1]",
        "mean(dim=0)",
        "elbo_b has shape|elbo_b is",
    ),
    "mean of the logs": ("iwae", "log_w.mean(dim=0)", MEAN_WEIGHT, "that is the ELBO"),
    "sum of the weights": ("iwae", "torch.logsumexp(log_w, dim=0)", MEAN_WEIGHT, "off by log K"),
    "weight not log": ("iwae", "log_w.exp().mean(dim=0)", MEAN_WEIGHT, "return its logarithm"),
    "exp overflows": ("iwae", "log_w.exp().mean(dim=0).log()", MEAN_WEIGHT, "over- or underflows"),
    "largest weight": ("iwae", "log_w.max(dim=0).values", MEAN_WEIGHT, "largest log-weight"),
    "over the batch": ("iwae", MEAN_WEIGHT.replace("dim=0", "dim=1"), MEAN_WEIGHT, "iwae has shape"),
    "iwae negative": ("iwae", f"-({MEAN_WEIGHT})", MEAN_WEIGHT, "wrong sign"),
    "unnormalised weights": ("helmholtz", "log_w.exp()", "torch.softmax(log_w, dim=0)", "not normalised"),
    "no root": (
        "helmholtz",
        "torch.softmax(2 * log_w, dim=0)",
        "torch.softmax(log_w, dim=0)",
        "root is missing",
    ),
    "normalised over the batch": (
        "helmholtz",
        "torch.softmax(log_w, dim=1)",
        "torch.softmax(log_w, dim=0)",
        "over the batch",
    ),
    "normalised over all": (
        "helmholtz",
        "log_w.exp() / log_w.exp().sum()",
        "torch.softmax(log_w, dim=0)",
        "for each picture",
    ),
    "weights turned over": (
        "helmholtz",
        "torch.softmax(-log_w, dim=0)",
        "torch.softmax(log_w, dim=0)",
        "turned over",
    ),
    "product for ratio": ("helmholtz", "(log_p + log_q) / 2", "(log_p - log_q) / 2", "drawn from q"),
    "log weights": (
        "helmholtz",
        "torch.log_softmax(log_w, dim=0)",
        "torch.softmax(log_w, dim=0)",
        "logs of the weights",
    ),
    "bound not squared": (
        "helmholtz",
        "log_p_star = (torch",
        "log_p_star = 2 * (torch",
        "factor 2",
    ),
    "bound of the mean log": (
        "helmholtz",
        "2 * log_w.mean(dim=0)",
        "2 * (torch.logsumexp(log_w, dim=0) - log_K)",
        "log_p_star is the mean of the logs",
    ),
    "bound with one log K": (
        "helmholtz",
        "2 * torch.logsumexp(log_w, dim=0) - log_K",
        "2 * (torch.logsumexp(log_w, dim=0) - log_K)",
        "comes off twice",
    ),
    "bound without log K": (
        "helmholtz",
        "2 * torch.logsumexp(log_w, dim=0)",
        "2 * (torch.logsumexp(log_w, dim=0) - log_K)",
        "not their sum",
    ),
    "likelihood with the root": (
        "helmholtz",
        "torch.logsumexp(log_w, dim=0) - log_K\n",
        "torch.logsumexp(2 * log_w, dim=0) - log_K\n",
        "without the root",
    ),
    "likelihood without log K": (
        "helmholtz",
        "torch.logsumexp(2 * log_w, dim=0)\n",
        "torch.logsumexp(2 * log_w, dim=0) - log_K\n",
        "not its sum",
    ),
    "weights overflow": (
        "helmholtz",
        "log_w.exp() / log_w.exp().sum(dim=0)",
        "torch.softmax(log_w, dim=0)",
        "over- or underflows",
    ),
    "two results": (
        "helmholtz",
        "return weights, log_p_star\n",
        "return weights, log_p_star, torch",
        "2 values",
    ),
}


def mutant(name: str) -> tuple[str, str, str]:
    """(task, the mutated source, reason)."""
    task, new, old, reason = MUTANTS[name]
    source = EXERCISE.answers()[task]
    source = source if source.endswith("\n") else source + "\n"
    at = source.rindex(old)  # the last one: the first may be the signature
    rest = "" if name == "two results" else source[at + len(old) :]
    return task, source[:at] + new + rest, reason


@pytest.mark.parametrize("seed", [0, 7, 123_456_789])
def test_the_solution_has_full_marks(seed):
    exercise = Exercise("ps04_vae", seed)
    results = exercise.judge(exercise.answers())
    assert results == dict.fromkeys(TASKS, ("passed", ""))
    assert [task.points for task in exercise.solution.tasks] == [3, 3, 2, 3, 2, 3, 4]


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
    assert status == "wrong", message
    assert re.search(reason, message), message


def test_an_answer_for_the_visible_cases_fails_the_hidden_ones():
    """It recognises the visible means by their first number and is wrong on all others."""
    seen = []
    answer = EXERCISE.answers()["kl"]
    spy = answer.replace("    return", "    SEEN.append(mean.flatten()[0].item())\n    return")
    EXERCISE.given["SEEN"] = seen
    assert EXERCISE.judge({"kl": spy}, hidden=False)["kl"][0] == "passed"
    guard = f"if mean.flatten()[0].item() not in {set(seen)}: return mean.sum(dim=1)"
    learned = spy.replace("SEEN.append(mean.flatten()[0].item())", guard)
    assert EXERCISE.judge({"kl": learned}, ["kl"], hidden=False)["kl"][0] == "passed"
    status, message = EXERCISE.judge({"kl": learned}, ["kl"])["kl"]
    assert status == "wrong"
    assert message.endswith("(in a case that is not shown)")


@pytest.mark.parametrize("name", NULLS)
@pytest.mark.parametrize("task", TASKS)
def test_answers_without_an_idea_get_nothing(task, name):
    status, message = EXERCISE.judge({task: null(task, NULLS[name])}, [task])[task]
    assert status in ("wrong", "error"), message
    assert message


def test_another_way_to_write_it_is_right_too():
    """With log 2 pi on both sides, and by the distributions of torch."""
    answers = {
        "elbo_a": "def elbo_a(log_lik, z, mean, log_var):\n    from torch.distributions import Normal\n"
        "    q = Normal(mean, (log_var / 2).exp()).log_prob(z).sum(-1)\n"
        "    p = Normal(0.0, 1.0).log_prob(z).sum(-1)\n    return (log_lik + p - q).mean(0)\n",
        "log_bernoulli": "def log_bernoulli(x, logits):\n"
        "    return -torch.nn.functional.binary_cross_entropy_with_logits(\n"
        "        logits, x.expand_as(logits), reduction='none').sum(-1)\n",
    }
    results = EXERCISE.judge(answers, list(answers))
    assert results == dict.fromkeys(answers, ("passed", ""))


def test_the_last_section_runs_with_the_solution(capsys):
    names = dict(EXERCISE.given)
    for source in EXERCISE.answers().values():
        exec(source, names)
    (together,) = [cell.source for cell in EXERCISE.solution.notebook.cells if cell.get("id") == "together"]
    exec(together.replace("range(20)", "range(6)"), names)
    assert abs(float(names["a"]) - float(names["b"])) < 0.2
    assert float(names["b"]) < float(names["tight"]) and float(names["b"]) > -24.5
    assert "estimator A" in capsys.readouterr().out
