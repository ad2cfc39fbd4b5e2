from __future__ import annotations

import io
import os
from html.parser import HTMLParser
from pathlib import Path as FilePath

import cv2
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from support.drives import jpeg
from support.videos import number_of, record

from roadscan.report.page import Grid, Picture, Section, page
from roadscan.report.samples import Images, annotate, choose_frames, crop, read_image
from roadscan.report.strip import Path
from roadscan.storage import MAX_IMAGE_BYTES, open_store
from roadscan.survey.geodesy import LocalFrame
from roadscan.taxonomy import HIGHWAY


def test_a_place_becomes_distance_along_and_offset_to_the_right() -> None:
    frame = LocalFrame(102.8, 16.4)
    x = np.linspace(0, 1000, 101)  # due east, so right is south
    lon, lat = frame.to_lonlat(x, np.zeros(101))
    path = Path(lon, lat)
    assert path.length_m == pytest.approx(1060, abs=0.1)  # 60 m more, which the last frame sees
    places = np.stack(frame.to_lonlat(np.array([250.0, 600.0]), np.array([-8.0, 5.0])), axis=1)
    assert path.locate(places) == pytest.approx(np.array([[250, 8], [600, -5]]), abs=0.05)


def observations(*rows: tuple[str, str, float]) -> pa.Table:
    schema = pa.schema([("image_uri", pa.string()), ("class", pa.string()), ("score", pa.float64())])
    return pa.Table.from_pylist([{"image_uri": u, "class": c, "score": s} for u, c, s in rows], schema)


def test_frames_that_show_something_new_come_first() -> None:
    table = observations(("a", "Pole", 0.9), ("b", "Pole", 0.8), ("c", "Sign", 0.6), ("d", "Pole", 0.3))
    assert choose_frames(table, 3) == ["a", "c", "b"]
    assert choose_frames(table, 9) == ["a", "c", "b", "d"]
    assert choose_frames(observations(), 3) == []


def test_an_annotated_frame_has_the_box_where_it_is(tmp_path: object) -> None:
    open_store(str(tmp_path)).write("x.jpg", cv2.imencode(".jpg", np.full((360, 640, 3), 128, np.uint8))[1].tobytes())
    row = {"class": "Warning Sign", "score": 0.9, "box_px": [200, 100, 300, 200]}
    image = np.asarray(
        Image.open(io.BytesIO(annotate(Images().read(f"{tmp_path}/x.jpg"), [row], HIGHWAY, width_px=1280)))
    )
    assert image.shape == (720, 1280, 3)
    edge, inside = image[300, 400].astype(int), image[300, 500].astype(int)  # twice the box's left edge; its middle
    assert np.abs(edge - HIGHWAY.get("Warning Sign").color_rgb).max() < 60
    assert np.abs(inside - 128).max() < 12


def test_a_picture_of_a_video_is_an_image(tmp_path: FilePath) -> None:
    uri = str(record(tmp_path / "a.mp4", range(0, 2000, 40)))
    assert number_of(read_image(f"{uri}#t=1.520000")) == 38
    images = Images()
    assert (
        images.read(f"{uri}#t=9.000000").shape == images.read(f"{tmp_path}/no.mp4#t=0.000000").shape == (720, 1280, 3)
    )
    assert not images.unread  # they are not there


def test_what_a_release_names_that_is_no_image_is_a_grey_one_and_waits_for_nothing(tmp_path: FilePath) -> None:
    """A pipe that nobody writes to, a folder, a text of others, and a file that would fill the memory."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "text.jpg").write_text("root:secret")
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    images = Images()
    for name in ("pipe", "folder", "text", "large"):
        shown = images.read(f"{tmp_path}/{name}.jpg")
        assert (shown.shape, shown[0, 0].tolist()) == ((720, 1280, 3), [200, 200, 200])
    assert {uri: why.rpartition(": ")[2] for uri, why in images.unread.items()} == {
        f"{tmp_path}/large.jpg": f"{MAX_IMAGE_BYTES + 1} bytes, limit {MAX_IMAGE_BYTES}"
    }


@pytest.mark.parametrize("box", [[10, 10, 40, 60], [600, 340, 640, 360], [0, 0, 640, 360]])
def test_a_crop_is_square_even_at_the_edge(tmp_path: object, box: list[float]) -> None:
    open_store(str(tmp_path)).write("x.jpg", jpeg())
    assert Image.open(io.BytesIO(crop(Images().read(f"{tmp_path}/x.jpg"), box, 200))).size == (200, 200)


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_holds_everything_and_escapes_what_it_is_given() -> None:
    signs, grid = Section("Signs", [Picture(jpeg(), "a <b>")], "frames"), Section("T", [Grid(["x"], [["<1>"]])])
    html = page("A <title>", "facts & figures", [signs, Section("Empty", []), grid])
    reader = Reader()
    reader.feed(html)
    assert all(word in reader.text for word in ("A <title>", "facts & figures", "a <b>", "<1>"))
    assert "Empty" not in reader.text
    assert len(reader.sources) == 1
    assert reader.sources[0].startswith("data:image/jpeg;base64,")
