"""Whether a JPEG that has its end marker lost a part of its data, which decoders make up in silence.

So it is where a file was cut and closed, or a disk or a network wrote zeros over a part of it. A damaged progressive
JPEG is only less sharp, which is not seen here; nor is every flipped bit.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from roadscan.parsing import JPEG

END_OF_IMAGE = b"\xff\xd9"
HUFFMAN_TABLE, START_OF_SCAN = 0xC4, 0xDA
SEQUENTIAL = (0xC0, 0xC1)  # frames whose one scan has all of a block's data together
AC_OF_LUMINANCE = 0x10  # class and number of a table

MID_GREY = 128  # in every channel of a block that has no data
MORE = b"\x5a\xa5\x3c" * 1000  # data that no end-of-image marker lies in
ZEROS = bytes(64)  # with a usual table: two blocks or more, all of whose coefficients are -1


def is_damaged(data: bytes, pixels: npt.NDArray[np.uint8], flags: int = cv2.IMREAD_COLOR) -> bool:
    """Whether a part of the picture is not what the camera saw.

    Args:
        data: the file.
        pixels: (h, w, 3) or (h, w), what `cv2.imdecode` made of it.
        flags: it was called with.
    """
    return data.startswith(JPEG) and (_overwritten(data) or _ran_out(data, pixels, flags))


def _overwritten(jpeg: bytes) -> bool:
    """Whether there are zeros in the scan that no encoder wrote: unless zeros are its code for the end of a block.

    Source: ITU-T T.81, B.2.4.2 and K.3.3.
    """
    at, sequential, first = 2, False, 0
    while jpeg[at : at + 1] == b"\xff" and at + 4 <= len(jpeg):
        marker, start, end = jpeg[at + 1], at + 4, at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if marker in SEQUENTIAL:
            sequential = True
        elif marker == HUFFMAN_TABLE:
            first = _first_symbol(jpeg[start:end], AC_OF_LUMINANCE) or first
        elif marker == START_OF_SCAN:
            return sequential and first != 0 and jpeg.find(ZEROS, end, jpeg.find(END_OF_IMAGE, end)) >= 0
        at = end
    return False


def _first_symbol(tables: bytes, wanted: int) -> int:
    """What the code of zeros means in one of the tables of a segment; 0, the end of a block, where it is not there."""
    at = 0
    while at + 17 < len(tables):
        if tables[at] == wanted:
            return tables[at + 17]
        at += 17 + sum(tables[at + 1 : at + 17])
    return 0


def _ran_out(jpeg: bytes, pixels: npt.NDArray[np.uint8], flags: int) -> bool:
    """Whether the data end before the picture does: the last block is grey, and more data before the end change that.

    Source: libjpeg, jdhuff.c, insufficient_data.
    """
    # A pixel of the last block is in one of the corners, however the picture is turned or reduced.
    if not any((pixels[row, column] == MID_GREY).all() for row in (0, -1) for column in (0, -1)):
        return False
    end = jpeg.rfind(END_OF_IMAGE)
    longer = cv2.imdecode(np.frombuffer(jpeg[:end] + MORE + jpeg[end:], np.uint8), flags)
    return longer is None or not np.array_equal(longer, pixels)
