"""Models exported for other programs: what they find, what they tell of themselves, and who reads them."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from support.commands import Command

from roadscan.api.detector import Detector
from roadscan.errors import ModelError
from roadscan.model import yolo
from roadscan.model.backends.agreement import Agreement
from roadscan.model.bundle import load, save
from roadscan.model.export import Export, export_model, objection_to
from roadscan.model.exported import Exported, inspect, open_model
from roadscan.model.formats import SUFFIXES, Format
from roadscan.scan import ledger
from roadscan.warehouse import Warehouse

FORMATS: tuple[Format, ...] = ("onnx", "openvino", "torchscript")  # that need no GPU
Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo model's boxes, with masks of a random head: a trained network has no equal scores to choose from."""
    demo = load("demo")
    torch.manual_seed(0)
    network = yolo.build("segment", "n", len(demo.card.classes))
    weights = {**network.state_dict(), **demo.weights}
    weights["model.22.dfl.conv.weight"] = demo.weights["model.22.dfl.conv.weight"] * 1.01  # as compression may leave it
    path = tmp_path_factory.mktemp("model") / "masks.zip"
    save(path, demo.card.model_copy(update={"task": "segment"}), weights, demo.calibration[:3])
    return str(path)


@pytest.fixture(scope="module")
def exports(model: str, tmp_path_factory: pytest.TempPathFactory) -> dict[Format, Export]:
    """The model in every format; a conversion takes seconds."""
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    pytest.importorskip("openvino", reason="needs openvino")
    folder = tmp_path_factory.mktemp("exported")
    return {to: export_model(model, to, folder / f"masks{SUFFIXES[to]}") for to in FORMATS}


def frame() -> npt.NDArray[np.uint8]:
    """A rendered road, 384x640 BGR, with several things beside it."""
    image: npt.NDArray[np.uint8] = cv2.imdecode(np.frombuffer(load("demo").calibration[0], np.uint8), cv2.IMREAD_COLOR)
    return image


@pytest.mark.slow
def test_all_formats_find_what_the_model_finds(model: str, exports: dict[Format, Export]) -> None:
    images = [frame(), frame()[:, :320], frame()[:256]]  # of sizes that no converter was shown
    wanted = list(Detector(model, backend="torch").detect_all(images))
    assert all(len(one) for one in wanted)
    for to, made in exports.items():
        assert made.agreement.box_difference_px < 0.05
        assert made.agreement.lowest_mask_iou > 0.99
        assert made.agreement.detections > 10
        for one, other in zip(wanted, Detector(made.path).detect_all(images), strict=True):
            assert other.classes == one.classes, to
            np.testing.assert_allclose(other.boxes_xyxy, one.boxes_xyxy, atol=0.05)
            np.testing.assert_allclose(other.scores, one.scores, atol=1e-3)
            assert other.masks_rle is not None
            assert other.masks_rle[0] == one.masks_rle[0]  # type: ignore[index]


@pytest.mark.slow
def test_a_stranger_decodes_the_onnx_file_by_what_it_tells(model: str, exports: dict[Format, Export]) -> None:
    """ONNX Runtime and NumPy alone: no line of roadscan computes these boxes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(exports["onnx"].path, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    names, card = ast.literal_eval(facts["names"]), json.loads(facts["roadscan_card"])
    assert "(batch, 3, height, width), RGB, 0 to 1" in facts["roadscan_input"]
    assert f"(batch, 4 + {len(names)} classes + 32, anchors)" in facts["roadscan_outputs"]
    rgb = np.ascontiguousarray(frame()[..., ::-1].transpose(2, 0, 1)[None], np.float32) / 255
    output, prototypes = session.run(["output0", "output1"], {"images": rgb})
    assert prototypes.shape == (1, 32, 384 // 4, 640 // 4)
    rows = output[0].T
    scores = rows[:, 4 : 4 + len(names)]
    rows, scores = rows[scores.max(1) >= card["confidence"]], scores[scores.max(1) >= card["confidence"]]
    centre, half, kinds, best = rows[:, :2], rows[:, 2:4] / 2, scores.argmax(1), scores.max(1)
    boxes = np.concatenate([centre - half, centre + half], 1)
    kept = _suppressed(boxes, best, kinds, card["iou"])
    wanted = Detector(model, backend="torch").detect(frame())
    assert [names[kinds[k]] for k in kept] == list(wanted.classes)
    np.testing.assert_allclose(boxes[kept].clip(0, (640, 384, 640, 384)), wanted.boxes_xyxy, atol=0.05)
    np.testing.assert_allclose(best[kept], wanted.scores, atol=1e-3)


def _suppressed(boxes: Floats, scores: Floats, kinds: npt.NDArray[np.int64], iou: float) -> list[int]:
    """Non-maximum suppression by class, by its definition."""
    kept: list[int] = []
    for k in np.argsort(-scores, kind="stable").tolist():
        rivals = [other for other in kept if kinds[other] == kinds[k]]
        if all(_iou(boxes[k], boxes[other]) <= iou for other in rivals):
            kept.append(k)
    return kept


def _iou(a: Floats, b: Floats) -> float:
    shared = np.prod((np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


@pytest.mark.slow
def test_card_and_class_names_are_inside_of_every_file(model: str, exports: dict[Format, Export]) -> None:
    card = load(model).card
    for to, made in exports.items():
        found = open_model(str(made.path), task="segment")
        assert isinstance(found, Exported)
        assert (found.format, found.card, found.sha256) == (to, card, made.sha256)
        assert inspect(str(made.path)).sha256 == made.sha256
        with pytest.raises(ModelError, match="it is for task 'segment', the job needs 'detect'"):
            inspect(str(made.path), task="detect")
    import openvino

    network = openvino.Core().read_model(exports["openvino"].path / "model.xml")
    assert network.get_rt_info("roadscan_card").astype(str) == card.model_dump_json()
    assert network.get_rt_info(["model_info", "labels"]).astype(str).startswith(card.classes[0])


@pytest.mark.slow
def test_ultralytics_reads_the_facts_that_it_decodes_by(model: str, exports: dict[Format, Export]) -> None:
    from ultralytics.nn.backends.base import BaseBackend

    for made in exports.values():
        facts = {name: str(value) for name, value in BaseBackend.read_metadata(made.path).items()}
        assert tuple(ast.literal_eval(facts["names"]).values()) == load(model).card.classes
        assert (facts["task"], facts["stride"], facts["channels"], facts["batch"]) == ("segment", "32", "3", "1")
        assert ast.literal_eval(facts["imgsz"]) == [640, 640]
        assert ast.literal_eval(facts["args"])["dynamic"] is True


@pytest.mark.slow
def test_the_card_of_an_exported_model_is_shown(exports: dict[Format, Export], here: Command) -> None:
    shown = json.loads(here("model", "show", str(exports["onnx"].path)).stdout)
    assert (shown["exported_to"], shown["sha256"], shown["variant"]) == ("onnx", exports["onnx"].sha256, "n")


@pytest.mark.slow
def test_a_scan_keeps_an_exported_model_beside_its_rows(exports: dict[Format, Export], tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    for made in exports.values():
        ledger.keep_model(warehouse, str(made.path), made.sha256)
        assert ledger.read_model(warehouse, made.sha256) == open_model(str(made.path))


@pytest.mark.slow
def test_what_needs_weights_asks_for_the_model_file(exports: dict[Format, Export], here: Command) -> None:
    for made in exports.values():
        done = here("model", "calibrate", str(made.path), "images", "out.zip")
        assert done.returncode == 1
    assert "expected the model file that it was exported from" in done.stderr


@pytest.mark.slow
def test_a_network_with_one_size_of_input_takes_smaller_images_and_any_number(here: Command, tmp_path: Path) -> None:
    path = tmp_path / "fixed.torchscript"
    done = here("model", "export", "demo", str(path), "--to", "torchscript", "--fixed", "2x384x672")
    assert done.returncode == 0, done.stderr
    assert "detections in 8 images" in done.stdout
    assert inspect(str(path)).sha256 in done.stdout.replace("\n", "").replace(" ", "")
    wanted = Detector("demo", backend="torch").detect(frame())
    for one in Detector(path).detect_all([frame()] * 3):
        assert one.classes == wanted.classes
        np.testing.assert_allclose(one.boxes_xyxy, wanted.boxes_xyxy, atol=6)  # grey beside them moves some a little
    with pytest.raises(ModelError, match="inputs of 384x672 px alone, and images come to 640x384 px"):
        Detector(path).detect(np.rot90(frame()).copy())


SAME = Agreement(3, 20, 0, 0.9999, 0.9999, 1e-5, 0.001)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"detections": 60, "alone": 1}, "boxes differ"),
        ({"box_difference_px": 0.6}, "within 0.5 px and 0.01 of the score"),
        ({"score_difference": 0.02}, "boxes differ"),
        ({"lowest_mask_iou": 0.9}, "masks of IoU 0.95"),
        ({"typical_iou": 0.9}, "does not agree with torch"),
        ({"detections": 0}, "finds nothing"),
    ],
)
def test_a_network_that_finds_anything_else_is_refused(change: dict[str, float], words: str) -> None:
    assert objection_to(SAME) is None
    assert words in str(objection_to(replace(SAME, **change)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "m.onnx", "--to", "openvino"], "expected a name that ends in _openvino_model"),
        (["demo", "m.onnx", "--to", "onnx", "--fixed", "640"], "got '640'; expected BATCHxHEIGHTxWIDTH"),
        (["demo", "m.onnx", "--to", "onnx", "--fixed", "1x640x600"], "sides that are multiples of 32"),
        (["demo", "m.engine", "--to", "tensorrt"], "built for one size; expected --fixed"),
        (["demo", "there.onnx", "--to", "onnx"], "is there already; delete it, or give another name"),
        (["demo", "bare.zip/m.onnx", "--to", "onnx"], "cannot be written there"),
        (["pixels.zip", "m.onnx", "--to", "onnx"], "models for task semantic are not exported"),
        (["bare.zip", "m.onnx", "--to", "onnx"], "no calibration images; add them with 'roadscan model calibrate'"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_written(
    here: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    demo = load("demo")
    save(tmp_path / "bare.zip", demo.card, demo.weights)
    save(tmp_path / "pixels.zip", demo.card.model_copy(update={"task": "semantic"}), demo.weights)
    (tmp_path / "there.onnx").mkdir()
    done = here("model", "export", *arguments)
    assert done.returncode == 1
    assert words in done.stderr.replace("\n", " ")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bare.zip", "pixels.zip", "there.onnx"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_tensorrt_without_a_gpu_says_what_is_missing(here: Command, tmp_path: Path) -> None:
    done = here("model", "export", "demo", str(tmp_path / "m.engine"), "--to", "tensorrt", "--fixed", "1x384x640")
    assert done.returncode == 1
    assert "here is missing: a GPU that PyTorch can use" in done.stderr.replace("\n", " ")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"\x08broken", "not valid onnx"), (b"\x02\0\0\0{}engine", "tensorrt without a card")],
)
def test_a_file_of_another_program_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(ModelError, match=words):
        open_model(str(tmp_path / "m"))


def test_an_openvino_folder_with_a_file_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "m_openvino_model").mkdir()
    (tmp_path / "m_openvino_model" / "model.xml").write_text("<net/>")
    with pytest.raises(ModelError, match=r"model\.bin, metadata\.yaml not in it"):
        open_model(str(tmp_path / "m_openvino_model"))
