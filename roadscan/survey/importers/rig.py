"""The cameras of a drive: which frame is whose, and what a config leaves out, taken from the images."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Sequence

from roadscan.errors import ConfigError, SurveyError
from roadscan.survey.camera import SHAPE_TOLERANCE, Camera, Projection
from roadscan.survey.importers.config import CameraConfig, IngestConfig
from roadscan.survey.importers.focus import Focus, focus
from roadscan.survey.importers.frame import Frame
from roadscan.survey.importers.images import ImageFacts, ImageFolder

logger = logging.getLogger(__name__)

ENOUGH = 5  # readable images, where none has been read before
PROBES = 20  # images read in search of a camera's size


def assign_cameras(frames: Sequence[Frame], config: IngestConfig) -> list[CameraConfig]:
    """Give every frame the id of one of the returned cameras; a frame of no known camera is ``bad_camera``.

    A frame's camera is the one that the source names, else what `camera_pattern` finds in the image's path, else the
    only one. Without configured cameras there is one with the defaults, under the name that the frames have for it.

    Raises:
        ConfigError: the frames name several cameras, and none is configured.
    """
    if config.camera_pattern is not None:
        pattern = re.compile(config.camera_pattern)
        for frame in frames:
            if not frame.camera_id and (match := pattern.search(frame.image_uri)):
                frame.camera_id = match[1] or ""
    cameras = list(config.rig()) or [_only_camera(frames)]
    names = [camera.camera_id for camera in cameras]
    for frame in frames:
        if not frame.camera_id and len(cameras) == 1:
            frame.camera_id = names[0]
        elif frame.camera_id not in names:
            got = repr(frame.camera_id) if frame.camera_id else "none; set camera_pattern"
            frame.reject(f"bad_camera: got {got}; expected one of {names}")
            frame.camera_id = names[0]  # the column takes no null and no stranger
    return cameras


def _only_camera(frames: Sequence[Frame]) -> CameraConfig:
    named = sorted({frame.camera_id for frame in frames if frame.camera_id})
    if len(named) > 1:
        raise ConfigError(
            f"cameras: the frames are of {len(named)} cameras ({', '.join(named[:6])}), and none is configured; give "
            "`cameras` with a camera_id and mount_yaw_deg for each"
        )
    return CameraConfig().model_copy(update={"camera_id": named[0]}) if named else CameraConfig()


def complete_cameras(
    cameras: Sequence[CameraConfig],
    frames: Sequence[Frame],
    folder: ImageFolder,
    notes: dict[str, int],
    focal_rules: dict[str, str],
) -> list[Camera]:
    """Cameras with size and focal length, from the config or from what most images of each tell.

    Those that the import has read, or else its first. How many of them tell another focal length is added to `notes`,
    and where that of each camera is from to `focal_rules`.

    A camera that was to be told by its images, and took none on this drive, is left out.

    Raises:
        SurveyError: a camera's size or focal length is to come from its images, and none of its first can be read, or
            they have the shape of equirectangular panoramas without saying that they are such, or are panoramas of a
            camera that is told to have a focal length.
    """
    keys: dict[str, list[str]] = {camera.camera_id: [] for camera in cameras}
    for frame in sorted(frames, key=lambda frame: frame.reason is not None):  # usable ones are the likelier to be read
        if frame.image_uri and (folder.seen(frame.image_uri) or len(keys[frame.camera_id]) < PROBES):
            keys[frame.camera_id].append(frame.image_uri)
    told = [camera for camera in cameras if keys[camera.camera_id] or not _is_incomplete(camera)]
    for camera in cameras:
        if camera not in told:
            logger.warning("camera %s: took no frame of this drive; left out", camera.camera_id)
    return [_complete(camera, keys[camera.camera_id], folder, notes, focal_rules) for camera in told]


def _is_incomplete(camera: CameraConfig) -> bool:
    return camera.width_px is None or (camera.projection != "equirectangular" and not _has_focus(camera))


def _has_focus(camera: CameraConfig) -> bool:
    return camera.focal_px is not None or camera.hfov_deg is not None or camera.intrinsics is not None


def _complete(
    camera: CameraConfig, keys: Sequence[str], folder: ImageFolder, notes: dict[str, int], focal_rules: dict[str, str]
) -> Camera:
    width, height = camera.width_px, camera.height_px
    found: Sequence[ImageFacts] = ()
    projection: Projection = camera.projection or "pinhole"
    if width is None or height is None or _is_incomplete(camera):
        found = _readable(camera, keys, folder)
        if width is None or height is None:
            (width, height), _ = Counter((facts.width_px, facts.height_px) for facts in found).most_common(1)[0]
        if camera.projection is None:
            projection = _projection(camera, found, width, height)
    if projection == "equirectangular":
        optics = Focus(width / math.tau, "a panorama: its width is 360 degrees")
    else:
        optics = focus(camera, width, height, found, notes)
    focal_rules[camera.camera_id] = f"{optics.focal_px:.1f} px: {optics.rule}"
    return Camera(
        camera_id=camera.camera_id,
        width_px=width,
        height_px=height,
        focal_px=optics.focal_px,
        mount_height_m=camera.mount_height_m,
        mount_yaw_deg=camera.mount_yaw_deg,
        mount_pitch_deg=camera.mount_pitch_deg,
        projection=projection,
        lens=optics.lens,
    )


def _projection(camera: CameraConfig, found: Sequence[ImageFacts], width: int, height: int) -> Projection:
    """What most images of a camera say that they are.

    Raises:
        SurveyError: that contradicts what the camera is told to be, or is not said of images that may be either.
    """
    name, around = camera.camera_id, sum(facts.panorama is not None for facts in found)
    if 2 * around > len(found):
        if _has_focus(camera):
            raise SurveyError(
                f"cameras: {around} of {len(found)} images of {name} say that they are equirectangular panoramas (XMP "
                "GPano), which no focal_px, hfov_deg or intrinsics describes; take it out, or set projection: pinhole"
            )
        return "equirectangular"
    if width == 2 * height and not _has_focus(camera):
        raise SurveyError(
            f"cameras: the images of {name} are {width}x{height}, twice as wide as high, as equirectangular panoramas "
            "are, and do not say what they are (XMP GPano). Set projection: equirectangular if they are panoramas, or "
            "hfov_deg if they are a plain camera's"
        )
    return "pinhole"


def _readable(camera: CameraConfig, keys: Sequence[str], folder: ImageFolder) -> list[ImageFacts]:
    """What the images of a camera tell that can be read: all that have been, or else the first."""
    found, reason = [], None
    for key in keys:
        facts = folder.seen(key) or folder.look(key)
        if facts.reason is None:
            found.append(facts)
            if folder.seen(key) is None and len(found) == ENOUGH:
                break
        else:
            reason = reason or f"{key}: {facts.reason}"
    if found:
        return found
    raise SurveyError(
        f"cameras: {camera.camera_id} is to take its size or focal length from its images, and none of the first "
        f"{len(keys)} below {folder.store.uri} can be read ({reason}); check `images` and `path_prefix`, or set "
        "width_px, height_px and hfov_deg"
    )


def check_sizes(frames: Sequence[Frame], cameras: Sequence[Camera], folder: ImageFolder) -> None:
    """Reject frames whose image, where it has been read, is broken or has another shape than its camera's.

    The scan scales boxes to the camera's size, so a smaller copy of the same picture is no harm; a picture of another
    shape has been cut, turned, or taken by another camera.
    """
    by_id = {camera.camera_id: camera for camera in cameras}
    for frame in frames:
        facts = folder.seen(frame.image_uri)
        if facts is None:
            continue
        camera = by_id[frame.camera_id]
        width, height = camera.width_px, camera.height_px
        if facts.reason:
            frame.reject(facts.reason)
        elif facts.panorama is not None and not camera.is_panoramic:
            frame.reject(
                f"unsupported: an equirectangular panorama, and camera {frame.camera_id} is none that takes such; give "
                "panoramas a camera of their own, with camera_pattern"
            )
        elif abs(facts.width_px * height / (facts.height_px * width) - 1) > SHAPE_TOLERANCE:
            frame.reject(
                f"bad_size: got {facts.width_px}x{facts.height_px}; camera {frame.camera_id} has {width}x{height}"
            )


def take_tilts(frames: Sequence[Frame], cameras: Sequence[Camera], folder: ImageFolder) -> None:
    """Give frames whose panorama says how its camera was held the vehicle's pitch and roll that this comes to.

    It goes before what a trajectory says: a panorama that was levelled when it was made says so.
    """
    by_id = {camera.camera_id: camera for camera in cameras}
    for frame in frames:
        facts = folder.seen(frame.image_uri)
        around = facts.panorama if facts is not None else None
        if around is not None and (around.pitch_deg is not None or around.roll_deg is not None):
            held = by_id[frame.camera_id].vehicle_held(around.pitch_deg or 0.0, around.roll_deg or 0.0)
            frame.pitch_deg, frame.roll_deg = held
