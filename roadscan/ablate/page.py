"""One HTML page of an ablation: its tables, how each loss learns, what its scores mean, and what each variant sees."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from roadscan.ablate.measures import Measure
from roadscan.ablate.results import Ablation, RunResult
from roadscan.ablate.tables import difference_tables, part_tables, variant_tables
from roadscan.evaluate.detection.evaluation import NAMES_OF_KINDS
from roadscan.evaluate.detection.overlap import Kind
from roadscan.model.bundle import Variant
from roadscan.report.ablation import learning, reliability
from roadscan.report.page import Grid, Picture, Section, Sentences, page
from roadscan.report.predictions import samples

T = TypeVar("T")
MAIN = Measure("all", "map50_95")


def ablation_page(made: Ablation) -> str:
    """What an ablation came to -> one HTML file with everything in it."""
    config, split = made.config, made.tested.split
    facts = (
        f"{split.uri}, {split.name} split: {len(split.images)} images, {split.drives} drives · "
        f"losses {len(config.losses)}, variants {len(config.variants)}, seeds {len(config.seeds)}, epochs "
        f"{config.train.epochs} at {config.train.image_size_px} pixels · dataset {made.tested.digest[:12]}"
    )
    sections = [
        Section("What to know", [Sentences(made.notes)] if made.notes else []),
        Section("Variants", variant_tables(made, wide=True)),
        Section(f"Differences to {config.baseline_loss}", difference_tables(made, wide=True)),
        Section("By class, size, condition and occlusion", part_tables(made, wide=True)),
        Section("Training curves", [Picture(learning(by_variant(made, lambda run: run.history)))]),
        Section("Reliability of scores", reliability_pictures(made)),
        Section("What each variant sees", figures(made)),
        Section("Runs", [runs_grid(made)]),
    ]
    return page(f"Ablation {config.name}", facts, sections)


def by_variant(made: Ablation, of: Callable[[RunResult], T]) -> dict[str, dict[str, list[T]]]:
    """Something of each complete run, of the seeds in their order, by variant and loss."""
    return {
        variant: {loss: [of(run) for run in made.cell(variant, loss)] for loss in made.config.losses}
        for variant in made.config.variants
    }


def reliability_pictures(made: Ablation) -> list[Picture]:
    """The reliability of scores, of boxes and of masks."""

    def picture(kind: Kind) -> Picture:
        data = reliability(by_variant(made, lambda run: run.scored[kind].calibration))
        return Picture(
            data, f"{NAMES_OF_KINDS[kind]} with a score of at least 0.05, of all seeds, in bins of about as many"
        )

    return [picture(kind) for kind in made.tested.kinds]


def figures(made: Ablation) -> list[Picture]:
    """Input, truth, and what each variant finds, of the baseline and of the loss with the greatest mAP50-95."""
    seed, split = made.config.seeds[0], made.tested.split
    pictures = []
    for kind in made.tested.kinds:
        for loss in shown_losses(made, kind):
            first = {variant: _of_seed(made, variant, loss, seed) for variant in made.config.variants}
            shown = {f"YOLOv8{variant}": run.shown for variant, run in first.items() if run}
            if shown:
                data = samples(
                    split.root, shown, split.names, count=made.config.pictured_images, kind=kind, as_figure=True
                )
                pictures.append(Picture(data, f"{loss}, {NAMES_OF_KINDS[kind]}, seed {seed}"))
    return pictures


def shown_losses(made: Ablation, kind: Kind) -> tuple[str, ...]:
    """The baseline, and the loss with the greatest mean mAP50-95 over variants and seeds, where it is another."""

    def score(loss: str) -> float:
        levels = [made.level(variant, loss, kind) for variant in made.config.variants]
        known = [level[MAIN].value for level in levels if level and not math.isnan(level[MAIN].value)]
        return sum(known) / len(known) if known else -1.0

    baseline = made.config.baseline_loss
    return tuple(dict.fromkeys([baseline, max([baseline, *made.config.other_losses], key=score)]))


def runs_grid(made: Ablation) -> Grid:
    """A row a run; how each is trained again alone is in the table of runs."""
    rows = []
    for run in made.runs:
        result = made.results.get(run.name)
        if result is None:
            rows.append([run.name, run.variant, run.loss, str(run.seed), "failed", "", ""])
            continue
        values = dict(zip(result.scored["box"].measured.measures, result.scored["box"].measured.values, strict=True))
        epochs = f"{result.summary.best_epoch} of {result.summary.epochs}"
        rows.append([run.name, run.variant, run.loss, str(run.seed), "complete", epochs, f"{100 * values[MAIN]:.2f}"])
    return Grid(["run", "variant", "loss", "seed", "state", "best epoch", "mAP50-95 of boxes, percent"], rows)


def _of_seed(made: Ablation, variant: Variant, loss: str, seed: int) -> RunResult | None:
    return next((run for run in made.cell(variant, loss) if run.run.seed == seed), None)
