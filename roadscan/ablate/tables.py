"""What an ablation came to, as tables to read and as tables to query."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from statistics import mean
from typing import Any, TypeAlias

import pyarrow as pa

from roadscan import schemas
from roadscan.ablate.differences import Pooled
from roadscan.ablate.latency import network_of
from roadscan.ablate.measures import METRICS, Measure
from roadscan.ablate.results import ALL, Ablation, RunResult
from roadscan.ablate.runs import Run
from roadscan.evaluate.bootstrap import LEVEL
from roadscan.evaluate.detection.evaluation import NAMES_OF_KINDS
from roadscan.evaluate.detection.overlap import Kind
from roadscan.evaluate.detection.tables import COLUMNS, NOTHING, Cell, ScoreTable
from roadscan.model.bundle import Variant
from roadscan.tune.placement import SweepPlan
from roadscan.tune.results import replay

Groups: TypeAlias = "list[tuple[str, tuple[Variant, ...]]]"  # variants to take the mean over, by a name
NOTE_ON_PARTS = "of 20 intervals where nothing differs, one does not hold 0"


def result_tables(made: Ablation, *, wide: bool = False) -> list[ScoreTable]:
    """All tables to read.

    Args:
        made: what the ablation came to.
        wide: for a page; else they fit 80 columns: by part for the mean over the variants alone.
    """
    tables = [*variant_tables(made, wide=wide), *difference_tables(made, wide=wide), *part_tables(made, wide=wide)]
    return tables if wide else [*tables, costs_table(made)]


def variant_tables(made: Ablation, *, wide: bool) -> list[ScoreTable]:
    """For boxes and masks, and each loss: its variants."""
    return [variants_table(made, loss, kind, wide=wide) for kind in made.tested.kinds for loss in made.config.losses]


def difference_tables(made: Ablation, *, wide: bool) -> list[ScoreTable]:
    """For boxes and masks: what each loss gains over the baseline; none where there is no other."""
    others = made.config.other_losses
    return [differences_table(made, others, kind, wide=wide) for kind in made.tested.kinds] if others else []


def part_tables(made: Ablation, *, wide: bool) -> list[ScoreTable]:
    """For boxes and masks, and each loss but the baseline: what it gains by part; none where no seed has both."""
    groups = _groups(made)[0 if wide else -1 :]
    tables = [parts_table(made, loss, kind, groups) for kind in made.tested.kinds for loss in made.config.other_losses]
    return [table for table in tables if table.rows]


def variants_table(made: Ablation, loss: str, kind: Kind, *, wide: bool) -> ScoreTable:
    """The published columns of every variant with one loss; where there is room, also what each costs."""
    rows = []
    for variant in made.config.variants:
        level = made.level(variant, loss, kind)
        cells = [_level(level[Measure("all", metric)]) if level else Cell(NOTHING) for metric in METRICS]
        rows.append([variant, *cells, *(_costs(made, variant, loss) if wide else ())])
    split = made.tested.split
    title = f"{loss}, {NAMES_OF_KINDS[kind]}: {split.name} split, {len(split.images)} images, {split.drives} drives"
    caption = f"percent; {_how(made)}; P, R, F1 where F1 is greatest on these images"
    header = ["variant", *COLUMNS.values(), *(_cost_columns(made) if wide else ())]
    return ScoreTable(title, header, rows, f"{caption}; {_how_costs(made)}" if wide else caption)


def costs_table(made: Ablation) -> ScoreTable:
    """What each variant and loss costs, and how far its scores are from probabilities."""
    rows = [
        [loss, variant, *_costs(made, variant, loss)] for loss in made.config.losses for variant in made.config.variants
    ]
    return ScoreTable("calibration and cost", ["loss", "variant", *_cost_columns(made)], rows, _how_costs(made))


def differences_table(made: Ablation, losses: Sequence[str], kind: Kind, *, wide: bool) -> ScoreTable:
    """What each loss gains over the baseline, for each variant and for their mean."""
    metrics = METRICS if wide else ("map50", "map50_95", "f1_of_means")
    rows: list[list[Cell | str]] = []
    for loss in losses:
        for name, variants in _groups(made):
            found = made.difference(variants, loss, kind)
            cells = [_change(found[Measure("all", metric)]) if found else Cell(NOTHING) for metric in metrics]
            rows.append([loss, name, *cells, found[Measure("all", "map50_95")].verdict if found else "unknown"])
    title = f"{NAMES_OF_KINDS[kind]}: difference to {made.config.baseline_loss}, in percentage points"
    caption = (
        f"{_how(made)}; paired by seed and by drive; bold where the interval does not hold 0; last, what it says of "
        "mAP50-95"
    )
    header = ["loss", "variant", *(COLUMNS[metric] for metric in metrics), "verdict"]
    return ScoreTable(title, header, rows, caption)


def parts_table(made: Ablation, loss: str, kind: Kind, groups: Groups) -> ScoreTable:
    """What a loss gains over the baseline by part of the images and objects; the verdict is on the last group."""
    found = {name: made.difference(variants, loss, kind) for name, variants in groups}
    measures = next((list(one) for one in found.values() if one), [])
    rows: list[list[Cell | str]] = []
    for one in measures:
        if one.part == "all":
            continue
        cells = [_change(part[one]) if part else Cell(NOTHING) for part in found.values()]
        last = [*found.values()][-1]
        verdict = last[one].verdict if last else "unknown"
        rows.append([f"{one.part} {one.of}", str(made.truths.get(one, 0)), *cells, verdict])
    title = f"{loss} against {made.config.baseline_loss}, {NAMES_OF_KINDS[kind]}: mAP50-95 by part"
    head = ", ".join(made.tested.frequency["head"])
    caption = (
        f"percentage points; {_how(made)}; small is below 32² pixels, large above 96²; head are the classes that hold "
        f"{made.config.head_share:.0%} of the training objects ({head}); {NOTE_ON_PARTS}"
    )
    return ScoreTable(title, ["part", "objects", *found, "verdict"], rows, caption)


def runs_table(made: Ablation, plan: SweepPlan) -> pa.Table:
    """One row a run (`schemas.ABLATION_RUNS`), with the command that trains it again, alone."""
    rows = [_run_row(made, run, plan) for run in made.runs]
    return pa.Table.from_pylist(rows, schemas.ABLATION_RUNS)


def differences_rows(made: Ablation) -> pa.Table:
    """One row a loss, a variant and a part (`schemas.ABLATION_DIFFERENCES`)."""
    return pa.Table.from_pylist([*_difference_rows(made)], schemas.ABLATION_DIFFERENCES)


def _groups(made: Ablation) -> Groups:
    """Each variant, and all of them where there are several."""
    single: Groups = [(one, (one,)) for one in made.config.variants]
    return [*single, (ALL, made.config.variants)] if len(single) > 1 else single


def _cost_columns(made: Ablation) -> list[str]:
    return ["ECE", "parameters", "ms an image", "GPU h" if "cuda" in _devices(made) else "core h"]


def _costs(made: Ablation, variant: Variant, loss: str) -> list[Cell | str]:
    """Calibration error of the boxes, parameters, latency, hours of a training."""
    runs, network = made.cell(variant, loss), network_of(made.config.training(variant, loss, made.config.seeds[0]))
    parameters, ms = f"{made.parameters[network] / 1e6:.2f} M", f"{made.latencies[network].ms:.1f}"
    if not runs:
        return [NOTHING, parameters, ms, NOTHING]
    error = mean(one.scored["box"].calibration.error for one in runs)
    hours = mean(one.gpu_h or one.cpu_h for one in runs)
    return [NOTHING if math.isnan(error) else f"{100 * error:.2f}", parameters, ms, f"{hours:.3g}"]


def _how_costs(made: Ablation) -> str:
    latency = " and ".join(sorted({one.device for one in made.latencies.values()}))
    return (
        f"ECE: percent, expected calibration error of the boxes' scores; ms from image to boxes on {latency}; "
        f"hours of the steps of one training, on {_devices(made) or 'nothing yet'}"
    )


def _run_row(made: Ablation, run: Run, plan: SweepPlan) -> dict[str, Any]:
    result, network = made.results.get(run.name), network_of(run.train)
    state = "complete" if result else "failed" if run.name in made.failures else "waiting"
    return {
        "run": run.name,
        "variant": run.variant,
        "loss": run.loss,
        "seed": run.seed,
        "state": state,
        "failure": made.failures.get(run.name),
        "split": made.tested.split.name,
        "images": len(made.tested.split.images),
        "objects": sum(len(image.classes) for image in made.tested.split.images),
        "parameters": made.parameters[network],
        "latency_ms": made.latencies[network].ms,
        "latency_device": made.latencies[network].device,
        "loss_settings": json.dumps(run.train.loss.model_dump(mode="json")),
        "dataset_sha256": made.tested.digest if result else None,
        "run_uri": f"{run.train.runs}/{run.name}",
        "replay": replay(plan.placed(run.train), run.name),
        **(_outcome(result) if result else {}),
    }


def _outcome(result: RunResult) -> dict[str, Any]:
    """What a complete run came to."""
    summary = result.summary
    row: dict[str, Any] = {
        "epochs": summary.epochs,
        "best_epoch": summary.best_epoch,
        "device": summary.device,
        "gpu_h": result.gpu_h,
        "cpu_h": result.cpu_h,
        "model_sha256": summary.model_sha256,
    }
    for kind, one in result.scored.items():
        before = "mask_" if kind == "mask" else ""
        values = dict(zip(one.measured.measures, one.measured.values.tolist(), strict=True))
        row |= {before + ("f1" if m == "f1_of_means" else m): _known(values[Measure("all", m)]) for m in METRICS}
        row |= {before + "confidence": one.confidence, before + "calibration_error": _known(one.calibration.error)}
    return row


def _difference_rows(made: Ablation) -> Iterator[dict[str, Any]]:
    baseline = made.config.baseline_loss
    for kind in made.tested.kinds:
        for loss in made.config.losses:
            for name, variants in _groups(made) if loss != baseline else ():
                for measure, one in (made.difference(variants, loss, kind) or {}).items():
                    yield {
                        "kind": kind,
                        "loss": loss,
                        "baseline": baseline,
                        "variant": name,
                        "part": measure.part,
                        "of": measure.of,
                        "difference": _known(one.value),
                        "low": _known(one.low),
                        "high": _known(one.high),
                        "between_seeds": _known(one.between_seeds),
                        "seeds": one.seeds,
                        "verdict": one.verdict,
                    }


def _how(made: Ablation) -> str:
    """How the numbers are to be read."""
    seeds = len(made.config.seeds)
    if seeds == 1:
        return f"one seed, so the {LEVEL:.0%} interval is of the drives alone, and a difference may be the seed's"
    return f"mean of {seeds} seeds ± standard deviation between them; {LEVEL:.0%} interval over drives and seeds"


def _devices(made: Ablation) -> str:
    return ", ".join(sorted({one.summary.device for one in made.results.values()}))


def _level(one: Pooled) -> Cell:
    if math.isnan(one.value):
        return Cell(NOTHING)
    ends = "" if math.isnan(one.low) else f"{100 * one.low:.1f}–{100 * one.high:.1f}"
    return Cell(f"{100 * one.value:.2f}{_spread(one)}", ends)


def _change(one: Pooled) -> Cell:
    if math.isnan(one.value):
        return Cell(NOTHING)
    ends = "" if math.isnan(one.low) else f"{_signed(one.low, 1)} to {_signed(one.high, 1)}"
    return Cell(f"{_signed(one.value, 2)}{_spread(one)}", ends, firm=one.verdict in ("gain", "loss"))


def _spread(one: Pooled) -> str:
    return "" if math.isnan(one.between_seeds) else f" ± {100 * one.between_seeds:.2f}"


def _signed(share: float, digits: int) -> str:
    return f"{100 * share:+.{digits}f}".replace("-", "−")


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
