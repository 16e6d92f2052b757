"""Looking into a critic: how gradients fare on their way back through its layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.nets import SeedLinear

LAYERS = (nn.Linear, SeedLinear, nn.Conv2d)


def layer_slopes(critic: nn.Module, x: Tensor) -> Tensor:
    """`|d critic(x) / d h_l|` for the output h_l of every linear or convolutional layer, `[L]` or `[L, S]`.

    Averaged over the samples of `x [..., B, features]`, first layer first. Where weights are clipped they
    explode or vanish on the way back from the last layer to the first (Gulrajani et al., 2017, figure 1b).
    """
    outputs: list[Tensor] = []
    layers = [m for m in critic.modules() if isinstance(m, LAYERS)]
    if not layers:
        raise ValueError("layer_slopes finds no nn.Linear, SeedLinear or nn.Conv2d in this critic")
    hooks = [m.register_forward_hook(lambda _m, _x, out: outputs.append(out)) for m in layers]
    try:
        with torch.enable_grad():
            logits = critic(x)
            grads = torch.autograd.grad(logits.sum(), outputs, materialize_grads=True)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([g.flatten(logits.dim()).norm(dim=-1).mean(-1) for g in grads])


def growth_per_layer(slopes: Tensor) -> Tensor:
    """By how many powers of ten slopes `[L, ...]` grow with each layer on the way back: least squares,
    `[...]`.

    0 where gradients keep their size, positive where they explode, negative where they vanish. The last
    layer's own slope, which is 1, is left out.
    """
    if len(slopes) < 3:
        raise ValueError(f"a trend needs at least 3 layers, but there are {len(slopes)}")
    heights = slopes[:-1].clamp(min=torch.finfo(slopes.dtype).tiny).log10().flip(0)
    depth = torch.arange(len(heights), dtype=slopes.dtype, device=slopes.device)
    depth = depth - depth.mean()
    return torch.tensordot(depth, heights, 1) / depth.square().sum()
