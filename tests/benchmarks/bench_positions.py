"""Where a frame is between the fixes of its log: the curve through them, and straight lines.

    python tests/benchmarks/bench_positions.py                     # simulated ways of half an hour
    python tests/benchmarks/bench_positions.py --log DENSE.csv     # a log of your own with five fixes a second or more

Of a way that is known each hundredth second, or of a dense log, a fix a second is kept (`--every-s`), with noise; what
lies between is held against `locate`, and against straight lines, which head from fix to fix.

Highway: bends of 150 to 1,200 m at up to 30 m/s and 2 m/s² to the side, each entered over 3 s, with straights between.
Town: turns of 8 to 15 m at two of three crossings, entered over a second, braking at 2.5 m/s², stops of up to 20 s.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.ndimage import uniform_filter1d

from roadscan.arrays import Floats
from roadscan.survey.geodesy import LocalFrame, wrap_deg
from roadscan.survey.importers.fixes import Fix
from roadscan.survey.importers.gpslog import log_of, read_log
from roadscan.survey.importers.motion import COURSE_MIN_MPS
from roadscan.survey.importers.track import locate

STEP_S = 0.01
LENGTH_S = 1800.0
SEEDS = (8111, 8112, 8113)
NOISE_M = (0.0, 0.1, 0.3)
MAX_GAP_S = 5.0
PLANE = LocalFrame(100.5, 13.75)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", help="a dense log instead: GPX, NMEA or CSV")
    parser.add_argument("--every-s", type=float, default=1.0)
    arguments = parser.parse_args()
    table = Table("way", "noise m", "between fixes", "m, median", "90 %", "most", "heading °, median", "90 %")
    ways = {"log": dense(arguments.log)} if arguments.log else {"highway": highway, "town": town}
    for name, made in ways.items():
        for noise_m in NOISE_M:
            runs = [held(made if arguments.log else made(seed), arguments.every_s, noise_m, seed) for seed in SEEDS]
            for kind, place in (("straight lines", 0), ("curve", 1)):
                off_m, off_deg = (np.concatenate([run[place][one] for run in runs]) for one in (0, 1))
                figures = [*np.percentile(off_m, [50, 90, 100]), *np.percentile(off_deg, [50, 90])]
                table.add_row(name, str(noise_m), kind, *(f"{figure:.2f}" for figure in figures))
    Console().print(table)


def held(way: tuple[Floats, Floats, Floats], every_s: float, noise_m: float, seed: int) -> list[tuple[Floats, Floats]]:
    """Of straight lines and of `locate`: metres and degrees off, wherever the vehicle moves."""
    time_s, xy, heading_deg = way
    fixed = np.unique(np.searchsorted(time_s, np.arange(time_s[0], time_s[-1], every_s)))
    said = xy[fixed] + np.random.default_rng(seed).normal(0, noise_m, (len(fixed), 2))
    speed = np.linalg.norm(np.gradient(xy, time_s, axis=0), axis=1)
    asked = np.flatnonzero((speed > COURSE_MIN_MPS) & (time_s > time_s[fixed[2]]) & (time_s < time_s[fixed[-3]]))
    asked = asked[:: max(1, len(asked) // 20_000)]
    at = (datetime.fromtimestamp(second, UTC) for second in time_s[fixed].tolist())
    log = log_of(map(Fix, at, *PLANE.to_lonlat(*said.T)), "the fixes that are kept")
    assert log is not None
    found = locate(log, time_s[asked], MAX_GAP_S)
    after = np.searchsorted(log.time_s, time_s[asked])
    straight = np.stack([np.interp(time_s[asked], log.time_s, one) for one in said.T], axis=1)
    course = np.degrees(np.arctan2(*np.diff(said, axis=0).T))[after - 1]
    curve = np.stack(PLANE.to_xy(found.lon, found.lat), axis=1)
    known = np.isfinite(found.heading_deg)
    return [
        (
            np.linalg.norm(places - xy[asked], axis=1),
            np.abs(wrap_deg(headings - heading_deg[asked]))[known],
        )
        for places, headings in ((straight, course), (curve, found.heading_deg))
    ]


def dense(uri: str) -> tuple[Floats, Floats, Floats]:
    """A dense log as the truth; it heads along the mean of a quarter of a second."""
    log = read_log(uri)
    xy = np.stack(LocalFrame(float(log.lon[0]), float(log.lat[0])).to_xy(log.lon, log.lat), axis=1)
    if np.median(np.diff(log.time_s)) > 0.21:
        raise SystemExit(f"{uri} has a fix each {np.median(np.diff(log.time_s)):.2g} s; expected five a second or more")
    before, after = (np.stack([np.interp(log.time_s + s, log.time_s, one) for one in xy.T]) for s in (-0.125, 0.125))
    return log.time_s, xy, np.degrees(np.arctan2(*(after - before)))


def highway(seed: int) -> tuple[Floats, Floats, Floats]:
    rng, speed, rate = np.random.default_rng(seed), [], []
    while sum(map(len, rate)) * STEP_S < LENGTH_S:
        radius = 150 * 8 ** rng.random()
        fast = min(30.0, np.sqrt(2 * radius))
        long, straight = rng.uniform(4, 12), rng.uniform(2, 20)
        bend = np.concatenate([np.zeros(int(straight / STEP_S)), np.full(int(long / STEP_S), fast / radius)])
        rate.append(bend * rng.choice([-1, 1]))
        speed.append(np.full(len(bend), fast))
    speeds = uniform_filter1d(np.concatenate(speed), int(8 / STEP_S))
    return driven(speeds, uniform_filter1d(np.concatenate(rate), int(3 / STEP_S)))


def town(seed: int) -> tuple[Floats, Floats, Floats]:
    rng, speed, rate = np.random.default_rng(seed), [], []
    while sum(map(len, rate)) * STEP_S < LENGTH_S:
        fast, slow, radius = rng.uniform(8, 15), rng.uniform(4, 6), rng.uniform(8, 15)
        stops = rng.random() < 0.4
        low = 0.0 if stops else slow
        brake, cruise = np.arange(fast, low, -2.5 * STEP_S), np.full(int(rng.uniform(3, 20) / STEP_S), fast)
        stand = np.zeros(int(rng.uniform(0, 20) / STEP_S)) if stops else np.empty(0)
        turn = np.full(int(np.pi / 2 * radius / slow / STEP_S), slow)
        speed += [cruise, brake, stand, np.arange(low, slow, 2 * STEP_S), turn, np.arange(slow, fast, 2 * STEP_S)]
        before = sum(map(len, speed)) - sum(map(len, rate)) - len(speed[-1]) - len(turn)
        side = rng.choice([-1, 0, 1])
        rate += [np.zeros(before), side * turn / radius, np.zeros(len(speed[-1]))]
    speeds = uniform_filter1d(np.concatenate(speed), int(0.5 / STEP_S))
    return driven(speeds, uniform_filter1d(np.concatenate(rate), int(1 / STEP_S)))


def driven(speed: Floats, rate: Floats) -> tuple[Floats, Floats, Floats]:
    """Times, places and headings of a vehicle by its speed and by how fast it turns, radians a second."""
    heading = np.cumsum(rate) * STEP_S
    xy = np.cumsum(speed[:, None] * STEP_S * np.stack([np.sin(heading), np.cos(heading)], axis=1), axis=0)
    return np.arange(len(speed)) * STEP_S, xy, np.degrees(heading)


if __name__ == "__main__":
    main()
