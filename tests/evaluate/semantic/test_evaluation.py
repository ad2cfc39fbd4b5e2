"""A semantic model's file and a dataset, to scores, tables and pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from support import labelled
from support.commands import Command
from ultralytics.utils.metrics import SemanticMetrics

from roadscan.dataset.read import read_dataset
from roadscan.errors import ConfigError, DatasetError, ModelError
from roadscan.evaluate.detection.compare import read_candidates
from roadscan.evaluate.detection.evaluation import Inference
from roadscan.evaluate.detection.evaluation import evaluate as evaluate_objects
from roadscan.evaluate.semantic.compare import compare
from roadscan.evaluate.semantic.evaluation import evaluate
from roadscan.model import yolo
from roadscan.model.bundle import ModelCard, load, save
from roadscan.model.segmenter import Segmenter
from roadscan.model.slices import SliceConfig

pytestmark = pytest.mark.slow


def test_scores_are_of_what_the_network_says_of_the_images_own_pixels(shapes: Path, models: list[str]) -> None:
    made = evaluate(models[0], str(shapes), resamples=20)
    segmenter = Segmenter(load(models[0]), device="cpu")
    theirs = SemanticMetrics(names=dict(enumerate((*labelled.NAMES, "background"))))
    for image in read_dataset(str(shapes)).splits["test"]:
        (found,) = segmenter.infer(cv2.imread(str(shapes / image.key))[None])  # 160x96, as the network takes it
        truth = np.full((96, 160), 3, np.int32)
        for number, parts in zip(image.classes, image.outlines or (), strict=True):
            cv2.fillPoly(truth, [parts[0].round().astype(np.int32)], int(number))
        theirs.update_stats(torch.from_numpy(found.argmax(0)[None]), torch.from_numpy(truth)[None])
    theirs.process()
    # Ultralytics fills outlines with their border, which is up to a pixel more all around.
    assert made.scores.pixel_accuracy == pytest.approx(theirs.pixel_accuracy, abs=0.01)
    assert made.scores.miou_with_background == pytest.approx(theirs.miou, abs=0.01)
    assert made.scores.by_condition.keys() == {"day", "night"}
    assert (made.intervals.drives, made.scores.images) == (2, 5)


def test_a_model_of_other_classes_is_scored_on_those_in_common(shapes: Path, models: list[str], tmp_path: Path) -> None:
    bundle = load(models[0])
    card = bundle.card.model_copy(update={"classes": ("square", "kite", "bar")})
    save(tmp_path / "other.zip", card, bundle.weights)
    made = evaluate(str(tmp_path / "other.zip"), str(shapes), resamples=20)
    assert [one.name for one in made.scores.classes] == ["square", "bar", "background"]
    assert made.unknown_to_data == ("kite",)
    assert made.notes[-2:] == (
        "not scored, as the dataset alone has them: disc",
        "not scored, as no label has them: kite",
    )
    assert made.scores.pixels == 5 * 96 * 160


def test_what_cannot_be_scored_is_refused(shapes: Path, models: list[str], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="it is for task 'detect', the job needs 'semantic'"):
        evaluate("demo", str(shapes))
    labelled.draw_dataset(tmp_path / "boxes", {"train": 1, "val": 1})
    with pytest.raises(DatasetError, match="labelled with boxes; a semantic model needs outlines or label maps"):
        evaluate(models[0], str(tmp_path / "boxes"))
    with pytest.raises(ConfigError, match="slices: got some, and a semantic model sees whole images"):
        evaluate(models[0], str(shapes), inference=Inference(slices=SliceConfig()))
    with pytest.raises(ConfigError, match=r"demo \(detect\) gives objects, and others the classes of pixels"):
        compare(read_candidates([models[0], "demo"]), str(shapes))


def test_a_dataset_of_segments_is_scored_as_pixels(shapes: Path, models: list[str], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shapes, tmp_path / "segments"))
    tree = yaml.safe_load((folder / "data.yaml").read_text())
    del tree["task"]
    (folder / "data.yaml").write_text(yaml.safe_dump(tree))
    assert read_dataset(str(folder)).task == "segment"
    expected = evaluate(models[0], str(shapes), resamples=20)
    assert evaluate(models[0], str(folder), resamples=20).scores.to_dict() == expected.scores.to_dict()


def test_the_command_prints_tables_and_writes_files(
    shapes: Path, models: list[str], tmp_path: Path, here: Command
) -> None:
    done = here("evaluate", models[0], str(shapes), "--out", str(tmp_path / "out"), "--resamples", "20")
    assert done.returncode == 0, done.stderr
    for text in ("mIoU", "boundary F1", "square", "background", "night"):
        assert text in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"evaluation.json", "samples.png", "confusion.png"}
    tree = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert tree["model"]["task"] == "semantic"
    assert tree["pixels"]["miou"] == pytest.approx(tree["pixels"]["intervals"]["metrics"]["miou"]["value"])
    assert cv2.imread(str(tmp_path / "out" / "samples.png")).std() > 1
    refused = here("evaluate", models[0], str(shapes), "--recall", "0.8")
    assert refused.returncode == 1
    assert "its pixels have no confidence to choose" in refused.stderr


def test_the_command_compares_seeds_of_models(shapes: Path, models: list[str], tmp_path: Path, here: Command) -> None:
    out = str(tmp_path / "out")
    done = here(
        "compare", f"a={models[0]},{models[1]}", f"b={models[2]}", "--data", str(shapes), "--out", out, "--resamples",
        "20",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pixels: difference to a, in percentage points" in done.stdout
    tree = json.loads((tmp_path / "out" / "comparison.json").read_text())
    own = tree["pixels"]["a"]["metrics"]["miou"]["value"], tree["pixels"]["b"]["metrics"]["miou"]["value"]
    assert tree["pixels"]["b"]["to_baseline"]["metrics"]["miou"]["value"] == pytest.approx(own[1] - own[0])
    assert (tmp_path / "out" / "samples.png").exists()


def test_what_finds_objects_is_scored_on_outlines_and_not_on_label_maps(shapes: Path, tmp_path: Path) -> None:
    card = ModelCard(task="segment", variant="n", classes=labelled.NAMES, image_size_px=160)
    save(tmp_path / "segment.zip", card, yolo.build("segment", "n", 3).state_dict())
    assert evaluate_objects(str(tmp_path / "segment.zip"), str(shapes), resamples=20).measured.keys() == {"box", "mask"}
    maps = tmp_path / "maps"
    for split in ("train", "val", "test"):
        for folder, mode in (("images", "RGB"), ("labels", "L")):
            (maps / folder / split).mkdir(parents=True)
            Image.new(mode, (64, 64)).save(maps / folder / split / f"{split}.png")
    tree = {"test": "images/test", "label_maps": {"numbers": {"square": 0}}}
    (maps / "data.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(DatasetError, match="its label maps have no objects"):
        evaluate_objects(str(tmp_path / "segment.zip"), str(maps))
