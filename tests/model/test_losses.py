"""The losses' invariants."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

from roadscan.config import load_config
from roadscan.errors import ConfigError
from roadscan.model.losses import (
    LossConfig,
    cross_entropy,
    generalized_focal_loss,
    hard_focal_loss,
    varifocal_loss,
)

logits = st.floats(-15, 15, width=32)
shares = st.floats(0, 1, width=32)
gammas = st.one_of(st.just(0.0), st.floats(1, 5))


def one(x: float) -> torch.Tensor:
    return torch.tensor([x], dtype=torch.float64)


@given(logits, st.sampled_from([0.0, 1.0]), gammas, shares)
def test_on_hard_targets_it_is_the_published_focal_loss(x: float, y: float, gamma: float, alpha: float) -> None:
    p = 1 / (1 + math.exp(-x))
    p_t, alpha_t = (p, alpha) if y else (1 - p, 1 - alpha)
    expected = -alpha_t * (1 - p_t) ** gamma * math.log(p_t)
    got = generalized_focal_loss(one(x), one(y), gamma=gamma, alpha=alpha).item()
    assert got == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert hard_focal_loss(one(x), one(y), gamma=gamma, alpha=alpha).item() == pytest.approx(got, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_gamma_and_alpha_it_is_cross_entropy_to_the_last_bit(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1000, 7, generator=generator, dtype=dtype) * 10
    y = torch.rand(1000, 7, generator=generator, dtype=dtype)
    expected = binary_cross_entropy_with_logits(x, y, reduction="none")
    assert torch.equal(generalized_focal_loss(x, y, gamma=0), expected)
    for kind in ("gfl", "bce"):
        loss = LossConfig(kind=kind, gamma=0).elementwise(None)  # type: ignore[arg-type]
        assert torch.equal(loss(x, y), expected)


@settings(max_examples=50)
@given(st.floats(0.05, 0.95), gammas, st.one_of(st.none(), st.floats(0.1, 0.9)))
def test_its_minimum_is_where_the_prediction_is_the_target(y: float, gamma: float, alpha: float | None) -> None:
    best = math.log(y / (1 - y))
    x = torch.linspace(best - 3, best + 3, 6001, dtype=torch.float64)  # 0.001 apart, `best` in the middle
    loss = generalized_focal_loss(x, torch.full_like(x, y), gamma=gamma, alpha=alpha)
    assert x[loss.argmin()].item() == pytest.approx(best, abs=0.0011)


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("alpha", [None, 0.25, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)])
def test_gradients(gamma: float, alpha: float | torch.Tensor | None) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(20, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.rand(20, 3, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: generalized_focal_loss(z, y, gamma=gamma, alpha=alpha), x)
    assert torch.autograd.gradcheck(lambda z: varifocal_loss(z, y, gamma=gamma, alpha=alpha), x)
    assert torch.autograd.gradcheck(lambda z: hard_focal_loss(z, y, gamma=gamma, alpha=alpha), x)


def test_the_gradient_at_the_target_is_zero_not_nan() -> None:
    x = torch.zeros(4, dtype=torch.float32, requires_grad=True)
    generalized_focal_loss(x, torch.full((4,), 0.5), gamma=2).sum().backward()
    assert torch.equal(x.grad, torch.zeros(4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["gfl", "varifocal", "focal_hard", "bce"])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.0])
def test_extreme_logits_stay_finite_also_in_half_precision(dtype: torch.dtype, kind: str, gamma: float) -> None:
    x = torch.tensor([[-100.0, 100.0, 0.0]] * 3, dtype=dtype, requires_grad=True)
    y = torch.tensor([[0.0] * 3, [1.0] * 3, [0.3] * 3], dtype=dtype)
    config = LossConfig(kind=kind, gamma=gamma, alpha=0.25)  # type: ignore[arg-type]
    with torch.autocast("cpu", torch.bfloat16 if dtype is torch.float32 else dtype):
        loss = config.elementwise(config.alpha_of(("a", "b", "c")))(x, y)
    loss.sum().backward()
    assert loss.dtype == torch.float32
    assert loss.shape == x.shape
    assert loss.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_alpha_is_by_class_on_the_last_axis() -> None:
    x, y = torch.zeros(2, 3), torch.tensor([[1.0] * 3, [0.0] * 3])
    config = LossConfig(gamma=0, alpha={"pole": 0.9, "sign": 0.5, "hall": 0.2})
    loss = config.elementwise(config.alpha_of(("sign", "pole", "hall")))(x, y) / math.log(2)
    assert torch.allclose(loss, torch.tensor([[0.5, 0.9, 0.2], [0.5, 0.1, 0.8]]))


def published_varifocal(x: float, q: float, gamma: float, alpha: float) -> float:
    """Zhang et al. 2021, eq. 2, as it is written: VFL(p, q)."""
    p = 1 / (1 + math.exp(-x))
    if q > 0:
        return -q * (q * math.log(p) + (1 - q) * math.log(1 - p))
    return -alpha * p**gamma * math.log(1 - p)


@given(logits, st.one_of(st.just(0.0), shares), gammas, shares)
def test_varifocal_is_as_published(x: float, q: float, gamma: float, alpha: float) -> None:
    got = varifocal_loss(one(x), one(q), gamma=gamma, alpha=alpha).item()
    assert got == pytest.approx(published_varifocal(x, q, gamma, alpha), rel=1e-6, abs=1e-12)


@given(logits, st.sampled_from([0.0, 1.0]), gammas, shares)
def test_varifocal_on_hard_targets_is_cross_entropy_of_positives_and_focal_loss_of_negatives(
    x: float, y: float, gamma: float, alpha: float
) -> None:
    got = varifocal_loss(one(x), one(y), gamma=gamma, alpha=alpha)
    focal = generalized_focal_loss(one(x), one(0), gamma=gamma, alpha=1 - alpha)  # whose negatives weigh 1 - alpha
    assert torch.allclose(got, cross_entropy(one(x), one(1)) if y else focal, rtol=1e-9, atol=1e-14)


def test_varifocal_without_gamma_and_alpha_on_hard_targets_is_cross_entropy_to_the_last_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1000, 7, generator=generator) * 10
    y = (torch.rand(1000, 7, generator=generator) > 0.8).float()
    assert torch.equal(LossConfig(kind="varifocal").elementwise(None)(x, y), cross_entropy(x, y))


@pytest.mark.parametrize("q", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 1.5, 2.0])
def test_the_gradient_of_varifocal_is_that_of_the_published_function(q: float, gamma: float) -> None:
    for at in (-4.0, -0.5, 0.0, 0.5, 4.0):
        x = one(at).requires_grad_()
        varifocal_loss(x, one(q), gamma=gamma, alpha=0.75).sum().backward()
        above, below = (published_varifocal(at + step, q, gamma, 0.75) for step in (1e-5, -1e-5))
        assert x.grad is not None
        assert x.grad.item() == pytest.approx((above - below) / 2e-5, rel=1e-5, abs=1e-9)


def test_alpha_of_varifocal_is_by_class_and_of_negatives_alone() -> None:
    alpha = {"pole": 0.9, "sign": 0.5, "hall": 0.2}
    loss = LossConfig(kind="varifocal", gamma=2, alpha=alpha).on({"sign": 3, "pole": 1, "hall": 2})
    x, y = torch.zeros(2, 3), torch.tensor([[1.0] * 3, [0.0] * 3])
    found = loss.elementwise(loss.alpha_of(("sign", "pole", "hall")))(x, y) / math.log(2)
    assert torch.allclose(found, torch.tensor([[1.0] * 3, [0.5 / 4, 0.9 / 4, 0.2 / 4]]))


def test_varifocal_weighs_positives_by_their_target() -> None:
    x, y = torch.zeros(2), torch.tensor([0.7, 0.0])
    # ln 2 is the cross-entropy at p = 1/2; the negative's weight is 0.75 * 0.5^2.
    expected = torch.tensor([0.7, 0.75 * 0.25]) * math.log(2)
    assert torch.allclose(varifocal_loss(x, y, gamma=2, alpha=0.75), expected)


@pytest.mark.parametrize("gamma", [0.5, 0.999, -1.0, math.inf, math.nan])
def test_a_gamma_that_cannot_be_trained_with_is_refused(gamma: float) -> None:
    with pytest.raises(ConfigError, match=r"loss\.gamma: got .*, expected 0 .* or at least 1"):
        generalized_focal_loss(torch.zeros(1), torch.zeros(1), gamma=gamma)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, torch.tensor([0.5, 2.0]), math.nan])
def test_an_alpha_that_is_no_share_is_refused(alpha: float | torch.Tensor) -> None:
    with pytest.raises(ConfigError, match=r"loss\.alpha: got .*, expected values in 0\.\.1"):
        generalized_focal_loss(torch.zeros(2), torch.zeros(2), gamma=2, alpha=alpha)


@pytest.mark.parametrize("override", ["gamma=0.5", "alpha=1.5", "alpha={a: 3}"])
def test_the_config_refuses_the_same(override: str) -> None:
    with pytest.raises(ConfigError, match=r"loss\.(gamma|alpha): got"):
        load_config(LossConfig, None, [override])


def test_alpha_for_other_classes_is_refused() -> None:
    expected = r"got values for hall, sign; expected one for each class: sign, pole \(unknown: hall; missing: pole\)"
    loss = LossConfig(alpha={"sign": 0.2, "hall": 0.5})
    with pytest.raises(ConfigError, match=expected):
        loss.alpha_of(("sign", "pole"))
    with pytest.raises(ConfigError, match=expected):
        loss.on({"sign": 3, "pole": 1})


@pytest.mark.parametrize("alpha", [None, 0.25, {"sign": 0.2, "pole": 0.5}])
def test_a_loss_of_numbers_is_the_same_on_every_dataset(alpha: float | dict[str, float] | None) -> None:
    loss = LossConfig(gamma=2, alpha=alpha)
    assert loss.on({"sign": 3, "pole": 1}) == loss


def test_alpha_from_frequency_is_by_class_on_a_dataset() -> None:
    loss = load_config(LossConfig, None, ["alpha=from_frequency"]).on({"sign": 3, "pole": 1})
    assert loss == LossConfig(alpha={"sign": 0.25, "pole": 0.75})
    assert torch.equal(loss.alpha_of(("sign", "pole")), torch.tensor([0.25, 0.75]))


@pytest.mark.parametrize("alpha", ["from_frequency", "effective_number"])
@pytest.mark.parametrize(("kind", "has"), [("varifocal", "a weight of negatives"), ("bce", "none")])
def test_weights_of_rare_positives_are_refused_where_positives_have_none(alpha: str, kind: str, has: str) -> None:
    with pytest.raises(ConfigError, match=rf"loss\.alpha: got {alpha}, .* kind {kind} has {has}"):
        load_config(LossConfig, None, [f"kind={kind}", f"alpha={alpha}"])


@pytest.mark.parametrize("prior", [0, -0.1, 0.6, 1])
def test_a_prior_that_is_no_small_share_is_refused(prior: float) -> None:
    with pytest.raises(ConfigError, match=f"prior: got {prior}"):
        load_config(LossConfig, None, [f"prior={prior}"])


def test_an_alpha_that_is_no_number_and_no_known_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="from_frequency"):
        load_config(LossConfig, None, ["alpha=by_chance"])
