"""A deterministic simulator of survey drives along a Thai highway, with exact truth: the test bench and the demo.

config ─► world/ ─────────────────────► render/ ────────► labels/ ──────────► simulation.simulate: drives and truth
          road, assets and their          a picture and     what an annotator   training_set.write_yolo_dataset
          changes, scenery, traffic,      an id buffer,     would label; as
          conditions, a drive over it     face by face      tables and lines
                      └──────────── frames: (config, night, frame index) ─► JPEG and labels, in processes

Everything follows from `SimulationConfig.seed`: the same config gives the same bytes.
"""

from roadscan.simulate.config import SimulationConfig
from roadscan.simulate.simulation import SimulationSummary, camera_of, simulate
from roadscan.simulate.training_set import DatasetSummary, write_yolo_dataset

__all__ = [
    "DatasetSummary",
    "SimulationConfig",
    "SimulationSummary",
    "camera_of",
    "simulate",
    "write_yolo_dataset",
]
