"""What a training run leaves behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Snapshot(NamedTuple):
    """One moment of a game that is being played, for live views. `[...]` is `[]`, or `[S]` with seeds."""

    step: int
    d_loss: Tensor
    """`[...]`"""
    g_loss: Tensor
    """`[...]`"""
    real: Tensor
    """`[..., n, features]`, the same data in every snapshot"""
    fake: Tensor
    """`[..., n, features]`, from the same latent points in every snapshot, by the present weights"""


@dataclass
class History:
    """Losses and whatever was watched, at every recorded step. `[...]` is `[]`, or `[S]` with seeds."""

    steps: list[int] = field(default_factory=list)
    """the T recorded steps; the first step is 1"""
    seconds: list[float] = field(default_factory=list)
    """CPU seconds of the process from the start of training to each record"""
    d_losses: list[Tensor] = field(default_factory=list)
    g_losses: list[Tensor] = field(default_factory=list)
    watches: dict[str, list[Tensor]] = field(default_factory=dict)
    finished: bool = False
    """False if the run was interrupted"""

    @property
    def d_loss(self) -> Tensor:
        """The critic's loss, penalty included, `[T, ...]`."""
        return torch.stack(self.d_losses) if self.d_losses else torch.empty(0)

    @property
    def g_loss(self) -> Tensor:
        """The generator's loss, terms included, `[T, ...]`."""
        return torch.stack(self.g_losses) if self.g_losses else torch.empty(0)

    @property
    def watched(self) -> dict[str, Tensor]:
        """What `watch` returned, name by name, `[T, ...]`."""
        return {name: torch.stack(values) for name, values in self.watches.items()}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.watches:
            raise KeyError(f"{name!r} was not watched; there is {', '.join(self.watches) or 'nothing'}")
        return torch.stack(self.watches[name])

    def record(self, step: int, seconds: float, losses: Sequence[Tensor], watched: dict[str, Any]) -> None:
        """Append one record; every record must watch the same names."""
        if self.steps and set(watched) != set(self.watches):
            raise ValueError(f"watch returned {sorted(watched)} now, but {sorted(self.watches)} before")
        self.steps.append(step)
        self.seconds.append(seconds)
        for kept, loss in zip((self.d_losses, self.g_losses), losses, strict=True):
            kept.append(loss.detach().cpu().clone())
        for name, value in watched.items():
            self.watches.setdefault(name, []).append(torch.as_tensor(value).detach().cpu().clone())

    def forget_after(self, step: int) -> None:
        """Drop the records of later steps."""
        keep = sum(recorded <= step for recorded in self.steps)
        records: list[list] = [self.steps, self.seconds, self.d_losses, self.g_losses, *self.watches.values()]
        for kept in records:
            del kept[keep:]

    def save(self, path: str | Path) -> None:
        """Write the history as safetensors, to be shipped with a chapter and read by `History.load`."""
        from safetensors.torch import save_file

        tensors = {"d_loss": self.d_loss, "g_loss": self.g_loss}
        tensors |= {f"watched.{name}": value for name, value in self.watched.items()}
        facts = {"steps": self.steps, "seconds": self.seconds, "finished": self.finished}
        tensors = {name: value.contiguous() for name, value in tensors.items()}
        save_file(tensors, str(path), {"history": json.dumps(facts)})

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read a history. Raises FileNotFoundError, or ValueError where the file holds no history."""
        from safetensors import safe_open

        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no history at {path}")
        with safe_open(str(path), "pt") as file:
            facts = (file.metadata() or {}).get("history")
            if facts is None:
                raise ValueError(f"{path} is a safetensors file, but no history that `History.save` wrote")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return cls(
            **json.loads(facts),
            d_losses=list(tensors.pop("d_loss")),
            g_losses=list(tensors.pop("g_loss")),
            watches={name.removeprefix("watched."): list(value) for name, value in tensors.items()},
        )
