"""What is seen of x: some of its pixels, or a coarser picture of it. Linear maps, with their transposes."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Observation(Protocol):
    """A linear map of x, in columns: `forward [D, C] -> [m, C]` and its transpose `back [m, C] -> [D, C]`."""

    data_dim: int

    def count(self) -> Tensor:
        """How many numbers are seen of each of B observations: `[B]`, or `[1]` where all see the same."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def forward(self, x: Tensor) -> Tensor: ...

    def back(self, seen: Tensor) -> Tensor: ...


class Mask:
    """Some coordinates are seen, the others hidden.

    mask: bool, True where seen: `[D]` or the shape of one picture, or `[B, ...]` with per_observation=True,
    one for each observation. Called on `x [C, D]` (or `[C, ...]`) it returns what is seen: `[C, m]`, or
    `[C, D]` with zeros where hidden if every observation has its own mask.
    """

    def __init__(self, mask: Tensor, per_observation: bool = False):
        mask = torch.as_tensor(mask)
        if mask.dtype != torch.bool:
            raise ValueError(f"mask must be a bool tensor, True where seen, but its dtype is {mask.dtype}")
        self.mask = mask.flatten(1) if per_observation else mask.flatten()
        if not self.mask.any(-1).all():
            raise ValueError("the mask hides everything: at least one coordinate must be seen")
        self.data_dim = self.mask.shape[-1]
        self.index = None if per_observation else self.mask.nonzero()[:, 0]

    def count(self) -> Tensor:
        return self.mask.reshape(-1, self.data_dim).sum(1)

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(check_pictures(x, self.data_dim).T).T

    def forward(self, x: Tensor) -> Tensor:
        return x[self.index] if self.index is not None else x * self._columns(x)

    def back(self, seen: Tensor) -> Tensor:
        if self.index is None:
            return seen * self._columns(seen)
        return seen.new_zeros(self.data_dim, seen.shape[1]).index_copy_(0, self.index, seen)

    def _columns(self, x: Tensor) -> Tensor:
        """The masks, `[D, C]`, one column for each chain."""
        if x.shape[1] % len(self.mask):
            raise ValueError(f"{x.shape[1]} chains cannot be shared out to {len(self.mask)} masks")
        return self.mask.T.to(x.dtype).repeat_interleave(x.shape[1] // len(self.mask), 1)


class Downsample:
    """A picture at 1 / factor of its width and height: super-resolution seen from behind.

    shape: `(channels, height, width)` of x, both divisible by factor. method: "mean" of each factor x factor
    block, or "stride", its first pixel (what the paper's code does). Independent pixel noise of variance v
    becomes v / factor^2 in a mean: scale noise_var accordingly.
    """

    def __init__(self, factor: int, shape: tuple[int, int, int], method: str = "mean"):
        channels, height, width = shape
        if factor < 1 or height % factor or width % factor:
            raise ValueError(
                f"factor must divide height and width, but it is {factor} for {height} x {width}"
            )
        if method not in ("mean", "stride"):
            raise ValueError(f'method must be "mean" or "stride", but it is {method!r}')
        self.factor, self.shape, self.method = factor, tuple(shape), method
        self.data_dim = channels * height * width

    def count(self) -> Tensor:
        return torch.tensor([self.data_dim // self.factor**2])

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(check_pictures(x, self.data_dim).T).T

    def forward(self, x: Tensor) -> Tensor:
        pictures = x.T.reshape(-1, *self.shape)
        if self.method == "stride":
            return pictures[..., :: self.factor, :: self.factor].flatten(1).T
        return F.avg_pool2d(pictures, self.factor).flatten(1).T

    def back(self, seen: Tensor) -> Tensor:
        channels, height, width = self.shape
        small = seen.T.reshape(-1, channels, height // self.factor, width // self.factor)
        if self.method == "stride":
            large = small.new_zeros(len(small), *self.shape)
            large[..., :: self.factor, :: self.factor] = small
        else:
            large = small.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)
            large = large / self.factor**2
        return large.flatten(1).T


def check_pictures(x: Tensor, data_dim: int) -> Tensor:
    """`x` as rows `[C, D]`; ValueError if its size is not D."""
    rows = x.flatten(1)
    if rows.shape[1] != data_dim:
        raise ValueError(f"x must have {data_dim} coordinates, but it has shape {list(x.shape)}")
    return rows
