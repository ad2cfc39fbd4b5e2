"""Where the parts of a source lie."""

from __future__ import annotations

from roadscan.errors import ConfigError
from roadscan.storage import open_store
from roadscan.survey.importers.config import IngestConfig
from roadscan.video.address import VIDEOS

FILES = (".json", ".csv", ".parquet")  # a source with such a suffix is a file


def split_uri(uri: str) -> tuple[str, str]:
    """The folder and the name of a file.

    >>> split_uri("s3://bucket/night/frames.csv")
    ('s3://bucket/night', 'frames.csv')
    >>> split_uri("frames.csv")
    ('.', 'frames.csv')
    """
    folder, slash, name = uri.rpartition("/")
    return (folder or slash or "."), name


def read_file(uri: str) -> bytes:
    """A whole file at a path or an ``s3://`` address."""
    folder, name = split_uri(uri)
    return open_store(folder).read(name)


def is_folder_of_images(config: IngestConfig) -> bool:
    """Whether the frames are the images found below `source`, rather than the rows of a file."""
    return config.kind == "exif" or (config.kind == "track" and not config.source.lower().endswith(FILES))


def is_video(config: IngestConfig) -> bool:
    """Whether `source` is one video, rather than a folder of them."""
    return config.kind == "video" and config.source.lower().endswith(VIDEOS)


def images_uri(config: IngestConfig) -> str:
    """The root of the images, absolute: `images`, or the source's own folder.

    Raises:
        ConfigError: `images` is given, and the source is a folder of images already.
    """
    if config.images is not None and is_folder_of_images(config):
        raise ConfigError(f"images: got {config.images}, but source {config.source} is the images' folder; take it out")
    if config.images is not None:
        return open_store(config.images).uri
    is_file = is_video(config) or (config.kind != "video" and config.source.lower().endswith(FILES))
    return open_store(split_uri(config.source)[0] if is_file else config.source).uri
