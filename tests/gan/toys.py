"""The smallest games: everything about them is known on paper."""

import torch
from torch import nn

from course_lib.gan import Game, alternating, sgd, wasserstein

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Dirac(nn.Module):
    """A generator whose every sample is the one number theta."""

    latent_dim = 1

    def __init__(self, theta=1.0):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(float(theta), dtype=F64))

    def forward(self, z):
        return self.theta.expand(z.shape)


class Slope(nn.Module):
    """The linear critic psi x on the line."""

    def __init__(self, psi=1.0):
        super().__init__()
        self.psi = nn.Parameter(torch.tensor(float(psi), dtype=F64))

    def forward(self, x):
        return self.psi * x[..., 0]


class Linear(nn.Module):
    """The critic w.x on points or images."""

    seeds = None

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.as_tensor(w, dtype=F64))

    def forward(self, x):
        return x.flatten(1) @ self.w


def dirac_game(theta=1.0, psi=-1.0, **how):
    """Data at 0, one fake at theta, critic psi x; with `wasserstein` L_D = theta psi = -L_G, bilinear."""
    how = {
        "objective": wasserstein,
        "optimizer": sgd,
        "lr": 0.1,
        "decay": False,
        "ema": None,
        "batch": 2,
        "rule": alternating(),
        **how,
    }
    return Game(Dirac(theta), Slope(psi), torch.zeros(1, 1, dtype=F64), **how)


def norm(game):
    return torch.hypot(game.generator.theta, game.critic.psi).item()
