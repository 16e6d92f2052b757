"""Real pictures that come with the installation: no download, no account.

Images are `[N, 1, H, W]` in [-1, 1].
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor


class Labelled(NamedTuple):
    """Examples and what they are."""

    x: Tensor
    """images `[N, channels, H, W]` in [-1, 1]"""
    y: Tensor
    """classes `[N]`, int64"""

    @property
    def rows(self) -> Tensor:
        """The images as rows of pixels, `[N, channels * H * W]`."""
        return self.x.flatten(1)


def digits(split: Literal["train", "test", "all"] = "all") -> Labelled:
    """1,797 handwritten digits of 8 x 8 pixels (Alpaydin & Kaynak, 1998; shipped with scikit-learn).

    split: 1,200 for training and 597 for testing, always the same, or all of them.
    """
    from sklearn.datasets import load_digits

    if split not in ("train", "test", "all"):
        raise ValueError(f'split is "train", "test" or "all", but it is {split!r}')
    pixels, classes = load_digits(return_X_y=True)
    x = torch.as_tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    part = {"train": order[:1200], "test": order[1200:], "all": torch.arange(len(x))}[split]
    return Labelled(x[part], torch.as_tensor(classes, dtype=torch.int64)[part])


def faces(kind: Literal["faces", "all"] = "faces") -> Labelled:
    """100 faces of 25 x 25 pixels from Labeled Faces in the Wild (Huang et al., 2007; shipped with
    scikit-image).

    kind: "all" adds the 100 patches without a face that come with them. Class 1 is a face, 0 is none.
    """
    from skimage.data import lfw_subset

    if kind not in ("faces", "all"):
        raise ValueError(f'kind is "faces" or "all", but it is {kind!r}')
    x = torch.as_tensor(lfw_subset(), dtype=torch.float32)[:, None] * 2 - 1
    y = (torch.arange(len(x)) < 100).long()  # the first hundred are the faces
    return Labelled(x, y) if kind == "all" else Labelled(x[:100], y[:100])
