from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.commands import Command

from roadscan.cli import run
from roadscan.config import load_config
from roadscan.dataset.occlusion import OCCLUSIONS
from roadscan.dataset.records import LabelledImage
from roadscan.errors import ConfigError, DatasetError, ModelError
from roadscan.evaluate.detection.evaluation import Evaluation, evaluate, frozen_confidence, most_confident
from roadscan.evaluate.detection.split import Split
from roadscan.evaluate.detection.tables import evaluation_tables
from roadscan.model.bundle import load
from roadscan.model.slices import SliceConfig
from roadscan.scan.config import ScanConfig
from roadscan.taxonomy import HIGHWAY

pytestmark = pytest.mark.slow

QUICK = {"resamples": 200}


@pytest.fixture(scope="module")
def demo(roads: Path) -> Evaluation:
    return evaluate("demo", str(roads), **QUICK)


def labelled(key: str, classes: list[int], drive_id: str | None = None) -> LabelledImage:
    boxes = np.array([[10 * i, 0, 10 * i + 5, 5] for i in range(len(classes))], np.float32).reshape(-1, 4)
    outlines = tuple((boxes[i].reshape(2, 2)[[0, 1, 0]],) for i in range(len(classes)))
    return LabelledImage(key, 64, 32, np.array(classes, np.int64), boxes, outlines, drive_id)


def split_of(*images: LabelledImage) -> Split:
    return Split("d", "", Path("d"), "segment", "test", ("pole", "sign", "wall"), (), images, ())


def test_only_objects_of_known_classes_are_kept_and_numbered_anew() -> None:
    split = split_of(labelled("a", [2, 1, 0, 2]), labelled("b", [1])).of_classes({"wall", "pole", "cat"}, whose="m")
    assert split.names == ("pole", "wall")
    assert split.left_out == ("sign",)
    first, second = split.images
    assert first.classes.tolist() == [1, 0, 1]
    assert first.boxes_xyxy[:, 0].tolist() == [0, 20, 30]
    assert [parts[0][0, 0] for parts in first.outlines or ()] == [0, 20, 30]
    assert len(second.classes) == len(second.outlines or ()) == 0


def test_an_image_without_a_drive_is_a_drive_of_its_own() -> None:
    split = split_of(labelled("a", [], "x"), labelled("b", [], "x"), labelled("c", []), labelled("d", []))
    assert (split.drives, split.loose) == (3, 2)


def test_the_demo_model_finds_what_stands_on_simulated_roads(demo: Evaluation) -> None:
    scores = demo.measured["box"].scores
    assert [*demo.measured] == ["box"]
    assert scores.images == len(demo.results) == 9
    assert scores.instances == sum(len(result.truth.classes) for result in demo.results) > 10
    assert 0.6 < scores.map50 <= 1
    assert scores.map50_95 < scores.map50
    assert demo.split.drives == demo.measured["box"].intervals.drives == 3
    assert demo.notes == ("there are only 3 drives: with fewer than 20, intervals are too narrow",)
    interval = demo.measured["box"].intervals.metrics["map50"]
    assert interval.value == pytest.approx(scores.map50)
    assert interval.low <= interval.high


def test_an_evaluation_is_json(demo: Evaluation) -> None:
    tree = json.loads(json.dumps(demo.to_dict(), allow_nan=False))
    assert tree["model"]["sha256"] == load("demo").sha256
    assert (tree["split"], tree["images"], tree["drives"], tree["images_without_drive"]) == ("test", 9, 3, 0)
    assert tree["boxes"]["map50"] == pytest.approx(demo.measured["box"].scores.map50)
    assert tree["boxes"]["thresholds"]["target"] == 0.9
    chosen = demo.card.metrics["val"]["confidence"]
    assert tree["boxes"]["frozen_from"] == {"confidence": chosen, "source": "val"}


def test_the_order_of_the_classes_does_not_matter(demo: Evaluation, changed: Callable[..., str]) -> None:
    """The dataset's names turned round, and its labels with them."""
    folder = Path(changed(names=dict(enumerate(reversed(HIGHWAY.names)))))
    for path in folder.glob("labels/*/*.txt"):
        rows = [line.split(maxsplit=1) for line in path.read_text().splitlines()]
        path.write_text("".join(f"{6 - int(index)} {rest}\n" for index, rest in rows))
    turned = evaluate("demo", str(folder), **QUICK).measured["box"].scores
    scores = demo.measured["box"].scores
    assert turned.map50_95 == pytest.approx(scores.map50_95)
    by_name = {one.name: one.instances for one in scores.classes}
    assert {one.name: one.instances for one in turned.classes} == by_name


def test_classes_in_common_are_scored_and_the_rest_is_listed(demo: Evaluation, changed: Callable[..., str]) -> None:
    names = ["Kiosk", *HIGHWAY.names[1:]]
    partly = evaluate("demo", changed(names=dict(enumerate(names)), test=None), **QUICK)
    assert partly.split.names == HIGHWAY.names[1:]
    assert partly.split.left_out == ("Kiosk",)
    assert partly.unknown_to_data == ("Pavilion",)
    assert partly.notes[0] == "the dataset has no test split, so its val split is scored"
    assert partly.notes[-2:] == (
        "not scored, as the dataset alone has them: Kiosk",
        "not scored, as no label has them: Pavilion",
    )
    scores = partly.measured["box"].scores
    assert [one.name for one in scores.classes] == [*HIGHWAY.names[1:]]
    assert scores.images == 2


def outlined(folder: str) -> str:
    """The dataset with each box as an outline of four corners."""
    for path in Path(folder).glob("labels/*/*.txt"):
        lines = []
        for line in path.read_text().splitlines():
            index, *box = line.split()
            x, y, w, h = map(float, box)
            corners = ((x + i * w / 2, y + j * h / 2) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1)))
            lines.append(f"{index} " + " ".join(f"{min(max(v, 0), 1):.6f}" for corner in corners for v in corner))
        path.write_text("".join(f"{line}\n" for line in lines))
    return folder


def test_masks_are_scored_where_model_and_labels_have_them(changed: Callable[..., str], segment_model: str) -> None:
    folder = outlined(changed())
    both = evaluate(segment_model, folder, split="val", **QUICK)
    assert [*both.measured] == ["box", "mask"]
    assert {one.scores.kind for one in both.measured.values()} == {"box", "mask"}
    assert {"boxes", "masks"} < both.to_dict().keys()
    boxes = evaluate("demo", folder, split="val", **QUICK)
    assert [*boxes.measured] == ["box"]
    assert boxes.notes[-1] == "a model is for task detect and draws no masks, so boxes alone are scored"


def test_without_drives_every_image_is_one(changed: Callable[..., str]) -> None:
    made = evaluate("demo", changed(frames=False), split="val", **QUICK)
    assert made.split.drives == made.measured["box"].intervals.drives == 2
    assert "no image says which drive it is of" in made.notes[0]


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({}, (0.25, "card")),
        ({"val": {"confidence": 0.4}}, (0.4, "val")),
        ({"val": {"map50": 0.4}}, (0.25, "card")),
        ({"val": 0.4}, (0.25, "card")),
        ({"val": {"confidence": "high"}}, (0.25, "card")),
    ],
)
def test_the_frozen_confidence_is_that_of_validation_if_the_card_has_one(
    metrics: dict[str, object], expected: tuple[float, str]
) -> None:
    frozen = frozen_confidence(load("demo").card.model_copy(update={"metrics": metrics}), "box")
    assert (frozen.confidence, frozen.source) == expected


def test_the_most_confident_detections_are_those_at_the_confidence_and_above(demo: Evaluation) -> None:
    kept = most_confident(demo.results, 0.25)
    scores = np.concatenate([result.found.scores for result in kept])
    assert scores.min() >= 0.25
    assert len(scores) == sum((result.found.scores >= 0.25).sum() for result in demo.results) > 0
    assert all(len(result.found.boxes_xyxy) == len(result.found.classes) for result in kept)


def test_tables_say_all_classes_and_conditions(demo: Evaluation) -> None:
    overall, sizes, points, classes, conditions, occlusions = evaluation_tables(demo)
    scores = demo.measured["box"].scores
    assert f"{100 * scores.map50:.2f} (" in overall.markdown()
    assert "from the model's validation" in points.markdown()
    assert [row[0] for row in classes.rows] == [*HIGHWAY.names]
    assert {row[0] for row in conditions.rows} <= {"day", "rain", "traffic"}
    assert [row[0] for row in occlusions.rows] == [name for name in OCCLUSIONS if name in scores.by_occlusion]
    assert all("percent" in table.caption for table in (overall, sizes, points, classes, conditions, occlusions))


def test_wrong_requests_are_refused(roads: Path, changed: Callable[..., str]) -> None:
    with pytest.raises(DatasetError, match="no images in split 'nightly'; expected one of val, test"):
        evaluate("demo", str(roads), split="nightly")
    with pytest.raises(ConfigError, match=r"recall: got 90; expected a share above 0 and up to 1"):
        evaluate("demo", str(roads), recall_target=90)
    with pytest.raises(ModelError, match=r"model demo: it knows Pavilion, .* has labels of a, b, c, .* no class is in"):
        evaluate("demo", changed(names=dict(enumerate("abcdefg"))))


def test_the_command_prints_writes_pictures_and_json(here: Command, roads: Path, tmp_path: Path) -> None:
    done = here("evaluate", "demo", str(roads), "--resamples", "200", "--out", str(tmp_path / "out"), "--json")
    assert done.returncode == 0, done.stderr
    tree = json.loads(done.stdout)
    assert tree == json.loads((tmp_path / "out" / "evaluation.json").read_text())
    fields = ["drives=[a]", "warehouse=w"]
    scores = load_config(ScanConfig, tmp_path / "out" / "confidence.yaml", fields).confidence
    of_classes = tree["boxes"]["thresholds"]["classes"]
    assert scores == {name: one["confidence"] for name, one in of_classes.items() if one["confidence"]}
    pictures = {path.name: path.read_bytes()[:4] for path in (tmp_path / "out").glob("*.png")}
    assert pictures == dict.fromkeys(("precision-recall.png", "confusion.png", "samples.png"), b"\x89PNG")
    assert "9/9 images" in done.stderr


def test_scores_found_with_slices_go_into_a_scan_with_slices(here: Command, roads: Path, tmp_path: Path) -> None:
    given = ["--resamples", "0", "--slices", "{size_px: 320, overlap_px: 64}", "--out", str(tmp_path)]
    assert here("evaluate", "demo", str(roads), *given).returncode == 0
    scan = load_config(ScanConfig, tmp_path / "confidence.yaml", ["drives=[a]", "warehouse=w"])
    assert scan.slices == SliceConfig(size_px=320, overlap_px=64)
    (note,) = [note for note in json.loads((tmp_path / "evaluation.json").read_text())["notes"] if "slices" in note]
    assert "size_px 320" in note


def test_scores_found_in_larger_images_go_into_a_scan_of_larger_ones(
    here: Command, roads: Path, tmp_path: Path
) -> None:
    sizes = {"own": [], "larger": ["--image-size", "960"]}
    for name, given in sizes.items():
        assert (
            here("evaluate", "demo", str(roads), "--resamples", "0", *given, "--out", str(tmp_path / name)).returncode
            == 0
        )
    scan = load_config(ScanConfig, tmp_path / "larger" / "confidence.yaml", ["drives=[a]", "warehouse=w"])
    assert scan.image_size_px == 960
    own, larger = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in sizes)
    assert larger["boxes"] != own["boxes"]
    assert "images were seen with a longer side of 960 px" in larger["notes"]


def test_a_size_that_the_network_does_not_take_is_refused(here: Command, roads: Path) -> None:
    done = here("compare", "a=demo", "b=other.zip", "--data", str(roads), "--image-size", "1000")
    assert (done.returncode, done.stderr) == (
        1, "error: image size: got 1000 px; expected a multiple of 32, such as 640 or 1280\n"
    )  # fmt: skip


def test_the_command_prints_tables(roads: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "demo", str(roads), "--split", "val", "--resamples", "200", "--recall", "0.8"]) == 0
    printed = capsys.readouterr().out
    assert "boxes: val split, 2 images" in printed
    assert "for a recall of 80%" in printed
    assert "note: there are only 2 drives" in printed
    assert "…" not in printed  # nothing is cut off in the 80 columns of a pipe


def test_a_mistake_gives_one_line(here: Command, tmp_path: Path) -> None:
    done = here("evaluate", "demo", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: dataset {tmp_path}/none: expected data.yaml, dataset.yaml")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        ("no-such.zip", [], "model no-such.zip: no such file"),
        ("demo", ["--split", "nightly"], "no images in split 'nightly'; expected one of val, test"),
        ("demo", ["--recall", "0"], "recall: got 0; expected a share above 0"),
        ("demo", ["--device", "toaster"], "device 'toaster': "),
    ],
)
def test_every_mistake_gives_one_line(
    model: str, options: list[str], expected: str, roads: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", model, str(roads), *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert expected in error
    assert error.count("\n") == 1
