"""The only door to object stores and disks: read, write, conditional write, list, verify.

A `Store` is one root, ``s3://bucket/prefix`` or a folder, and keys below it. Nothing else in roadscan may import
boto3 or open a remote file. Credentials and endpoints come from the usual AWS environment or profile
(``AWS_ACCESS_KEY_ID``, ``AWS_PROFILE``, ``AWS_ENDPOINT_URL_S3`` …), never from a config.

What a caller may rely on:

- `Store.read` returns the whole object or raises; a body cut short or garbled is fetched again.
- `Store.create` and `Store.swap` are atomic: of many writers exactly one wins, the others get `Conflict`.
- Every operation ends: connecting, each read from the socket, and the object as a whole have deadlines.
- Nothing is read that is larger than what it is for may be, nor from a pipe or a device.
- A key never leaves its root: absolute keys, ``..``, and keys that are not NFC are refused by name.

Past 400 lines: a door is one; both kinds of store keep the same promises side by side.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import random
import re
import secrets
import shutil
import stat
import time
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from roadscan.disk import disk_errors, error_of_disk, open_regular, read_regular
from roadscan.errors import (
    AccessDenied,
    ConfigError,
    Conflict,
    Malformed,
    NotFound,
    StorageError,
    TooLarge,
    Unreachable,
)
from roadscan.parsing import read_json
from roadscan.ranged import RangedFile
from roadscan.shown import said, shown
from roadscan.timely import in_time

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_s3 import S3Client

LOG = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 20  # between two packets, not for the whole object
OBJECT_DEADLINE_S = 120  # one object, all tries; a store that drips 1 KiB every 50 ms trips no socket time-out
TRIES = 10  # botocore's own "legacy" default of 5 gave up after 0.7 s of 503 SlowDown
BUSY_TRIES = 6  # a conditional write that meets another one under way, about 6 s in all
BODY_TRIES = 4  # a truncated or corrupt body is an error that botocore does not retry
MAX_OBJECT_BYTES = 4 << 30  # of anything
MAX_IMAGE_BYTES = 256 << 20  # 64 megapixels without compression are 192 million bytes
MAX_RECORD_BYTES = 64 << 20  # of JSON that roadscan writes itself, and keeps small
COPIED_BYTES = 1 << 20
CHUNK_BYTES = 16 << 10  # the deadline is looked at this often; a socket time-out may pass for every few KiB

STAGED = re.compile(r"\..+\.[0-9a-f]{12}")  # a file's name until it is whole


@dataclass(frozen=True, slots=True)
class Stat:
    """What a store knows of an object: its size in bytes and the tag that conditional writes compare."""

    size: int
    tag: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What a listing tells of an object: its key, its size in bytes, and when it was written."""

    key: str
    size: int
    written_at: datetime


def sha256_hex(data: bytes) -> str:
    """SHA-256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def check_key(key: str) -> str:
    """The key itself, if it stays below the root it is joined to.

    Raises:
        StorageError: the key is empty, absolute, a URI, has ``..`` or empty parts or control characters, or is not in
            Unicode normalisation form C (two spellings of one name would be two objects).
    """
    reason = None
    if not key:
        reason = "is empty"
    elif key.startswith("/") or "\\" in key or "://" in key:
        reason = "is not relative to its root"
    elif any(part in ("", ".", "..") for part in key.split("/")):
        reason = "has an empty, '.' or '..' part"
    elif any(unicodedata.category(char) in ("Cc", "Cs") for char in key):
        reason = "has a control character, or bytes that are no text"
    elif not unicodedata.is_normalized("NFC", key):
        plain = unicodedata.normalize("NFC", key)
        reason = f"is not in Unicode normalisation form C, as a Mac writes names: {key!a}; rename it to {plain!r}"
    if reason:
        raise StorageError(
            f"key {key!r} {reason}; expected a relative path below the root, such as 'images/000001.jpg'"
        )
    return key


class Store(ABC):
    """One root of an object store or disk. Keys are relative, with forward slashes.

    Attributes:
        uri: the root, without a trailing slash.
    """

    uri: str

    def uri_of(self, key: str) -> str:
        """The full address of a key."""
        return f"{self.uri}/{check_key(key)}"

    def child(self, prefix: str) -> Store:
        """The store rooted at a prefix of this one."""
        return open_store(self.uri_of(prefix))

    def read(self, key: str, *, sha256: str | None = None, max_bytes: int = MAX_OBJECT_BYTES) -> bytes:
        """The whole object.

        Args:
            key: the object.
            sha256: its expected digest in hex, where one is on record.
            max_bytes: how many bytes what it is for may have; of a larger one nothing is read.

        Raises:
            NotFound, AccessDenied, Unreachable, TooLarge: as their names say.
            StorageError: the digest differs from the one expected.
        """
        data = self._bytes(key, max_bytes)
        if sha256 is not None and sha256_hex(data) != sha256:
            raise StorageError(
                f"{self.uri_of(key)}: sha256 is {sha256_hex(data)}, expected {sha256}; "
                "the object is not the one that was committed"
            )
        return data

    def _bytes(self, key: str, max_bytes: int) -> bytes:
        return self.read_tagged(key, max_bytes=max_bytes)[0]

    def exists(self, key: str) -> bool:
        """Whether the object exists."""
        try:
            self.stat(key)
        except NotFound:
            return False
        return True

    @abstractmethod
    def read_tagged(self, key: str, *, max_bytes: int = MAX_OBJECT_BYTES) -> tuple[bytes, str]:
        """The whole object, as of `read`, and the tag to give to `swap`."""

    @abstractmethod
    def open(self, key: str) -> RangedFile:
        """An object to be read in parts, as a video is; whoever opens it closes it.

        What is read of it is of the object as it was when it was opened, or an error.

        Raises:
            NotFound, AccessDenied, Unreachable: as their names say; also of what is read of it.
        """

    @abstractmethod
    def stat(self, key: str) -> Stat:
        """Size and tag of an object, or `NotFound`."""

    @abstractmethod
    def written_at(self, key: str) -> datetime:
        """When an object was written, by the store's clock, or `NotFound`."""

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Write the object whole, replacing what was there. Readers see the old bytes or the new ones."""

    @abstractmethod
    def write_file(self, key: str, file: Path) -> None:
        """Write a file of this disk as `write` writes bytes, however large it is: it is never in memory as a whole."""

    @abstractmethod
    def create(self, key: str, data: bytes) -> str:
        """Write the object only if it does not exist, else raise `Conflict`; its tag.

        An object that exists with these very bytes is success: it is our own write whose acknowledgement was lost.
        """

    @abstractmethod
    def swap(self, key: str, data: bytes, *, tag: str) -> str:
        """Replace the object only if its tag is still the one that was read, else raise `Conflict`; its new tag."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete an object; one that is gone already is no error."""

    @abstractmethod
    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """What lies below a prefix, in order of the keys."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Keys below a prefix, in order: for small folders, since images are found by their manifest."""
        return (entry.key for entry in self.entries(prefix))

    def unfinished(self) -> Iterator[Entry]:
        """What is left of writes that were killed, which `entries` hides; of an object store, nothing."""
        return iter(())

    @abstractmethod
    def folders(self) -> list[str]:
        """Names of the folders directly below the root, in order."""


class DiskStore(Store):
    """A folder. Writes go to a temporary name and are renamed, so a reader never sees half a file.

    Raises:
        StorageError: no folder can be at the path: a link to itself, the home of nobody, a NUL.
    """

    def __init__(self, root: Path) -> None:
        try:
            self.root = root.expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:  # as Path has it: a loop is a RuntimeError, a NUL no value
            raise StorageError(
                f"got {shown(str(root))}, where no folder can be ({said(error)}); expected s3://bucket/prefix or a path"
            ) from None
        self.uri = str(self.root)

    def path(self, key: str) -> Path:
        """Where a key lies on the disk."""
        return self.root / check_key(key)

    def _bytes(self, key: str, max_bytes: int) -> bytes:
        return read_regular(self.path(key), max_bytes)

    def read_tagged(self, key: str, *, max_bytes: int = MAX_OBJECT_BYTES) -> tuple[bytes, str]:
        data = self._bytes(key, max_bytes)
        return data, sha256_hex(data)

    def open(self, key: str) -> RangedFile:
        path = self.path(key)
        with disk_errors(path):
            file = open_regular(path)
            size = os.fstat(file.fileno()).st_size

        def read(start: int, stop: int) -> bytes:
            with disk_errors(path):
                return os.pread(file.fileno(), stop - start, start)

        return RangedFile(str(path), size, read, file.close)

    def stat(self, key: str) -> Stat:
        data, tag = self.read_tagged(key)
        return Stat(len(data), tag)

    def exists(self, key: str) -> bool:
        path = self.path(key)
        with suppress(NotFound), disk_errors(path):
            return stat.S_ISREG(path.stat().st_mode)
        return False

    def written_at(self, key: str) -> datetime:
        path = self.path(key)
        with disk_errors(path):
            return _written_at(path.stat())

    def write(self, key: str, data: bytes) -> None:
        with self._staged(key, lambda staged: write_synced(staged, data)) as staged:
            staged.replace(self.path(key))

    def write_file(self, key: str, file: Path) -> None:
        with disk_errors(file):
            file.stat()
        with self._staged(key, lambda staged: _copy_synced(file, staged)) as staged:
            staged.replace(self.path(key))

    def create(self, key: str, data: bytes) -> str:
        with self._staged(key, lambda staged: write_synced(staged, data)) as staged:
            try:
                os.link(staged, self.path(key))  # fails if the name exists, unlike a rename
            except FileExistsError:
                if self._bytes(key, MAX_OBJECT_BYTES) != data:
                    raise Conflict(f"{self.uri_of(key)}: exists already, written by another run") from None
        return sha256_hex(data)

    def swap(self, key: str, data: bytes, *, tag: str) -> str:
        with self._locked(key):
            if self.read_tagged(key)[1] != tag:
                raise Conflict(f"{self.uri_of(key)}: changed by another run since it was read")
            self.write(key, data)
        return sha256_hex(data)

    def delete(self, key: str) -> None:
        path = self.path(key)
        with disk_errors(path):
            path.unlink(missing_ok=True)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        return self._listed(prefix, lambda name: not name.startswith("."), _unless_gone)

    def unfinished(self) -> Iterator[Entry]:
        # A folder that we may not list, as the lost+found of a whole disk, has nothing of ours.
        return self._listed("", lambda name: bool(STAGED.fullmatch(name)), None)

    def _listed(
        self, prefix: str, wanted: Callable[[str], bool], refused: Callable[[OSError], None] | None
    ) -> Iterator[Entry]:
        """What lies below a prefix under wanted names; `refused` gets why a folder there cannot be listed."""
        walked = os.walk(self.root / prefix, onerror=refused)
        for path in sorted(Path(folder, name) for folder, _, names in walked for name in names if wanted(name)):
            with suppress(NotFound), disk_errors(path):  # another program deleted it
                found = path.stat()
                if stat.S_ISREG(found.st_mode):
                    yield Entry(path.relative_to(self.root).as_posix(), found.st_size, _written_at(found))

    def folders(self) -> list[str]:
        with suppress(NotFound), disk_errors(self.root):
            found = [path.name for path in self.root.iterdir() if _is_folder(path)]
            return sorted(name for name in found if not name.startswith("."))
        return []

    @contextmanager
    def _staged(self, key: str, fill: Callable[[Path], None]) -> Iterator[Path]:
        target = self.path(key)
        staged = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                fill(staged)
                yield staged
            finally:
                staged.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        import fcntl

        path = self.path(key)
        with disk_errors(path), path.with_name(f".{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _written_at(found: os.stat_result) -> datetime:
    """When this disk got a file: a copy may bring the time of its last change (``cp -p``, rsync), but never this."""
    return datetime.fromtimestamp(found.st_ctime, UTC)


def _unless_gone(error: OSError) -> None:
    """Raise what kept a folder from being listed, unless another program deleted it."""
    known = error_of_disk(Path(error.filename), error)
    if not isinstance(known, NotFound):
        raise known


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a link to where we may not look: whoever looks into it is told
        return True


def write_synced(path: Path, data: bytes) -> None:
    """Bytes to a file that the disk has when this returns."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _copy_synced(source: Path, path: Path) -> None:
    with source.open("rb") as given, path.open("wb") as file:
        shutil.copyfileobj(given, file, COPIED_BYTES)
        file.flush()
        os.fsync(file.fileno())


class S3Store(Store):
    """A bucket and prefix of any S3-compatible store."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket, self.prefix = bucket, prefix.strip("/")
        self.uri = f"s3://{bucket}/{self.prefix}".rstrip("/")

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{check_key(key)}".lstrip("/")

    def read_tagged(self, key: str, *, max_bytes: int = MAX_OBJECT_BYTES) -> tuple[bytes, str]:
        uri, deadline = self.uri_of(key), time.monotonic() + OBJECT_DEADLINE_S

        def attempt() -> tuple[bytes, str]:
            answer = _client().get_object(Bucket=self.bucket, Key=self._key(key), ChecksumMode="ENABLED")
            if answer["ContentLength"] > max_bytes:
                answer["Body"].close()
                raise TooLarge(f"{uri}: {answer['ContentLength']} bytes, limit {max_bytes}")
            return _body(uri, answer["Body"], deadline), answer["ETag"]

        return _in_time(uri, deadline, lambda: _retry_body(uri, attempt, deadline))

    def open(self, key: str) -> RangedFile:
        uri, found = self.uri_of(key), self.stat(key)

        def read(start: int, stop: int) -> bytes:
            deadline = time.monotonic() + OBJECT_DEADLINE_S

            def attempt() -> bytes:
                answer = _client().get_object(
                    Bucket=self.bucket, Key=self._key(key), Range=f"bytes={start}-{stop - 1}", IfMatch=found.tag
                )
                return _body(uri, answer["Body"], deadline)

            return _in_time(uri, deadline, lambda: _retry_body(uri, attempt, deadline))

        return RangedFile(uri, found.size, read)

    def stat(self, key: str) -> Stat:
        with _s3_errors(self.uri_of(key)):
            answer = _client().head_object(Bucket=self.bucket, Key=self._key(key))
        return Stat(answer["ContentLength"], answer["ETag"])

    def written_at(self, key: str) -> datetime:
        with _s3_errors(self.uri_of(key)):
            answer = _client().head_object(Bucket=self.bucket, Key=self._key(key))
        return answer["LastModified"]

    def write(self, key: str, data: bytes) -> None:
        self._put(key, data)

    def write_file(self, key: str, file: Path) -> None:
        with disk_errors(file), file.open("rb") as opened, _s3_errors(self.uri_of(key)):
            # In parts, which are one object when all came.
            _client().upload_fileobj(opened, self.bucket, self._key(key))

    def create(self, key: str, data: bytes) -> str:
        return self._put_if(key, data, IfNoneMatch="*")

    def swap(self, key: str, data: bytes, *, tag: str) -> str:
        return self._put_if(key, data, IfMatch=tag)

    def delete(self, key: str) -> None:
        with _s3_errors(self.uri_of(key)):
            _client().delete_object(Bucket=self.bucket, Key=self._key(key))

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        root = f"{self.prefix}/" if self.prefix else ""
        for page in self._pages(Prefix=f"{root}{prefix}"):
            for entry in page.get("Contents", []):
                # One slash only: a key of two begins with the second, as its object can be told by no other.
                yield Entry(entry["Key"].removeprefix(root), entry["Size"], entry["LastModified"])

    def folders(self) -> list[str]:
        prefix = f"{self.prefix}/" if self.prefix else ""
        pages = self._pages(Prefix=prefix, Delimiter="/")
        return [
            entry["Prefix"].removeprefix(prefix).rstrip("/")
            for page in pages
            for entry in page.get("CommonPrefixes", [])
        ]

    def _pages(self, **query: Any) -> Iterator[Any]:
        with _s3_errors(self.uri):
            yield from _client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **query)

    def _put(self, key: str, data: bytes, **condition: Any) -> str:
        with _s3_errors(self.uri_of(key)):
            answer = _client().put_object(Bucket=self.bucket, Key=self._key(key), Body=data, **condition)
            return answer["ETag"]

    def _put_if(self, key: str, data: bytes, **condition: str) -> str:
        for number in range(1, BUSY_TRIES + 1):
            try:
                return self._put(key, data, **condition)
            except Conflict as error:
                # Our own earlier try may have won and lost its acknowledgement: then the object is ours, a success.
                with suppress(NotFound):
                    found, tag = self.read_tagged(key)
                    if found == data:
                        return tag
                if not isinstance(error, _Busy) or number == BUSY_TRIES:
                    raise
                time.sleep(random.uniform(0, 0.1 * 2**number))
        raise AssertionError("unreachable")


class _Busy(Conflict):
    """Another write of the same object is under way; who wins is not decided yet."""


def _client(*, patient: bool = True) -> S3Client:
    """The client for the AWS settings of the environment; boto3's clients are thread-safe."""
    return _client_for(_settings(), patient)


def _settings() -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


@lru_cache(maxsize=4)
def _session_for(environment: tuple[tuple[str, str], ...]) -> Session:  # noqa: ARG001 - the cache's key
    from boto3.session import Session  # boto3.client() would keep the first credentials it saw

    return Session()


@lru_cache(maxsize=4)
def _client_for(environment: tuple[tuple[str, str], ...], patient: bool) -> S3Client:
    from botocore.config import Config

    return _session_for(environment).client(
        "s3",
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S if patient else CONNECT_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": TRIES if patient else 1},
            max_pool_connections=64,
            # Several S3-compatible stores reject the trailing checksums that newer SDKs send by default.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_supported",
        ),
    )


def _in_time(uri: str, deadline: float, call: Callable[[], T]) -> T:
    """What a call gives, or `Unreachable` at the deadline; looking at a clock takes a chunk that has come."""
    try:
        return in_time(call, deadline - time.monotonic())
    except TimeoutError:
        raise _late(uri) from None


def _body(uri: str, body: Any, deadline: float) -> bytes:
    """All of an answer's body; what of it broke is for `_retry_body`."""
    from botocore.exceptions import ReadTimeoutError, ResponseStreamingError

    chunks = []
    try:
        for chunk in body.iter_chunks(CHUNK_BYTES):
            chunks.append(chunk)
            if time.monotonic() > deadline:
                raise _late(uri)
    except ReadTimeoutError as error:  # of the body, which is fetched again; of the answer, botocore sees to it
        raise ResponseStreamingError(error=error) from None
    return b"".join(chunks)


def _late(uri: str) -> Unreachable:
    return Unreachable(f"{uri}: not read within {OBJECT_DEADLINE_S} s")


def _retry_body(uri: str, attempt: Callable[[], T], deadline: float) -> T:
    """Fetch again when the body broke on the way: truncated, garbled, or the connection fell."""
    from botocore import exceptions as boto
    from urllib3 import exceptions as http

    broken = (boto.ResponseStreamingError, boto.IncompleteReadError, boto.FlexibleChecksumError, http.HTTPError)
    for number in range(1, BODY_TRIES + 1):
        try:
            with _s3_errors(uri):
                return attempt()
        except broken as error:
            if number == BODY_TRIES or time.monotonic() > deadline:
                raise Unreachable(f"{uri}: the body broke {number} times, last: {error}") from None
            LOG.info("%s: fetching again, since the body broke: %s", uri, error)
            time.sleep(random.uniform(0, 0.1 * 2**number))
    raise AssertionError("unreachable")


CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
DENIED = (
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "RequestTimeTooSkewed",
)
MISSING = ("NoSuchKey", "NotFound", "404")
OWNED = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


@contextmanager
def _s3_errors(uri: str) -> Iterator[None]:
    """botocore's errors as roadscan's; what `_retry_body` retries passes through."""
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        raise error_of_answer(uri, error.response) from None
    except (boto.ResponseStreamingError, boto.IncompleteReadError, boto.FlexibleChecksumError):
        raise
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.ProfileNotFound) as error:
        raise AccessDenied(f"{uri}: no credentials ({error}); set {CREDENTIALS}") from None
    except (boto.CredentialRetrievalError, boto.TokenRetrievalError) as error:
        raise AccessDenied(f"{uri}: the credentials could not be renewed ({error}); log in again") from None
    except (boto.ConnectionError, boto.HTTPClientError) as error:
        raise Unreachable(
            f"{uri}: the endpoint does not answer ({error}); check AWS_ENDPOINT_URL_S3 and the network"
        ) from None
    except (boto.BotoCoreError, ValueError) as error:  # the client could not even be made: a wrong endpoint or region
        raise StorageError(f"{uri}: {error}; check AWS_ENDPOINT_URL_S3 and AWS_DEFAULT_REGION") from None


def error_of_answer(uri: str, answer: Any) -> StorageError:
    """The error for what a store answered."""
    code, meta = str(answer.get("Error", {}).get("Code", "")), answer.get("ResponseMetadata", {})
    status = meta.get("HTTPStatusCode")
    if code in MISSING:
        return NotFound(f"{uri}: no such object")
    if code == "NoSuchBucket":  # not NotFound: the whole address is wrong, and no object of it is known to be missing
        return StorageError(f"{uri}: no such bucket; check the address and AWS_ENDPOINT_URL_S3")
    if code == "ConditionalRequestConflict":
        return _Busy(f"{uri}: another write is under way")
    if status == 412 or code in OWNED:
        return Conflict(f"{uri}: another writer was first")
    if status in (401, 403) or code.startswith(DENIED):
        return AccessDenied(f"{uri}: the store refused the credentials ({code}); check {CREDENTIALS}, and the clock")
    if status in (301, 307) or code == "AuthorizationHeaderMalformed":
        return StorageError(f"{uri}: the bucket is in another region ({code}); set AWS_DEFAULT_REGION")
    return Unreachable(f"{uri}: the store answered {code or status}, after {meta.get('RetryAttempts', 0) + 1} tries")


def create_bucket(bucket: str) -> None:
    """Make a bucket in the store of the environment; one that exists and is ours is left as it is.

    Raises:
        AccessDenied, Unreachable, StorageError: as their names say.
    """
    with suppress(Conflict), _s3_errors(f"s3://{bucket}"):
        _client().create_bucket(Bucket=bucket)


def open_file(uri: str) -> tuple[Store, str]:
    """The store and the key of one file, at a path or an ``s3://`` address.

    Raises:
        StorageError: as `open_store`, or the address ends in a slash.
    """
    scheme, separator, rest = uri.rpartition("://")
    folder, slash, name = rest.rpartition("/")
    return open_store(f"{scheme}{separator}{folder or slash}" or "."), check_key(name)


def read_given(field: str, uri: str, what: str) -> bytes:
    """A file that a config may name.

    Args:
        field: of the config.
        uri: a path or s3:// address.
        what: what is expected there, as "a file of centrelines, .geojson or .parquet".

    Raises:
        ConfigError: it is not there.
        StorageError: as of `open_file`, or it cannot be read.
    """
    store, key = open_file(uri)
    try:
        return store.read(key)
    except NotFound:
        raise ConfigError(
            f"{field}: {uri} does not exist; expected {what}: correct the path, or leave it out"
        ) from None


def arrow_filesystem(uri: str) -> tuple[Any, str]:
    """A pyarrow file system and the path in it, for libraries that write through pyarrow on their own.

    It can be pickled to other machines, where it takes the AWS settings of their environment. Unlike pyarrow's own, it
    keeps its retries when it is: pyarrow's default fails after 2 s of 503 SlowDown.

    Raises:
        StorageError: as `open_store`.
    """
    from pyarrow.fs import LocalFileSystem

    store = open_store(uri)
    if isinstance(store, S3Store):
        return _arrow_s3(), f"{store.bucket}/{store.prefix}".rstrip("/")
    return LocalFileSystem(), store.uri


def read_record(store: Store, key: str, model: type[T]) -> T:
    """An object that roadscan itself wrote as JSON -> what it says, as `roadscan.parsing.read_json`.

    Raises:
        NotFound, AccessDenied, Unreachable: as their names say.
        StorageError: it is damaged, or of another version of roadscan.
    """
    try:
        return read_json(store.read(key, max_bytes=MAX_RECORD_BYTES), model)
    except Malformed as error:
        raise StorageError(f"{store.uri_of(key)}: {error}; restore it, or remove it and run again") from None


def parquet_bytes(table: Any) -> bytes:
    """A pyarrow table -> a Parquet file."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _arrow_s3() -> Any:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    class Retrying(S3FileSystem):  # type: ignore[misc]
        def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
            return _arrow_s3, ()

    return Retrying(
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        connect_timeout=CONNECT_TIMEOUT_S,
        request_timeout=READ_TIMEOUT_S,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=TRIES),
    )


@dataclass(frozen=True, slots=True)
class Reached:
    """An object store's answer to a request that was tried once.

    Attributes:
        endpoint: its address.
        credentials: where they come from, as boto3 names it: env, shared-credentials-file, iam-role …
        time: what time it is there, to the second.
        took_s: seconds until it answered.
    """

    endpoint: str
    credentials: str
    time: datetime
    took_s: float


def reach(store: Store) -> Reached | None:
    """Ask an object store for one key, once: an address where nobody answers is known in seconds. None for a disk.

    Raises:
        AccessDenied, Unreachable, StorageError: as their names say; also where listing is not allowed, without which a
            store calls a missing object forbidden.
    """
    if not isinstance(store, S3Store):
        return None
    from boto3.session import Session

    with _s3_errors(store.uri):
        client, credentials = _client(patient=False), Session().get_credentials()
        started = time.monotonic()
        try:
            answer = client.list_objects_v2(Bucket=store.bucket, Prefix=store.prefix, MaxKeys=1)
        except client.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") == "404":  # without a code of S3's
                where = client.meta.endpoint_url
                raise StorageError(f"{store.uri}: {where} is no object store; check AWS_ENDPOINT_URL_S3") from None
            raise
    there = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    took_s = time.monotonic() - started
    return Reached(client.meta.endpoint_url, credentials.method if credentials else "nowhere", there, took_s)


def open_store(uri: str | Path) -> Store:
    """The store at ``s3://bucket/prefix``, ``file:///folder`` or a plain path.

    Raises:
        StorageError: another scheme, an ``s3://`` address without a bucket, or a path at which no folder can be.
    """
    scheme, separator, rest = str(uri).partition("://")
    if not separator:
        return DiskStore(Path(uri))
    if scheme == "file":
        return DiskStore(Path(unquote(rest)))
    if scheme != "s3":
        raise StorageError(f"{uri}: scheme {scheme!r} is not supported; expected s3://bucket/prefix or a path")
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise StorageError(f"{uri}: no bucket; expected s3://bucket/prefix")
    return S3Store(bucket, prefix and check_key(prefix.strip("/")))
