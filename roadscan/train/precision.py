"""The number format of a training's forward pass."""

from __future__ import annotations

import torch

from roadscan.errors import ConfigError
from roadscan.model.device import has_bfloat16
from roadscan.train.config import TrainPrecision


def trains_in_bfloat16(precision: TrainPrecision, device: torch.device) -> bool:
    """Whether the forward pass is in bfloat16: where that is asked for, or in auto where the device has it.

    Raises:
        ConfigError: it is asked for, and a GPU has it not. (A CPU that has it not computes it by other means, several
            times slower than float32.)
    """
    if precision == "bf16" and device.type == "cuda" and not has_bfloat16(device.type):
        raise ConfigError(
            f"precision: got bf16, which {torch.cuda.get_device_name()} does not have; set precision=auto, or full"
        )
    return precision == "bf16" or (precision == "auto" and has_bfloat16(device.type))
