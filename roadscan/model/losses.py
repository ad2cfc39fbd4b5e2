"""Losses on logits, elementwise: the generalized focal loss and what it is compared with.

YOLOv8's assigner gives soft targets y in 0..1 (how well the box fits), so the focal loss must take them. Of the ways
to extend it, quality focal loss keeps its minimum where the predicted probability is y; the published formula with
p_t = y p + (1 - y)(1 - p) does not: at y = 0.7, gamma = 2 its minimum lies at p = 0.88.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, TypeAlias

import torch
from pydantic import Field, model_validator
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from roadscan.config import Config
from roadscan.errors import ConfigError
from roadscan.model.class_balance import alpha_from_effective_number, alpha_from_frequency
from roadscan.model.head_prior import expected_loss, stock_prior

Alpha: TypeAlias = "float | torch.Tensor | None"
#: (logits, targets) of one shape -> the loss of every element, of that shape.
Elementwise: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def check_gamma(gamma: float) -> float:
    """The exponent itself, if it can be trained with.

    Raises:
        ConfigError: it is negative, not finite, or between 0 and 1, where the gradient of |y - p|^gamma grows without
            bound as p comes near y.
    """
    if gamma == 0 or 1 <= gamma < float("inf"):
        return gamma
    raise ConfigError(
        f"loss.gamma: got {gamma:g}, expected 0 (plain cross-entropy) or at least 1; "
        "between 0 and 1 the gradient is unbounded where the prediction meets its target"
    )


def check_alpha(alpha: Alpha) -> Alpha:
    """The weight of positives itself, if it is one.

    Raises:
        ConfigError: a value is outside 0..1.
    """
    if alpha is not None and torch.as_tensor(alpha).device.type == "cpu":  # a look elsewhere would make a GPU wait
        values = torch.as_tensor(alpha, dtype=torch.float64)
        if not bool(((values >= 0) & (values <= 1)).all()):
            raise ConfigError(
                f"loss.alpha: got {values.tolist()}, expected values in 0..1: the weight of positives, "
                "1 - alpha being that of negatives; leave it out for no weights"
            )
    return alpha


def generalized_focal_loss(
    logits: torch.Tensor, targets: torch.Tensor, *, gamma: float, alpha: Alpha = None
) -> torch.Tensor:
    """-w(y) |y - p|^gamma [y log p + (1 - y) log(1 - p)], with p = sigmoid(logits).

    On hard targets it is the focal loss -alpha_t (1 - p_t)^gamma log p_t; at gamma = 0 without alpha it is binary
    cross-entropy to the last bit; its minimum is at p = y for every y.

    Args:
        logits: (..., c); half precision is raised to float32, since p^2 underflows in it.
        targets: the same shape, in 0..1.
        gamma: 0 or at least 1; how much easy examples count for less.
        alpha: w(y) = alpha y + (1 - alpha)(1 - y); one value, or a (c,) tensor with one a class; None for w = 1.

    Returns:
        (..., c), float32 (float64 for float64 logits).

    Raises:
        ConfigError: gamma or alpha out of range.

    Source: Li et al. 2020, arXiv:2006.04388, eq. 6 (quality focal loss); alpha from Lin et al. 2017,
    arXiv:1708.02002, eq. 5.
    """
    check_gamma(gamma), check_alpha(alpha)
    with torch.autocast(logits.device.type, enabled=False):
        x, y = _float(logits), _float(targets)
        loss = binary_cross_entropy_with_logits(x, y, reduction="none")
        if gamma != 0:
            # y - p, without the cancellation that y - sigmoid(x) has where p is near 1.
            distance = y * torch.sigmoid(-x) - (1 - y) * torch.sigmoid(x)
            loss = loss * distance.abs().pow(gamma)
        return loss if alpha is None else loss * _weight(alpha, y)


def varifocal_loss(logits: torch.Tensor, targets: torch.Tensor, *, gamma: float, alpha: Alpha = 0.75) -> torch.Tensor:
    """Positives weighted by their target, negatives by alpha p^gamma.

    Args and Returns: as `generalized_focal_loss`; alpha None counts as 1.

    Source: Zhang et al. 2021, arXiv:2008.13367, eq. 2.
    """
    check_gamma(gamma), check_alpha(alpha)
    with torch.autocast(logits.device.type, enabled=False):
        x, y = _float(logits), _float(targets)
        scale = torch.as_tensor(1.0 if alpha is None else alpha).to(y)
        weight = torch.where(y > 0, y, scale * torch.sigmoid(x).pow(gamma))
        return binary_cross_entropy_with_logits(x, y, reduction="none") * weight


def hard_focal_loss(logits: torch.Tensor, targets: torch.Tensor, *, gamma: float, alpha: Alpha = None) -> torch.Tensor:
    """The focal loss as published, on targets made hard: every target above 0 is 1.

    Args and Returns: as `generalized_focal_loss`.

    Source: Lin et al. 2017, arXiv:1708.02002, eq. 5.
    """
    check_gamma(gamma), check_alpha(alpha)
    with torch.autocast(logits.device.type, enabled=False):
        x, hard = _float(logits), (targets > 0).to(_float(logits).dtype)
        signed = torch.where(hard > 0, x, -x)  # p_t = sigmoid(signed)
        loss = -logsigmoid(signed)
        if gamma != 0:
            loss = loss * torch.sigmoid(-signed).pow(gamma)
        return loss if alpha is None else loss * _weight(alpha, hard)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy, as YOLOv8 has it."""
    return generalized_focal_loss(logits, targets, gamma=0)


class LossConfig(Config):
    """The training loss: one kind for class scores and, in segmentation, for mask pixels; and its parts' gains."""

    kind: Literal["gfl", "bce", "varifocal", "focal_hard"] = Field("gfl", description="of class scores and mask pixels")
    gamma: float = Field(
        0.0, description="focusing exponent: 0 is cross-entropy, else at least 1; a sweep finds what the data want"
    )
    alpha: float | dict[str, float] | Literal["from_frequency", "effective_number"] | None = Field(
        None,
        description="weight of positives (varifocal: of negatives), in 0..1: one value, or one a class by name; "
        "from_frequency, effective_number: rare classes more, by the training split's objects; empty for no weights",
    )
    beta: float = Field(
        0.999, gt=0, lt=1, description="of alpha effective_number: near 0 all classes weigh the same, near 1 inversely"
    )
    prior: float | None = Field(
        None,
        gt=0,
        le=0.5,
        description="probability of every class that a new class head starts from, 0.01 in RetinaNet; empty: as "
        "Ultralytics, 5 objects a feature map",
    )
    box: Literal["ciou", "smooth_l1"] = Field("ciou", description="of boxes, beside the distribution focal loss")
    box_gain: float = Field(7.5, gt=0, description="of the box loss and of the mask loss")
    cls_gain: float = Field(
        0.5, gt=0, description="of the class loss; gamma shrinks that loss, so search them together or scale_gain"
    )
    scale_gain: bool = Field(
        False,
        description="multiply cls_gain by what gamma shrinks the class loss by, as is expected at the class head's "
        "prior: about 1.7 at gamma 1 and 2.3 at gamma 2, or 1.8 and 2.5 with prior 0.01",
    )
    dfl_gain: float = Field(1.5, gt=0, description="of the distribution focal loss")
    normaliser: Literal["rank", "global"] = Field(
        "rank", description="what a loss is divided by: its own rank's targets, or their mean over all ranks"
    )

    @model_validator(mode="after")
    def _in_range(self) -> LossConfig:
        try:
            check_gamma(self.gamma)
            if not isinstance(self.alpha, str):
                check_alpha(torch.tensor([*self.alpha.values()]) if isinstance(self.alpha, dict) else self.alpha)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if isinstance(self.alpha, str) and self.kind in ("varifocal", "bce"):
            what = "has none" if self.kind == "bce" else "has a weight of negatives"
            raise ValueError(
                f"loss.alpha: got {self.alpha}, which is a weight of positives, and kind {self.kind} {what}; "
                "expected kind gfl or focal_hard, or another alpha"
            )
        return self

    def on(self, objects: Mapping[str, int]) -> LossConfig:
        """The loss on a dataset: the same, with the figures that follow from the dataset in place.

        Args:
            objects: of the training split, by class name, in the order of the network's classes.

        Raises:
            ConfigError: `alpha` names other classes, or cannot be had of these objects.
        """
        self._check_names(tuple(objects))
        alpha = self.alpha
        if alpha == "from_frequency":
            alpha = alpha_from_frequency(objects)
        elif alpha == "effective_number":
            alpha = alpha_from_effective_number(objects, self.beta)
        used = self.model_copy(update={"alpha": alpha, "scale_gain": False})
        if not self.scale_gain:
            return used
        return used.model_copy(update={"cls_gain": self.cls_gain * used._shrinkage(tuple(objects))})

    def elementwise(self, alpha: Alpha) -> Elementwise:
        """The loss of every element, with these weights of positives (`alpha_of`)."""
        kinds = {"gfl": generalized_focal_loss, "varifocal": varifocal_loss, "focal_hard": hard_focal_loss}
        return cross_entropy if self.kind == "bce" else partial(kinds[self.kind], gamma=self.gamma, alpha=alpha)

    def alpha_of(self, classes: tuple[str, ...]) -> Alpha:
        """The weight of positives: one value, a (c,) tensor in the order of the classes, or None.

        Raises:
            ConfigError: `alpha` names other classes.
        """
        self._check_names(classes)
        assert not isinstance(self.alpha, str), "`on` a dataset it is by class"
        return torch.tensor([self.alpha[c] for c in classes]) if isinstance(self.alpha, dict) else self.alpha

    def _shrinkage(self, classes: tuple[str, ...]) -> float:
        """How many times as large the class loss would be at gamma 0, at the class head's prior (`expected_loss`)."""
        alpha, prior = self.alpha_of(classes), self.prior or stock_prior(len(classes))
        plain = self.model_copy(update={"gamma": 0.0})
        at_0, here = (expected_loss(one.elementwise(alpha), prior, len(classes)) for one in (plain, self))
        return at_0 / here

    def _check_names(self, classes: tuple[str, ...]) -> None:
        """Refuse values of alpha for other classes."""
        if not isinstance(self.alpha, dict) or set(self.alpha) == set(classes):
            return
        problems = {
            "unknown": [name for name in self.alpha if name not in classes],
            "missing": [name for name in classes if name not in self.alpha],
        }
        found = "; ".join(f"{what}: {', '.join(names)}" for what, names in problems.items() if names)
        raise ConfigError(
            f"loss.alpha: got values for {', '.join(sorted(self.alpha))}; expected one for each class: "
            f"{', '.join(classes)} ({found})"
        )


def _float(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _weight(alpha: float | torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if isinstance(alpha, torch.Tensor):
        alpha = alpha.to(y)
    return alpha * y + (1 - alpha) * (1 - y)
