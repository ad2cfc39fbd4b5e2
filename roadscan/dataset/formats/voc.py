"""Pascal VOC: one XML file an image, boxes in pixels.

    Annotations/<name>.xml
    ImageSets/Main/<split>.txt      names without suffix, one a line
    JPEGImages/<name>.jpg

or, as Roboflow exports it, ``<split>/<name>.xml`` beside the images. Objects marked ``difficult`` or ``truncated`` are
objects like others; ``occluded`` is read. Corners count pixels from 1, both included, as in the original data, where
all of a folder's are whole numbers from 1; else they are the box's edges, from 0, as CVAT writes them.

Source: The PASCAL Visual Object Classes Challenge 2012 (VOC2012) Development Kit, section 8.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from roadscan.dataset.formats.trees import Folder, Tree, TreeFormat
from roadscan.dataset.labels import (
    BadLabel,
    ImageRecord,
    LabelledObject,
    Records,
    corners,
    labelled,
    mark_of,
    numbers,
    size_of,
)

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def looks_like_voc(tree: Tree) -> bool:
    """Whether all files of a folder are VOC annotations."""
    return isinstance(tree, Folder) and all(
        isinstance(one, Element) and one.tag == "annotation" for one in tree.trees.values()
    )


def read_voc(tree: Folder, _: str) -> Records:
    """A folder of annotations -> its images and objects."""
    records = Records()
    counted = _counts_from_1(tree)
    for key, root in tree.trees.items():
        with records.collecting(key):
            size = size_of(root.findtext("size/width"), root.findtext("size/height"))
            objects: list[LabelledObject] = []
            records.images.append(ImageRecord(key, _text(root, "filename"), size, objects))
            for number, one in enumerate(root.findall("object"), 1):
                where = f"{key}: object {number}"
                with records.collecting(where):
                    box = corners((one.findtext(f"bndbox/{corner}") for corner in CORNERS), "bndbox")
                    box[0] -= counted
                    hidden = mark_of(one.findtext("occluded"), "occluded")
                    objects.append(labelled(where, _text(one, "name"), [box], size, hidden))
    return records


def _counts_from_1(tree: Folder) -> bool:
    """Whether corners are numbers of pixels, rather than edges."""
    sides = [numbers([one.text]) for root in tree.trees.values() for box in root.iter("bndbox") for one in box]
    return all(side is not None and side[0] >= 1 and side[0] % 1 == 0 for side in sides)


def _text(element: Element, name: str) -> str:
    text = (element.findtext(name) or "").strip()
    if not text:
        raise BadLabel(f"<{name}> is missing or empty; expected {'the image' if name == 'filename' else 'the class'}")
    return text


VOC = TreeFormat(looks_like_voc, read_voc, "Pascal VOC: a folder of XML files <annotation>")
