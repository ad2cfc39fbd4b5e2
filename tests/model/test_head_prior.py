"""What is expected of a class head before it is trained."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from roadscan.model import yolo
from roadscan.model.head_prior import expected_loss, stock_prior
from roadscan.model.losses import LossConfig

OBJECTS = {"sign": 60, "pole": 30, "hall": 10}
priors = st.floats(1e-4, 0.5)
gammas = st.one_of(st.just(0.0), st.floats(1, 4))


def factor(**fields: object) -> float:
    """By what the class gain is multiplied."""
    loss = LossConfig.model_validate({"scale_gain": True, "cls_gain": 0.7, **fields})
    return loss.on(OBJECTS).cls_gain / 0.7


def entropy(prior: float) -> float:
    return -prior * math.log(prior) - (1 - prior) * math.log(1 - prior)


@given(priors)
def test_cross_entropy_is_expected_to_be_the_entropy_of_the_prior(prior: float) -> None:
    assert expected_loss(LossConfig(kind="bce").elementwise(None), prior, 3) == pytest.approx(entropy(prior))


@settings(max_examples=50)
@given(priors, gammas)
def test_the_gain_of_the_focal_loss_follows_its_closed_form(prior: float, gamma: float) -> None:
    """With m_k the integral of |y - π|^gamma y^k over 0..1, whose halves below and above π are powers."""
    below, above = prior, 1 - prior
    m_0 = (above ** (gamma + 1) + below ** (gamma + 1)) / (gamma + 1)
    m_1 = (above ** (gamma + 2) - below ** (gamma + 2)) / (gamma + 2) + prior * m_0
    positives = 2 * prior * (-m_1 * math.log(prior) - (m_0 - m_1) * math.log(1 - prior))
    negatives = -(1 - 2 * prior) * prior**gamma * math.log(1 - prior)
    expected = entropy(prior) / (positives + negatives)
    assert factor(gamma=gamma, prior=prior) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["gfl", "varifocal", "focal_hard", "bce"])
@pytest.mark.parametrize("alpha", [None, 0.25, {"sign": 0.2, "pole": 0.6, "hall": 0.9}])
def test_with_its_gain_scaled_the_loss_of_drawn_targets_is_as_large_as_at_gamma_0(
    kind: str, alpha: float | dict[str, float] | None
) -> None:
    prior, rng = 0.05, np.random.default_rng(0)
    y = np.where(rng.random((1_000_000, 3)) < 2 * prior, rng.random((1_000_000, 3)), 0)
    x = torch.full(y.shape, math.log(prior / (1 - prior)), dtype=torch.float64)
    found = []
    for gamma in (0, 2):
        loss = LossConfig.model_validate(
            {"kind": kind, "gamma": gamma, "alpha": alpha, "prior": prior, "scale_gain": True}
        ).on(OBJECTS)
        found.append(
            loss.cls_gain * loss.elementwise(loss.alpha_of(tuple(OBJECTS)))(x, torch.from_numpy(y)).mean().item()
        )
    assert found[1] == pytest.approx(found[0], rel=0.01)


@pytest.mark.parametrize(
    "fields", [{}, {"kind": "varifocal"}, {"kind": "bce", "gamma": 2.0}, {"alpha": "from_frequency"}]
)
def test_where_gamma_shrinks_nothing_the_gain_is_the_same_to_the_last_bit(fields: dict[str, object]) -> None:
    assert LossConfig.model_validate({"scale_gain": True, **fields}).on(OBJECTS).cls_gain == 0.5


def test_the_gain_is_scaled_once() -> None:
    once = LossConfig(gamma=2, prior=0.01, scale_gain=True).on(OBJECTS)
    assert once.cls_gain == pytest.approx(0.5 * 2.4963, rel=1e-4)
    assert once.on(OBJECTS) == once


@pytest.mark.parametrize("n_classes", [1, 7])
def test_the_stock_prior_is_that_of_a_fresh_network(n_classes: int) -> None:
    head = yolo.build("detect", "n", n_classes).model[-1]
    biases = [layers[-1].bias.detach() for layers in head.cv3]
    cells = [(640 / stride) ** 2 for stride in head.stride.tolist()]
    mean = sum(float(bias.sigmoid().mean()) * n for bias, n in zip(biases, cells, strict=True)) / sum(cells)
    assert stock_prior(n_classes) == pytest.approx(mean, rel=0.01)  # its biases are log p, not log p / (1 - p)
