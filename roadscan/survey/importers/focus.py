"""A camera's focal length, by the best of what is known of it: what a person says, a calibration, the images' EXIF."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from roadscan.survey.importers.config import CameraConfig
from roadscan.survey.importers.images import ImageFacts
from roadscan.survey.importers.intrinsics import read_calibration
from roadscan.survey.lens import Lens

logger = logging.getLogger(__name__)

DEFAULT_HFOV_DEG = 70.0  # of a usual dash camera
FILM_DIAGONAL_MM = math.hypot(36, 24)  # of 35 mm film; equivalence is by diagonal (CIPA DCG-001)
APART = 0.05  # between the two ways of EXIF: a 35 mm equivalent is in whole millimetres, 2 % of a wide lens


@dataclass(frozen=True)
class Focus:
    """What is known of a camera's optics.

    Attributes:
        focal_px: focal length, of a lens that of its columns.
        rule: where it is from, in words.
        lens: of a calibration.
    """

    focal_px: float
    rule: str
    lens: Lens | None = None


def focus(
    camera: CameraConfig, width_px: int, height_px: int, found: Sequence[ImageFacts], notes: dict[str, int]
) -> Focus:
    """The focal length of a camera.

    In this order: `focal_px`, `hfov_deg`, `intrinsics`; of EXIF FocalLength with FocalPlaneXResolution, which is of the
    sensor; FocalLengthIn35mmFilm, which is whole millimetres, and of some phones that of another crop; else
    `DEFAULT_HFOV_DEG`.

    Args:
        camera: what a person says.
        width_px: of its images, upright.
        height_px: likewise.
        found: what its images tell; those that tell another 35 mm equivalent than most are counted in `notes`.
        notes: see above.

    Raises:
        SurveyError: the calibration cannot be used.
    """
    if camera.focal_px is not None:
        return Focus(camera.focal_px, "focal_px")
    if camera.hfov_deg is not None:
        return Focus(_of_view(width_px, camera.hfov_deg), "hfov_deg")
    if camera.intrinsics is not None:
        calibration = read_calibration(camera.intrinsics, camera.camera_id, camera.lens)
        lens = calibration.of_size(width_px, height_px, f"intrinsics: {camera.intrinsics}")
        return Focus(lens.focal_px[0], f"intrinsics, {lens.model} with {len(lens.distortion)} coefficients", lens)
    film_mm = _film_mm(found, notes)
    by_film = None if film_mm is None else film_mm / FILM_DIAGONAL_MM * math.hypot(width_px, height_px)
    by_plane = _of_plane(found, max(width_px, height_px))
    if by_plane is not None:
        if by_film is not None and abs(by_film / by_plane - 1) > APART:
            logger.warning(
                "camera %s: its EXIF says %.0f px by FocalPlaneXResolution, which is taken, and %.0f by "
                "FocalLengthIn35mmFilm; calibrate it, and set intrinsics",
                camera.camera_id,
                by_plane,
                by_film,
            )
        return Focus(by_plane, "EXIF, FocalLength and FocalPlaneXResolution")
    if by_film is not None:
        return Focus(
            by_film, f"EXIF, FocalLengthIn35mmFilm of {film_mm:g} mm, in whole mm, and on some phones a sixth too long"
        )
    logger.warning(
        "camera %s: no focal_px, hfov_deg, intrinsics or EXIF that tells one; taking a field of view of %g degrees",
        camera.camera_id,
        DEFAULT_HFOV_DEG,
    )
    return Focus(_of_view(width_px, DEFAULT_HFOV_DEG), f"nothing tells it: {DEFAULT_HFOV_DEG:g} degrees taken")


def _of_view(width_px: int, hfov_deg: float) -> float:
    return width_px / 2 / math.tan(math.radians(hfov_deg) / 2)


def _film_mm(found: Sequence[ImageFacts], notes: dict[str, int]) -> float | None:
    """The focal length that most images tell, None where most tell none."""
    counts = Counter(facts.tags.focal_35mm_mm for facts in found)
    if not counts:
        return None
    (film_mm, _), *others = counts.most_common()
    if others:
        names = {length: f"{length:g} mm" if length else "none" for length in counts}
        told = ", ".join(names[length] for length, _ in others[:3])
        what = f"images with another FocalLengthIn35mmFilm ({told}) than most ({names[film_mm]})"
        notes[what] = sum(count for _, count in others)
    return film_mm


def _of_plane(found: Sequence[ImageFacts], longer_px: int) -> float | None:
    """The focal length that most images tell by their focal plane, None where most tell none."""
    counts = Counter(facts.tags.focal_longer for facts in found)
    share = counts.most_common(1)[0][0] if counts else None
    return None if share is None else share * longer_px
