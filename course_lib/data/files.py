"""Loaders for data sets that you have downloaded yourself: MNIST, CelebA, LSUN, or any folder of pictures.

Nothing here reaches for the network. Images are `[N, channels, H, W]` in [-1, 1].
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from course_lib.data.pictures import Labelled

IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def read_idx(path: str | Path) -> Tensor:
    """An IDX file, gzipped or not, as a tensor of the type and shape that its header says.

    Raises FileNotFoundError, or ValueError where the header is wrong, or bytes are missing or left over.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError) as error:
            raise ValueError(f"{path} is a broken gzip file ({error}); download it again") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in IDX_TYPES or not raw[3]:
        raise ValueError(
            f"{path} is no IDX file: it begins with {raw[:4].hex(' ') or 'nothing'}, "
            "where an IDX file has 00 00, a type and a number of dimensions"
        )
    kind, dims = np.dtype(IDX_TYPES[raw[2]]), raw[3]
    if len(raw) < 4 + 4 * dims:
        raise ValueError(f"{path} ends within its header; download it again")
    shape = tuple(np.frombuffer(raw, ">i4", dims, 4).tolist())
    body = raw[4 + 4 * dims :]
    if min(shape) < 0 or len(body) != math.prod(shape) * kind.itemsize:
        raise ValueError(
            f"{path} should hold {list(shape)} values of {kind.itemsize} bytes, but holds {len(body)} bytes; "
            "download it again"
        )
    return torch.from_numpy(np.frombuffer(body, kind).reshape(shape).astype(kind.newbyteorder("=")))


def mnist(folder: str | Path, split: Literal["train", "test"] = "train") -> Labelled:
    """MNIST from its four IDX files (LeCun et al., 1998), gzipped or not, in `folder` or a folder `raw`
    below it.

    Also reads Fashion-MNIST and other sets in the same form: 28 x 28 pixels, 60,000 and 10,000 of them.
    """
    if split not in ("train", "test"):
        raise ValueError(f'split is "train" or "test", but it is {split!r}')
    prefix = "train" if split == "train" else "t10k"
    images, labels = (
        read_idx(_find(Path(folder), f"{prefix}-{part}"))
        for part in ("images*idx3-ubyte", "labels*idx1-ubyte")
    )
    if images.dim() != 3 or labels.dim() != 1 or len(images) != len(labels):
        raise ValueError(
            f"images {list(images.shape)} and labels {list(labels.shape)} in {folder} do not belong together"
        )
    return Labelled(images[:, None].float() / 127.5 - 1, labels.long())


def _find(folder: Path, pattern: str) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}; download MNIST and give the folder of its files"
        )
    for place in (folder, folder / "raw", folder / "MNIST" / "raw"):
        for ending in ("", ".gz"):
            if found := sorted(place.glob(pattern + ending)):
                return found[0]
    here = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
    raise FileNotFoundError(f"{folder} has no file {pattern}[.gz]; it has {here}")


class ImageFolder:
    """All pictures under a folder, read when they are drawn: data for a game that need not fit into memory.

    Each is cut to its middle square (or to `crop` x `crop` pixels of the middle), scaled to `size` x `size`
    and given as `[channels, size, size]` in [-1, 1]. Raises FileNotFoundError for a folder without pictures.
    """

    def __init__(
        self, folder: str | Path, size: int = 64, channels: Literal[1, 3] = 3, crop: int | None = None
    ):
        folder = Path(folder)
        if size < 1 or channels not in (1, 3) or (crop is not None and crop < 1):
            raise ValueError(
                "pictures need size >= 1, channels 1 or 3 and crop >= 1 or None, "
                f"but got {size}, {channels} and {crop}"
            )
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}")
        self.files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES)
        if not self.files:
            raise FileNotFoundError(
                f"{folder} has no pictures ({', '.join(sorted(PICTURES))}){_hint(folder)}"
            )
        self.size, self.channels, self.crop = size, channels, crop

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Tensor:
        """Picture i, `[channels, size, size]`. Raises ValueError, naming a file that cannot be read."""
        from PIL import Image

        try:
            with Image.open(self.files[i]) as file:
                image = file.convert("L" if self.channels == 1 else "RGB")
        except OSError as error:
            raise ValueError(f"{self.files[i]} cannot be read as a picture ({error}); delete it") from error
        side = min(*image.size, self.crop or min(image.size))
        left, top = (image.width - side) // 2, (image.height - side) // 2
        filter_ = Image.Resampling.BOX if side > self.size else Image.Resampling.BICUBIC
        box = (left, top, left + side, top + side)
        pixels = np.array(image.resize((self.size, self.size), filter_, box=box), np.float32)
        return torch.from_numpy(pixels).view(self.size, self.size, -1).permute(2, 0, 1) / 127.5 - 1

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n pictures at random, `[n, channels, size, size]`."""
        device = generator.device if generator is not None else None
        chosen = torch.randint(len(self.files), (n,), generator=generator, device=device)
        return torch.stack([self[i] for i in chosen.tolist()]).to(chosen.device)

    def tensor(self, n: int | None = None) -> Tensor:
        """The first n pictures (all by default) in memory."""
        return torch.stack([self[i] for i in range(min(n or len(self), len(self)))])


def _hint(folder: Path) -> str:
    """What a folder without pictures may be instead."""
    if any(folder.rglob("data.mdb")):
        return ": this is an LSUN database; unpack it with `python data.py export`, which comes with LSUN"
    if archives := [p.name for p in folder.iterdir() if p.suffix in {".zip", ".tar", ".7z"}]:
        return f"; unpack {archives[0]} first"
    return ""


def celeba(folder: str | Path, size: int = 64) -> ImageFolder:
    """CelebA's aligned faces (Liu et al., 2015), the folder `img_align_celeba` or one above it.

    The middle 148 x 148 of 178 x 218 pixels: the face without most of the background.
    """
    return ImageFolder(folder, size, crop=148)


def lsun(folder: str | Path, size: int = 64) -> ImageFolder:
    """One category of LSUN (Yu et al., 2015), exported to pictures; the middle square of each."""
    return ImageFolder(folder, size)
