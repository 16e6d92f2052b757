"""The generator as the sampler uses it: in columns with a hand-written gradient, or with autograd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from course_lib.nets import SeedLinear

_SLOPES = {
    # d activation(a) / d a, from the output h: what every activation below allows
    nn.ReLU: lambda layer, h: (h > 0).to(h),
    nn.LeakyReLU: lambda layer, h: torch.where(h > 0, 1.0, layer.negative_slope).to(h),
    nn.Tanh: lambda layer, h: 1 - h.square(),
    nn.Sigmoid: lambda layer, h: h * (1 - h),
}


class Columns:
    """A multilayer perceptron `[d, C] -> [D, C]` whose pullback is written out: no autograd, no transposes.

    Works for an `nn.Sequential` of Linear (or SeedLinear: S generators, chains seed-major) and ReLU,
    LeakyReLU, Tanh or Sigmoid. `Columns.of(net)` is None for any other module.
    """

    def __init__(self, net: nn.Sequential):
        self.layers = list(net)
        self.seeds = next((len(one.weight) for one in net if isinstance(one, SeedLinear)), None)

    @classmethod
    def of(cls, net: nn.Module) -> Columns | None:
        """The network in columns, if it is a perceptron that this class knows."""
        known = (nn.Linear, SeedLinear, *_SLOPES)
        simple = isinstance(net, nn.Sequential) and len(net) > 0 and all(type(one) in known for one in net)
        return cls(net) if simple else None

    def _weights(self, layer: nn.Module) -> tuple[Tensor, Tensor]:
        """`(W [..., out, in], b [..., out, 1])`, detached."""
        if isinstance(layer, SeedLinear):
            return layer.weight.detach().mT, layer.bias.detach().mT
        bias = layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias
        return layer.weight.detach(), bias.detach()[:, None]

    def forward(self, z: Tensor) -> list[Tensor]:
        """The outputs of all layers, `z [d, C]` first; with seeds each is `[S, n, C / S]`."""
        h = z if self.seeds is None else z.reshape(len(z), self.seeds, -1).transpose(0, 1)
        outputs = [h]
        for layer in self.layers:
            if type(layer) in _SLOPES:
                h = layer(h)
            else:
                weight, bias = self._weights(layer)
                h = torch.addmm(bias, weight, h) if self.seeds is None else torch.baddbmm(bias, weight, h)
            outputs.append(h)
        return outputs

    def merged(self, h: Tensor) -> Tensor:
        """`[n, C]` from the output of one layer."""
        return h if self.seeds is None else h.transpose(0, 1).reshape(h.shape[1], -1)

    def back(self, outputs: list[Tensor], grad: Tensor) -> Tensor:
        """The pullback: the gradient `[d, C]` of a number per chain whose gradient in x is `grad [D, C]`."""
        if self.seeds is not None:
            grad = grad.reshape(len(grad), self.seeds, -1).transpose(0, 1)
        for layer, h in zip(reversed(self.layers), reversed(outputs), strict=False):
            if type(layer) in _SLOPES:
                grad = grad * _SLOPES[type(layer)](layer, h)
            else:
                grad = self._weights(layer)[0].mT @ grad
        return self.merged(grad)


@contextmanager
def frozen(net: nn.Module) -> Iterator[None]:
    """The network in eval mode with its weights frozen; everything as before on the way out.

    In train mode a batch norm would make one chain depend on the others, and dropout change the landscape
    under their feet.
    """
    modes = {module: module.training for module in net.modules()}
    needed = {p: p.requires_grad for p in net.parameters()}
    net.eval()
    net.requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        for p, grad in needed.items():
            p.requires_grad_(grad)
