"""What a scan is told."""

from __future__ import annotations

import json
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from roadscan.config import Config
from roadscan.model.backends.engine import Choice, Precision
from roadscan.model.bundle import Task
from roadscan.model.decode import DecodeMode
from roadscan.model.faces import FACES, FaceConfig
from roadscan.model.slices import SliceConfig
from roadscan.nodes import GrowthConfig
from roadscan.storage import sha256_hex

DecodeOn: TypeAlias = Literal["actors", "all_nodes"]
Score = Annotated[float, Field(gt=0, lt=1)]


class ScanConfig(Config):
    """A scan of survey drives into a warehouse."""

    drives: tuple[str, ...] = Field(
        min_length=1, description="drives, or folders whose sub-folders are drives; paths or s3://"
    )
    warehouse: str = Field(description="where the tables go; a folder or s3://")
    model: str = Field(
        "demo",
        description="model file, or one exported to ONNX, OpenVINO or TorchScript, path or s3://; 'demo' is shipped "
        "with roadscan, and for task segment 'demo-segment'",
    )
    task: Task = Field("detect", description="what the model must be for: detect, segment or semantic")
    confidence: Score | dict[str, Score] | None = Field(
        None, description="lowest score kept, or that of each class; empty, and for classes not named: the model's own"
    )
    iou: float | None = Field(
        None, gt=0, lt=1, description="overlap at which the lower score is dropped; empty for the model's own"
    )
    image_size_px: int | None = Field(
        None,
        ge=32,
        le=8192,
        multiple_of=32,
        description="longer side of the network's input; empty for the model's own",
    )
    decode: DecodeMode = Field("full", description="full, or scaled: faster on large JPEGs, pixels differ a little")
    decode_on: DecodeOn = Field(
        "actors",
        description="where images are decoded. actors: each decodes its own; all_nodes: tasks on all free cores of the "
        "cluster decode for them, for GPU nodes with too few cores beside nodes without GPUs",
    )
    slices: SliceConfig | None = Field(
        None, description="besides the whole image, see it in overlapping slices, for objects that are small; empty: no"
    )
    faces: FaceConfig = Field(
        FACES,
        description="how equirectangular panoramas are cut into perspective views, which the network sees instead; "
        "more of them, and narrower, show small objects. Slices are of other images",
    )
    precision: Precision = Field(
        "full", description="of the network: full, or half, which is faster and nearly the same"
    )
    backend: Choice = Field(
        "auto", description="what runs the network; auto: the fastest that is installed and agrees with PyTorch"
    )
    max_megapixels: float = Field(64.0, gt=0, description="a larger image is quarantined before decoding")
    shard_frames: int = Field(
        512, ge=1, le=65536, description="most frames a shard, the unit of commit and of resumption"
    )
    batch_size: int = Field(32, ge=1, le=1024, description="images a forward pass")
    fetch_threads: int | None = Field(
        None,
        ge=1,
        le=256,
        description="images being fetched and decoded at a time, by each actor or task that does; empty: by its cores",
    )
    actors: int | None = Field(
        None, ge=1, description="processes with a model, at most; empty: as many as there is room for"
    )
    cpus_per_actor: int | None = Field(
        None,
        ge=1,
        le=256,
        description="cores of an actor; empty: its share of the GPU's, up to 4 without GPUs, 1 where all nodes decode",
    )
    gpus_per_actor: float | None = Field(
        None,
        ge=0,
        le=1,
        description="GPUs of an actor: one, a part of one, or 0; empty: by the cores that feed each GPU, one where all "
        "nodes decode",
    )
    grows_to: GrowthConfig | None = Field(
        None, description="nodes, cpus and gpus of a cluster that grows on demand; empty: it stays as it is"
    )
    retry_quarantined: bool = Field(
        False, description="scan shards with frames in quarantine again, as after their images were repaired"
    )
    again: tuple[str, ...] = Field(
        (),
        description="what is scanned again though it was: drives, by id or address, or frames in quarantine or failed, "
        "by the first word of their reason, such as missing",
    )
    upload_days: float = Field(
        3.0,
        ge=0,
        le=365,
        description="days after its drive.json was written during which images of a drive may still be on their way: "
        "one that is missing, empty, cut short or a web page has failed, to be tried again; later it is in quarantine. "
        "An object named complete beside drive.json says that all are there",
    )
    no_progress_s: float = Field(
        1800.0, ge=1, le=86400, description="without a shard committed: the scan is ended; a nightly run has its own"
    )
    summary: str | None = Field(None, description="JSON summary file; empty for logs/ in the warehouse")

    def fingerprint(self) -> str:
        """Digest of the settings that change a row; the others only change speed: every backend has to agree."""
        fields = ("task", "confidence", "iou", "image_size_px", "decode", "precision", "max_megapixels", "shard_frames")
        values = [getattr(self, name) for name in fields]
        if self.slices is not None:  # so that scans without slices keep their digest
            values.append(self.slices.model_dump())
        if self.faces != FACES:  # likewise
            values.append(self.faces.model_dump())
        return sha256_hex(json.dumps(values, sort_keys=True).encode())

    @model_validator(mode="after")
    def _of_pixels(self) -> ScanConfig:
        if self.task != "semantic":
            return self
        idle = {"iou": self.iou, "slices": self.slices, "backend": None if self.backend == "auto" else self.backend}
        for name, value in idle.items():
            if value not in (None, "torch"):
                raise ValueError(
                    f"{name}: got {value}, and a semantic model draws no boxes, sees whole images, and is run by "
                    "PyTorch; leave it out"
                )
        return self

    @model_validator(mode="after")
    def _every_pixel(self) -> ScanConfig:
        if self.slices is not None and self.decode == "scaled":
            raise ValueError(
                "decode: got scaled, and slices, which need every pixel; expected decode=full, or no slices"
            )
        return self
