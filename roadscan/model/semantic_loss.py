"""The loss of a semantic model, pixel by pixel: softmax over classes and background, cross-entropy or focal.

A pixel has one class, so targets are hard, and what the soft targets of boxes ask for (`losses`) has no place here.

Shape suffixes: b images, k classes with the background, h and w pixels.
"""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from roadscan.dataset.label_maps import BACKGROUND, VOID_VALUE
from roadscan.errors import ConfigError
from roadscan.model.losses import LossConfig, check_gamma

#: Fields of `LossConfig` that a loss of boxes has, and one of pixels has not.
OF_BOXES = ("prior", "box", "box_gain", "cls_gain", "scale_gain", "dfl_gain")


def semantic_focal_loss(
    logits_bkhw: torch.Tensor, targets_bhw: torch.Tensor, *, gamma: float, alpha: torch.Tensor | None = None
) -> torch.Tensor:
    """-alpha_t (1 - p_t)^gamma log p_t of every pixel, with p = softmax(logits) and t the pixel's class.

    At gamma = 0 without alpha it is PyTorch's cross-entropy to the last bit; its minimum, 0, is at p_t = 1.

    Args:
        logits_bkhw: (b, k, h, w); half precision is raised to float32, since (1 - p)^2 underflows in it.
        targets_bhw: (b, h, w) int64, indices of classes; pixels of `VOID_VALUE` have no loss.
        gamma: 0 or at least 1; how much pixels that are sure already count for less.
        alpha: (k,) weight of each class; None for 1.

    Returns:
        (b, h, w), float32 (float64 for float64 logits).

    Raises:
        ConfigError: gamma out of range.

    Source: Lin et al. 2017, arXiv:1708.02002, eq. 5, with the softmax's p_t in the sigmoid's place.
    """
    check_gamma(gamma)
    with torch.autocast(logits_bkhw.device.type, enabled=False):
        x = logits_bkhw if logits_bkhw.dtype == torch.float64 else logits_bkhw.float()
        surprise = cross_entropy(x, targets_bhw, ignore_index=VOID_VALUE, reduction="none")  # -log p_t
        loss = surprise
        if gamma != 0:
            loss = loss * (-torch.expm1(-surprise)).pow(gamma)  # 1 - p_t, without cancellation where p_t is near 1
        if alpha is not None:
            is_void = targets_bhw == VOID_VALUE
            loss = loss * alpha.to(loss)[targets_bhw.masked_fill(is_void, 0)]
        return loss


def check_semantic_loss(config: LossConfig, classes: tuple[str, ...]) -> None:
    """Refuse settings that mean nothing for pixels, or weights of other classes.

    Args:
        config: the loss.
        classes: of the dataset, without the background.

    Raises:
        ConfigError: names the first field that is wrong.
    """
    plain = LossConfig()
    idle = [name for name in OF_BOXES if getattr(config, name) != getattr(plain, name)]
    if idle:
        raise ConfigError(
            f"loss.{idle[0]}: got {getattr(config, idle[0])}, which is of boxes, and the dataset is of task semantic; "
            "leave it out"
        )
    if config.kind == "varifocal":
        raise ConfigError(
            "loss.kind: got varifocal, whose weights are of negatives, and a pixel has none in a softmax; expected gfl "
            "or bce"
        )
    if config.alpha == "effective_number":
        raise ConfigError(
            "loss.alpha: got effective_number, which is of objects: of thousands of pixels all classes have the same; "
            "expected from_frequency, or one value or one a class"
        )
    if not isinstance(config.alpha, str):
        config.alpha_of((*classes, BACKGROUND))


def alpha_by_class(config: LossConfig, classes: tuple[str, ...]) -> torch.Tensor | None:
    """The weight of each class and, last, of the background, (k,); None for no weights.

    One value is the weight of all classes, and 1 minus it that of the background.

    Args:
        config: the loss, with the figures of its dataset in place (`LossConfig.on`).
        classes: of the dataset, without the background.

    Raises:
        ConfigError: `alpha` names other classes.
    """
    alpha = None if config.kind == "bce" else config.alpha_of((*classes, BACKGROUND))
    if isinstance(alpha, float):
        return torch.tensor([alpha] * len(classes) + [1 - alpha])
    return alpha
