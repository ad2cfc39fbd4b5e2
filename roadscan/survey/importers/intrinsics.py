"""Calibrations of cameras as files: COLMAP's cameras.txt, OpenCV's and ROS' YAML, JSON of the same names.

Source: COLMAP, camera models and cameras.txt; OpenCV, FileStorage and calib3d; ROS, sensor_msgs/CameraInfo.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from roadscan.errors import Malformed, NotFound, SurveyError
from roadscan.parsing import read_json, utf8
from roadscan.survey.camera import SHAPE_TOLERANCE
from roadscan.survey.importers.sources import read_file
from roadscan.survey.lens import Lens, Model
from roadscan.yamltext import read_yaml

#: COLMAP's models: whether columns and rows have a focal length each, the lens, and where its coefficients come from.
COLMAP: dict[str, tuple[bool, Model, tuple[int | None, ...]]] = {
    "SIMPLE_PINHOLE": (False, "brown", ()),
    "PINHOLE": (True, "brown", ()),
    "SIMPLE_RADIAL": (False, "brown", (0, None, None, None)),
    "RADIAL": (False, "brown", (0, 1, None, None)),
    "OPENCV": (True, "brown", (0, 1, 2, 3)),
    "FULL_OPENCV": (True, "brown", tuple(range(8))),
    "OPENCV_FISHEYE": (True, "fisheye", (0, 1, 2, 3)),
    "SIMPLE_RADIAL_FISHEYE": (False, "fisheye", (0, None, None, None)),
    "RADIAL_FISHEYE": (False, "fisheye", (0, 1, None, None)),
}
#: What files call the same: by OpenCV's calibration sample, ROS, Kalibr's converters, and scripts after tutorials.
MATRIX = ("camera_matrix", "cameraMatrix", "Camera_Matrix", "intrinsic_matrix", "mtx", "K")
DISTORTION = (
    "distortion_coefficients", "Distortion_Coefficients", "dist_coeffs", "distCoeffs", "dist_coeff", "dist", "D"
)  # fmt: skip
WIDTH, HEIGHT = ("image_width", "image_Width", "width"), ("image_height", "image_Height", "height")
MODEL = ("distortion_model", "camera_model", "model")
FISHEYE = ("equidistant", "fisheye", "opencv_fisheye")


@dataclass(frozen=True)
class Calibration:
    """A lens, and the size of the images that it was calibrated with; None where the file does not say."""

    lens: Lens
    width_px: int | None
    height_px: int | None

    def of_size(self, width_px: int, height_px: int, where: str) -> Lens:
        """The lens for images of another size, scaled.

        Raises:
            SurveyError: they are of another shape, so that they were cut.
        """
        if self.width_px is None or self.height_px is None:
            return self.lens
        if abs(width_px * self.height_px / (height_px * self.width_px) - 1) > SHAPE_TOLERANCE:
            raise SurveyError(
                f"{where}: calibrated with images of {self.width_px}x{self.height_px}, and those of the drive are "
                f"{width_px}x{height_px}; expected the same shape: calibrate with the drive's own"
            )
        across, down = width_px / self.width_px, height_px / self.height_px
        (fx, fy), (cx, cy) = self.lens.focal_px, self.lens.centre_px
        return replace(self.lens, focal_px=(fx * across, fy * down), centre_px=(cx * across, cy * down))


def read_calibration(uri: str, camera_id: str, model: Model | None = None) -> Calibration:
    """The calibration of a camera.

    Args:
        uri: the file, told apart by its content.
        camera_id: of cameras.txt with several cameras the one with this CAMERA_ID.
        model: the lens, where the file does not say: OpenCV writes fisheyes as it does others.

    Raises:
        SurveyError: it is missing, is none, or of a lens that is not known.
    """
    where = f"intrinsics: {uri}"
    try:
        text = utf8(read_file(uri)).decode("utf-8-sig")
        if re.search(r"^\d+\s+[A-Z_]+\s+\d+\s+\d+\s", text, re.MULTILINE) and not text.lstrip().startswith("{"):
            return _from_colmap(text, camera_id, where)
        found = read_json(text) if text.lstrip().startswith("{") else _yaml(text)
        return _from_names(found, model, where)
    except NotFound:
        raise SurveyError(f"{where} does not exist; expected cameras.txt of COLMAP, or OpenCV's YAML or JSON") from None
    except Malformed as error:
        raise SurveyError(f"{where}: {error}; expected cameras.txt of COLMAP, or OpenCV's YAML or JSON") from None


def _yaml(text: str) -> dict[str, Any]:
    """FileStorage's YAML has a directive that is no YAML, and types of its own."""
    found = read_yaml(re.sub(r"!!opencv-\S+|^%YAML\S*.*$|^---\s*$", "", text, flags=re.MULTILINE))
    if not isinstance(found, dict):
        raise Malformed("no mapping of names")
    return found


def _from_colmap(text: str, camera_id: str, where: str) -> Calibration:
    rows = {cells[0]: cells[1:] for line in text.splitlines() if (cells := line.split()) and not line.startswith("#")}
    chosen = next(iter(rows)) if len(rows) == 1 else camera_id
    if chosen not in rows:
        raise SurveyError(
            f"{where} has the cameras {', '.join(list(rows)[:6])}; expected {camera_id!r} among them, or one alone"
        )
    name, width, height, *values = row = rows[chosen]
    if name not in COLMAP:
        raise SurveyError(f"{where}: the model is {name}; expected one of {', '.join(COLMAP)}")
    two, model, places = COLMAP[name]
    try:
        numbers = [float(value) for value in values]
        size = int(width), int(height)
    except ValueError:
        raise Malformed(f"{' '.join(row)!r} is no camera") from None
    expected = 3 + two + sum(place is not None for place in places)
    if len(numbers) != expected or min(size) < 1:
        raise Malformed(f"{name} with {len(numbers)} parameters, expected {expected}")
    focal, (cx, cy, *bent) = (numbers[0], numbers[1] if two else numbers[0]), numbers[1 + two :]
    distortion = tuple(0.0 if place is None else bent[place] for place in places)
    return Calibration(Lens(model, focal, (cx, cy), distortion), *size)


def _from_names(found: dict[str, Any], model: Model | None, where: str) -> Calibration:
    matrix, bent = _numbers(found, MATRIX), _numbers(found, DISTORTION)
    if matrix is None or len(matrix) != 9:
        raise Malformed(f"no camera matrix of 3x3 as {' or '.join(MATRIX)}")
    (width,), (height,) = (_numbers(found, names) or (None,) for names in (WIDTH, HEIGHT))
    said = str(next((found[name] for name in MODEL if name in found), "")).lower()
    model = model or ("fisheye" if said in FISHEYE or found.get("fisheye") is True else "brown")
    fx, skew, cx, _, fy, cy, *_ = matrix
    if abs(skew) > 1e-3 * fx:
        raise Malformed(f"a camera matrix with a skew of {skew:g}, expected 0")
    distortion = list(bent or ())
    if model == "brown":
        while distortion and distortion[-1] == 0 and len(distortion) > 8:  # of the thin prism and the tilt
            distortion.pop()
        if not any(distortion):
            distortion = []
    try:
        # Its pixels have their middle at (0, 0).
        lens = Lens(model, (fx, fy), (cx + 0.5, cy + 0.5), tuple(distortion))
    except SurveyError as error:
        raise SurveyError(f"{where}: {error}") from None
    if width is None or height is None:
        return Calibration(lens, None, None)
    if min(width, height) < 1:
        raise Malformed(f"images of {width:g}x{height:g}, expected their size")
    return Calibration(lens, int(width), int(height))


def _numbers(found: dict[str, Any], names: tuple[str, ...]) -> tuple[float, ...] | None:
    """What a file has under one of some names, as numbers: itself, its `data`, or rows of them."""
    value = next((found[name] for name in names if name in found), None)
    if isinstance(value, dict):
        value = value.get("data")
    if value is None:
        return None
    flat = [value]
    while any(isinstance(one, list) for one in flat):
        flat = [inner for one in flat for inner in (one if isinstance(one, list) else [one])]
    if not flat or not all(isinstance(one, int | float) and math.isfinite(one) for one in flat):
        raise Malformed(f"{names[0]} is {value!r:.60}, expected numbers")
    return tuple(map(float, flat))
