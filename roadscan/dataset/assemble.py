"""Records of any format -> the draft of a dataset: the classes to learn, and boxes or outlines for all objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from roadscan.dataset.description import ClassesConfig, Settings
from roadscan.dataset.draft import Draft, DraftImage, Problem, boxes_around, check_names
from roadscan.dataset.files import Files
from roadscan.dataset.frames_table import FramesTable, read_frames_table
from roadscan.dataset.label_maps import check_pixel_classes
from roadscan.dataset.labels import BadLabel, ImageRecord, LabelledObject, NoObject
from roadscan.dataset.records import Task
from roadscan.errors import DatasetError


@dataclass
class Labelling:
    """All splits of a dataset, before classes and kinds are settled.

    Attributes:
        where: the dataset, for messages.
        splits: images by split; their names are keys.
        names: classes of the labels in their order; empty: those of the objects, sorted.
        errors, warnings, without_label_file: as in `Draft`.
        no_objects: as in `Records`.
    """

    where: str
    splits: dict[str, list[ImageRecord]] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    without_label_file: frozenset[str] = frozenset()
    no_objects: list[NoObject] = field(default_factory=list)


def assemble(files: Files, labelling: Labelling, settings: Settings) -> Draft:
    """What labels say, and the dataset's settings -> its draft.

    Raises:
        DatasetError: classes are wrong, or the table of frames is.
    """
    images = [image for split in labelling.splits.values() for image in split]
    objects = [one for image in images for one in image.objects]
    used = [*(one.class_name for one in objects), *(one.class_name for one in labelling.no_objects)]
    found = (*labelling.names, *sorted(set(used) - set(labelling.names)))
    classes = new_names(found, settings.classes, labelling.where)
    kept_names = list(dict.fromkeys(new for new in classes.values() if new is not None))
    # Of labels that are all wrong there is no class, and their errors say more than that.
    names = check_names(kept_names, f"{labelling.where}: classes") if found else ()
    number = {old: kept_names.index(new) for old, new in classes.items() if new is not None}
    kept = [one for one in objects if one.class_name in number]
    task = settings.task or _task_of(kept)
    if task == "semantic":
        check_pixel_classes(names, labelling.where)
    other = [] if task == settings.task == "detect" else _other_kind(kept, task)
    table, errors = read_frames_table(files), [*labelling.errors, *_without_area(labelling, number), *other]
    splits = {
        split: [_draft_image(completed(image, table, errors), number, settings.task, task) for image in of_split]
        for split, of_split in labelling.splits.items()
    }
    ignored = _ignored(labelling.where, [name for name in used if name not in number])
    warnings = [*labelling.warnings, *ignored, *table.warnings(image.name for image in images)]
    return Draft(files, task, names, splits, errors, warnings, labelling.without_label_file)


def new_names(found: Sequence[str], classes: ClassesConfig, where: str) -> dict[str, str | None]:
    """The class that each class of the labels becomes; None for one that is left out."""
    rules: dict[str, str | None] = {**dict.fromkeys(classes.ignore), **classes.map}
    both = sorted(set(classes.ignore) & set(classes.map))
    if both:
        raise DatasetError(f"{where}: classes: {both[0]!r} is in 'map' and in 'ignore'; leave it in one of them")
    used, new = set(), {}
    for name in found:
        rule = name if name in rules else next((rule for rule in rules if fnmatchcase(name, rule)), None)
        new[name] = name if rule is None else rules[rule]
        used.add(rule)
    idle = [rule for rule in rules if rule not in used and not any(fnmatchcase(name, rule) for name in found)]
    if idle:
        raise DatasetError(
            f"{where}: classes: {idle[0]!r} is no class of the labels; they have {', '.join(found) or 'none'}"
        )
    return new


def _task_of(objects: Sequence[LabelledObject]) -> Task:
    """What most objects are; boxes where there are as many of them."""
    boxes = sum(one.is_box for one in objects)
    return "detect" if 2 * boxes >= len(objects) else "segment"


def _other_kind(objects: Sequence[LabelledObject], task: Task) -> list[Problem]:
    """Objects that are not what the others are, with what to do."""
    boxes = sum(one.is_box for one in objects)
    of_all = f"of the {len(objects)} objects of this dataset {boxes} have a box and {len(objects) - boxes} an outline"
    set_it = "or set 'task: detect' in the dataset's YAML file to train on the boxes around outlines"
    return [
        Problem("bad label", one.where, f"got a box and no outline, and {of_all}: give it an outline, {set_it}")
        if one.is_box
        else Problem(
            "bad label",
            one.where,
            f"got an outline of {len(one.parts[0])} points, and {of_all}: give it a box, {set_it}",
        )
        for one in objects
        if not _is_of(one, task)
    ]


def _is_of(one: LabelledObject, task: Task) -> bool:
    return one.is_box == (task == "detect")


def _without_area(labelling: Labelling, number: Mapping[str, int]) -> list[Problem]:
    return [
        Problem(
            "bad label",
            one.where,
            f"got a {one.what} of class {one.class_name!r}; expected a box, polygon, mask or ellipse: draw it so, or "
            f"leave the class out with 'classes: {{ignore: [{one.class_name}]}}'",
        )
        for one in labelling.no_objects
        if one.class_name in number
    ]


def _ignored(where: str, names: Sequence[str]) -> list[Problem]:
    """Objects of classes that are left out, counted."""
    return [
        Problem("label left out", where, f"class {name}: {count} objects are left out, as classes.ignore says")
        for name, count in sorted(Counter(names).items())
    ]


def completed(image: ImageRecord, table: FramesTable, errors: list[Problem]) -> ImageRecord:
    """The image with what the table of frames tells of it; a row that does not suit is noted as an error."""
    try:
        return table.completed(image)
    except BadLabel as error:
        errors.append(Problem("bad label", f"{table.where}: {image.name}", str(error)))
        return image


def _draft_image(
    image: ImageRecord,
    number: Mapping[str, int],
    wanted: Task | None,
    task: Task,
) -> DraftImage:
    """One image with the objects that can be used: of the task, or all of them where boxes are wanted of outlines."""
    known = [one for one in image.objects if one.class_name in number]
    objects = known if wanted == "detect" else [one for one in known if _is_of(one, task)]
    outlines = [one.parts for one in objects]
    occlusions = tuple(one.occlusion for one in objects)
    return DraftImage(
        key=image.name,
        size=image.size,
        classes=[number[one.class_name] for one in objects],
        boxes=boxes_around(outlines),
        outlines=outlines if task != "detect" else (),
        drive_id=image.drive_id,
        conditions=image.conditions,
        occlusions=occlusions if any(occlusions) else (),
    )
