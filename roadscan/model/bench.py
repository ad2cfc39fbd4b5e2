"""All backends side by side on this machine: speed, agreement with PyTorch, and what a process pays to start."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import get_args

import numpy as np
import torch

from roadscan.errors import ModelError
from roadscan.model.backends.agreement import Agreement
from roadscan.model.backends.choose import agreement, calibration_images, open_engine
from roadscan.model.backends.engine import Backend, Pixels, Precision
from roadscan.model.bundle import Bundle, load
from roadscan.model.device import this_device
from roadscan.model.inference import Inference
from roadscan.progress import OnProgress, Progress, silent

ROUNDS = 5
#: A fresh process, from the interpreter's start to the first detections.
START = "from roadscan.model.bench import start; start({uri!r}, {backend!r}, {precision!r}, {threads!r})"


@dataclass(frozen=True)
class Row:
    """One backend at one precision.

    Attributes:
        backend, precision: which.
        runs_on: device, backend and number format; empty where it does not run.
        ms: milliseconds an image, the median over rounds.
        core_ms: milliseconds of processor time an image, likewise; other work on the machine changes it little.
        agreement: with PyTorch in float32 on the model's calibration images.
        start_cpu_s: processor seconds of a new process up to its first detections, with what is converted on disk.
        objection: why it does not run here, or must not be used; None where it may.
    """

    backend: Backend
    precision: Precision
    runs_on: str = ""
    ms: float = float("nan")
    core_ms: float = float("nan")
    agreement: Agreement | None = None
    start_cpu_s: float = float("nan")
    objection: str | None = None


def bench(uri: str, *, images: int, threads: int | None, on_progress: OnProgress = silent) -> list[Row]:
    """A model file -> a row for every backend, with what was measured or why it does not run.

    Rounds are interleaved, each from another backend on, so that what else runs on the machine falls on all alike.

    Args:
        uri: of the model file; its calibration images are what is detected on.
        images: in a batch.
        threads: cores to use; None for as many as PyTorch would.
        on_progress: called after each batch.

    Raises:
        ModelError: the model has no calibration images.
    """
    bundle, device, cores = load(uri), this_device(None), threads or torch.get_num_threads()
    pixels = _batch(bundle, images)
    opened: dict[tuple[Backend, Precision], Inference | str] = {}
    for backend in get_args(Backend):
        for precision in get_args(Precision):
            opened[backend, precision] = _open(backend, precision, bundle, device, cores)
    runs = {key: found for key, found in opened.items() if isinstance(found, Inference)}
    times: dict[tuple[Backend, Precision], list[tuple[float, float]]] = {key: [] for key in runs}
    for number in range(ROUNDS + 1):
        for done, key in enumerate([*runs][number % len(runs) :] + [*runs][: number % len(runs)]):
            start = perf_counter(), process_time()
            runs[key].infer(pixels)
            spent = perf_counter() - start[0], process_time() - start[1]
            times[key].append((1000 * spent[0] / len(pixels), 1000 * spent[1] / len(pixels)))
            on_progress(Progress("bench", number * len(runs) + done + 1, (ROUNDS + 1) * len(runs), "rounds"))
    return [
        _row(key, found, times[key][1:], bundle, device, uri, cores)
        if isinstance(found, Inference)
        else Row(*key, objection=found)
        for key, found in opened.items()
    ]


def _open(backend: Backend, precision: Precision, bundle: Bundle, device: str, threads: int) -> Inference | str:
    try:
        engine = open_engine(backend, bundle, device, precision, threads)
    except ModelError as error:
        return str(error)
    return Inference(engine, bundle.card.classes, bundle.card.confidence, bundle.card.iou)


def _row(
    key: tuple[Backend, Precision],
    inference: Inference,
    times: Sequence[tuple[float, float]],
    bundle: Bundle,
    device: str,
    uri: str,
    threads: int,
) -> Row:
    found = agreement(inference.engine, bundle, device, key[1])
    return Row(
        *key,
        inference.engine.runs_on,
        median(wall for wall, _ in times),
        median(cpu for _, cpu in times),
        found,
        _start_cpu_s(uri, *key, threads),
        None if key[0] == "torch" else found.objection,
    )


def _batch(bundle: Bundle, images: int) -> Pixels:
    """A model -> a batch of its calibration images of one shape, repeated as needed."""
    calibration = calibration_images(bundle)
    if not calibration:
        raise ModelError("the model has no calibration images to measure on; add them with 'roadscan model calibrate'")
    alike = [image for image in calibration if image.shape == calibration[0].shape]
    return np.stack([alike[number % len(alike)] for number in range(images)])


def _start_cpu_s(uri: str, backend: Backend, precision: Precision, threads: int) -> float:
    code = START.format(uri=uri, backend=backend, precision=precision, threads=threads)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start(uri: str, backend: Backend, precision: Precision, threads: int) -> None:
    """Load a model and detect on one calibration image, as a new process would."""
    bundle = load(uri)
    engine = open_engine(backend, bundle, this_device(None), precision, threads)
    inference = Inference(engine, bundle.card.classes, bundle.card.confidence, bundle.card.iou)
    inference.infer(calibration_images(bundle)[0][None])
