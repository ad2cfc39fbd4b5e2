"""Pascal VOC: one XML file an image, boxes in pixels.

    Annotations/<name>.xml
    ImageSets/Main/<split>.txt      names without suffix, one a line
    JPEGImages/<name>.jpg

or, as Roboflow exports it, ``<split>/<name>.xml`` beside the images. Objects marked ``difficult`` or ``truncated`` are
objects like others. Corners are taken as the box's edges, from 0, as the tools of today write them; the original data
counts pixels from 1.

Source: The PASCAL Visual Object Classes Challenge 2012 (VOC2012) Development Kit, section 8.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from roadscan.dataset.formats.trees import Folder, Tree, TreeFormat
from roadscan.dataset.labels import BadLabel, ImageRecord, LabelledObject, Records, corners, labelled, size_of

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def looks_like_voc(tree: Tree) -> bool:
    """Whether all files of a folder are VOC annotations."""
    return isinstance(tree, Folder) and all(
        isinstance(one, Element) and one.tag == "annotation" for one in tree.trees.values()
    )


def read_voc(tree: Folder, _: str) -> Records:
    """A folder of annotations -> its images and objects."""
    records = Records()
    for key, root in tree.trees.items():
        with records.collecting(key):
            size = size_of(root.findtext("size/width"), root.findtext("size/height"))
            objects: list[LabelledObject] = []
            records.images.append(ImageRecord(key, _text(root, "filename"), size, objects))
            for number, one in enumerate(root.findall("object"), 1):
                where = f"{key}: object {number}"
                with records.collecting(where):
                    box = corners((one.findtext(f"bndbox/{corner}") for corner in CORNERS), "bndbox")
                    objects.append(labelled(where, _text(one, "name"), [box], size))
    return records


def _text(element: Element, name: str) -> str:
    text = (element.findtext(name) or "").strip()
    if not text:
        raise BadLabel(f"<{name}> is missing or empty; expected {'the image' if name == 'filename' else 'the class'}")
    return text


VOC = TreeFormat(looks_like_voc, read_voc, "Pascal VOC: a folder of XML files <annotation>")
