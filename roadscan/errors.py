"""Every error that roadscan raises on purpose.

    RoadscanError            a message for the user; the command line prints it without a traceback
    ├── ConfigError          a config file, a ``--set`` override or an argument is wrong
    ├── SurveyError          a drive, a track log or a frames table cannot be used
    ├── DatasetError         a labelled dataset cannot be read, or must not be trained on
    ├── ModelError           a model file cannot be used, or is for another task
    ├── TrainingError        a training run cannot go on
    ├── WarehouseError       a committed table, manifest or query cannot be used
    ├── LeaseHeld            another nightly run is under way
    ├── ClusterError         no Ray cluster can be joined, or started
    ├── DeviceError          a process was given a GPU that it cannot compute on
    ├── OutputError          what is printed can no longer be written
    ├── Malformed            bytes are not what they should be; who knows what they are for says it in another error
    │   ├── NotAnImage       they begin as no image does
    │   └── TooManyPixels    an image claims more than may be decoded
    └── StorageError         an object store or a disk refused
        ├── NotFound         the object does not exist
        ├── TooLarge         it has more bytes than what it is for may have
        ├── AccessDenied     the credentials are missing, wrong or not enough
        ├── Unreachable      the endpoint did not answer, or kept failing until the deadline
        └── Conflict         a conditional write lost against another writer

A message says which field or file, what was got, what was expected, and what to do next.
"""

from __future__ import annotations


class RoadscanError(Exception):
    """Base of all errors that are meant for the user."""


class ConfigError(RoadscanError):
    """A config file, a ``--set`` override or an argument is wrong."""


class SurveyError(RoadscanError):
    """A drive, a track log or a frames table cannot be used."""


class DatasetError(RoadscanError):
    """A labelled dataset cannot be read, or must not be trained on."""


class ModelError(RoadscanError):
    """A model file cannot be used, or is for another task."""


class TrainingError(RoadscanError):
    """A training run cannot go on."""


class WarehouseError(RoadscanError):
    """A committed table, a manifest or a query cannot be used."""


class LeaseHeld(RoadscanError):
    """Another nightly run is under way."""


class ClusterError(RoadscanError):
    """No Ray cluster can be joined, or started."""


class DeviceError(RoadscanError):
    """A process was given a GPU that it cannot compute on."""


class OutputError(RoadscanError):
    """What is printed can no longer be written: its disk is full, or its reader has gone."""


class Malformed(RoadscanError):
    """Bytes are not what they should be: why, in words that follow the file's name."""


class NotAnImage(Malformed):
    """The bytes begin as no image does."""


class TooManyPixels(Malformed):
    """An image claims more pixels than may be decoded."""


class StorageError(RoadscanError):
    """An object store or a disk refused."""


class NotFound(StorageError):
    """The object does not exist."""


class TooLarge(StorageError):
    """The object has more bytes than what it is for may have."""


class AccessDenied(StorageError):
    """The credentials are missing, wrong or not enough."""


class Unreachable(StorageError):
    """The endpoint did not answer, or kept failing until the deadline."""


class Conflict(StorageError):
    """A conditional write lost against another writer."""


def in_words(error: BaseException) -> str:
    """An exception -> what is said of it: our own errors speak for themselves, others begin with their type.

    >>> in_words(SurveyError("no drive there")), in_words(KeyError("a")), in_words(MemoryError())
    ('no drive there', "KeyError: 'a'", 'MemoryError')
    """
    if isinstance(error, RoadscanError) and str(error):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
