"""How a lens bends rays: pixels of an image -> pixels of the pinhole that would have seen the same.

Pixels count from the image's upper left corner, so that the middle of the first pixel is (0.5, 0.5), as in boxes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from roadscan.arrays import Floats
from roadscan.errors import SurveyError
from roadscan.parsing import FORBID_OTHERS

Model: TypeAlias = Literal["brown", "fisheye"]
#: How many coefficients: k1 k2 p1 p2 (k3 (k4 k5 k6)) of Brown's and OpenCV's model; k1 to k4 of its fisheye.
COUNTS: dict[Model, tuple[int, ...]] = {"brown": (0, 4, 5, 8), "fisheye": (4,)}
MOST = 100.0  # of a coefficient: more is no lens
WIDEST_DEG = 80.0  # off the axis; at 90 the pixels of a pinhole are without end
MISSED_PX = 0.5  # by which a straightened pixel may miss itself: beyond, the lens was never measured


@dataclass(frozen=True, slots=True)
class Lens:
    """A calibrated lens, of the size of its camera's images.

    Attributes:
        model: brown, radial and tangential, COLMAP's OPENCV; or fisheye, COLMAP's OPENCV_FISHEYE.
        focal_px: focal lengths of columns and rows.
        centre_px: the principal point.
        distortion: coefficients, as many as `COUNTS` says.
    """

    __pydantic_config__: ClassVar = FORBID_OTHERS

    model: Model
    focal_px: tuple[float, float]
    centre_px: tuple[float, float]
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.distortion) not in COUNTS[self.model]:
            raise SurveyError(
                f"lens: {self.model} with {len(self.distortion)} coefficients; expected "
                f"{' or '.join(map(str, COUNTS[self.model]))}"
            )
        numbers = (*self.focal_px, *self.centre_px, *self.distortion)
        if not all(math.isfinite(number) for number in numbers):
            raise SurveyError(f"lens: got {numbers}; expected numbers")
        if not all(1 <= focal <= 1e6 for focal in self.focal_px) or any(abs(one) > MOST for one in self.distortion):
            raise SurveyError(
                f"lens: focal length {self.focal_px}, coefficients {self.distortion}; expected 1 to 1000000 pixels, "
                f"and coefficients within ±{MOST:g}"
            )

    @property
    def matrix(self) -> Floats:
        """The camera matrix, whose pixels have their middle at (0, 0), as OpenCV's."""
        (fx, fy), (cx, cy) = self.focal_px, self.centre_px
        return np.array([[fx, 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1]])

    def rays(self, uv_px: Floats) -> Floats:
        """Pixels (n, 2) -> where their rays meet the plane one unit ahead, to the right and down, (n, 2).

        NaN `WIDEST_DEG` off the axis and beyond, and where no ray ends in the pixel.

        Source: OpenCV, undistortPoints and fisheye.undistortPoints, to the end, and held against the projection.
        """
        import cv2  # here, as a command that measures nothing need not wait for it

        seen = np.asarray(uv_px, float).reshape(-1, 1, 2) - 0.5
        if not len(seen):
            return np.empty((0, 2))
        to_the_end = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)
        bent, matrix = np.array(self.distortion), self.matrix
        if self.model == "fisheye":
            found = cv2.fisheye.undistortPoints(seen, matrix, bent, criteria=to_the_end)
        else:
            # Before OpenCV 5 only this one iterates to the end.
            iterate = getattr(cv2, "undistortPointsIter", cv2.undistortPoints)
            found = iterate(seen, matrix, bent, R=None, P=None, criteria=to_the_end)
        rays: Floats = np.array(found, np.float64).reshape(-1, 2)
        wide = ~(np.hypot(*rays.T) < math.tan(math.radians(WIDEST_DEG)))
        rays[wide] = 0.0
        missed = np.linalg.norm(self.project(rays) - seen[:, 0] - 0.5, axis=1) > MISSED_PX
        rays[wide | missed] = np.nan
        return rays

    def project(self, rays: Floats) -> Floats:
        """The reverse of `rays`."""
        import cv2

        still, bent = np.zeros(3), np.array(self.distortion)
        ahead = np.column_stack([rays, np.ones(len(rays))]).reshape(-1, 1, 3)
        of = cv2.fisheye.projectPoints if self.model == "fisheye" else cv2.projectPoints
        pixels, *_ = of(ahead, still, still, self.matrix, bent)
        return np.asarray(pixels, np.float64).reshape(-1, 2) + 0.5
