"""A folder of images with GPS in their EXIF."""

from __future__ import annotations

from roadscan.errors import SurveyError
from roadscan.progress import OnCount
from roadscan.survey.importers.clocks import SPREAD, capture_times, spread_seconds
from roadscan.survey.importers.config import IngestConfig
from roadscan.survey.importers.frame import Frame, SourceFrames, frame_id_of
from roadscan.survey.importers.images import READ, ImageFacts, ImageFolder, Listing


def read_exif(config: IngestConfig, folder: ImageFolder, on_frame: OnCount | None = None) -> SourceFrames:
    """Every image below the folder as a frame.

    The time is that of the GPS, else DateTimeOriginal in the zone that the image or `utc_offset_h` tells, as
    `capture_times` judges, else the frame is rejected as ``no_time``. What shares a whole second is spread within it.
    `pos_sigma_m` is GPSHPositioningError, `altitude_m` GPSAltitude. A panorama's heading is that of its XMP, which
    is sure to be of the middle column, before GPSImgDirection.

    Raises:
        SurveyError: there is no image.
    """
    listing = list_images(folder)
    keys = listing.images
    frames = []
    magnetic = 0
    looked = folder.look_all(keys, on_frame)
    times, notes = capture_times([facts.tags for facts in looked], config.utc_offset_h)
    for key, facts, time in zip(keys, looked, times, strict=True):
        tags = facts.tags
        frame = Frame(
            frame_id_of(key),
            key,
            heading_deg=_heading_deg(facts),
            speed_mps=tags.speed_mps,
            hdop=tags.hdop,
            pos_sigma_m=tags.pos_sigma_m,
            altitude_m=tags.altitude_m,
        )
        if facts.reason:
            frame.reject(facts.reason)
        frame.place(tags.lon, tags.lat, tags.no_position)
        if isinstance(time, str):
            frame.reject(f"no_time: {time}")
        else:
            frame.take(time)
        magnetic += tags.magnetic
        frames.append(frame)
    notes |= listing.counts | {
        "headings from magnetic north, not used": magnetic,
        SPREAD: spread_seconds(frames),
    }
    return SourceFrames(frames, {note: number for note, number in notes.items() if number})


def _heading_deg(facts: ImageFacts) -> float | None:
    around = facts.panorama
    told = around.heading_deg if around is not None and not facts.tags.magnetic else None
    return facts.tags.heading_deg if told is None else told


def list_images(folder: ImageFolder) -> Listing:
    """What lies below a folder, with at least one image.

    Raises:
        SurveyError: there is no image.
    """
    listing = folder.listing()
    if listing.images:
        return listing
    if listing.videos:
        raise SurveyError(
            f"source: {folder.store.uri} holds no image, but {len(listing.videos)} videos such as {listing.videos[0]}; "
            f"make a drive of them: roadscan ingest video {folder.store.uri} --out DRIVE"
        )
    raise SurveyError(
        f"source: {folder.store.uri} holds no image ({sum(listing.counts.values())} other files); expected "
        f"{', '.join(READ)} there or in folders below"
    )
