"""Layers that let one sample see others: minibatch discrimination, batch norm and its virtual form.

All act on `[..., B, F]`, with a leading seeds axis or without; the norms also on images `[N, C, H, W]`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class MinibatchDiscrimination(nn.Module):
    """Tell each sample how close the others of its batch are (Salimans et al., 2016, section 3.2).

    `x: [..., B, n_in] -> [..., B, n_in + kernels]`: beside its features each sample gets, for each kernel,
    `mean_{j != i} exp(-|M_i - M_j|_1)` with `M = x T` in `dims` dimensions. 1 for identical samples, 0 for
    far ones, so that a critic sees a collapse at once. The paper sums over j; a mean does not depend on B.
    Costs `B^2 kernels dims`. Raises ValueError for a batch of one.
    """

    def __init__(self, n_in: int, kernels: int = 8, dims: int = 2, seeds: int | None = None):
        super().__init__()
        lead = () if seeds is None else (seeds,)
        self.kernels, self.dims, self.n_out = kernels, dims, n_in + kernels
        self.weight = nn.Parameter(torch.randn(*lead, n_in, dims * kernels) / math.sqrt(n_in))

    def closeness(self, x: Tensor) -> Tensor:
        """The added features alone, `[..., B, kernels]`."""
        n = x.shape[-2]
        if n < 2:
            raise ValueError(
                "minibatch discrimination compares the samples of a batch, so a batch needs at least 2"
            )
        m = (x @ self.weight).mT.unflatten(-2, (self.dims, self.kernels))  # [..., dims, kernels, B]
        distance = torch.zeros((), dtype=x.dtype, device=x.device)
        for row in m.unbind(-3):  # one dimension at a time: memory B^2 kernels, not B^2 kernels dims
            apart = row[..., :, None] - row[..., None, :]
            # |apart|: differentiating torch.abs twice loads torch's compiler, which takes seconds
            distance = distance + apart * apart.detach().sign()
        near = (torch.exp(-distance).sum(-1) - 1) / (n - 1)  # without j = i, whose closeness is 1
        return near.mT

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.closeness(x)], -1)


class _Norm(nn.Module):
    """Scale and shift of F features (or C channels), for one net or S."""

    def __init__(self, width: int, seeds: int | None = None):
        super().__init__()
        lead = () if seeds is None else (seeds, 1)
        self.gain, self.bias = nn.Parameter(torch.ones(*lead, width)), nn.Parameter(torch.zeros(*lead, width))

    def _affine(self, x: Tensor, mean: Tensor, square: Tensor) -> Tensor:
        gain, bias = (p[:, None, None] if x.dim() == 4 else p for p in (self.gain, self.bias))
        return (x - mean) / (square - mean.square() + 1e-5).sqrt() * gain + bias


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and mean square of each sample, over the pixels if it is an image."""
    if x.dim() != 4:
        return x, x.square()
    return x.mean((2, 3), keepdim=True), x.square().mean((2, 3), keepdim=True)


class BatchNorm(_Norm):
    """Batch norm (Ioffe & Szegedy, 2015) by the statistics of the batch, in training and in sampling alike.

    Every sample then depends on all others of its batch, and a batch of one does not depend on its input.
    """

    def forward(self, x: Tensor) -> Tensor:
        batch = 0 if x.dim() == 4 else -2
        return self._affine(x, *(m.mean(batch, keepdim=True) for m in _moments(x)))


class VirtualBatchNorm(_Norm):
    """Batch norm against a fixed reference batch (Salimans et al., 2016, section 3.5).

    Each sample is normalised by the N reference samples and itself: no sample depends on the rest of its
    batch. Works inside a net that `with_reference` wraps, which puts the reference in front of every batch.
    """

    reference = 0

    def forward(self, x: Tensor) -> Tensor:
        n, batch = self.reference, 0 if x.dim() == 4 else -2
        if not 0 < n < x.shape[batch]:
            raise ValueError("VirtualBatchNorm has no reference batch: wrap the net, with_reference(net, z)")
        count = torch.full((x.shape[batch], 1), n + 1, dtype=x.dtype, device=x.device)
        count[:n] = n  # the reference is normalised by itself alone
        count = count[..., None, None] if x.dim() == 4 else count
        own = [m * (count > n) for m in _moments(x)]
        sums = [m.narrow(batch, 0, n).sum(batch, keepdim=True) for m in _moments(x)]
        return self._affine(x, *((s + m) / count for s, m in zip(sums, own, strict=True)))


class _Referenced(nn.Module):
    def __init__(self, net: nn.Module, reference: Tensor):
        super().__init__()
        self.net, self.seeds = net, getattr(net, "seeds", None)
        self.latent_dim = getattr(net, "latent_dim", reference.shape[-1])
        self.register_buffer("reference", reference)
        for layer in net.modules():
            if isinstance(layer, VirtualBatchNorm):
                layer.reference = reference.shape[-2]

    def forward(self, z: Tensor) -> Tensor:
        reference = self.get_buffer("reference")
        n, batch = reference.shape[-2], z.dim() - 2
        reference = reference.expand(*z.shape[:batch], *reference.shape[-2:])
        together = self.net(torch.cat([reference, z], -2))
        return together.narrow(batch, n, z.shape[-2])


def with_reference(net: nn.Module, reference: Tensor) -> nn.Module:
    """`net` with `reference: [N, latent_dim]` (or `[S, N, latent_dim]`) run in front of every batch.

    Costs N more samples a pass. Raises ValueError where the reference is no batch or no layer would use it.
    """
    if reference.dim() not in (2, 3) or reference.shape[-2] < 2:
        raise ValueError(
            f"a reference batch has shape [N, latent_dim] with N >= 2, but got {list(reference.shape)}"
        )
    if not any(isinstance(layer, VirtualBatchNorm) for layer in net.modules()):
        raise ValueError(
            "the net has no VirtualBatchNorm: mlp(sizes, norm=VirtualBatchNorm) puts one in each layer"
        )
    return _Referenced(net, reference)
