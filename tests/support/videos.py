"""Recordings as road cameras write them: real containers of pictures that say their number, and real telemetry."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import reduce
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 320, 180
CELLS = 4, 3  # of a picture's number in binary, across and down
CLOCK = Fraction(1, 1000)
START = datetime(2026, 11, 1, 3, tzinfo=UTC)
LON, LAT = 100.5, 13.75
#: A degree of longitude at 13.75 N: 111319.49 cos(13.75°) / sqrt(1 - 0.00669438 sin²(13.75°)) m.
DEGREE_M = 108_149.5
Pixels = npt.NDArray[np.uint8]


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """A picture (h, w, 3) BGR that says its number, up to 4095; its first cell is blue, so that its turn is seen."""
    cells = np.array(
        [[40 + 180 * (number >> (row * CELLS[0] + col) & 1) for col in range(CELLS[0])] for row in range(3)]
    )
    grey = cv2.resize(cells.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    image = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    image[: height // 12, : width // 16] = 255, 0, 0
    return image


def number_of(image: Pixels) -> int:
    """The number that a picture says."""
    height, width = image.shape[0] / CELLS[1], image.shape[1] / CELLS[0]
    number = 0
    for bit in range(CELLS[0] * CELLS[1]):
        row, col = divmod(bit, CELLS[0])
        middle = image[round((row + 0.6) * height), round((col + 0.6) * width)]
        number |= int(middle.mean() > 130) << bit
    return number


def record(
    path: Path,
    times_ms: Sequence[int],
    *,
    codec: str = "libx264",
    b_frames: int = 2,
    key_every: int = 25,
    movflags: str = "",
    samples: Sequence[tuple[int, int, bytes]] = (),
    made_at: datetime | None = None,
    turn_deg: int = 0,
    pixel_shape: Fraction | None = None,
    draw: Callable[[int], Pixels] = picture,
) -> Path:
    """Write a video of the pictures 0, 1, … without sound.

    Args:
        path: its suffix says the container.
        times_ms: when each picture is shown.
        codec: its encoder.
        b_frames: pictures that depend on later ones, in a row.
        key_every: pictures.
        movflags: of FFmpeg's writer, such as ``frag_keyframe+empty_moov``.
        samples: (start, duration, payload) in milliseconds of a second track, in GoPro's format.
        made_at: goes into the header.
        turn_deg: counterclockwise, by which a player turns it.
        pixel_shape: width by height of a pixel.
        draw: the picture of a number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": movflags} if movflags else {}
    with av.open(str(path), "w", options=options) as container:
        if made_at is not None:
            container.metadata["creation_time"] = made_at.isoformat()
        height, width = draw(0).shape[:2]
        stream = container.add_stream(codec, rate=25, options={"bf": str(b_frames), "g": str(key_every), "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = CLOCK
        stream.codec_context.thread_count = 1
        if pixel_shape is not None:
            stream.codec_context.sample_aspect_ratio = pixel_shape
        if turn_deg:
            stream.set_display_rotation(turn_deg)
        data = container.add_data_stream("bin_data") if samples else None
        if data is not None:
            data.time_base = CLOCK
        packets = []
        for number, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(draw(number), "bgr24")
            frame.pts, frame.time_base = time_ms, CLOCK
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for start_ms, duration_ms, payload in samples:
            packet = av.Packet(payload)
            packet.stream, packet.time_base = data, CLOCK
            packet.pts = packet.dts = start_ms
            packet.duration = duration_ms
            packets.append(packet)
        container.mux(sorted(packets, key=lambda packet: float(packet.dts * packet.time_base)))
    return path


def east(at_s: float, speed_mps: float = 20.0) -> tuple[float, float]:
    """(longitude, latitude) of a vehicle that drives east from the start of the recording."""
    return LON + speed_mps * at_s / DEGREE_M, LAT


def _entry(key: bytes, kind: bytes, width: int, data: bytes) -> bytes:
    return key + struct.pack(">cBH", kind, width, len(data) // width) + data + bytes(-len(data) % 4)


def gpmf(points: Sequence[tuple[float, float]], utc: datetime, *, fixed: int = 3, dop: float = 1.2) -> bytes:
    """A second of a GoPro up to HERO10: positions (longitude, latitude), one time and one precision for all of them."""
    stream = b"".join(
        (
            _entry(b"STNM", b"c", 43, b"GPS (Lat., Long., Alt., 2D speed, 3D speed)"),
            _entry(b"GPSF", b"L", 4, struct.pack(">I", fixed)),
            _entry(b"GPSU", b"U", 16, utc.strftime("%y%m%d%H%M%S.%f")[:16].encode()),
            _entry(b"GPSP", b"S", 2, struct.pack(">H", round(dop * 100))),
            _entry(b"SCAL", b"l", 4, struct.pack(">5i", 10_000_000, 10_000_000, 1000, 1000, 100)),
            _entry(
                b"GPS5",
                b"l",
                20,
                b"".join(
                    struct.pack(">5i", round(lat * 1e7), round(lon * 1e7), 9_000, 20_000, 2_000) for lon, lat in points
                ),
            ),
        )
    )
    return _device(stream)


def gpmf9(points: Sequence[tuple[float, float]], utc: datetime, *, fixed: int = 3, dop: float = 1.2) -> bytes:
    """A second of a GoPro from HERO11 on: each position with its own time and precision."""
    rows = []
    for number, (lon, lat) in enumerate(points):
        since = utc + timedelta(seconds=number / len(points)) - datetime(2000, 1, 1, tzinfo=UTC)
        rows.append(
            struct.pack(
                ">7i2H", round(lat * 1e7), round(lon * 1e7), 9_000, 20_000, 2_000, since.days,
                since.seconds * 1000 + since.microseconds // 1000, round(dop * 100), fixed,
            )
        )  # fmt: skip
    scale = 10_000_000, 10_000_000, 1000, 1000, 100, 1, 1000, 100, 1
    return _device(
        _entry(b"TYPE", b"c", 1, b"lllllllSS")
        + _entry(b"SCAL", b"l", 4, struct.pack(">9i", *scale))
        + _entry(b"GPS9", b"?", 32, b"".join(rows))
    )


def _device(stream: bytes) -> bytes:
    inner = _entry(b"DVID", b"L", 4, struct.pack(">I", 1)) + _entry(b"DVNM", b"c", 6, b"Camera")
    return _entry(b"DEVC", b"\0", 1, inner + _entry(b"STRM", b"\0", 1, stream))


def gopro(path: Path, seconds: int, *, fps: int = 25, start: datetime = START, speed_mps: float = 20.0,
          first_s: float = 0.0, payload: Callable[..., bytes] = gpmf, **more: Any) -> Path:  # fmt: skip
    """A GoPro's recording, 10 positions a second, of a vehicle that drives east; `first_s` of the drive before it."""
    samples = [
        (1000 * second, 1000,
         payload([east(first_s + second + part / 10, speed_mps) for part in range(10)],
                 start + timedelta(seconds=first_s + second)))
        for second in range(seconds)
    ]  # fmt: skip
    times = [round(1000 * number / fps) for number in range(seconds * fps)]
    return record(path, times, samples=samples, made_at=start, **more)


def camm_full(lon: float, lat: float, utc: datetime, accuracy_m: float = 1.5) -> bytes:
    """A sample of type 6 of CAMM: GPS time is 18 s ahead of UTC, and counts from 1980-01-06."""
    gps_s = (utc - datetime(1980, 1, 6, tzinfo=UTC)).total_seconds() + 18
    return struct.pack("<HHdidd7f", 0, 6, gps_s, 3, lat, lon, 9.0, accuracy_m, 3.0, 20.0, 0.0, 0.0, 0.5)


def camm_plain(lon: float, lat: float) -> bytes:
    """A sample of type 5 of CAMM: latitude, longitude, altitude."""
    return struct.pack("<HH3d", 0, 5, lat, lon, 9.0)


def relabel(path: Path, kind: bytes) -> Path:
    """Have the second track's samples be of another format than GoPro's."""
    head, entry, rest = path.read_bytes().rpartition(b"\x14gpmd")  # 20 bytes: the track's sample entry
    assert entry
    path.write_bytes(head + entry[:1] + kind + rest)
    return path


def box(kind: bytes, content: bytes) -> bytes:
    """A box of an MP4 file."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def nmea(body: str) -> str:
    """A sentence with its checksum, the XOR of the characters between $ and *."""
    return f"${body}*{reduce(lambda one, other: one ^ ord(other), body, 0):02X}"


def rmc(lon: float, lat: float, utc: datetime) -> str:
    """A position of the north-east as NMEA RMC."""

    def angle(value: float, digits: int) -> str:
        return f"{int(value):0{digits}d}{value % 1 * 60:08.5f}"

    return nmea(f"GPRMC,{utc:%H%M%S}.00,A,{angle(lat, 2)},N,{angle(lon, 3)},E,38.9,90.0,{utc:%d%m%y},,,A")


def blackvue(path: Path, seconds: int, **more: Any) -> Path:
    """A BlackVue's recording: NMEA, each sentence with the milliseconds of a clock that is 7 hours ahead of UTC."""
    record(path, range(0, seconds * 1000, 40), made_at=START, **more)
    lines = [
        f"[{round(1000 * (START + timedelta(hours=7, seconds=second)).timestamp())}]"
        f"{rmc(*east(second), START + timedelta(seconds=second))}\r\n"
        for second in range(seconds)
    ]
    free = box(b"free", box(b"cprt", b"Pittasoft") + box(b"gps ", "".join(lines).encode()))
    path.write_bytes(path.read_bytes() + free)
    return path


def novatek(path: Path, seconds: int, *, without_fix: int = 0, **more: Any) -> Path:
    """A recording of Novatek's firmware: a block a second among the pictures, and a list of them in the index."""
    blocks = []
    for second in range(seconds):
        lon, lat = east(second)
        at = START + timedelta(seconds=second)
        numbers = struct.pack(
            "<6I3sxffff", at.hour, at.minute, at.second, at.year - 2000, at.month, at.day,
            b"VNE" if second < without_fix else b"ANE",
            *(int(value) * 100 + value % 1 * 60 for value in (lat, lon)), 38.9, 90.0,
        )  # fmt: skip
        blocks.append((1000 * second, 1000, box(b"free", b"GPS " + bytes(36) + numbers + bytes(20))))
    record(path, range(0, seconds * 1000, 40), samples=blocks, made_at=START, **more)
    data = relabel(path, b"nvtk").read_bytes()
    listed, at = b"", -1
    while (at := data.find(b"freeGPS ", at + 1)) >= 0:
        listed += struct.pack(">II", at - 4, int.from_bytes(data[at - 4 : at], "big"))
    moov = data.rindex(b"moov") - 4
    length = int.from_bytes(data[moov : moov + 4], "big")
    assert moov + length == len(data)  # FFmpeg writes it last
    path.write_bytes(data[:moov] + box(b"moov", data[moov + 8 :] + box(b"gps ", bytes(8) + listed)))
    return path


def spherical(path: Path, mark: bytes) -> Path:
    """Have an MP4 say that it is a panorama, by a ``uuid`` box in its track, or by boxes in its sample entry."""
    data = path.read_bytes()
    at = data.rindex(b"moov") - 4  # behind the pictures, so that they stay where they are
    parents = [b"moov", b"trak"]
    if mark[4:8] != b"uuid":
        parents += [b"mdia", b"minf", b"stbl", b"stsd", b"avc1"]
    moov, starts, start = bytearray(data[at:]), [], 0
    for parent in parents:
        start = moov.index(parent, start) - 4
        starts.append(start)
    end = starts[-1] + int.from_bytes(moov[starts[-1] : starts[-1] + 4], "big")
    moov[end:end] = mark
    for start in starts:
        moov[start : start + 4] = (int.from_bytes(moov[start : start + 4], "big") + len(mark)).to_bytes(4, "big")
    path.write_bytes(data[:at] + bytes(moov))
    return path
