"""The config of a training run."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator

from roadscan.config import Config
from roadscan.model.bundle import Activation, Variant
from roadscan.model.losses import LossConfig
from roadscan.model.yolo import STRIDE_PX, AugmentConfig
from roadscan.nodes import GrowthConfig

TrainPrecision: TypeAlias = Literal["auto", "full", "bf16"]
NOT_IDENTITY = {
    "data", "out", "runs", "name", "initial", "execution", "tracking", "keep_checkpoints", "trained_on", "limits",
}  # fmt: skip  # of data and initial the contents count


class OptimiserConfig(Config):
    """AdamW and its learning rate over the run."""

    lr: float = Field(1e-3, gt=0, le=1, description="highest learning rate")
    final_lr: float = Field(0.01, ge=0, le=1, description="learning rate at the end, as a share of the highest")
    schedule: Literal["cosine", "linear"] = Field("cosine", description="from the highest to the final rate")
    warmup_epochs: float = Field(1.0, ge=0, description="epochs over which the rate grows from 0")
    weight_decay: float = Field(5e-4, ge=0, description="of convolution weights; biases and BatchNorm have none")
    beta1: float = Field(0.9, gt=0, lt=1, description="AdamW's first moment")
    clip_norm: float = Field(10.0, gt=0, description="largest gradient norm, of the loss summed over the batch")


class ExecutionConfig(Config):
    """Where a run is computed. It may change between a run and its continuation."""

    workers: int | tuple[int, int] = Field(
        1, description="workers; or [fewest, most], to go on with fewer when a node is lost"
    )
    gpu: bool | None = Field(
        None, description="one GPU a worker (nccl), else CPU (gloo); empty: GPUs where there are any"
    )
    gpus_per_worker: float = Field(
        1, gt=0, le=1, description="of a GPU, where workers have one: with 0.5 two runs of one worker share each card"
    )
    cpus_per_worker: int | None = Field(None, ge=1, description="empty: the cluster's CPUs shared out evenly")
    grows_to: GrowthConfig | None = Field(
        None, description="nodes, cpus and gpus of a cluster that grows on demand; empty: it stays as it is"
    )
    loader_workers: int | None = Field(
        None, ge=0, description="processes a worker that load images; 0: the worker itself; empty: by its CPUs"
    )
    max_failures: int = Field(3, ge=0, description="times that lost workers are replaced before the run fails")
    cache_dir: str = Field(
        "/tmp/roadscan-datasets",  # noqa: S108
        description="folder on each node for the dataset's copy, and for small copies of its images",
    )

    @property
    def fewest_most(self) -> tuple[int, int]:
        """Bounds on the number of workers."""
        return (self.workers, self.workers) if isinstance(self.workers, int) else self.workers

    @model_validator(mode="after")
    def _ordered(self) -> ExecutionConfig:
        fewest, most = self.fewest_most
        if not 1 <= fewest <= most:
            raise ValueError(f"execution.workers: expected a number from 1, or [fewest, most], got {self.workers}")
        if self.gpus_per_worker < 1 and most > 1:
            raise ValueError(
                f"execution.gpus_per_worker: got {self.gpus_per_worker:g} with {most} workers, which might share one "
                "GPU, where nccl does not connect them; expected 1, or one worker"
            )
        if self.gpus_per_worker < 1 and self.gpu is False:
            raise ValueError(f"execution.gpus_per_worker: got {self.gpus_per_worker:g} with gpu: false; leave one out")
        return self


class TrackingConfig(Config):
    """MLflow, for those who have it; TensorBoard files are always written."""

    mlflow_uri: str | None = Field(None, description="tracking server or file:// store; empty for none")
    experiment: str = Field("roadscan", description="MLflow experiment")


class TrainConfig(Config):
    """One training run: data, network, loss, schedule."""

    data: str = Field(description="labelled dataset: a folder or s3:// address, or its YAML file")
    out: str = Field("model.zip", description="the model file to write, a path or s3:// address")
    runs: str = Field("runs", description="folder or s3:// prefix of checkpoints and histories; shared by all nodes")
    name: str = Field(
        "train", pattern=r"^[\w.-]+$", description="the run's folder there; the same name goes on with it"
    )
    variant: Variant = Field("n", description="YOLOv8 size")
    activation: Activation = Field("silu", description="of the convolutions")
    initial: str | None = Field(
        None, description="start from a model file, 'demo', or a state dict in .safetensors; empty for scratch"
    )
    image_size_px: int = Field(640, ge=STRIDE_PX, multiple_of=STRIDE_PX, description="longer side of the input")
    aspect: Literal["square", "dataset"] = Field(
        "square", description="shape of the training input: dataset takes the smallest that holds every image"
    )
    epochs: int = Field(100, ge=1, description="passes over the training split")
    batch: int = Field(16, ge=1, description="images an optimiser step, over all workers together")
    accumulate: int = Field(1, ge=1, description="parts in which a worker computes its share, to fit its memory")
    seed: int = Field(0, ge=0, description="of weights, order and augmentation")
    repeat_threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="images with a class that fewer than this share of images show are seen more often (LVIS' repeat "
        "factor, sqrt(threshold / share)); empty: each once an epoch",
    )
    loss: LossConfig = Field(LossConfig(), description="the training loss")
    optimiser: OptimiserConfig = Field(OptimiserConfig(), description="AdamW")
    augment: AugmentConfig = Field(AugmentConfig(), description="augmentation")
    ema_decay: float = Field(0.9999, gt=0, lt=1, description="of the averaged weights, which are the model")
    precision: TrainPrecision = Field(
        "auto",
        description="of the forward pass; weights stay float32. auto: bf16 where the GPU or CPU computes it, else full",
    )
    batch_norm: Literal["local", "sync", "frozen"] = Field(
        "local", description="statistics of each worker's images, of all workers' (GPU), or as initialised"
    )
    patience: int = Field(
        100, ge=1, description="epochs without a better validation (mAP50-95; of semantic mIoU) before it stops"
    )
    validate_every: int = Field(1, ge=1, description="epochs between validations; the last is always validated")
    keep_checkpoints: int = Field(1, ge=1, description="best checkpoints kept, besides the newest")
    trained_on: str = Field("", description="for the model card: the data, in words")
    limits: str = Field("", description="for the model card: what the model must not be used for")
    execution: ExecutionConfig = Field(ExecutionConfig(), description="where it is computed")
    tracking: TrackingConfig = Field(TrackingConfig(), description="experiment tracking")

    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on: all but where things lie, and how it is computed and followed."""
        unused: dict[str, Any] = {}  # so that runs without them keep their identity of before
        if self.repeat_threshold is None:
            unused["repeat_threshold"] = True
        if not self.augment.paste_rare:
            unused["augment"] = {"paste_rare", "rare_below"}
        return self.model_dump(mode="json", exclude={**dict.fromkeys(NOT_IDENTITY, True), **unused})

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        most = self.execution.fewest_most[1] * self.accumulate
        if self.batch < most:
            raise ValueError(
                f"batch: got {self.batch} images for {most} parts (workers x accumulate); every part needs an image"
            )
        if self.batch_norm == "sync" and self.execution.gpu is False:
            raise ValueError("batch_norm: sync needs GPUs; expected local or frozen on CPUs")
        return self
