"""The pictures of a video, by their times: decoded from the nearest key frame before on to the one asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from roadscan.arrays import Floats, Image
from roadscan.errors import Malformed, NotAnImage, RoadscanError
from roadscan.ranged import RangedFile
from roadscan.shown import said

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

SAME_S = 0.0005  # two times of one picture; pictures are further apart at 1,000 a second
JUMP_S = 5.0  # of a container without an index: to look for a key frame costs reading, and so does decoding so long
#: Seconds before a time from which it is decoded: its key frame may not be enough for what is shown before that one.
BACK_S = 0.0, 1.0, 5.0, 30.0
TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, -180: cv2.ROTATE_180, -90: cv2.ROTATE_90_CLOCKWISE}


class Decoder:
    """An opened video. Times are seconds after its start; asking in their order decodes no picture twice.

    Args:
        file: the video, which stays open until the decoder is closed, and after that.
        threads: of the codec, where a picture has several slices.

    Attributes:
        start_s: when the video starts by the clock of its pictures.

    Raises:
        Malformed: it cannot be opened as a video.
        StorageError: the store did not give it.
    """

    def __init__(self, file: RangedFile, threads: int = 1) -> None:
        from av.stream import Discard

        self._file = file
        file.seek(0)
        with reading(file, "video"):
            self._container = _open(file)
            self._stream = _video(self._container)
            for stream in self._container.streams:
                if stream is not self._stream:
                    stream.discard = Discard.all
            self._stream.codec_context.thread_count = threads
            # Not whole frames side by side: of damage one would learn some packets late.
            self._stream.thread_type = "SLICE"
        self.start_s = (self._container.start_time or 0) / 1e6
        self._unit = float(self._stream.time_base or 1)
        self._frames: Iterator[VideoFrame] = self._decoded()
        self._next: VideoFrame | None = None
        self._gap_s = 0.0, 0.0  # between two pictures: nothing can be decoded there

    @property
    def stored_hw(self) -> tuple[int, int]:
        """Height and width of its pictures before they are turned."""
        return self._stream.codec_context.height, self._stream.codec_context.width

    def first(self) -> tuple[float, Image]:
        """The first picture that can be decoded, and its time.

        Raises:
            Malformed: there is none.
            StorageError: the store did not give it.
        """
        frame = self._peek()
        if frame is None:
            raise Malformed("none of its pictures can be decoded")
        return self._time_of(frame), self._upright(frame)

    def picture(self, at_s: float) -> Image:
        """The picture of a time, (h, w, 3) BGR, upright and with square pixels.

        Raises:
            Malformed: there is none, or it is damaged.
            StorageError: the store did not give it.
        """
        lost = Malformed(f"no picture can be decoded at {at_s:.6f} s of the video")
        if self._gap_s[0] < at_s < self._gap_s[1]:
            raise lost
        for back_s in BACK_S:
            if back_s or self._must_jump(at_s):
                self._jump(at_s - back_s)
            first = self._peek()
            if first is not None and self._time_of(first) <= at_s + SAME_S:
                break
        passed_s = at_s
        while (frame := self._peek()) is not None and self._time_of(frame) < at_s - SAME_S:
            passed_s, self._next = self._time_of(frame), None
        if frame is None or self._time_of(frame) > at_s + SAME_S:
            self._gap_s = passed_s + SAME_S, math.inf if frame is None else self._time_of(frame) - SAME_S
            raise lost
        return self._upright(frame)

    def times(self) -> Floats:
        """When each picture is shown, in order, from all packets of the file; nothing is decoded, and the place lost.

        Raises:
            Malformed, StorageError: as the decoder.
        """
        times = []
        with reading(self._file, "video"):
            self._container.seek(0)
            for packet in self._container.demux(self._stream):
                shown = packet.pts if packet.pts is not None else packet.dts
                if shown is not None and not packet.is_discard:
                    times.append(shown * self._unit - self.start_s)
        return np.unique(np.array(times))

    def close(self) -> None:
        """Let go of the video."""
        self._frames = iter(())
        self._next = None
        self._container.close()

    def _time_of(self, frame: VideoFrame) -> float:
        return (frame.pts or 0) * self._unit - self.start_s

    def _peek(self) -> VideoFrame | None:
        """The next picture that has not been gone past; None at the end."""
        if self._next is None:
            with reading(self._file, "video"):
                self._next = next(self._frames, None)
        return self._next

    def _decoded(self) -> Iterator[VideoFrame]:
        """Pictures from here on, without those that damage may show in: from it up to the next key frame.

        What the codec makes up for what is lost looks like a picture, and only the first one of such is marked.
        """
        import av

        damaged_from: int | None = None
        for packet in self._container.demux(self._stream):
            try:
                frames = self._stream.codec_context.decode(packet)
            except av.error.FFmpegError:
                damaged_from = packet.pts if damaged_from is None else damaged_from
                continue
            for frame in frames:
                if frame.is_corrupt and damaged_from is None:
                    damaged_from = frame.pts
                if damaged_from is None or (frame.pts or 0) < damaged_from:
                    yield frame
                elif frame.key_frame and not frame.is_corrupt:
                    damaged_from = None
                    yield frame

    def _must_jump(self, at_s: float) -> bool:
        """Whether decoding on from here never comes to a time, or later than from a key frame before it."""
        frame = self._peek()
        if frame is None or self._time_of(frame) > at_s + SAME_S:
            return True
        index = self._stream.index_entries
        wanted = round((at_s + self.start_s) / self._unit)
        place = index.search_timestamp(wanted, backward=True) if len(index) else -1
        if place < 0:
            return at_s - self._time_of(frame) > JUMP_S
        return index[place].timestamp > (frame.pts or 0)

    def _jump(self, at_s: float) -> None:
        """Go to the last key frame up to a time."""
        self._next = None
        with reading(self._file, "video"):
            self._container.seek(
                round((at_s + self.start_s) / self._unit), stream=self._stream, backward=True, any_frame=False
            )
            self._stream.codec_context.flush_buffers()
        self._frames = self._decoded()

    def _upright(self, frame: VideoFrame) -> Image:
        ratio = self._stream.sample_aspect_ratio or 1
        width = round(frame.width * float(ratio)) if ratio != 1 else frame.width
        with reading(self._file, "video"):
            image: Any = frame.to_ndarray(format="bgr24", width=width, height=frame.height)
        turn = TURNS.get(round(frame.rotation / 90) * 90)
        return np.asarray(image if turn is None else cv2.rotate(image, turn), np.uint8)


@contextmanager
def reading(file: RangedFile, what: str) -> Iterator[None]:
    """FFmpeg at work on a file: what it raises, and what the store did not give, as errors of ours.

    Raises:
        StorageError: the store did not give what was asked for, which FFmpeg may have taken for the file's end.
        Malformed: FFmpeg cannot use the file.
    """
    file.failure = None
    try:
        yield
    except RoadscanError:
        raise
    except Exception as error:  # noqa: BLE001 - what FFmpeg and its binding raise is not ours to list
        if file.failure is None:
            raise Malformed(f"not a {what} that can be read ({said(error)})") from None
    if file.failure is not None:
        raise file.failure


def _open(file: RangedFile) -> InputContainer:
    import av

    return av.open(file, "r", metadata_errors="replace")


def _video(container: InputContainer) -> VideoStream:
    """The first stream of moving pictures; a cover is none.

    Raises:
        NotAnImage: there is none.
    """
    import av

    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise NotAnImage("it has no video stream")
