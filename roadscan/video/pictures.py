"""The pictures of videos by their addresses, read one after another."""

from __future__ import annotations

from typing import Self

from roadscan.arrays import Image
from roadscan.errors import RoadscanError, StorageError, TooManyPixels
from roadscan.ranged import RangedFile
from roadscan.storage import Store
from roadscan.video.address import split
from roadscan.video.decoder import Decoder


class Pictures:
    """A store's videos; the last one stays open, so that its next picture is decoded on from where that was.

    Args:
        store: below which the videos lie.
        threads: of the codec.
    """

    def __init__(self, store: Store, threads: int = 1) -> None:
        self._store, self._threads = store, threads
        self._key = ""
        self._opened: tuple[RangedFile, Decoder] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, key: str, max_megapixels: float) -> Image:
        """The picture of a video's key with a time, (h, w, 3) BGR, upright.

        Args:
            key: as `address` makes it.
            max_megapixels: a larger picture is not decoded.

        Raises:
            TooManyPixels, Malformed: the picture cannot be had.
            StorageError: the store did not give the video.
        """
        video, at_s = split(key) or (key, 0.0)
        try:
            decoder = self._decoder(video)
            height, width = decoder.stored_hw
            if height * width > max_megapixels * 1e6:
                raise TooManyPixels(f"{width}x{height} px, limit {max_megapixels:g} megapixels")
            return decoder.picture(at_s)
        except StorageError:
            self.close()  # what follows starts anew
            raise

    def close(self) -> None:
        """Let go of the video that is open."""
        if self._opened is not None:
            file, decoder = self._opened
            self._key, self._opened = "", None
            decoder.close()
            file.close()

    def _decoder(self, video: str) -> Decoder:
        if self._opened is None or self._key != video:
            self.close()
            file = self._store.open(video)
            try:
                self._opened, self._key = (file, Decoder(file, self._threads)), video
            except RoadscanError:
                file.close()
                raise
        return self._opened[1]
