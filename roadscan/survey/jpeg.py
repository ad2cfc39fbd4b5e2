"""What a JPEG's bytes tell without decoding them."""

from __future__ import annotations


def is_whole(jpeg: bytes) -> bool:
    """Whether the main image of a JPEG has its end marker; some decoders fill a truncated one with grey, silently.

    Walks the segments up to the first scan, so that the end marker of a thumbnail does not count, nor what a phone
    appends to a motion photo. In a scan's data a 0xFF byte is always stuffed, so 0xFFD9 there is the end.

    Source: ITU-T T.81, B.1.1.
    """
    at = jpeg.find(b"\xff", 2)
    while 0 <= at <= len(jpeg) - 4:
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xDA:
            return jpeg.find(b"\xff\xd9", at + 2 + length) >= 0
        at = jpeg.find(b"\xff", at + 2 + length)  # some cameras pad between segments
    return False
