"""Repeat-factor sampling: images with a class that few images show are seen more than once an epoch.

Shape suffixes: i images, c classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from roadscan.dataset.census import image_shares
from roadscan.dataset.draft import DraftImage
from roadscan.dataset.records import LabelledImage
from roadscan.errors import ConfigError

Labelled: TypeAlias = LabelledImage | DraftImage
Factors: TypeAlias = npt.NDArray[np.float64]


def shares_by_class(images: Sequence[Labelled], names: Sequence[str]) -> dict[str, float]:
    """A split's images -> the share of them that shows each class, f_c."""
    return dict(zip(names, image_shares(images, len(names)).tolist(), strict=True))


def class_factors(shares: Mapping[str, float], threshold: float) -> dict[str, float]:
    """Shares of images by class -> r_c = max(1, sqrt(t / f_c)); 1 of a class without images.

    Args:
        shares: f_c, from `shares_by_class`.
        threshold: t, the share below which images are repeated.

    Source: Gupta, Dollár, Girshick 2019, arXiv:1908.03195, section 4 (repeat factor sampling).

    >>> class_factors({"sign": 0.5, "bus stop": 0.025}, threshold=0.1)
    {'sign': 1.0, 'bus stop': 2.0}
    """
    return {name: max(1.0, float(np.sqrt(threshold / share))) if share else 1.0 for name, share in shares.items()}


def image_factors(images: Sequence[Labelled], names: Sequence[str], threshold: float | None) -> Factors:
    """A split's images -> how often each is to be seen an epoch, on average: (i,), the largest r_c of its classes.

    Args:
        images: the split.
        names: of the classes.
        threshold: as of `class_factors`; None to see each once.
    """
    if threshold is None:
        return np.ones(len(images))
    by_class = np.array([*class_factors(shares_by_class(images, names), threshold).values()])
    return np.array([by_class[np.asarray(image.classes, np.int64)].max(initial=1.0) for image in images])


def check_repeats(images: Sequence[Labelled], names: Sequence[str], threshold: float | None) -> None:
    """Refuse a threshold that repeats nothing.

    Args: as of `image_factors`.

    Raises:
        ConfigError: every class is at least as frequent.
    """
    if threshold is None or (image_factors(images, names, threshold) > 1).any():
        return
    shares = {name: share for name, share in shares_by_class(images, names).items() if share}
    rarest = min(shares, key=shares.__getitem__)
    raise ConfigError(
        f"repeat_threshold: got {threshold:g}, which repeats no image, as the rarest class, {rarest}, is in "
        f"{shares[rarest]:.4g} of the training images; expected a larger share, or nothing"
    )


def drawn_images(factors: Factors, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """How often each image is to be seen on average -> the images of one epoch, in the order of their numbers.

    A factor's fraction is the chance to be seen once more, drawn anew each epoch (stochastic rounding).

    Args:
        factors: (i,), from `image_factors`.
        seed: of the run.
        epoch: counted from 0.
    """
    chance = np.random.default_rng((seed, epoch, 1)).random(len(factors))
    times = np.floor(factors + chance).astype(np.int64)
    return np.repeat(np.arange(len(factors)), times)


def describe(images: Sequence[Labelled], names: Sequence[str], threshold: float) -> str:
    """What is repeated, in words for the log."""
    factors = image_factors(images, names, threshold)
    by_class = class_factors(shares_by_class(images, names), threshold)
    repeated = ", ".join(f"{name} {factor:.2f}" for name, factor in by_class.items() if factor > 1)
    return (
        f"{int((factors > 1).sum())} of {len(factors)} training images are repeated, by class {repeated}: an epoch has "
        f"about {factors.sum():.0f} images"
    )
