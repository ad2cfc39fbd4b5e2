"""A deterministic simulator of survey drives along a Thai highway, with exact truth: the test bench and the demo."""

from roadscan.survey.simulate.settings import SimulationConfig
from roadscan.survey.simulate.simulation import SimulationSummary, camera_of, simulate
from roadscan.survey.simulate.yolo import DatasetSummary, write_yolo_dataset

__all__ = [
    "DatasetSummary",
    "SimulationConfig",
    "SimulationSummary",
    "camera_of",
    "simulate",
    "write_yolo_dataset",
]
