"""A drive from an hour of video, and what its frames cost to decode; PyAV alone.

The video is made here: noise that moves, 1920x1080 at 30 pictures a second in H.264, with GoPro's positions at 20 m/s.
Two comparisons, rounds alternate:

- The index: `roadscan ingest video` as a function, a frame each 3 m, on a disk and, with --s3, from a local S3 server
  with requests and bytes counted on the wire; against what one would write by hand to know when pictures are shown, a
  pass over all packets with PyAV.
- Decoding: the frames of one shard (512, each fifth picture) as the scan reads them; against PyAV alone, which opens
  the file, goes to the key frame before the first and decodes on, and converts the pictures that are wanted to BGR.
  Seconds are processor seconds of the process, threads included.

    python tests/benchmarks/bench_video.py [--minutes 60] [--rounds 3] [--frames 512] [--keep FOLDER] [--s3]
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.requests_counted import counted_requests
from support.videos import START, east, gpmf

from roadscan.demo.server import s3_server
from roadscan.storage import open_store
from roadscan.survey.drive import read_drive
from roadscan.survey.importers import ingest, ingest_config
from roadscan.video.pictures import Pictures

WIDTH, HEIGHT, RATE = 1920, 1080, 30
BITS_A_SECOND = 8_000_000
PART_S = 20  # encoded, and its packets written again and again


def write(path: Path, minutes: int) -> None:
    """The video: a noise four times as large as a picture, across which these move."""
    rng = np.random.default_rng(0)
    noise = cv2.resize(rng.integers(0, 255, (270, 480, 3), np.uint8), (2 * WIDTH, 2 * HEIGHT))
    part = path.with_name("part.mp4")
    with av.open(str(part), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "g": str(RATE), "bf": "0"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", BITS_A_SECOND
        for number in range(PART_S * RATE):
            x, y = 3 * number % WIDTH, number % HEIGHT
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(noise[y : y + HEIGHT, x : x + WIDTH]), "bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path), "w") as container, av.open(str(part)) as source:
        stream = container.add_stream_from_template(source.streams.video[0])
        data = container.add_data_stream("bin_data")
        data.time_base = Fraction(1, 1000)
        packets = [packet for packet in source.demux(video=0) if packet.pts is not None]
        for repeated in range(60 * minutes // PART_S):
            for number, packet in enumerate(packets):
                if number % RATE == 0:
                    container.mux(_positions(data, PART_S * repeated + number // RATE))
                copy, after = av.Packet(bytes(packet)), int(repeated * PART_S / packet.time_base)
                copy.stream, copy.time_base, copy.is_keyframe = stream, packet.time_base, packet.is_keyframe
                copy.pts, copy.dts, copy.duration = packet.pts + after, packet.dts + after, packet.duration
                container.mux(copy)
    part.unlink()


def _positions(stream: av.stream.Stream, second: int) -> av.Packet:
    packet = av.Packet(gpmf([east(second + part / 18) for part in range(18)], START + timedelta(seconds=second)))
    packet.stream, packet.time_base, packet.pts, packet.dts, packet.duration = (
        stream, Fraction(1, 1000), 1000 * second, 1000 * second, 1000,
    )  # fmt: skip
    return packet


def times_by_hand(path: Path) -> int:
    """How many pictures, by a pass over all packets."""
    with av.open(str(path)) as container:
        return sum(packet.pts is not None for packet in container.demux(video=0))


def drive_of(source: str, out: Path) -> int:
    """How many frames of a drive."""
    camera = "cameras=[{hfov_deg: 90}]"
    return ingest(ingest_config("video", source, out, [camera])).usable


def pictures_by_hand(path: Path, times_s: list[float]) -> int:
    """Sum of the pictures of some times, in order, as PyAV alone gives them."""
    wanted = {round(at_s * 1e6) for at_s in times_s}
    total = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        unit = stream.time_base or Fraction(1)
        container.seek(round(times_s[0] / unit), stream=stream)
        for frame in container.decode(stream):
            if round(frame.pts * unit * 1_000_000) in wanted:
                total += int(frame.to_ndarray(format="bgr24")[::50, ::50].sum())
            if frame.pts * unit >= times_s[-1]:
                break
    return total


def pictures_of_a_shard(path: Path, keys: list[str]) -> int:
    """The same, as a scan reads them."""
    with Pictures(open_store(path.parent)) as pictures:
        return sum(int(pictures.read(key, 64.0)[::50, ::50].sum()) for key in keys)


def alternate(ways: dict[str, Callable[[], int]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """The median of seconds of each way; all must give the same number."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        given = {}
        for name, way in ways.items():
            started = clock()
            given[name] = way()
            spent[name].append(clock() - started)
    print(", ".join(f"{name}: {number}" for name, number in given.items()))
    return {name: statistics.median(values) for name, values in spent.items()}


def show(title: str, seconds: dict[str, float], each: float, unit: str) -> None:
    """A table with ratios to the first."""
    first = next(iter(seconds.values()))
    print(f"\n{title}")
    for name, value in seconds.items():
        print(f"  {name:44s} {value * each:9.3f} {unit}   {value / first:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=512, help="of a shard")
    parser.add_argument("--keep", type=Path, help="folder of the video, used again where it is there")
    parser.add_argument("--s3", action="store_true", help="the index from an S3 server too")
    arguments = parser.parse_args()
    logging.disable()
    cv2.setNumThreads(1)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = arguments.keep or scratch
        path = folder / f"GX01{arguments.minutes:04d}.MP4"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write(path, arguments.minutes)
        size_gb = path.stat().st_size / 1e9
        print(f"{arguments.minutes} minutes of {WIDTH}x{HEIGHT}, {size_gb:.2f} GB, {os.cpu_count()} cores")

        ways = {
            "all packets by PyAV": lambda: times_by_hand(path),
            "a drive, from a disk": lambda: drive_of(str(path), scratch / "drive"),
        }
        show("index, wall seconds", alternate(ways, arguments.rounds, time.perf_counter), 1, "s")
        if arguments.s3:
            stack.enter_context(s3_server(scratch / "s3", ("raw",)))
            open_store("s3://raw").write(path.name, path.read_bytes())
            with counted_requests() as asked:
                started = time.perf_counter()
                drive_of(f"s3://raw/{path.name}", scratch / "again")
                took_s = time.perf_counter() - started
                print(f"  a drive, from S3: {took_s:.1f} s, {asked.told()}, {asked.down / 1e6:.1f} MB")

        keys = read_drive(str(scratch / "drive")).frames["image_uri"].to_pylist()
        start = len(keys) // 3
        keys = keys[start : start + arguments.frames]
        times_s = [float(key.partition("#t=")[2]) for key in keys]
        seconds = alternate(
            {
                "PyAV alone": lambda: pictures_by_hand(path, times_s),
                "as a scan reads them": lambda: pictures_of_a_shard(path, keys),
            },
            arguments.rounds,
            time.process_time,
        )
        show(f"decoding {len(keys)} frames, processor time a frame", seconds, 1e3 / len(keys), "ms")


if __name__ == "__main__":
    main()
