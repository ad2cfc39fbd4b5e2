"""One shard: frames in, an observations table and a frames table out. Knows nothing of Ray and nothing of commits.

    load threads: fetch, check, decode ─► a shard's thread: batch, upload, NMS, rows ─► the tables
                                                 │ waits its turn for the
                                                 ▼
                                              device: forward

A process scans several shards at a time, so that while one of them is in its rows or its commit, the device works for
another. Every frame given comes out as exactly one row of the frames table: ok, quarantined (its input is unusable, for
good) or failed (the store did not give it; the next run tries again).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from roadscan.errors import DeviceError, ModelError, in_words
from roadscan.model.bundle import ModelCard
from roadscan.model.components import find_components
from roadscan.model.detector import Detector
from roadscan.model.exported import Model
from roadscan.model.head import STRIDES_PX
from roadscan.model.image_detections import detect_images
from roadscan.model.segmenter import Segmenter
from roadscan.model.slices import n_slices
from roadscan.scan.config import ScanConfig
from roadscan.scan.loading import Loaded, Loader, LoaderSettings
from roadscan.scan.tables import RunFacts, Seen, make_tables
from roadscan.survey.drive import Drive
from roadscan.taxonomy import HIGHWAY, Taxonomy


class ShardScanner:
    """A model and the way to feed it; several threads may scan with it at a time.

    Args:
        config: the scan.
        model: the model.
        detector: the model on its device; a `Segmenter` of a semantic one.
        threads: images being fetched and decoded at a time.
        taxonomy: what is known of the model's classes.
    """

    def __init__(
        self,
        config: ScanConfig,
        model: Model,
        detector: Detector | Segmenter,
        threads: int = 8,
        taxonomy: Taxonomy = HIGHWAY,
    ) -> None:
        self._batch_size, self._taxonomy, self._model_sha256 = config.batch_size, taxonomy, model.sha256
        self._detector, self._slices, self._faces = detector, config.slices, config.faces
        self._lowest = model.card.confidences(config.confidence)
        self._loader = Loader(**loader_settings(config, model.card, threads))

    def scan(
        self, drive: Drive, frames: pa.Table, run_key: str, decoded: Iterable[Loaded] | None = None
    ) -> tuple[pa.Table, pa.Table]:
        """Scan some frames of a drive.

        Args:
            drive: where they are from.
            frames: rows of `DRIVE_FRAMES`.
            run_key: goes into every row.
            decoded: all of them, in order, where another process has fetched and decoded them.

        Returns:
            (observations, frames): `OBSERVATIONS` and `FRAMES`; the second has exactly one row a frame given.
        """
        seen: list[Seen] = []
        waiting: dict[tuple[int, int], list[Loaded]] = defaultdict(list)  # by input size: a batch has one size
        if decoded is None:
            decoded = self._loader.load(drive, frames.to_pylist(), 2 * self._batch_size // self._passes(drive))
        for loaded in decoded:
            if loaded.image is None:
                seen.append(Seen(loaded, None))
                continue
            batch = waiting[loaded.image.letterbox.input_hw]
            batch.append(loaded)
            if len(batch) * loaded.image.passes >= self._batch_size:
                seen += self._detect(waiting.pop(loaded.image.letterbox.input_hw))
        for batch in waiting.values():
            seen += self._detect(batch)
        return make_tables(drive, frames, seen, RunFacts(run_key, self._model_sha256, self._taxonomy))

    def _detect(self, batch: Sequence[Loaded]) -> list[Seen]:
        """What a batch shows; where that fails, what each of its images shows, so that one is no other's loss.

        Raises:
            Exception: all of them fail: it is not for their sake.
        """
        try:
            return list(self._found(batch))
        except (DeviceError, ModelError):
            raise
        except Exception:
            seen = [self._detect_alone(loaded) for loaded in batch]
            if len(seen) > 1 and all(one.loaded.status == "failed" for one in seen):
                raise
            return seen

    def _detect_alone(self, loaded: Loaded) -> Seen:
        try:
            (seen,) = self._found([loaded])
        except Exception as error:  # noqa: BLE001 - of this frame
            reason = f"undetected: {in_words(error)}"
            return Seen(replace(loaded, image=None, status="failed", reason=reason, quality=None), None)
        return seen

    def _found(self, batch: Sequence[Loaded]) -> Iterator[Seen]:
        images = [loaded.image for loaded in batch if loaded.image is not None]
        if isinstance(self._detector, Segmenter):
            found = find_components(self._detector, images, self._lowest, batch=self._batch_size)
        else:
            found = detect_images(self._detector, images, batch=self._batch_size)
        for loaded, image, one in zip(batch, images, found, strict=True):
            yield Seen(replace(loaded, image=None), image.letterbox.image_hw, one)

    def _passes(self, drive: Drive) -> int:
        """Inputs of an image of the drive, at most: its whole and its slices, or its faces."""
        return max(
            (
                self._faces.count
                if camera.is_panoramic
                else 1 + n_slices((camera.height_px, camera.width_px), self._slices)
                for camera in drive.cameras.values()
            ),
            default=1,
        )


def loader_settings(config: ScanConfig, card: ModelCard, threads: int) -> LoaderSettings:
    """What a scan with a model has its images fetched and decoded to, by so many threads."""
    return {
        "threads": threads,
        "side_px": config.image_size_px or card.image_size_px,
        "stride_px": max(STRIDES_PX),
        "decode": config.decode,
        "max_megapixels": config.max_megapixels,
        "slices": config.slices,
        "faces": config.faces,
    }
