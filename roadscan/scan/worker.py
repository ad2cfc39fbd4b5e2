"""What one process of a scan does: it holds the model, scans shards and commits them.

Ray's actors call `ShardWorker`; a scan without a cluster starts ``python -m roadscan.scan.worker`` with a pipe.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import traceback
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection
from threading import Lock
from typing import NamedTuple

import cv2
import pyarrow as pa

from roadscan.errors import DeviceError, ModelError, RoadscanError, in_words
from roadscan.logs import set_up_logging
from roadscan.model.detector import Detector
from roadscan.model.device import this_device
from roadscan.model.exported import Model
from roadscan.model.segmenter import Segmenter
from roadscan.scan import ledger
from roadscan.scan.apart import load_apart
from roadscan.scan.attempts import TRIES, Room, attempt
from roadscan.scan.config import ScanConfig
from roadscan.scan.ledger import Scanned, Shard
from roadscan.scan.loading import Loaded, LoaderSettings, frames_of
from roadscan.scan.placement import Placement
from roadscan.scan.shard import ShardScanner, loader_settings
from roadscan.warehouse import Warehouse

LOG = logging.getLogger(__name__)


class _Model(NamedTuple):
    """A model on its device, and how images are loaded for it."""

    detector: Detector | Segmenter
    scanner: ShardScanner
    decoding: LoaderSettings


class ShardWorker:
    """A process's part of a scan; several threads may scan with it at a time.

    Args:
        config: the scan; its warehouse is absolute.
        model_sha256: of the model that `ledger.keep_model` kept.
        placement: what this process may use; where that is a GPU, it must be able to.
        scan_id: of the run.
    """

    def __init__(self, config: ScanConfig, model_sha256: str, placement: Placement, scan_id: str) -> None:
        cv2.setNumThreads(1)  # images are decoded side by side, one thread each
        self._config, self._model_sha256, self._placement = config, model_sha256, placement
        self._scan_id = scan_id
        self._warehouse = Warehouse(config.warehouse)
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._loading = Lock()
        self._room = Room(placement.shards_at_once)
        self._loaded: _Model | None = None

    def scan(self, shard: Shard, decoded: Iterable[Loaded] | None = None) -> Scanned:
        """Scan and commit a shard; what is wrong with the shard, or its drive, is told in the result.

        Args:
            shard: its address.
            decoded: all of its frames, in order; None to fetch and decode them here.

        Raises:
            DeviceError, ModelError: this process can scan no shard.
            StorageError: the warehouse takes no commit.
        """
        scanned = Scanned(shard.run_key, 0, 0, self._process, self._model().detector.runs_on)
        with attempt(self._warehouse.store, shard, self._scan_id, take=self._room.take) as number:
            try:
                observations, frames = self._tables(shard, decoded, number)
            except (DeviceError, ModelError):
                raise
            except Exception as error:
                if self._placement.gpus and not isinstance(error, RoadscanError):
                    raise  # a card that is lost would fail shard after shard, faster than others scan them
                LOG.debug("%s", shard, exc_info=True)
                return replace(scanned, error=f"{shard}: {in_words(error)}")
            commit = ledger.commit(self._warehouse, shard, observations, frames)
        return replace(scanned, frames=frames.num_rows, detections=commit.detections)

    def _tables(self, shard: Shard, decoded: Iterable[Loaded] | None, number: int) -> tuple[pa.Table, pa.Table]:
        """(observations, frames) of a shard at the first, second, … try: from the second on images are decoded apart.

        Raises:
            RoadscanError: it was tried often enough.
        """
        drive, frames = frames_of(shard)
        if number > TRIES:
            raise RoadscanError(f"{TRIES} processes died while they scanned it; run again to try once more")
        if number > 1 and decoded is None:
            LOG.warning("%s: a process died of it; its images are decoded one by one, apart", shard)
            decoded = load_apart(drive, frames.to_pylist(), self._model().decoding)
        return self._model().scanner.scan(drive, frames, shard.run_key, decoded)

    def _model(self) -> _Model:
        """Loaded at the first shard, not in the constructor, whose errors Ray wraps beyond recognition."""
        with self._loading:
            if self._loaded is None:
                config, placement = self._config, self._placement
                model = ledger.read_model(self._warehouse, self._model_sha256)
                detector = _on_device(config, model, placement)
                LOG.info("%s computes on %s", self._process, detector.runs_on)
                threads = config.fetch_threads or placement.threads
                decoding = loader_settings(config, model.card, threads)
                self._loaded = _Model(detector, ShardScanner(config, model, detector, threads), decoding)
        return self._loaded


def _on_device(config: ScanConfig, model: Model, placement: Placement) -> Detector | Segmenter:
    device = this_device(holds_gpu=placement.gpus > 0)
    if model.card.task == "semantic":
        return Segmenter(model, device=device, precision=config.precision, threads=placement.cpus)
    return Detector(
        model,
        device=device,
        confidence=config.confidence,
        iou=config.iou,
        precision=config.precision,
        backend=config.backend,
        threads=placement.cpus,
    )


def main() -> None:
    """A process that scans what it is given until its pipe closes."""
    set_up_logging()
    connection, sending = Connection(int(sys.argv[1])), Lock()
    config, model_sha256, placement, scan_id = connection.recv()
    worker = ShardWorker(config, model_sha256, placement, scan_id)

    def scan(shard: Shard) -> None:
        result: Scanned | RoadscanError
        try:
            result = worker.scan(shard)
        except RoadscanError as error:
            result = error
        except Exception as error:  # noqa: BLE001 - to be told where somebody sees it
            traceback.print_exc()
            result = RoadscanError(f"the scan stopped: {in_words(error)}; run again to go on from the last commit")
        with sending:
            connection.send((shard, result))

    connection.send(None)  # it can scan: what ends it from now on is what it scans

    threads = ThreadPoolExecutor(placement.shards_at_once, thread_name_prefix="shard")
    while True:
        try:
            threads.submit(scan, connection.recv()).add_done_callback(_end_if_it_failed)
        except (EOFError, ConnectionResetError):
            os._exit(0)  # at once: what is under way is nobody's any more


def _end_if_it_failed(done: Future[None]) -> None:
    """End this process where not even an error could be told: whoever waits for the answer must learn of it."""
    if done.exception() is not None:
        traceback.print_exception(done.exception())
        os._exit(1)


if __name__ == "__main__":
    main()
