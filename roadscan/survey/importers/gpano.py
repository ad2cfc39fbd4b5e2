"""What an image, or a video, says of being a panorama: all of a sphere, equirectangular, and how it was held.

Source: Photo Sphere XMP Metadata (GPano), for images; Google's Spherical Video RFC (GSpherical), for videos, whose
properties have the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from roadscan.parsing import finite_number
from roadscan.survey.camera import is_sphere

CUT = "cut it into views of at most 120 degrees, each of a camera with its mount_yaw_deg"
#: The whole sphere and what there is of it, across and down.
SIDES = (
    ("FullPanoWidthPixels", "CroppedAreaImageWidthPixels"),
    ("FullPanoHeightPixels", "CroppedAreaImageHeightPixels"),
)


@dataclass(frozen=True, slots=True)
class Panorama:
    """A whole equirectangular panorama.

    Attributes:
        heading_deg: of its middle column, clockwise from north; None where it does not say.
        pitch_deg: of its middle above the horizon.
        roll_deg: clockwise, as its camera was.
    """

    heading_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None


def panorama_of(told: Mapping[str, str], width_px: int, height_px: int) -> Panorama | str | None:
    """What properties of GPano or GSpherical say -> the panorama; why it is none that can be used; None: none is said.

    Args:
        told: by name, without their prefix.
        width_px: of the image.
        height_px: likewise.
    """
    projection = told.get("ProjectionType", "").lower()
    if not projection:
        return None
    if projection != "equirectangular":
        return f"a {projection} panorama, which is neither equirectangular nor a camera's view; {CUT}"
    for whole, part in SIDES:
        sizes = finite_number(told.get(whole)), finite_number(told.get(part))
        if None not in sizes and sizes[0] != sizes[1]:
            return (
                f"a part of a panorama: {part} is {told[part]} of {whole} {told[whole]}; expected all of it, or {CUT}"
            )
    for name in ("Bounds", "Pose"):
        if name in told:
            return (
                f"a panorama that its video says to be cut or turned ({name} {told[name]}); expected a whole, level one"
            )
    if stereo := told.get("StereoMode", "mono").lower().replace("mono", ""):
        return f"a stereo panorama ({stereo}), two pictures in one; expected one of them"
    if not is_sphere(width_px, height_px):
        return (
            f"it says that it is a whole equirectangular panorama, and is {width_px}x{height_px}; expected twice as "
            "wide as high"
        )
    heading, pitch, roll = (finite_number(told.get(f"Pose{name}Degrees")) for name in ("Heading", "Pitch", "Roll"))
    return Panorama(heading if heading is None else heading % 360, pitch, roll)
