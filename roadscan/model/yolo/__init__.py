"""The only door to ultralytics.

Its import has side effects, so the environment is set first: no network, no automatic installation of packages, no
pickled code, and no settings shared with other programs on the machine.
"""

from __future__ import annotations

import os
import shutil
import tempfile

from PIL import Image

_settings = tempfile.mkdtemp(prefix="roadscan-yolo-")
os.environ.update(
    YOLO_OFFLINE="1",  # otherwise it looks for fonts, weights and updates, and sends events
    YOLO_AUTOINSTALL="false",  # otherwise a missing module runs pip
    YOLO_VERBOSE=os.environ.get("YOLO_VERBOSE", "false"),
    ULTRALYTICS_SAFE_LOAD="1",  # a .pt is a pickle: load only classes on the allow-list
    YOLO_CONFIG_DIR=_settings,  # its settings file is written by every process
)
_image_open = Image.open

from roadscan.model.yolo.augment import MASK_RATIO, AugmentConfig, Item, TrainingImages, collate, scaled_hw
from roadscan.model.yolo.loss import criterion
from roadscan.model.yolo.network import (
    STRIDE_PX,
    adapt,
    build,
    coco_names,
    fitting,
    keeps_class_head,
    read_checkpoint,
    restore,
    set_prior,
    split_output,
    to_float32,
)
from roadscan.model.yolo.raw import ExportedNetwork, RawNetwork
from roadscan.model.yolo.tensorrt import build_tensorrt, open_tensorrt, require_tensorrt

# ultralytics replaces Pillow's open, for every program in the process, by one that goes looking for a HEIF package
# when a file is no image.
Image.open = _image_open
shutil.rmtree(_settings)  # read and written by the import alone; a worker that is killed would leave it behind

__all__ = [
    "MASK_RATIO",
    "STRIDE_PX",
    "AugmentConfig",
    "ExportedNetwork",
    "Item",
    "RawNetwork",
    "TrainingImages",
    "adapt",
    "build",
    "build_tensorrt",
    "coco_names",
    "collate",
    "criterion",
    "fitting",
    "keeps_class_head",
    "open_tensorrt",
    "read_checkpoint",
    "require_tensorrt",
    "restore",
    "scaled_hw",
    "set_prior",
    "split_output",
    "to_float32",
]
