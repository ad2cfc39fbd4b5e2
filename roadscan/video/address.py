"""The address of one picture of a video: that of the file, and its time in it, ``recordings/GX010001.MP4#t=12.345678``.

Source: W3C Media Fragments URI 1.0, section 4.2.1, temporal dimension in normal play time. A player that is given the
address goes to the picture. Six decimals tell any two pictures apart, up to a clock of 1 MHz.
"""

from __future__ import annotations

import re

VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".ts", ".mts", ".m2ts", ".360", ".insv", ".lrv")
_PICTURE = re.compile(rf"(.+(?:{'|'.join(map(re.escape, VIDEOS))}))#t=([0-9]{{1,9}}\.[0-9]{{6}})", re.IGNORECASE)


def address(video: str, at_s: float) -> str:
    """The address, or key, of a video's picture at a time in it, in seconds.

    >>> address("sd/GX010001.MP4", 12.5)
    'sd/GX010001.MP4#t=12.500000'
    """
    return f"{video}#t={at_s:.6f}"


def split(uri: str) -> tuple[str, float] | None:
    """The address, or key, of a picture -> that of its video, and its time in seconds; None where it is a file's own.

    >>> split("s3://raw/GX010001.MP4#t=12.500000"), split("s3://raw/no#t=1.jpg")
    (('s3://raw/GX010001.MP4', 12.5), None)
    """
    match = _PICTURE.fullmatch(uri)
    return (match[1], float(match[2])) if match else None
