"""Problem set 5: the solution has all points, the release none, and every mistake is called by its name."""

import re

import pytest

from tests.exercises.judging import NULLS, Exercise, null

NAME = "ps05_gan_objectives"
EXERCISE = Exercise(NAME)
TASKS = ["gan_losses", "best_critic", "gradient_penalty", "dragan", "pull_away", "critic_step"]

CRITIC = "F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()"
LOW = "saturating = -F.softplus(fake_logits).mean()"
HIGH = "nonsaturating = F.softplus(-fake_logits).mean()"
GAN, SQUARES, SMOOTHED = "p / (p + q)", "(b * p + a * q) / (p + q)", "alpha * p / (p + q)"
BEST = f"return {GAN}, {SQUARES}, {SMOOTHED}"
ALPHA = "torch.rand(len(real), generator=generator, dtype=real.dtype).view(-1, *ones)"
MIXED = "(alpha * real + (1 - alpha) * fake)"
GRAD = "(slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)"
NORM = "norm = slope.flatten(1).norm(dim=1)"
PENALTY = "((norm - k) ** 2).mean()"
DELTA = "c**0.5 * torch.randn(real.shape, generator=generator, dtype=real.dtype)"
UNIT = "unit = codes / codes.norm(dim=1, keepdim=True)"
SQUARED = "squared = (unit @ unit.T) ** 2"
PAIRS = "(squared.sum() - squared.diagonal().sum()) / (n * (n - 1))"
LOSS = "loss = critic(fake, w).mean() - critic(real, w).mean() + lam * penalty(w)"
STEP = "(slope,) = torch.autograd.grad(loss, w)"
AFTER = "return weights - lr * slope"


def best(gan: str = GAN, squares: str = SQUARES, smoothed: str = SMOOTHED) -> str:
    return f"return {gan}, {squares}, {smoothed}"


# (task, what the student wrote instead, what of the solution it replaces, the reason that must be given)
MUTANTS = {
    "log of the sigmoid": (
        "gan_losses",
        "-torch.sigmoid(real_logits).log().mean() - (1 - torch.sigmoid(fake_logits)).log().mean()",
        CRITIC,
        "critic is inf at logits of about ±50",
    ),
    "log of the sigmoid plus a little": (
        "gan_losses",
        "nonsaturating = -torch.log(torch.sigmoid(fake_logits) + 1e-8).mean()",
        HIGH,
        r"nonsaturating is .*, expected .* at logits of about ±50.*without taking a sigmoid",
    ),
    "binary cross-entropy of probabilities": (
        "gan_losses",
        "F.binary_cross_entropy(torch.sigmoid(real_logits), torch.ones_like(real_logits)) + "
        "F.binary_cross_entropy(torch.sigmoid(fake_logits), torch.zeros_like(fake_logits))",
        CRITIC,
        "critic is .*, expected .* at logits of about ±50",
    ),
    "log(1 + exp)": (
        "gan_losses",
        "nonsaturating = torch.log(1 + torch.exp(-fake_logits)).mean()",
        HIGH,
        "nonsaturating is inf at logits of about ±300",
    ),
    "logits clamped": (
        "gan_losses",
        "fake_logits = fake_logits.clamp(-20, 20)\n    nonsaturating = F.softplus(-fake_logits).mean()",
        HIGH,
        "nonsaturating is .* at logits of about ±50",
    ),
    "slope detached": (
        "gan_losses",
        "nonsaturating = F.softplus(-fake_logits).mean().detach()",
        HIGH,
        "nonsaturating carries no gradient",
    ),
    "one fake without slope": (
        "gan_losses",
        "fixed = torch.where(fake_logits < -20, fake_logits.detach(), fake_logits)\n"
        "    nonsaturating = F.softplus(-fixed).mean()",
        HIGH,
        "the slope of nonsaturating is wrong at logits of about ±50",
    ),
    "fakes unused in the slope": (
        "gan_losses",
        "F.softplus(-real_logits).mean() + F.softplus(fake_logits.detach()).mean()",
        CRITIC,
        "the slope of critic is wrong",
    ),
    "real and fake swapped": (
        "gan_losses",
        "F.softplus(real_logits).mean() + F.softplus(-fake_logits).mean()",
        CRITIC,
        "critic: real and fake are exchanged",
    ),
    "critic ascends": (
        "gan_losses",
        "-F.softplus(-real_logits).mean() - F.softplus(fake_logits).mean()",
        CRITIC,
        "critic: the critic's loss has the wrong sign",
    ),
    "sums": ("gan_losses", CRITIC.replace("mean", "sum"), CRITIC, "critic: take means over the batch"),
    "half": ("gan_losses", f"({CRITIC}) / 2", CRITIC, "average is half the critic's loss"),
    "one mean over both": (
        "gan_losses",
        "F.softplus(torch.cat([-real_logits, fake_logits])).mean()",
        CRITIC,
        "each side has a mean of its own",
    ),
    "fakes labelled real": (
        "gan_losses",
        CRITIC.replace("(fake", "(-fake"),
        CRITIC,
        "critic: the critic takes the fakes for real",
    ),
    "one minus the logit": (
        "gan_losses",
        "-F.logsigmoid(real_logits).mean() - F.logsigmoid(1 - fake_logits).mean()",
        CRITIC,
        r"log\(1 - D\) is logsigmoid\(-f\)",
    ),
    "critic without fakes": ("gan_losses", "F.softplus(-real_logits).mean()", CRITIC, "fakes are missing"),
    "critic without data": ("gan_losses", "F.softplus(fake_logits).mean()", CRITIC, "data are missing"),
    "two sigmoids": (
        "gan_losses",
        "F.softplus(-real_logits.sigmoid()).mean() + F.softplus(fake_logits.sigmoid()).mean()",
        CRITIC,
        "critic: two sigmoids",
    ),
    "least squares": (
        "gan_losses",
        "((real_logits - 1) ** 2).mean() + (fake_logits**2).mean()",
        CRITIC,
        r"critic is \d.*, expected .*minus the mean of log D",
    ),
    "minimax that is non-saturating": (
        "gan_losses",
        "saturating = F.softplus(-fake_logits).mean()",
        LOW,
        "saturating: that is the non-saturating loss",
    ),
    "saturating sign": ("gan_losses", LOW.replace("-F", "F"), LOW, "saturating: wrong sign"),
    "saturating sum": ("gan_losses", LOW.replace("mean", "sum"), LOW, "saturating: take the mean"),
    "whole game": ("gan_losses", "saturating = -critic", LOW, "saturating: leave out the data"),
    "Wasserstein": ("gan_losses", "saturating = fake_logits.mean()", LOW, "saturating: .*Wasserstein"),
    "hinge": (
        "gan_losses",
        "saturating = -F.relu(1 + fake_logits).mean()",
        LOW,
        "saturating is not the mean",
    ),
    "non-saturating that saturates": (
        "gan_losses",
        "nonsaturating = saturating",
        HIGH,
        "nonsaturating: that is the saturating loss",
    ),
    "critic's own loss": (
        "gan_losses",
        "nonsaturating = F.softplus(fake_logits).mean()",
        HIGH,
        "nonsaturating: raise log D",
    ),
    "non-saturating sign": ("gan_losses", HIGH.replace("= F", "= -F"), HIGH, "nonsaturating: wrong sign"),
    "non-saturating sum": ("gan_losses", HIGH.replace("mean", "sum"), HIGH, "nonsaturating: take the mean"),
    "non-saturating median": (
        "gan_losses",
        HIGH.replace("mean", "median"),
        HIGH,
        "nonsaturating is not minus the mean",
    ),
    "losses as numbers": ("gan_losses", HIGH + ".item()", HIGH, "nonsaturating must be a tensor"),
    "no mean": ("gan_losses", HIGH.replace(".mean()", ""), HIGH, r"nonsaturating has shape \[9\]"),
    "two losses": (
        "gan_losses",
        "return critic, nonsaturating",
        "return critic, saturating, nonsaturating",
        "2 values came back",
    ),
    "p and q exchanged": ("best_critic", best("q / (p + q)"), BEST, "gan: p and q are exchanged"),
    "ratio": ("best_critic", best("p / q"), BEST, "gan: that is the ratio"),
    "logit": ("best_critic", best("torch.log(p / q)"), BEST, "gan: that is the best logit"),
    "always a half": ("best_critic", best("0 * p + 0.5"), BEST, "gan: 1/2 is right only where p = q"),
    "decides": ("best_critic", best("(p > q).to(p)"), BEST, "gan: the best critic does not decide"),
    "through logarithms": (
        "best_critic",
        best("1 / (1 + torch.exp(torch.log(q) - torch.log(p + 1e-3)))"),
        BEST,
        r"gan is .*, expected .* where p = .*: its critic pays \d",
    ),
    "nan where there are no data": (
        "best_critic",
        best("torch.where(p > 0, p / (p + q), torch.nan)"),
        BEST,
        "gan is nan, expected 0.0000, where p = 0.000",
    ),
    "a and b exchanged": (
        "best_critic",
        best(squares="(a * p + b * q) / (p + q)"),
        BEST,
        "least_squares: a and b are exchanged",
    ),
    "a forgotten": (
        "best_critic",
        best(squares="b * p / (p + q)"),
        BEST,
        "target a of the fakes is left out",
    ),
    "targets 0 and 1": ("best_critic", best(squares=GAN), BEST, "a = 0 and b = 1 only"),
    "sign of a": ("best_critic", best(squares="(b * p - a * q) / (p + q)"), BEST, "the sign of a"),
    "not divided": ("best_critic", best(squares="b * p + a * q"), BEST, r"divide by p \+ q"),
    "middle": ("best_critic", best(squares="0 * p + (a + b) / 2"), BEST, r"\(a \+ b\) / 2 is right only"),
    "sigmoid of squares": (
        "best_critic",
        best(squares="torch.sigmoid((b * p + a * q) / (p + q))"),
        BEST,
        "least_squares: no sigmoid",
    ),
    "squares of densities": (
        "best_critic",
        best(squares="(b * p**2 + a * q**2) / (p**2 + q**2)"),
        BEST,
        "least_squares is .* its critic pays",
    ),
    "not smoothed": ("best_critic", best(smoothed=GAN), BEST, "smoothed: alpha is not used"),
    "two-sided": (
        "best_critic",
        best(smoothed="(alpha * p + (1 - alpha) * q) / (p + q)"),
        BEST,
        "smoothed: fakes are smoothed too",
    ),
    "denominator smoothed": (
        "best_critic",
        best(smoothed="alpha * p / (alpha * p + q)"),
        BEST,
        r"the denominator stays p \+ q",
    ),
    "alpha as a share": (
        "best_critic",
        best(smoothed="alpha * p / (alpha * p + (1 - alpha) * q)"),
        BEST,
        "not the share of data",
    ),
    "fakes smoothed": ("best_critic", best(smoothed="p / (p + alpha * q)"), BEST, "not the fakes'"),
    "label turned over": (
        "best_critic",
        best(smoothed="(1 - alpha) * p / (p + q)"),
        BEST,
        "alpha, not 1 - alpha",
    ),
    "at the data": ("gradient_penalty", "real", MIXED, "the critic is asked at the data"),
    "at the fakes": ("gradient_penalty", "(0 * alpha + fake)", MIXED, "the critic is asked at the fakes"),
    "alpha shared": (
        "gradient_penalty",
        "torch.rand(1, generator=generator, dtype=real.dtype).item()",
        ALPHA,
        r"one alpha \(0\.\d+\) for the whole batch",
    ),
    "alpha one half": ("gradient_penalty", "0.5", ALPHA, r"one alpha \(0\.500\) for the whole batch"),
    "alpha per coordinate": (
        "gradient_penalty",
        "torch.rand(real.shape, generator=generator, dtype=real.dtype)",
        ALPHA,
        "not the same in all coordinates",
    ),
    "alpha per channel": (
        "gradient_penalty",
        "torch.rand(real.shape[:2], generator=generator, dtype=real.dtype).view(*real.shape[:2], *ones[1:])",
        ALPHA,
        "not the same in all coordinates",
    ),
    "alpha normal": (
        "gradient_penalty",
        ALPHA.replace("rand(len(real)", "randn(len(real)"),
        ALPHA,
        "alpha goes from -",
    ),
    "alpha squared": ("gradient_penalty", ALPHA + " ** 2", ALPHA, r"alpha is not uniform on \[0, 1\]"),
    "alpha without dimensions": (
        "gradient_penalty",
        ALPHA.replace(".view(-1, *ones)", ""),
        ALPHA,
        "give it a dimension of size 1",
    ),
    "other partners": (
        "gradient_penalty",
        "(alpha * real + (1 - alpha) * fake.roll(1, 0))",
        MIXED,
        r"not asked on the lines between real\[i\] and fake\[i\]",
    ),
    "no generator": (
        "gradient_penalty",
        ALPHA.replace("generator=generator, ", ""),
        ALPHA,
        "the same seed asks at other points",
    ),
    "frozen": (
        "gradient_penalty",
        ALPHA.replace("generator=generator", "generator=torch.Generator().manual_seed(0)"),
        ALPHA,
        "two calls ask at the same points",
    ),
    "batch-wide norm": ("gradient_penalty", "norm = slope.norm()", NORM, "one norm over the whole batch"),
    "gradient over dimension 1": (
        "gradient_penalty",
        "norm = slope.norm(dim=1)",
        NORM,
        "over dimension 1 only",
    ),
    "last dimension": ("gradient_penalty", "norm = slope.norm(dim=-1)", NORM, "over the last dimension only"),
    "no norm": ("gradient_penalty", "norm = slope", NORM, "each coordinate of the slope is held against k"),
    "sum of the slope": (
        "gradient_penalty",
        "norm = slope.flatten(1).sum(1)",
        NORM,
        "the penalty is .*, expected",
    ),
    "not squared": ("gradient_penalty", "(norm - k).mean()", PENALTY, "slopes above and below k cancel"),
    "absolute": ("gradient_penalty", "(norm - k).abs().mean()", PENALTY, "distance from k is not squared"),
    "mean slope squared": ("gradient_penalty", "(norm.mean() - k) ** 2", PENALTY, "first the square of each"),
    "summed": (
        "gradient_penalty",
        PENALTY.replace("mean", "sum"),
        PENALTY,
        "mean over the batch, not the sum",
    ),
    "root missing": ("gradient_penalty", "((norm**2 - k) ** 2).mean()", PENALTY, "the root is missing"),
    "gradient of the mean": (
        "gradient_penalty",
        GRAD.replace("sum", "mean"),
        GRAD,
        "the sum of the logits, not their mean",
    ),
    "one-sided": (
        "gradient_penalty",
        "(F.relu(norm - k) ** 2).mean()",
        PENALTY,
        "slopes below k cost as much|expected",
    ),
    "k is one": ("gradient_penalty", "((norm - 1) ** 2).mean()", PENALTY, "k is not used"),
    "weight inside": ("gradient_penalty", "10 * ((norm - k) ** 2).mean()", PENALTY, "leave out the weight"),
    "never back-propagated": (
        "gradient_penalty",
        GRAD.replace(", create_graph=True", ""),
        GRAD,
        "no gradient with respect to the critic's weights.*create_graph=True",
    ),
    "retained instead of created": (
        "gradient_penalty",
        GRAD.replace("create", "retain"),
        GRAD,
        "no gradient with respect to the critic's weights",
    ),
    "norm detached": ("gradient_penalty", NORM + ".detach()", NORM, "nobody would learn from it"),
    "half of it detached": (
        "gradient_penalty",
        "((norm - k) * (norm - k).detach()).mean()",
        PENALTY,
        "do not get the penalty's whole gradient",
    ),
    "bare root": (
        "gradient_penalty",
        "norm = (slope.flatten(1) ** 2).sum(1) ** 0.5",
        NORM,
        "a root has no slope at 0",
    ),
    "penalty as a number": ("gradient_penalty", PENALTY + ".item()", PENALTY, "the penalty must be a tensor"),
    "critic twice": (
        "gradient_penalty",
        "critic(real)\n    " + GRAD,
        GRAD,
        "the critic is called 2 times",
    ),
    "critic on flat pictures": (
        "gradient_penalty",
        GRAD.replace("critic(x)", "critic(x.flatten(1))"),
        GRAD,
        "what the critic is given has shape",
    ),
    "critic on half the batch": (
        "gradient_penalty",
        GRAD.replace("critic(x)", "critic(x[::2])"),
        GRAD,
        r"what the critic is given has shape \[200, 2\], expected \[400, 2\]",
    ),
    "R1": ("dragan", "(real + 0 * delta)", "(real + delta)", "asked at the data themselves"),
    "delta scaled by the variance": ("dragan", DELTA.replace("c**0.5", "c"), DELTA, "c is a variance"),
    "delta not scaled": ("dragan", DELTA.replace("c**0.5 * ", ""), DELTA, "is not used"),
    "delta scaled twice": ("dragan", DELTA.replace("c**0.5", "c**0.25"), DELTA, "scale by its root, once"),
    "delta shared": (
        "dragan",
        DELTA.replace("real.shape", "real.shape[1:]"),
        DELTA,
        "one delta for the whole batch",
    ),
    "delta per sample only": (
        "dragan",
        DELTA.replace("real.shape", "(len(real), *[1] * (real.dim() - 1))"),
        DELTA,
        "coordinates 1 and 2 have the correlation",
    ),
    "delta uniform": (
        "dragan",
        "(12 * c) ** 0.5 * (torch.rand(real.shape, generator=generator, dtype=real.dtype) - 0.5)",
        DELTA,
        "not a standard normal: coordinate 1 has the fourth moment",
    ),
    "delta positive": ("dragan", DELTA + ".abs()", DELTA, "not a standard normal: coordinate 1 has the mean"),
    "delta without generator": (
        "dragan",
        DELTA.replace("generator=generator, ", ""),
        DELTA,
        "the same seed asks at other points",
    ),
    "delta frozen": (
        "dragan",
        DELTA.replace("generator=generator", "generator=torch.Generator().manual_seed(0)"),
        DELTA,
        "two calls ask at the same points",
    ),
    "of the sigmoid": (
        "dragan",
        GRAD.replace("critic(x)", "torch.sigmoid(critic(x))"),
        GRAD,
        "slope of a sigmoid of the critic",
    ),
    "flat form": ("dragan", "(norm**2).mean()", PENALTY, "k is not used: that is the mean of"),
    "R1 form": ("dragan", "(norm**2).mean() / 2", PENALTY, "that is R1"),
    "channels only": ("dragan", "norm = slope.norm(dim=1)", NORM, "over dimension 1 only"),
    "batch-wide norm around the data": (
        "dragan",
        "norm = slope.norm()",
        NORM,
        "one norm over the whole batch",
    ),
    "never back-propagated around the data": (
        "dragan",
        GRAD.replace(", create_graph=True", ""),
        GRAD,
        "no gradient with respect to the critic's weights",
    ),
    "un-squared cosines": ("pull_away", "squared = unit @ unit.T", SQUARED, "the cosines are not squared"),
    "un-squared and diagonal": (
        "pull_away",
        "return (unit @ unit.T).mean()",
        f"return {PAIRS}",
        "not squared.*the diagonal is kept",
    ),
    "absolute cosines": ("pull_away", "squared = (unit @ unit.T).abs()", SQUARED, "absolute values"),
    "across the batch": ("pull_away", UNIT.replace("dim=1", "dim=0"), UNIT, "normalised across the batch"),
    "across the batch, diagonal kept": (
        "pull_away",
        "n, unit = len(codes), F.normalize(codes, dim=0)\n"
        "    return ((unit @ unit.T) ** 2).sum() / (n * (n - 1))",
        UNIT,
        "normalised across the batch",
    ),
    "diagonal kept": ("pull_away", "squared.sum() / (n * (n - 1))", PAIRS, "compared with itself"),
    "plain mean": ("pull_away", "squared.mean()", PAIRS, "compared with itself"),
    "not averaged": ("pull_away", PAIRS.replace(" / (n * (n - 1))", ""), PAIRS, "number of pairs"),
    "by n squared": ("pull_away", PAIRS.replace("(n * (n - 1))", "n**2"), PAIRS, r"not B\^2"),
    "by n": ("pull_away", PAIRS.replace("(n * (n - 1))", "n"), PAIRS, "not by B"),
    "half the pairs": (
        "pull_away",
        "squared.triu(1).sum() / (n * (n - 1))",
        PAIRS,
        "each pair counts once",
    ),
    "lengths kept": ("pull_away", "unit = codes", UNIT, "longer codes cost more"),
    "one length for all": (
        "pull_away",
        "unit = codes / codes.norm()",
        UNIT,
        r"pull_away is 0\.\d+, expected",
    ),
    "square of the mean": (
        "pull_away",
        "((unit @ unit.T).sum() - n) ** 2 / (n * (n - 1)) ** 2",
        PAIRS,
        "square each cosine, then average",
    ),
    "turned over": ("pull_away", f"1 - {PAIRS}", PAIRS, "turned over"),
    "pushed together": ("pull_away", f"-{PAIRS}", PAIRS, "wrong sign"),
    "codes detached": (
        "pull_away",
        UNIT.replace("= codes", "= codes.detach()").replace("/ codes", "/ codes.detach()"),
        UNIT,
        "carries no gradient",
    ),
    "lengths detached": (
        "pull_away",
        "unit = codes / codes.norm(dim=1, keepdim=True).detach()",
        UNIT,
        "the gradient with respect to the codes is wrong",
    ),
    "term as a number": ("pull_away", f"({PAIRS}).item()", PAIRS, "pull_away must be a tensor"),
    "loss never back-propagated": (
        "critic_step",
        "(slope,) = torch.autograd.grad(lam * penalty(w), w)",
        STEP,
        "only the penalty is descended",
    ),
    "penalty forgotten": (
        "critic_step",
        LOSS.replace(" + lam * penalty(w)", ""),
        LOSS,
        "penalty does not teach",
    ),
    "penalty detached": (
        "critic_step",
        LOSS.replace("penalty(w)", "penalty(w).detach()"),
        LOSS,
        "penalty does not teach",
    ),
    "penalty of the old weights": (
        "critic_step",
        LOSS.replace("penalty(w)", "penalty(weights)"),
        LOSS,
        "penalty does not teach",
    ),
    "lam forgotten": ("critic_step", LOSS.replace("lam * ", ""), LOSS, "lam is not used"),
    "real and fake swapped in the step": (
        "critic_step",
        "loss = critic(real, w).mean() - critic(fake, w).mean() + lam * penalty(w)",
        LOSS,
        "real and fake are exchanged",
    ),
    "uphill": ("critic_step", AFTER.replace("- lr", "+ lr"), AFTER, "uphill"),
    "penalty subtracted": ("critic_step", LOSS.replace("+ lam", "- lam"), LOSS, "penalty has the wrong sign"),
    "separate steps": (
        "critic_step",
        "(slope,) = torch.autograd.grad(critic(fake, w).mean() - critic(real, w).mean(), w)\n"
        "    w = (w - lr * slope).detach().requires_grad_()\n"
        "    return (w - lr * torch.autograd.grad(lam * penalty(w), w)[0]).detach()",
        STEP,
        "one step on the sum",
    ),
    "separate steps, penalty first": (
        "critic_step",
        "w = (w - lr * torch.autograd.grad(lam * penalty(w), w)[0]).detach().requires_grad_()\n"
        "    (slope,) = torch.autograd.grad(critic(fake, w).mean() - critic(real, w).mean(), w)\n"
        "    return (w - lr * slope).detach()",
        STEP,
        "one step on the sum",
    ),
    "no learning rate": ("critic_step", "return weights - slope", AFTER, "lr is not used"),
    "sums in the step": ("critic_step", LOSS.replace("mean", "sum"), LOSS, "not their sums"),
    "gradient returned": ("critic_step", "return slope", AFTER, "that is the gradient"),
    "change returned": ("critic_step", "return -lr * slope", AFTER, "that is the change"),
    "weights unchanged": ("critic_step", "return weights", AFTER, "the weights have not moved"),
    "weights changed in place": (
        "critic_step",
        "weights -= lr * slope\n    return weights",
        AFTER,
        "changes an argument in place",
    ),
    "arguments exchanged": (
        "critic_step",
        LOSS.replace("critic(fake, w)", "critic(w, fake)"),
        LOSS,
        "critic takes the samples first",
    ),
    "saturating critic": (
        "critic_step",
        "loss = F.softplus(critic(fake, w)).mean() + F.softplus(-critic(real, w)).mean() + lam * penalty(w)",
        LOSS,
        "the weights are not weights - lr",
    ),
}
ERRORS = {"weights changed in place"}  # the check cannot say what is wrong, but the error can


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
    assert [task.points for task in exercise.solution.tasks] == [4, 3, 5, 3, 2, 3]


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


# Right answers that are not the solution's: none of them may be refused.
OTHERS = {
    "cross-entropy with logits": (
        "gan_losses",
        "F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits)) + "
        "F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))",
        CRITIC,
    ),
    "logsigmoid": ("gan_losses", "nonsaturating = -F.logsigmoid(fake_logits).mean()", HIGH),
    "sigmoid of the log ratio": (
        "best_critic",
        best("torch.sigmoid(torch.log(p) - torch.log(q))"),
        BEST,
    ),
    "from the other end": ("gradient_penalty", "(real + alpha * (fake - real))", MIXED),
    "float32 alpha": ("gradient_penalty", ALPHA.replace(", dtype=real.dtype", ""), ALPHA),
    "root with a little": (
        "gradient_penalty",
        "norm = (slope.flatten(1).square().sum(1) + 1e-12).sqrt()",
        NORM,
    ),
    "backward": (
        "gradient_penalty",
        "critic(x).sum().backward(create_graph=True)\n    slope = x.grad",
        GRAD,
    ),
    "grad outputs": (
        "dragan",
        "f = critic(x)\n"
        "    slope = torch.autograd.grad(f, x, grad_outputs=torch.ones_like(f), create_graph=True)[0]",
        GRAD,
    ),
    "einsum over the pairs": (
        "pull_away",
        "unit = F.normalize(codes, dim=1)\n"
        "    rows, columns = torch.triu_indices(len(codes), len(codes), 1)\n"
        "    return F.cosine_similarity(unit[rows], unit[columns]).square().mean()",
        UNIT,
    ),
    "an optimiser": (
        "critic_step",
        "optimizer = torch.optim.SGD([w], lr=lr)\n    loss.backward()\n    optimizer.step()\n"
        "    return w.detach()",
        STEP,
    ),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_other_right_answers_pass(name):
    task, new, old = OTHERS[name]
    source = EXERCISE.answers()[task]
    assert old in source
    results = EXERCISE.judge({task: source.replace(old, new)}, [task])
    assert results == {task: ("passed", "")}


def test_an_answer_for_the_visible_cases_fails_the_hidden_ones():
    """It recognises the visible codes by their first number and is wrong on all others."""
    seen = []
    spy = EXERCISE.answers()["pull_away"].replace(
        "    unit =", "    SEEN.append(codes[0, 0].item())\n    unit ="
    )
    EXERCISE.given["SEEN"] = seen
    assert EXERCISE.judge({"pull_away": spy}, ["pull_away"], hidden=False)["pull_away"][0] == "passed"
    learned = spy.replace(
        "SEEN.append(codes[0, 0].item())", f"if codes[0, 0].item() not in {set(seen)}: return codes.sum() * 0"
    )
    assert EXERCISE.judge({"pull_away": learned}, ["pull_away"], hidden=False)["pull_away"][0] == "passed"
    status, message = EXERCISE.judge({"pull_away": learned}, ["pull_away"])["pull_away"]
    assert status == "wrong"
    assert message.endswith("(in a case that is not shown)")


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
    shown = []
    monkeypatch.setattr("course_lib.plots.show", lambda fig, alt: shown.append(alt))
    exec(together, names)
    assert names["off"] < 0.08
    assert names["paid"].item() == pytest.approx(float(names["least"]), abs=0.01)
    free, between, around = (float(slope.max()) for slope in names["slopes"].values())
    assert free > 100
    assert between == pytest.approx(1, abs=0.3)
    assert around < 3
    assert int(names["wells"].modes) == 8
    assert "8 of which it holds" in shown[0]
    assert "8 of 8 wells" in capsys.readouterr().out
