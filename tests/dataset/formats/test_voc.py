"""Pascal VOC: what is wrong is told with its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.written import HEIGHT, WIDTH, picture, put

from roadscan.dataset.read import inspect, read_dataset
from roadscan.errors import DatasetError

SIZE = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
BOX = "<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>40</xmax><ymax>35.5</ymax></bndbox>"
SIGN = f"<object><name>sign</name>{BOX}</object>"


def voc(root: Path, xml: str, listed: str = "a\n") -> str:
    """A dataset of one image, named a."""
    put(root, "JPEGImages/a.jpg", picture(1))
    put(root, "Annotations/a.xml", xml.encode())
    put(root, "ImageSets/Main/train.txt", listed.encode())
    return str(root)


def image(*parts: str, name: str = "a.jpg") -> str:
    return f"<annotation><filename>{name}</filename>{''.join(parts)}</annotation>"


def test_a_box_is_its_edges(tmp_path: Path) -> None:
    (read,) = read_dataset(voc(tmp_path, image(SIZE, SIGN))).splits["train"]
    assert read.boxes_xyxy.tolist() == [[10, 20, 40, 35.5]]


@pytest.mark.parametrize(
    ("others", "box"),
    [
        ([], [9, 19, 40, 35]),  # pixels 10 to 40 and 20 to 35, both included
        ([(1, 1, 96, 64)], [9, 19, 40, 35]),
        ([(0, 5, 40, 35)], [10, 20, 40, 35]),  # there is no pixel 0
        ([(5, 5, 40, 35.5)], [10, 20, 40, 35]),
    ],
)
def test_whole_numbers_from_1_count_pixels(tmp_path: Path, others: list[tuple[float, ...]], box: list[float]) -> None:
    objects = []
    for sides in [(10, 20, 40, 35), *others]:
        named = zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True)
        objects.append(
            f"<object><name>a</name><bndbox>{''.join(f'<{n}>{s}</{n}>' for n, s in named)}</bndbox></object>"
        )
    (read,) = read_dataset(voc(tmp_path, image(SIZE, *objects))).splits["train"]
    assert read.boxes_xyxy[0].tolist() == box


@pytest.mark.parametrize("listed", ["a", "a.jpg", "a  1", "JPEGImages/a.jpg", r"C:\voc\JPEGImages\a.jpg"])
def test_a_list_names_images_in_many_ways(tmp_path: Path, listed: str) -> None:
    assert len(read_dataset(voc(tmp_path, image(SIZE, SIGN), listed)).splits["train"]) == 1


@pytest.mark.parametrize(
    ("parts", "where", "message"),
    [
        ((SIGN,), "Annotations/a.xml", r"width, height are \(None, None\); expected two whole numbers from 1"),
        ((SIZE.replace("96", "0"), SIGN), "Annotations/a.xml", r"width, height are \('0', '64'\)"),
        ((SIZE, SIGN, f"<object>{BOX}</object>"), "Annotations/a.xml: object 2", "<name> is missing or empty"),
        ((SIZE, "<object><name>sign</name></object>"), "Annotations/a.xml: object 1", "bndbox is .*expected left, top"),
        ((SIZE, SIGN.replace("40", "4")), "Annotations/a.xml: object 1", "bndbox is .*with an area"),
        ((SIZE, SIGN.replace("40", "nan")), "Annotations/a.xml: object 1", "bndbox is .*nan.*with an area"),
        ((SIZE, SIGN.replace("40", "140")), "Annotations/a.xml: object 1", "the box reaches outside of the image"),
    ],
)
def test_what_is_wrong_is_told_with_its_object(
    tmp_path: Path, parts: tuple[str, ...], where: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=f"{where}: {message}"):
        read_dataset(voc(tmp_path, image(*parts)))


def test_an_image_that_is_not_there_is_told(tmp_path: Path) -> None:
    (error,) = inspect(voc(tmp_path, image(SIZE, SIGN), "a\ngone\n")).errors
    assert str(error) == "ImageSets/Main/train.txt:2: there is no image 'gone'"


def test_a_listed_image_without_labels_is_told(tmp_path: Path) -> None:
    put(tmp_path, "JPEGImages/b.jpg", picture(2))
    (error,) = inspect(voc(tmp_path, image(SIZE, SIGN), "a\nb\n")).errors
    assert str(error).startswith(
        "JPEGImages/b.jpg: ImageSets/Main/train.txt names it for train, and there are no labels"
    )


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<annotation>", "not valid XML"),
        ('<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><annotation>&c;</annotation>', "it has a document type"),
        (
            '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>',
            "it has a document type",
        ),
        ("<other/>", "looks like none of coco"),
    ],
)
def test_xml_that_is_none_or_dangerous_is_refused(tmp_path: Path, xml: str, message: str) -> None:
    put(tmp_path, "dataset.yaml", b"train: {annotations: Annotations}")
    with pytest.raises(DatasetError, match=message):
        read_dataset(voc(tmp_path, xml))
