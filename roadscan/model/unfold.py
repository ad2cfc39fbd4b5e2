"""Give a network with folded batch normalisation its statistics back, so that it can be trained on.

Deployed weights often have BatchNorm's scale folded into the convolutions, and mean 0 and variance 1 left in its place.
In training such a layer would normalise what was never meant to be, and the pretrained network would be lost at the
first step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn


def is_folded(network: nn.Module) -> bool:
    """Whether the statistics of every BatchNorm are those of no data: mean 0, and one variance for all channels."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    return bool(layers) and all(
        not mean.any() and bool((variance == variance[0]).all())
        for mean, variance in ((layer.running_mean, layer.running_var) for layer in layers)
        if mean is not None and variance is not None
    )


@torch.no_grad()
def unfold_batchnorm(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Set every BatchNorm to the statistics of its own input, with the weight and bias that keep what it computes.

    A layer in evaluation is y = a·x + b. With mean m and variance v of its input over the batches it becomes
    running_mean = m, running_var = v, weight = a·sqrt(v + eps), bias = b + a·m: the same y in evaluation, and the place
    where training starts.

    Args:
        network: changed in place; left in evaluation mode.
        batches: (b, 3, h, w) float tensors, as the network is fed; a few dozen images suffice.
    """
    network.eval()
    sums: dict[nn.BatchNorm2d, list[torch.Tensor]] = {}

    def collect(layer: nn.BatchNorm2d) -> Callable[[nn.Module, tuple[torch.Tensor]], None]:
        def hook(_: nn.Module, inputs: tuple[torch.Tensor]) -> None:
            x = inputs[0].double()
            count = torch.tensor(x.numel() / x.shape[1], dtype=torch.float64)
            new = [count, x.sum((0, 2, 3)), x.square().sum((0, 2, 3))]
            sums[layer] = [a + b for a, b in zip(sums[layer], new, strict=True)] if layer in sums else new

        return hook

    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    handles = [layer.register_forward_pre_hook(collect(layer)) for layer in layers]
    for batch in batches:
        network(batch)
    for handle in handles:
        handle.remove()
    for layer, (count, total, squares) in sums.items():
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        a = layer.weight / (layer.running_var + layer.eps).sqrt()
        b = layer.bias - layer.running_mean * a
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
        layer.weight.copy_(a * (variance + layer.eps).sqrt())
        layer.bias.copy_(b + a * mean)
