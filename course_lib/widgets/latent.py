"""`LatentExplorer`: travel through the latent plane of a variational autoencoder, in a notebook."""

from __future__ import annotations

import math

import torch
import traitlets as t
from torch import Tensor

from course_lib.sampling import HMC
from course_lib.vae import VAE, decoder_posterior
from course_lib.widgets import picture
from course_lib.widgets.panel import MOST_SEED, Panel, as_floats, module, number, slider, whole

GRID, MOST_TRAIL, MOST = 64, 600, 20_000  # density cells a side, places kept, moves in all
TWO_SIGMA = 1 - math.exp(-2)  # of a round normal in the plane lies within two standard deviations
SPEEDS = (2, 5, 10, 20, 40, 80)


class Walk:
    """A place in the plane, and its walk on the posterior of one picture. No widget in sight."""

    kernel = HMC(step_size=0.2, n_leapfrog=5, jitter=0.2)

    def __init__(self, model: VAE, x: Tensor, z: tuple[float, float], seed: int):
        self.model, self.x = model, x
        self.energy = decoder_posterior(model, x)
        self.generator = torch.Generator(x.device).manual_seed(seed)
        self.state = self.kernel.init(self.energy, torch.tensor([z]).to(x))
        self.trail, self.moves = self.state.x.cpu(), 0
        with torch.no_grad():
            mean, log_var = (part.cpu() for part in model.encode(x))
        self.mean, self.std = mean[0], (log_var[0] / 2).exp()

    def go(self, moves: int) -> None:
        """`moves` transitions of the library's HMC on -log p(z) - log p(x | z)."""
        places = []
        for _ in range(moves):
            self.state, _ = self.kernel.step(self.energy, self.state, generator=self.generator)
            places.append(self.state.x.cpu())
        self.trail, self.moves = torch.cat([self.trail, *places])[-MOST_TRAIL:], self.moves + moves

    @property
    def z(self) -> Tensor:
        return self.state.x[0].cpu()

    def decoded(self) -> Tensor:
        """The mean picture at the present place, `[D]`."""
        with torch.no_grad():
            return self.model.decode(self.state.x)[0].cpu()

    def inside(self) -> float:
        """Share of the trail without its start within two standard deviations of the guess; NaN if none."""
        away = ((self.trail[1 if self.moves < MOST_TRAIL else 0 :] - self.mean) / self.std).norm(dim=1)
        return (away < 2).double().mean().item() if len(away) else math.nan


class LatentExplorer(Panel):
    """The latent plane: drag z and see what the decoder paints there.

    Behind z lies the density of the encoded data, the mean of q(z | x) over all of them, and on it the guess
    q(z | x) of one chosen picture, as ovals of one and two standard deviations. Play: z walks by HMC on the
    true posterior of that picture, and its trail shows what the ovals should look like.

    Args:
        model: a VAE with two latent dimensions.
        x: data `[N, D]`, D = height x width.
        labels: classes `[N]`, or None.
        shape: (height, width) of a picture; square where None.
        z: where to begin; the mean of the chosen picture's guess where None.
        example: the chosen picture, 0 to N - 1.
        box: half the width of the plane that is shown.
        seed: of the walk. The same seed gives the same walk.
        moves: of the walk, made before the picture appears.
        speed: moves per second.

    Raises:
        ValueError: a model without a latent plane, data that do not fit, settings outside their limits.
    """

    SETTINGS = ("z1", "z2", "example", "seed")
    _esm = module("latent.js")

    z1 = t.Float(0.0).tag(sync=True)
    z2 = t.Float(0.0).tag(sync=True)
    example = t.Int(0).tag(sync=True)
    colours = t.Bytes(b"").tag(sync=True)

    _fresh = True  # whether the walk begins with the moves that were asked for

    def __init__(
        self,
        model: VAE,
        x: Tensor,
        labels: Tensor | None = None,
        *,
        shape: tuple[int, int] | None = None,
        z: tuple[float, float] | None = None,
        example: int = 0,
        box: float = 4.0,
        seed: int = 0,
        moves: int = 0,
        speed: int = 20,
    ):
        if getattr(model, "latent_dim", None) != 2:
            raise ValueError(f"a plane needs latent_dim=2, but the model has {model.latent_dim}")
        self._model, self._data = model, model.check(x)
        side = math.isqrt(x.shape[1])
        height, width = (side, side) if shape is None else shape
        if not len(x) or height * width != x.shape[1]:
            raise ValueError(f"x {list(x.shape)} holds no pictures of {height} x {width}: give shape=")
        if labels is not None and labels.shape != (len(x),):
            raise ValueError(f"{len(x)} pictures need as many labels, but got {list(labels.shape)}")
        self._labels = None if labels is None else labels.tolist()
        self._box = number(box, 0.5, 100, "box is half the width of the plane")
        self._moves = whole(moves, 0, MOST, "moves is a number of moves")
        with torch.no_grad():
            mean, log_var = (part.cpu() for part in model.encode(x))
        self._means, self._density = mean, _density(mean, (log_var / 2).exp(), self._box)
        example = whole(example, 0, len(x) - 1, "example is the number of a picture")
        if z is None:
            z = mean[example].clamp(-self._box, self._box).tolist()
        if len(tuple(z)) != 2:
            raise ValueError(f"z is a point (z1, z2), but it is {z!r}")
        view = {
            "box": self._box,
            "shape": [height, width],
            "grid": GRID,
            "labels": self._labels,
            "two_sigma": TWO_SIGMA,
            "sliders": [slider("example", "picture", 0, max(1, len(x) - 1), digits=0)],
            "speeds": list(SPEEDS),
            "speed": min(SPEEDS, key=lambda s: abs(s - speed)),
        }
        settings = {"z1": z[0], "z2": z[1], "example": example, "seed": seed}
        super().__init__(**settings, view=view, colours=picture.colour_table("viridis"))

    # ---- from Python

    @property
    def walk(self) -> Walk:
        return self._walk

    # ---- a panel

    def _check(self, name: str, value):
        if name == "example":
            return whole(value, 0, len(self._data) - 1, "example is the number of a picture")
        if name == "seed":
            return whole(value, 0, MOST_SEED, "seed is a whole number")
        return number(value, -self._box, self._box, f"{name} is a place in the picture")

    def _begin(self) -> None:
        x = self._data[self.example : self.example + 1]
        self._walk = Walk(self._model, x, (self.z1, self.z2), self.seed)
        if self._moves and self._fresh:  # a place that a hand has chosen is left alone
            self._walk.go(self._moves)
        self._fresh = False

    def _restart(self) -> None:
        self._fresh = True
        super()._restart()

    def _more(self, count: int) -> None:
        if self._walk.moves + count > MOST:
            raise ValueError(f"{MOST:,} moves are enough; reset to begin again")
        self._walk.go(count)

    def _pace(self) -> int:
        return 6

    def _picture(self) -> tuple[dict, list[bytes]]:
        header, buffers = self._news()
        chosen = self._data[self.example].cpu()
        parts = (chosen, self._density, self._means)
        return header | {"fresh": True}, [*buffers, *(as_floats(part) for part in parts)]

    def _news(self) -> tuple[dict, list[bytes]]:
        walk, inside = self._walk, self._walk.inside()
        log_prior = -(walk.z.square().sum().item() / 2 + math.log(2 * math.pi))
        header = {
            "fresh": False,
            "moves": walk.moves,
            "z": walk.z.tolist(),
            "mean": walk.mean.tolist(),
            "std": walk.std.tolist(),
            "label": self._labels[self.example] if self._labels else None,
            "away": ((walk.z - walk.mean) / walk.std).norm().item(),
            "log_prior": log_prior,
            "log_likelihood": -walk.state.u.item() - log_prior,
            "inside": None if math.isnan(inside) else inside,
        }
        return header, [as_floats(walk.decoded()), as_floats(walk.trail)]

    def _words(self) -> str:
        walk = self._walk
        (z1, z2), (m1, m2), (s1, s2) = walk.z.tolist(), walk.mean.tolist(), walk.std.tolist()
        what = f", a {self._labels[self.example]}," if self._labels else ""
        words = (
            f"Latent plane with the density of {len(self._data)} encoded pictures. At z = ({z1:.2f}, "
            f"{z2:.2f}) the decoder paints a picture with {walk.decoded().sum().item():.1f} pixels of ink. "
            f"The guess for picture {self.example}{what} has its mean at ({m1:.2f}, {m2:.2f}), with "
            f"standard deviations {s1:.2f} and {s2:.2f}."
        )
        if walk.moves:
            words += f" Of the walk on its posterior, {walk.moves} moves, {walk.inside():.0%} are within two."
        return words

    def _call(self) -> str:
        given = f"z=({self.z1:.4g}, {self.z2:.4g}), example={self.example}, seed={self.seed}"
        return f"LatentExplorer(model, x, labels, {given}, moves={self._walk.moves})"


def _density(mean: Tensor, std: Tensor, box: float) -> Tensor:
    """The mean of the normals `mean, std [N, 2]` at the centres of the cells, `[GRID, GRID]` as [iy, ix]."""
    at = (torch.arange(GRID) + 0.5) / GRID * 2 * box - box
    parts = [
        torch.exp(-((at - mean[:, [j]]) / std[:, [j]]).square() / 2) / std[:, [j]] for j in range(2)
    ]  # [N, GRID]
    return torch.einsum("ny,nx->yx", parts[1], parts[0]) / (2 * math.pi * len(mean))
