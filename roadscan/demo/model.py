"""How the demo model is made: simulated roads in, one model file with an honest card out.

The roads of the training, validation and test splits are different ones; none of them is the demonstration's. The model
that is shipped was trained before models kept calibration images; its own are of one more road::

    roadscan simulate road --km 0.8 --nights 3 --seed 4711 --set 'conditions=[day,dusk,rain]'
    roadscan model calibrate demo road/drives roadscan/model/demo-detect.zip
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from roadscan.config import Config
from roadscan.model.bundle import Task
from roadscan.progress import OnProgress, silent
from roadscan.simulate import SimulationConfig, write_yolo_dataset
from roadscan.train.config import TrainConfig


class DemoModelConfig(Config):
    """How the demo model is made."""

    task: Task = Field("detect", description="detect, segment or semantic")
    images: int = Field(1800, ge=10, description="in all splits together: 80 % training, 10 % validation, 10 % test")
    roads: SimulationConfig = Field(SimulationConfig(), description="the roads that the images are of")
    train: TrainConfig = Field(description="the training; images are made in its `data` folder where there are none")


def make_images(config: DemoModelConfig, on_progress: OnProgress = silent) -> None:
    """Simulate the training's images, unless they are there.

    Args:
        config: how.
        on_progress: called after each image.
    """
    folder = Path(config.train.data)
    if not (folder / "data.yaml").exists():  # it is written last
        write_yolo_dataset(folder, config.roads, config.task, config.images, on_progress=on_progress)
