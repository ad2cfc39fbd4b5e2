"""What the runs of an ablation came to: their scores on the tested split, made from what each found there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from roadscan.ablate.config import AblateConfig
from roadscan.ablate.differences import Pooled, differences, pooled
from roadscan.ablate.latency import Latency, count_parameters, network_of
from roadscan.ablate.measures import AREAS, Measure, Measured, measure, split_by_frequency
from roadscan.ablate.runs import Run
from roadscan.ablate.state import folder_of, history_of
from roadscan.dataset.census import objects_by_class
from roadscan.dataset.staging import dataset_digest, stage
from roadscan.evaluate.detection.evaluation import most_confident
from roadscan.evaluate.detection.found import read_found
from roadscan.evaluate.detection.matching import Matches, match
from roadscan.evaluate.detection.operating_point import best_point
from roadscan.evaluate.detection.overlap import Kind
from roadscan.evaluate.detection.parts import parts_of
from roadscan.evaluate.detection.results import ImageResult
from roadscan.evaluate.detection.split import Split, open_split
from roadscan.evaluate.detection.thresholds import Calibration, calibration
from roadscan.model.bundle import Variant
from roadscan.progress import OnCount
from roadscan.train.history import History
from roadscan.train.result import KINDS, TrainSummary, found_name

ALL = "all"  # variants, their mean
LEARNT = 0.01  # mAP50 that any run has to reach for a comparison to tell anything
NOTHING_LEARNT = "no run reaches an mAP50 of 1 %: so short a training tells nothing of losses or variants"


@dataclass(frozen=True)
class Tested:
    """What all runs are tested on.

    Attributes:
        split: the images.
        kinds: what is scored: boxes, and masks where the dataset has them.
        digest: of the whole dataset, as trainings know it.
        frequency: class names of the head and the tail, by objects of the training split.
    """

    split: Split
    kinds: tuple[Kind, ...]
    digest: str
    frequency: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Scored:
    """A run's boxes, or its masks, on the tested split.

    Attributes:
        measured: all measures, on the images and on resamples of their drives.
        confidence: where the smoothed mean F1 is greatest.
        calibration: of the scores.
    """

    measured: Measured
    confidence: float
    calibration: Calibration


@dataclass(frozen=True)
class RunResult:
    """A complete run.

    Attributes:
        run: which.
        summary: of its training.
        history: a row an epoch.
        scored: by kind.
        gpu_h, cpu_h: hours of GPUs and of processor cores in its training steps.
        shown: what it finds with some confidence in the pictured images.
    """

    run: Run
    summary: TrainSummary
    history: History
    scored: Mapping[Kind, Scored]
    gpu_h: float
    cpu_h: float
    shown: tuple[ImageResult, ...]


@dataclass(frozen=True)
class Ablation:
    """All that an ablation came to.

    Attributes:
        config: of it.
        runs: all, complete or not.
        results: of the complete ones, by the run's name.
        failures: why those failed that did, by name.
        tested: the images.
        truths: true objects of the tested split, by measure.
        latencies: by network.
        parameters: by network.
    """

    config: AblateConfig
    runs: tuple[Run, ...]
    results: Mapping[str, RunResult]
    failures: Mapping[str, str]
    tested: Tested
    truths: Mapping[Measure, int]
    latencies: Mapping[str, Latency]
    parameters: Mapping[str, int]

    def cell(self, variant: Variant, loss: str) -> tuple[RunResult, ...]:
        """The complete runs of a variant and a loss, in the order of their seeds."""
        found = (self.results.get(run.name) for run in self.runs if (run.variant, run.loss) == (variant, loss))
        return tuple(one for one in found if one is not None)

    @property
    def notes(self) -> list[str]:
        """What a reader of the tables should know, a sentence each."""
        failed = [run for run in self.runs if run.name in self.failures]
        one_seed = ["with one seed, a gain or a loss may be that of the seed"] if len(self.config.seeds) == 1 else []
        return [
            *self.tested.split.notes,
            *([NOTHING_LEARNT] if self._best_map50() < LEARNT else []),
            *one_seed,
            *(f"{run.variant}, {run.loss}, seed {run.seed} failed: {self.failures[run.name]}" for run in failed),
            *([f"the same command tries the {len(failed)} that failed again"] if failed else []),
        ]

    def _best_map50(self) -> float:
        scored = (one for run in self.results.values() for one in run.scored.values())
        values = (one.measured.values[one.measured.measures.index(Measure("all", "map50"))] for one in scored)
        return max((float(value) for value in values), default=0.0)

    def level(self, variant: Variant, loss: str, kind: Kind) -> dict[Measure, Pooled] | None:
        """The mean over the seeds of each measure; None without a complete run."""
        runs = [one.scored[kind].measured for one in self.cell(variant, loss)]
        return pooled(runs) if runs else None

    def difference(self, variants: Sequence[Variant], loss: str, kind: Kind) -> dict[Measure, Pooled] | None:
        """A loss minus the baseline, mean over the variants, from the seeds that all of them have; None without one."""

        def by_seed(variant: Variant, loss: str) -> dict[int, Measured]:
            return {one.run.seed: one.scored[kind].measured for one in self.cell(variant, loss)}

        base = [by_seed(variant, self.config.baseline_loss) for variant in variants]
        return differences(base, [by_seed(variant, loss) for variant in variants])


def tested_on(config: AblateConfig) -> Tested:
    """An ablation's config -> what its runs are tested on: the test split, or val where there is none.

    The dataset is brought to this machine, and a digest made of all its images.

    Raises:
        DatasetError, StorageError: it cannot be read.
    """
    data, cache = config.train.data, Path(config.train.execution.cache_dir)
    dataset = stage(data, cache)
    return Tested(
        split=open_split(data, "test", cache),
        kinds=KINDS[dataset.task],
        digest=dataset_digest(dataset),
        frequency=split_by_frequency(objects_by_class(dataset, "train"), config.head_share),
    )


def collect(
    config: AblateConfig,
    runs: Sequence[Run],
    failures: Mapping[str, str],
    tested: Tested,
    latencies: Mapping[str, Latency],
    on_run: OnCount,
) -> Ablation:
    """Runs that have ended -> what they came to.

    Args:
        config: of the ablation.
        runs: all of them.
        failures: why those failed that did, by name.
        tested: the images.
        latencies: by network.
        on_run: called with (runs scored, runs in all).

    Raises:
        DatasetError: a run is of another dataset.
        StorageError: a run's files cannot be read.
    """
    complete = [run for run in runs if run.name not in failures]
    results: dict[str, RunResult] = {}
    truths: dict[Measure, int] = {}
    for number, run in enumerate(complete):
        found = _read(run, tested)
        matches = {kind: match(found, tested.split.names, kind=kind) for kind in tested.kinds}
        results[run.name] = _result(run, found, matches, config, tested)
        truths = truths or count_truths(matches[tested.kinds[0]], tested.frequency)
        on_run(number + 1, len(complete))
    split = tested.split
    networks = {network_of(run.train): run.train for run in runs}
    parameters = {name: count_parameters(split.task, one, len(split.names)) for name, one in networks.items()}
    return Ablation(config, tuple(runs), results, failures, tested, truths, latencies, parameters)


def count_truths(matches: Matches, frequency: Mapping[str, Sequence[str]]) -> dict[Measure, int]:
    """Matches -> true objects by class, size, frequency, condition and occlusion."""
    by_class = dict(zip(matches.names, matches.truths[:, :, 0].sum(axis=0).tolist(), strict=True))
    found = {Measure("class", name): count for name, count in by_class.items()}
    for row, size in enumerate(AREAS, start=1):
        found[Measure("size", size)] = int(matches.truths[:, :, row].sum())
    for name, classes in frequency.items():
        found[Measure("frequency", name)] = sum(by_class.get(one, 0) for one in classes)
    return found | {Measure(part.by, part.name): int(part.truths.sum()) for part in parts_of(matches)}


def hours(history: History, gpus_per_worker: float) -> tuple[float, float]:
    """A run's history -> GPU hours and core hours of its training steps.

    >>> hours([{"seconds": 1800.0, "workers": 2, "cpus_per_worker": 3}], 0.5)
    (0.5, 3.0)
    """
    worker_h = [row["seconds"] * row["workers"] / 3600 for row in history]
    cores = [row["cpus_per_worker"] for row in history]
    return sum(worker_h) * gpus_per_worker, sum(h * n for h, n in zip(worker_h, cores, strict=True))


def _read(run: Run, tested: Tested) -> list[ImageResult]:
    split = tested.split
    data = folder_of(run).read(found_name(split.name))
    return read_found(data, split.images, split.names, tested.digest)


def _result(
    run: Run, found: Sequence[ImageResult], matches: Mapping[Kind, Matches], config: AblateConfig, tested: Tested
) -> RunResult:
    summary, history = TrainSummary.read(folder_of(run)), history_of(run)
    scored = {kind: _scored(one, config, tested) for kind, one in matches.items()}
    gpus = run.train.execution.gpus_per_worker if summary.device.startswith("cuda") else 0
    # Of the first seed alone, whose pictures are drawn: the others' detections need not stay in memory.
    pictured: Iterable[ImageResult] = found if run.seed == config.seeds[0] else ()
    shown = most_confident([*pictured], scored[tested.kinds[0]].confidence)
    return RunResult(run, summary, history, scored, *hours(history, gpus), shown)


def _scored(matches: Matches, config: AblateConfig, tested: Tested) -> Scored:
    measured = measure(matches, tested.frequency, resamples=config.resamples)
    return Scored(measured, float(best_point(matches).confidence[0]), calibration(matches))
