"""Milliseconds a simulated frame takes on one core, JPEG included: `python tests/benchmarks/bench_simulate.py`."""

from __future__ import annotations

import statistics
import time

from roadscan.simulate import SimulationConfig
from roadscan.simulate.frames import Job, make_night, shoot
from roadscan.simulate.world.conditions import CONDITIONS

SIZES = ((1280, 720), (1920, 1080), (3840, 2160))
FRAMES = 25


def main() -> None:
    print(f"{'size':>10} {'condition':>10} {'median ms':>10} {'worst ms':>10}   (CPU time of one core)")
    for width, height in SIZES:
        for name in CONDITIONS:
            config = SimulationConfig.model_validate(
                {"seed": 7, "length_km": 2.0, "conditions": [name], "width_px": width, "height_px": height}
            )
            frames = range(0, len(make_night(config, 1).trajectory), 7)[:FRAMES]
            shoot(Job(config, 1, 0))  # textures and sky are painted once a process
            times = []
            for frame in frames:
                start = time.process_time()
                shoot(Job(config, 1, frame))
                times.append(1000 * (time.process_time() - start))
            print(f"{width:>5}x{height:<4} {name:>10} {statistics.median(times):>10.1f} {max(times):>10.1f}")


if __name__ == "__main__":
    main()
