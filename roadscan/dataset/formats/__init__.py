"""Label formats, one module each; `FORMATS` are those whose labels are trees of JSON or XML."""

from roadscan.dataset.formats.bdd100k import BDD100K
from roadscan.dataset.formats.coco import COCO
from roadscan.dataset.formats.cvat import CVAT
from roadscan.dataset.formats.label_studio import LABEL_STUDIO
from roadscan.dataset.formats.mapillary import MAPILLARY
from roadscan.dataset.formats.trees import TreeFormat
from roadscan.dataset.formats.voc import VOC

#: By the name that a dataset's YAML file may say.
FORMATS: dict[str, TreeFormat] = {
    "coco": COCO,
    "voc": VOC,
    "cvat": CVAT,
    "bdd100k": BDD100K,
    "mapillary": MAPILLARY,
    "label_studio": LABEL_STUDIO,
}
