"""A video's pictures: when each is shown, how large they are, and what else the file tells of the recording."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from roadscan.arrays import Floats
from roadscan.ranged import RangedFile
from roadscan.video.boxes import Movie, read_movie
from roadscan.video.decoder import SAME_S, Decoder

BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"uuid", b"moof", b"styp", b"pnot")


@dataclass(frozen=True, eq=False)
class Recording:
    """What is known of a video, the pictures not decoded.

    Attributes:
        time_s: of each picture, in the order they are shown, seconds after the start, (n,).
        height_px, width_px: of a picture, upright.
        made_at: when it was recorded, by the camera's clock; None where the file does not say.
        movie: the file's boxes; None where it is no MP4 or MOV.
        lost: pictures that the index promises after the end of the file.
        sphere: what it says of its pictures being panoramas, see `sphere_of`.
    """

    time_s: Floats
    height_px: int
    width_px: int
    made_at: datetime | None
    movie: Movie | None
    lost: int = 0
    sphere: dict[str, str] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Until the last picture has been shown as long as most are."""
        return float(self.time_s[-1] + np.median(np.diff(self.time_s))) if len(self.time_s) > 1 else 0.0


def look(file: RangedFile) -> Recording:
    """A video -> what is known of it; of MP4 and MOV by their index alone, of others by all of their packets.

    Raises:
        Malformed: it is no video, or not whole; with the reason.
        StorageError: the store did not give it.
    """
    movie = read_movie(file) if file.read_at(4, 8) in BOXES else None
    track = next((track for track in movie.tracks if track.handler == b"vide"), None) if movie else None
    decoder = Decoder(file)
    try:
        first_s, picture = decoder.first()
        start_s = decoder.start_s
        height, width = picture.shape[:2]
        made_at, sphere = movie.made_at if movie else None, track.sphere if track else {}
        recording = Recording(np.empty(0), height, width, made_at, movie, sphere=sphere)
        if movie is not None and track is not None and track.plain:
            whole = track.samples.offset + track.samples.size <= movie.size
            times = np.unique(track.time_s[whole]) - start_s
            if len(times) and np.abs(times - first_s).min() <= SAME_S:
                return replace(recording, time_s=times, lost=int((~whole).sum()))
        return replace(recording, time_s=decoder.times())
    finally:
        decoder.close()
