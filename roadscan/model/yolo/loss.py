"""YOLOv8's training loss with our own in its place: class scores, mask pixels, boxes.

What is stock stays stock: task-aligned assignment, distribution focal loss, gains, normalisation. With
``kind: gfl, gamma: 0`` and no alpha every item is that of ultralytics to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.functional import smooth_l1_loss
from ultralytics.utils.loss import BboxLoss, v8DetectionLoss, v8SegmentationLoss
from ultralytics.utils.ops import crop_mask

from roadscan.model.losses import Alpha, LossConfig
from roadscan.model.yolo.semantic import SemanticCriterion, SemanticHead

Items = dict[str, torch.Tensor]


def criterion(
    network: torch.nn.Module, classes: tuple[str, ...], config: LossConfig
) -> DetectionCriterion | SemanticCriterion:
    """The loss of a network in training.

    Args:
        network: from `build`, on its device.
        classes: its class names.
        config: the loss, with the figures of its dataset in place (`LossConfig.on`).

    Returns:
        A callable of (the network's training output, batch) that gives the loss of each part times the number of
        images, to be summed and minimised, and each part's mean for display.
    """
    if isinstance(network.model[-1], SemanticHead):  # type: ignore[index]
        return SemanticCriterion(classes, config)
    network.args = SimpleNamespace(  # type: ignore[assignment]  # where ultralytics looks for them
        box=config.box_gain, cls=config.cls_gain, dfl=config.dfl_gain, overlap_mask=True
    )
    segment = hasattr(network.model[-1], "proto")  # type: ignore[index]
    return (SegmentationCriterion if segment else DetectionCriterion)(network, classes, config)


class DetectionCriterion(v8DetectionLoss):  # type: ignore[misc]
    """Stock detection loss with the configured class and box losses."""

    def __init__(self, network: torch.nn.Module, classes: tuple[str, ...], config: LossConfig) -> None:
        super().__init__(network)
        alpha = config.alpha_of(classes)
        self._alpha = alpha.to(self.device) if isinstance(alpha, torch.Tensor) else alpha
        self.bce = config.elementwise(self._alpha)
        if config.box == "smooth_l1":
            self.bbox_loss = SmoothL1BoxLoss(self.reg_max).to(self.device)
        self._shared = config.normaliser == "global" and dist.is_initialized() and dist.get_world_size() > 1
        self._stock_assigner: Any = self.assigner
        self.assigner: Any = self._assign
        self._assigned = torch.zeros(3)

    def __call__(self, preds: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, Items]:
        parts, items = super().__call__(preds, batch)
        if not self._shared:
            return parts, items
        scale, share = self._to_global()
        return parts * scale / share, {n: item * s for (n, item), s in zip(items.items(), scale, strict=True)}

    def _assign(self, *arguments: Any) -> tuple[torch.Tensor, ...]:
        """The stock assignment; notes what losses are divided and multiplied by: scores, positive anchors, images."""
        assigned: tuple[torch.Tensor, ...] = self._stock_assigner(*arguments)
        if self._shared:
            images = torch.full((), len(assigned[2]), device=self.device)
            self._assigned = torch.stack([assigned[2].sum(), assigned[3].sum(), images]).float()
        return assigned

    def _to_global(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Factors (parts,) to losses divided by the ranks' mean sums; this rank's images as a share of their mean."""
        total = self._assigned.clone()
        dist.all_reduce(total)
        own_of_mean = self._assigned.clamp(min=1) / (total.clamp(min=1) / dist.get_world_size())
        return own_of_mean[[1 if name == "seg_loss" else 0 for name in self.loss_names]], own_of_mean[2]


class SegmentationCriterion(DetectionCriterion, v8SegmentationLoss):  # type: ignore[misc]
    """Stock segmentation loss with the configured class, box and mask-pixel losses; alpha by the object's class."""

    def __init__(self, network: torch.nn.Module, classes: tuple[str, ...], config: LossConfig) -> None:
        super().__init__(network, classes, config)
        self._config = config
        self._labels = torch.zeros(0)
        self._alphas: Iterator[Alpha] = iter(())

    def loss(self, preds: dict[str, torch.Tensor], batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, Items]:
        self._labels = batch["cls"].view(-1).long().to(self.device)
        return super().loss(preds, batch)  # type: ignore[no-any-return]

    def calculate_segmentation_loss(
        self, fg_mask: torch.Tensor, masks: torch.Tensor, target_gt_idx: torch.Tensor, *rest: torch.Tensor
    ) -> torch.Tensor:
        if isinstance(self._alpha, torch.Tensor):
            image_of = rest[1].view(-1)
            self._alphas = iter(
                [
                    self._alpha[self._labels[image_of == image][target_gt_idx[image][positive]]]
                    for image, positive in enumerate(fg_mask)
                    if positive.any()
                ]
            )
        else:
            self._alphas = repeat(self._alpha)
        return super().calculate_segmentation_loss(fg_mask, masks, target_gt_idx, *rest)  # type: ignore[no-any-return]

    def single_mask_loss(
        self,
        gt_mask: torch.Tensor,
        pred: torch.Tensor,
        proto: torch.Tensor,
        xyxy: torch.Tensor,
        area: torch.Tensor,
    ) -> torch.Tensor:
        """One image: (n, h, w) true masks, (n, 32) coefficients, (32, h, w) prototypes, (n, 4) boxes, (n,) areas."""
        logits = torch.einsum("in,nhw->ihw", pred, proto)
        # Objects on the last axis, where the loss expects the values of alpha.
        loss = self._config.elementwise(next(self._alphas))(logits.permute(1, 2, 0), gt_mask.permute(1, 2, 0))
        loss = loss.permute(2, 0, 1).contiguous()
        total: torch.Tensor = (crop_mask(loss, xyxy).mean(dim=(1, 2)) / area).sum()
        return total


class SmoothL1BoxLoss(BboxLoss):  # type: ignore[misc]
    """Smooth L1 on the four sides, in cells of the feature map, instead of CIoU; distribution focal loss as stock."""

    def forward(
        self,
        pred_dist: torch.Tensor,
        pred_bboxes: torch.Tensor,
        anchor_points: torch.Tensor,
        target_bboxes: torch.Tensor,
        target_scores: torch.Tensor,
        target_scores_sum: torch.Tensor,
        fg_mask: torch.Tensor,
        *rest: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The two box losses, as the stock class gives them."""
        given = (pred_dist, pred_bboxes, anchor_points, target_bboxes, target_scores, target_scores_sum, fg_mask, *rest)
        _, dfl = super().forward(*given)
        weight = target_scores[fg_mask].sum(-1)
        sides = smooth_l1_loss(pred_bboxes[fg_mask].float(), target_bboxes[fg_mask].float(), reduction="none")
        return (sides.mean(-1) * weight).sum() / target_scores_sum, dfl
