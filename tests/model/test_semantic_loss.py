"""The invariants of the loss of pixels."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from roadscan.dataset.label_maps import VOID_VALUE
from roadscan.errors import ConfigError
from roadscan.model.losses import LossConfig
from roadscan.model.semantic_loss import alpha_by_class, check_semantic_loss, semantic_focal_loss

logits = st.lists(st.floats(-15, 15, width=32), min_size=4, max_size=4)
gammas = st.one_of(st.just(0.0), st.floats(1, 5))
CLASSES = ("sign", "pole")


def pixel(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1)


@given(logits, st.integers(0, 3), gammas, st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_it_is_the_published_focal_loss(x: list[float], target: int, gamma: float, alpha: list[float]) -> None:
    share = math.exp(x[target]) / sum(math.exp(value) for value in x)
    rest = sum(math.exp(value) for number, value in enumerate(x) if number != target)
    expected = -alpha[target] * (rest / (rest + math.exp(x[target]))) ** gamma * math.log(share)
    weights = torch.tensor(alpha, dtype=torch.float64)
    got = semantic_focal_loss(pixel(x), torch.tensor([[[target]]]), gamma=gamma, alpha=weights)
    assert got.shape == (1, 1, 1)
    assert got.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_gamma_and_alpha_it_is_cross_entropy_to_the_last_bit(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(3, 7, 20, 30, generator=generator, dtype=dtype) * 10).requires_grad_()
    target = torch.randint(0, 7, (3, 20, 30), generator=generator)
    target[:, :4] = VOID_VALUE
    expected = cross_entropy(x, target, ignore_index=VOID_VALUE, reduction="none")
    (expected_gradient,) = torch.autograd.grad(expected.sum(), x)
    loss = semantic_focal_loss(x, target, gamma=0)
    assert torch.equal(loss, expected)
    assert torch.equal(torch.autograd.grad(loss.sum(), x)[0], expected_gradient)


@settings(max_examples=50)
@given(gammas, st.floats(0.1, 1))
def test_it_falls_towards_its_minimum_where_the_true_class_is_sure(gamma: float, alpha: float) -> None:
    x = torch.zeros(1, 3, 1, 200, dtype=torch.float64)
    x[0, 1, 0] = torch.linspace(-8, 40, 200, dtype=torch.float64)  # of the true class; the others are 0
    weights = torch.full((3,), alpha, dtype=torch.float64)
    loss = semantic_focal_loss(x, torch.ones(1, 1, 200, dtype=torch.int64), gamma=gamma, alpha=weights)[0, 0]
    assert (loss >= 0).all()
    assert (loss.diff() <= 0).all()
    assert loss[-1].item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("alpha", [None, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)])
def test_gradients(gamma: float, alpha: torch.Tensor | None) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, 2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[[0, 1, 2], [2, VOID_VALUE, 0]]] * 2)
    assert torch.autograd.gradcheck(lambda z: semantic_focal_loss(z, target, gamma=gamma, alpha=alpha), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.0])
def test_extreme_logits_stay_finite_also_in_half_precision(dtype: torch.dtype, gamma: float) -> None:
    x = torch.tensor([[100.0, -100.0, 0.0], [0.0, 0.0, 0.0]], dtype=dtype).T[None, ..., None].requires_grad_()
    for target in (0, 1, 2):
        with torch.autocast("cpu", torch.bfloat16 if dtype is torch.float32 else dtype):
            loss = semantic_focal_loss(
                x, torch.full((1, 2, 1), target), gamma=gamma, alpha=torch.tensor([0.2, 0.3, 0.5])
            )
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        assert loss.dtype == torch.float32
        assert loss.isfinite().all()
        assert gradient.isfinite().all()


def test_void_pixels_have_neither_loss_nor_gradient() -> None:
    x = torch.randn(1, 3, 1, 2, requires_grad=True)
    loss = semantic_focal_loss(x, torch.tensor([[[VOID_VALUE, 1]]]), gamma=2, alpha=torch.tensor([1.0, 1.0, 1.0]))
    loss.sum().backward()
    assert loss[0, 0, 0] == 0
    assert loss[0, 0, 1] > 0
    assert x.grad is not None
    assert not x.grad[..., 0].any()


def test_a_gamma_between_0_and_1_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"loss\.gamma: got 0.5"):
        semantic_focal_loss(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.int64), gamma=0.5)


def test_alpha_is_of_each_class_and_the_background() -> None:
    named = LossConfig(alpha={"background": 0.1, "pole": 0.7, "sign": 0.4})
    assert alpha_by_class(named, CLASSES) == pytest.approx(torch.tensor([0.4, 0.7, 0.1]))
    one = alpha_by_class(LossConfig(alpha=0.75), CLASSES)
    assert one == pytest.approx(torch.tensor([0.75, 0.75, 0.25]))
    assert alpha_by_class(LossConfig(), CLASSES) is None
    assert alpha_by_class(LossConfig(kind="bce", alpha=0.75), CLASSES) is None


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"prior": 0.01}, r"loss\.prior: got 0\.01, which is of boxes"),
        ({"box": "smooth_l1"}, r"loss\.box: got smooth_l1"),
        ({"cls_gain": 2}, r"loss\.cls_gain: got 2"),
        ({"scale_gain": True, "gamma": 2}, r"loss\.scale_gain: got True"),
        ({"kind": "varifocal", "alpha": 0.5}, r"loss\.kind: got varifocal"),
        ({"alpha": "effective_number"}, r"loss\.alpha: got effective_number, which is of objects"),
        ({"alpha": {"sign": 0.5, "pole": 0.5}}, r"loss\.alpha: .* \(missing: background\)"),
    ],
)
def test_settings_that_mean_nothing_for_pixels_are_refused(loss: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_semantic_loss(LossConfig.model_validate(loss), CLASSES)


def test_settings_of_pixels_are_taken() -> None:
    for loss in ({"gamma": 2, "alpha": "from_frequency"}, {"kind": "focal_hard", "gamma": 1}, {"kind": "bce"}):
        check_semantic_loss(LossConfig.model_validate(loss), CLASSES)
