"""Whether a model finds what is there: the shipped one on an image whose objects are known, another one on its own."""

from __future__ import annotations

from roadscan.doctor.finding import Finding

#: What stands in the second calibration image of the model that is shipped: class, and its box in pixels, xyxy.
KNOWN = (
    ("Pedestrian Bridge", (247, 154, 456, 198)),
    ("Bus Stop", (59, 163, 80, 215)),
    ("Concrete Guardrail", (0, 194, 244, 270)),
)
KNOWN_IMAGE = 1
OVERLAP = 0.5  # intersection over union from which a box is the known one


def shipped() -> Finding:
    """The shipped model on an image whose objects are known: whether this machine computes what it should."""
    from roadscan.model.backends.choose import calibration_images
    from roadscan.model.bundle import DEMO, load
    from roadscan.model.detector import Detector

    bundle = load(DEMO)
    (found,) = Detector(bundle).infer(calibration_images(bundle)[KNOWN_IMAGE][None])
    boxes = list(zip(found.classes, found.boxes_xyxy.tolist(), strict=True))
    lost = [name for name, box in KNOWN if not any(name == one and _overlap(box, at) > OVERLAP for one, at in boxes)]
    if lost:
        return Finding(
            "detector",
            "fail",
            f"of {len(KNOWN)} known objects of the shipped image it does not find {', '.join(lost)}",
            "this machine computes wrongly: look at its GPU, its driver and its torch",
        )
    return Finding("detector", "ok", f"finds the {len(KNOWN)} known objects of the shipped image")


def model(uri: str) -> Finding:
    """The model file, loaded, and run on its calibration images, or on the shipped ones where it has none."""
    from roadscan.model.backends.choose import calibration_images
    from roadscan.model.bundle import DEMO, Bundle, load
    from roadscan.model.detector import Detector
    from roadscan.model.exported import open_model
    from roadscan.model.segmenter import Segmenter

    opened = open_model(uri)
    card = opened.card
    own = calibration_images(opened) if isinstance(opened, Bundle) else []
    images = own or calibration_images(load(DEMO))
    what = f"{uri}: YOLOv8{card.variant}, {card.task}, {len(card.classes)} classes"
    if card.task == "semantic":
        segmenter, background = Segmenter(opened), len(card.classes)
        found = sum(int((segmenter.infer(image[None])[0].argmax(0) != background).any()) for image in images)
    else:
        detector = Detector(opened)
        found = sum(len(detector.infer(image[None])[0].scores) > 0 for image in images)
    if not own:
        return Finding("model", "ok", f"{what}; it runs; without images of its own, what it finds was not looked at")
    if not found:
        advice = "look at what it was trained on; 'roadscan evaluate' says what it finds"
        return Finding("model", "fail", f"{what}; it finds nothing in its own {len(own)} images", advice)
    return Finding("model", "ok", f"{what}; it finds objects in {found} of its own {len(own)} images")


def _overlap(a: tuple[float, ...], b: list[float]) -> float:
    """Intersection over union of two boxes, xyxy."""
    width, height = (max(0.0, min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis])) for axis in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)
