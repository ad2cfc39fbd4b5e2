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
from multiprocessing.connection import Connection
from threading import Lock

import cv2

from roadscan.errors import RoadscanError
from roadscan.logs import set_up_logging
from roadscan.model.detector import Detector
from roadscan.model.device import this_device
from roadscan.model.exported import Model
from roadscan.model.segmenter import Segmenter
from roadscan.scan import ledger
from roadscan.scan.config import ScanConfig
from roadscan.scan.ledger import Scanned, Shard
from roadscan.scan.loading import Loaded, frames_of
from roadscan.scan.placement import Placement
from roadscan.scan.shard import ShardScanner
from roadscan.warehouse import Warehouse

LOG = logging.getLogger(__name__)


class ShardWorker:
    """A process's part of a scan; several threads may scan with it at a time.

    Args:
        config: the scan; its warehouse is absolute.
        model_sha256: of the model that `ledger.keep_model` kept.
        placement: what this process may use; where that is a GPU, it must be able to.
    """

    def __init__(self, config: ScanConfig, model_sha256: str, placement: Placement) -> None:
        cv2.setNumThreads(1)  # images are decoded side by side, one thread each
        self._config, self._model_sha256, self._placement = config, model_sha256, placement
        self._warehouse = Warehouse(config.warehouse)
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._loading = Lock()
        self._loaded: tuple[Detector | Segmenter, ShardScanner] | None = None

    def scan(self, shard: Shard, decoded: Iterable[Loaded] | None = None) -> Scanned:
        """Scan and commit a shard.

        Args:
            shard: its address.
            decoded: all of its frames, in order; None to fetch and decode them here.

        Raises:
            SurveyError: the drive is not the one that was planned with.
            DeviceError, ModelError, StorageError: as their names say.
        """
        detector, scanner = self._model()
        drive, frames = frames_of(shard)
        tables = scanner.scan(drive, frames, shard.run_key, decoded)
        commit = ledger.commit(self._warehouse, shard, *tables)
        return Scanned(drive.drive_id, frames.num_rows, commit.detections, self._process, detector.runs_on)

    def _model(self) -> tuple[Detector | Segmenter, ShardScanner]:
        """Loaded at the first shard, not in the constructor, whose errors Ray wraps beyond recognition."""
        with self._loading:
            if self._loaded is None:
                config, placement = self._config, self._placement
                model = ledger.read_model(self._warehouse, self._model_sha256)
                detector = _on_device(config, model, placement)
                LOG.info("%s computes on %s", self._process, detector.runs_on)
                threads = config.fetch_threads or placement.threads
                self._loaded = detector, ShardScanner(config, model, detector, threads)
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
    config, model_sha256, placement = connection.recv()
    worker = ShardWorker(config, model_sha256, placement)

    def scan(shard: Shard) -> None:
        result: Scanned | RoadscanError
        try:
            result = worker.scan(shard)
        except RoadscanError as error:
            result = error
        except Exception as error:  # noqa: BLE001 - to be told where somebody sees it
            traceback.print_exc()
            result = RoadscanError(
                f"the scan stopped: {type(error).__name__}: {error}; run again to go on from the last commit"
            )
        with sending:
            connection.send((shard, result))

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
