"""The report of a check, as tables and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from roadscan.dataset.census import SIZES, SplitCount
from roadscan.dataset.draft import Problem, listed
from roadscan.dataset.records import Task
from roadscan.printing import cell


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        uri: the dataset, as given.
        digest: of its content (`dataset_digest`), where nothing is wrong with its images.
        task: detect, segment or semantic.
        census: what it consists of, by split, without what is wrong.
        errors: why it must not be trained on.
        warnings: what a user may want to know.
        pixels: of task semantic, by split and class, the background too.
    """

    uri: str
    digest: str
    task: Task
    census: dict[str, SplitCount]
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    pixels: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """Whether the dataset must not be trained on."""
        return bool(self.errors)

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        splits = {split: asdict(count) for split, count in self.census.items()}
        facts = {"data": self.uri, "digest": self.digest, "task": self.task, "refused": self.refused, "splits": splits}
        if self.pixels:
            facts["pixels"] = self.pixels
        return facts | {name: [asdict(one) for one in getattr(self, name)] for name in ("errors", "warnings")}

    def __rich__(self) -> RenderableType:
        """Tables of what there is, then what is wrong."""
        parts: list[RenderableType] = [self._splits(), "", self._pixels() if self.pixels else self._classes()]
        for what, of_what in (("condition", "images"), ("occlusion", "objects")):
            if any(getattr(count, f"{what}s") for count in self.census.values()):
                parts += ["", self._circumstances(what, of_what)]
        for title, problems in (("warnings", self.warnings), ("errors", self.errors)):
            if problems:
                parts += ["", Text(f"{title}: {_kinds(problems)}"), cell(listed(problems))]
        verdict = "refused: it must not be trained on as it is" if self.refused else "fit to train on"
        return Group(*parts, "", cell(f"{self.uri}: {verdict}"))

    def _splits(self) -> Table:
        columns = ("split", "images", "background", "no label file", "drives", "no drive", "objects", *SIZES)
        table = _table(columns)
        for split, count in self.census.items():
            numbers = [count.images, count.background, count.without_label_file, count.drives, count.without_drive]
            table.add_row(split, *map(str, [*numbers, count.objects, *count.sizes.values()]))
        return table

    def _classes(self) -> Table:
        table = _table(("class", *(f"{split} {what}" for split in self.census for what in ("objects", "images"))))
        names = next(iter(self.census.values())).classes if self.census else ()
        for name in names:
            counts = [count.classes[name] for count in self.census.values()]
            table.add_row(cell(name), *(str(n) for count in counts for n in (count.objects, count.images)))
        return table

    def _pixels(self) -> Table:
        table = _table(("class", *(f"{split} % of pixels" for split in self.pixels)))
        totals = {split: max(sum(counts.values()), 1) for split, counts in self.pixels.items()}
        for name in next(iter(self.pixels.values())):
            shares = [100 * counts[name] / totals[split] for split, counts in self.pixels.items()]
            table.add_row(cell(name), *(f"{share:.2f}" for share in shares))
        return table

    def _circumstances(self, what: str, of_what: str) -> Table:
        """Images of each condition, or objects of each occlusion."""
        table = _table((what, *(f"{split} {of_what}" for split in self.census)))
        counts: list[dict[str, int]] = [getattr(count, f"{what}s") for count in self.census.values()]
        for name in dict.fromkeys(name for one in counts for name in one):
            table.add_row(cell(name), *(str(one.get(name, 0)) for one in counts))
        return table


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _kinds(problems: Sequence[Problem]) -> str:
    """How many there are of each kind."""
    return ", ".join(f"{count} {kind}" for kind, count in Counter(one.kind for one in problems).most_common())
