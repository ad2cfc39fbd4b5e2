"""What a video says of being a panorama, in the words of Google's Spherical Video V1.

Source: Google's Spherical Video RFC (XML in a ``uuid`` box of the track) and Spherical Video V2 RFC (the boxes ``st3d``
and ``sv3d`` of its sample description).
"""

from __future__ import annotations

import struct

from roadscan.xmp import properties

PREFIX = "GSpherical"
STEREO = {0: "mono", 1: "top-bottom", 2: "left-right", 3: "stereo-custom"}
PROJECTIONS = {b"equi": "equirectangular", b"cbmp": "cubemap", b"mshp": "mesh"}


def sphere_of(description: bytes, uuid: bytes) -> dict[str, str]:
    """The ``stsd`` and the ``uuid`` box of a track -> what it says; nothing of a plain video.

    A V2 projection that is cropped, or turned, says so as ``Bounds`` and ``Pose``.
    """
    said = properties(uuid, PREFIX)
    if said.get("Spherical", "").lower() == "true":
        said.setdefault("ProjectionType", "unknown")
    if b"sv3d" not in description:
        return said
    said["ProjectionType"] = next((name for kind, name in PROJECTIONS.items() if kind in description), "unknown")
    if (stereo := _content(description, b"st3d", ">B")) is not None:
        said["StereoMode"] = STEREO.get(stereo[0], "unknown")
    for name, kind, form in (("Bounds", b"equi", ">4I"), ("Pose", b"prhd", ">3i")):
        if any(values := _content(description, kind, form) or ()):
            said[name] = ", ".join(map(str, values))
    return said


def _content(boxes: bytes, kind: bytes, form: str) -> tuple[int, ...] | None:
    """What a full box among boxes says, after its version and flags."""
    start = boxes.find(kind) + len(kind) + 4
    if kind not in boxes or start + struct.calcsize(form) > len(boxes):
        return None
    return struct.unpack_from(form, boxes, start)
