"""GANs: a game of a generator and a critic, and every way the course knows to play it.

A variant is one line, `Game(G, D, data, objective=…, penalty=…, terms=[…], rule=…, noise=…)`: each
word is an axis of its own, and each axis a plain function. Losses are pure; only a rule steps a player.
Everything takes a leading seeds axis: one `Game` trains S seeds at once. Logits are high for real.
"""

from course_lib.gan.game import Game
from course_lib.gan.history import History, Snapshot
from course_lib.gan.layers import BatchNorm, MinibatchDiscrimination, VirtualBatchNorm, with_reference
from course_lib.gan.noise import instance_noise
from course_lib.gan.objectives import (
    Objective,
    critic_only,
    ebgan,
    hinge,
    least_squares,
    minimax,
    nonsaturating,
    rkl,
    smooth_real,
    wasserstein,
)
from course_lib.gan.optimizers import adam, rmsprop, sgd
from course_lib.gan.penalties import dragan, gradient_penalty, r1
from course_lib.gan.player import Diverged, Player
from course_lib.gan.rules import alternating, clipped, consensus, fixed_generator, simultaneous, unrolled
from course_lib.gan.terms import (
    Turn,
    dual_step,
    feature_matching,
    historical_average,
    kernel_matching,
    locally_stable,
    pull_away,
)

__all__ = [
    "BatchNorm",
    "Diverged",
    "Game",
    "History",
    "MinibatchDiscrimination",
    "Objective",
    "Player",
    "Snapshot",
    "Turn",
    "VirtualBatchNorm",
    "adam",
    "alternating",
    "clipped",
    "consensus",
    "critic_only",
    "dragan",
    "dual_step",
    "ebgan",
    "feature_matching",
    "fixed_generator",
    "gradient_penalty",
    "hinge",
    "historical_average",
    "instance_noise",
    "kernel_matching",
    "least_squares",
    "locally_stable",
    "minimax",
    "nonsaturating",
    "pull_away",
    "r1",
    "rkl",
    "rmsprop",
    "sgd",
    "simultaneous",
    "smooth_real",
    "unrolled",
    "wasserstein",
    "with_reference",
]
