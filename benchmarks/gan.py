"""What the GAN room reaches: every bar of the GAN chapters over fresh seeds, and the speed of seeds at once.

    python course.py bench gan [row ...]        # rows: see ROWS; --seeds S, 5 by default

One line per game with the figure of every seed; CPU seconds are for all seeds together, on one thread.
"m20" counts modes that hold at least 20 of 2,500 samples, "HQ" is the share within 3 standard deviations.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from course_lib import data
from course_lib.gan import (
    BatchNorm,
    Game,
    MinibatchDiscrimination,
    VirtualBatchNorm,
    clipped,
    consensus,
    critic_only,
    feature_matching,
    fixed_generator,
    gradient_penalty,
    historical_average,
    instance_noise,
    kernel_matching,
    least_squares,
    locally_stable,
    minimax,
    nonsaturating,
    r1,
    rkl,
    rmsprop,
    simultaneous,
    smooth_real,
    unrolled,
    wasserstein,
    with_reference,
)
from course_lib.metrics import (
    classes,
    coverage,
    frechet,
    growth_per_layer,
    js_estimate,
    layer_slopes,
    spread,
)
from course_lib.nets import critic, he_init, mlp, xavier_init

FIRST = 1000  # seed of the initial weights: not among those that anything was tuned on
HIDDEN = (64, 64)
PLAIN: dict[str, Any] = {"decay": False, "ema": None}
ROTATION: dict[str, Any] = {"lr": (1e-3, 1e-4), "adam_betas": (0.5, 0.999), **PLAIN}


def say(name: str, seconds: float, **figures: Any) -> None:
    parts = []
    for key, value in figures.items():
        value = value.tolist() if torch.is_tensor(value) else value
        value = value if isinstance(value, list) else [value]
        parts.append(f"{key} " + " ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in value))
    print(f"{name:38s} {seconds:6.1f} s | " + " | ".join(parts), flush=True)


def timed(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def nets(seeds: int | None, z: int, x: int, hidden: tuple[int, ...] = HIDDEN, **how: Any) -> tuple:
    torch.manual_seed(FIRST)
    return mlp([z, *hidden, x], seeds, **how), critic([x, *hidden, 1], seeds)


def mixture_game(name: str, mixture: data.Mixture, game: Game, steps: int) -> None:
    seconds = timed(lambda: game.train(steps, progress=False))
    x = game.sample(2500)
    found, (std, mean) = coverage(x, mixture), spread(x)
    say(
        name,
        seconds,
        m20=found.modes,
        HQ=(100 * found.high_quality).round().int(),
        KL=found.kl,
        std=std,
        mean=mean,
    )


def ring(seeds: int) -> None:
    for lr in (2e-3, 5e-3):
        game = Game(*nets(seeds, 2, 2), data.ring(), penalty=r1(0.02), lr=lr, seed=FIRST)
        mixture_game(f"ring, NS + R1 .02, lr {lr:g}", data.ring(), game, 4000)


def grid(seeds: int) -> None:
    for name, penalty in (("NS + R1 .01", r1(0.01)), ("NS", None)):
        game = Game(*nets(seeds, 2, 2), data.grid(), penalty=penalty, seed=FIRST)
        mixture_game(f"grid, {name}", data.grid(), game, 8000)


def rotation(seeds: int, steps: int = 5000) -> None:
    for name, how in (
        ("minimax", {"objective": minimax}),
        ("NS", {}),
        ("minimax + locally stable .5", {"objective": minimax, "terms": [locally_stable(0.5)]}),
        ("minimax, unrolled 5", {"objective": minimax, "rule": unrolled(5)}),
    ):
        game = Game(*nets(seeds, 16, 2), data.ring(), **ROTATION, **how, seed=FIRST)
        mixture_game(f"rotation, {name}, {steps} steps", data.ring(), game, steps)


def dynamics(seeds: int) -> None:
    """With torch's own initial weights these narrow nets start too flat, and neither rule gets anywhere."""
    for rule in (simultaneous(), consensus(1.0), consensus(10.0)):
        players = [xavier_init(net) for net in nets(seeds, 16, 2, (16, 16, 16, 16))]
        how = {"rule": rule, "optimizer": rmsprop, "lr": 1e-3, "batch": 256, "seed": FIRST}
        mixture_game(f"ring, 4 x 16, {rule}", data.ring(), Game(*players, data.ring(), **how), 3000)


class Blurred(nn.Module):
    """The Swiss roll plus standard normal noise, as a function of five normal numbers."""

    latent_dim = 5

    def __init__(self, seeds: int):
        super().__init__()
        self.seeds = seeds

    def forward(self, z: Tensor) -> Tensor:
        t = 1.5 * math.pi * (1 + 2 * torch.special.ndtr(z[..., 0]))
        return (torch.stack([t * t.cos(), t * t.sin()], -1) + 0.25 * z[..., 1:3]) / 7.5 + z[..., 3:]


def swiss(seeds: int) -> None:
    for name, how in (
        ("GP 10", {"penalty": gradient_penalty(10.0), "adam_betas": (0.5, 0.9), "rule": fixed_generator()}),
        *(
            (f"clip {c:g}", {"rule": clipped(fixed_generator(), c), "optimizer": rmsprop})
            for c in (0.1, 0.01, 0.001)
        ),
    ):
        torch.manual_seed(FIRST)
        net = he_init(critic([2, *[64] * 11, 1], seeds))
        game = Game(
            Blurred(seeds),
            net,
            data.SwissRoll(),
            objective=wasserstein,
            lr=5e-4,
            **{**PLAIN, **how},
            seed=FIRST,
        )
        seconds = timed(lambda game=game: game.train(400, progress=False))
        bounds = [p.abs() for p in net.parameters()]
        top = max(b.max() for b in bounds)
        at_bound = sum(int((b > 0.99 * top).sum()) for b in bounds) / sum(b.numel() for b in bounds)
        say(
            f"Swiss roll, {name}",
            seconds,
            slope=growth_per_layer(layer_slopes(net, game.reals(256))),
            at_bound=at_bound,
        )


class Shifted(nn.Module):
    """The lines at theta, one theta per seed."""

    latent_dim = 1

    def __init__(self, thetas: Tensor):
        super().__init__()
        self.theta, self.seeds = nn.Parameter(thetas), len(thetas)

    def forward(self, z: Tensor) -> Tensor:
        return torch.stack([self.theta[:, None].expand(z.shape[:2]), torch.special.ndtr(z[..., 0])], -1)


def lines(seeds: int) -> None:
    thetas = torch.tensor([0.05, 0.1, 0.25, 0.5, 1.0])
    for name, objective, penalty in (
        ("minimax", minimax, None),
        ("non-saturating", nonsaturating, None),
        ("Wasserstein, GP 10", wasserstein, gradient_penalty(10.0)),
    ):
        torch.manual_seed(FIRST)
        net = critic([2, 64, 64, 1], len(thetas))
        game = Game(
            Shifted(thetas),
            net,
            data.Line(),
            objective=objective,
            penalty=penalty,
            rule=fixed_generator(),
            adam_betas=(0.5, 0.9),
            batch=256,
            **PLAIN,
        )
        seconds = timed(lambda game=game: game.train(600, progress=False))
        real, fake = game.reals(2000), game.generator(game.latents(2000))
        (grad,) = torch.autograd.grad(objective.g(net(fake)).sum(), game.generator.theta)
        estimate = (
            js_estimate(net(real), net(fake)) if penalty is None else -objective.d(net(real), net(fake))
        )
        say(f"lines, {name}", seconds, theta=thetas, estimate=estimate, gradient=grad.abs())


class Digits:
    """Judges digits: classes by logistic regression, Fréchet distances of pixels and of its logits."""

    def __init__(self) -> None:
        from sklearn.linear_model import LogisticRegression

        self.train, self.test = data.digits("train"), data.digits("test")
        self.judge = LogisticRegression(C=0.1, max_iter=2000).fit(self.train.rows, self.train.y)
        say("digits, train against test", 0.0, **self(self.train.rows[None]))

    def logits(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, -2).clamp(-1, 1)
        return torch.from_numpy(self.judge.decision_function(flat)).view(*x.shape[:-1], 10)

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        test = self.test.rows.expand(len(x), -1, -1)
        return {
            "classes": classes(self.logits(x)),
            "FD pixels": frechet(x, test),
            "FD logits": frechet(self.logits(x), self.logits(test)),
        }


def digit_game(seeds: int, x: Tensor, **how: Any) -> Game:
    torch.manual_seed(FIRST)
    leaky = lambda: nn.LeakyReLU(0.2)  # noqa: E731
    norm, last = how.pop("norm", None), how.pop("last", None)
    G = mlp([16, 128, 128, 64], seeds, output=nn.Tanh, norm=norm and (lambda w: norm(w, seeds)))
    if norm is VirtualBatchNorm:
        G = with_reference(G, torch.randn(64, 16))
    D = critic([64, 128, 128, 1], seeds, leaky, last=last and last(128, seeds))
    return Game(G, D, x, **{"lr": 1e-3, "adam_betas": (0.5, 0.99), "batch": 64, "seed": FIRST, **how})


def digits(seeds: int) -> None:
    judge = Digits()
    for name, how in (("NS, no decay", PLAIN), ("NS + R1 .1", {"penalty": r1(0.1)})):
        game = digit_game(seeds, judge.train.rows, **how)
        seconds = timed(lambda game=game: game.train(2500, progress=False))
        say(f"digits, {name}, 2500 steps", seconds, **judge(game.sample(1000)))


def crowd(kernels: int, dims: int) -> Callable[[int, int], nn.Module]:
    return lambda width, seeds: MinibatchDiscrimination(width, kernels, dims, seeds)


def past(weight: float) -> dict[str, Any]:
    term = historical_average(weight)
    return {"terms": [term], "penalty": term.penalty}


def techniques_table() -> dict[str, dict[str, Any]]:
    """Every technique as what it adds to a plain non-saturating game."""
    by_terms = {"objective": critic_only(nonsaturating), "terms": [feature_matching()]}
    return {
        "NS": {},
        "minimax": {"objective": minimax},
        "LSGAN": {"objective": least_squares()},
        "RKL": {"objective": replace(nonsaturating, fool=rkl.fool)},
        "R1 .1": {"penalty": r1(0.1)},
        "feature matching": by_terms,
        "minibatch discrimination": {"last": crowd(8, 2)},
        "historical average .01": past(0.01),
        "historical average 1": past(1.0),
        "real labels .9": {"objective": smooth_real(nonsaturating, 0.9)},
        "batch norm": {"norm": BatchNorm},
        "virtual batch norm": {"norm": VirtualBatchNorm},
        "instance noise .2": {"noise": instance_noise(0.2, until=0.8)},
        "primal-dual": {"objective": minimax, "terms": [kernel_matching(0.5, 0.1)]},
        "decay + EMA": {"decay": True, "ema": 0.995},
        "decay + EMA + R1 .02": {"decay": True, "ema": 0.995, "penalty": r1(0.02)},
    }


def technique_game(seeds: int, z: int, mixture: data.Mixture, **how: Any) -> Game:
    norm, last = how.pop("norm", None), how.pop("last", None)
    torch.manual_seed(FIRST)
    G = mlp([z, *HIDDEN, 2], seeds, norm=norm and (lambda w: norm(w, seeds)))
    if norm is VirtualBatchNorm:
        G = with_reference(G, torch.randn(128, z))
    D = critic([2, *HIDDEN, 1], seeds, last=last and last(HIDDEN[-1], seeds))
    return Game(G, D, mixture, **how, seed=FIRST)


def techniques(seeds: int, only: str = "") -> None:
    judge = Digits()
    for name, how in techniques_table().items():
        if only not in name:
            continue
        game = technique_game(seeds, 16, data.ring(), **{**ROTATION, **how})
        mixture_game(f"rotation: {name}", data.ring(), game, 2000)
        game = technique_game(seeds, 2, data.ring(), **{**PLAIN, **techniques_table()[name]})
        mixture_game(f"ring: {name}", data.ring(), game, 2500)
        if "last" not in how:
            game = technique_game(seeds, 2, data.grid(), **{**PLAIN, **techniques_table()[name]})
            mixture_game(f"grid: {name}", data.grid(), game, 4000)
        how = {**PLAIN, **techniques_table()[name], **({"last": crowd(4, 2)} if "last" in how else {})}
        game = digit_game(seeds, judge.train.rows, **how)
        seconds = timed(lambda game=game: game.train(1200, progress=False))
        say(f"digits: {name}", seconds, **judge(game.sample(1000)))


def crowds(seeds: int) -> None:
    techniques(seeds, "minibatch")


def speed(seeds: int, steps: int = 200) -> None:
    """Ten seeds at once against ten games one after the other, interleaved, medians of five."""
    one, ten = Game(*nets(None, 16, 2), data.ring()), Game(*nets(10, 16, 2), data.ring())
    for game in (one, ten):
        game.train(20, progress=False)
    alone, together = [], []
    for _ in range(5):
        alone.append(10 * timed(lambda: one.train(steps, progress=False)))
        together.append(timed(lambda: ten.train(steps, progress=False)))
    a, b = statistics.median(alone), statistics.median(together)
    say("speed, 10 seeds x 200 steps", b, one_by_one=a, at_once=b, ratio=a / b)


ROWS = {
    "ring": ring,
    "grid": grid,
    "rotation": rotation,
    "dynamics": dynamics,
    "swiss": swiss,
    "lines": lines,
    "digits": digits,
    "crowds": crowds,
    "techniques": techniques,
    "speed": speed,
}
QUICK = [name for name in ROWS if name not in ("techniques", "rotation")]


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="course bench gan", description=__doc__)
    parser.add_argument(
        "rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; default: the quick ones"
    )
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args(words)
    if unknown := set(chosen.rows) - set(ROWS):
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    torch.set_num_threads(1)
    for row in chosen.rows or QUICK:
        ROWS[row](chosen.seeds)


if __name__ == "__main__":
    main()
