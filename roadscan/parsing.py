"""The doors to parsers: bytes -> what they should be, or `Malformed`, whatever the parser of another project raised.

JSON, Parquet, images and zips are opened here and nowhere else (`make check`); other parsers run within `parsing`. A
list of what a parser may raise is never complete: it is another project's, and changes with it.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from roadscan.errors import Malformed, NotAnImage, RoadscanError, TooManyPixels
from roadscan.shown import said, shown

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image
    from pydantic import ConfigDict, TypeAdapter

T = TypeVar("T")

FORBID_OTHERS: ConfigDict = {"extra": "forbid"}  # as `__pydantic_config__`: a dataclass that no other key fits

MAX_CELLS = 1 << 30  # rows times columns of one Parquet file: kilobytes can claim billions of equal values
MAX_UNPACKED_BYTES = 1 << 29  # of a zip's files together: float16 weights of YOLOv8x are 0.14 GB
PROBLEMS = 3  # of a tree that are told
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"  # as they begin


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Run another project's parser: whatever it raises becomes `Malformed`.

    Args:
        what: what the bytes should have been, as "JSON".

    Raises:
        Malformed: the block raised anything but one of roadscan's own errors.
    """
    try:
        yield
    except RoadscanError:
        raise
    except Exception as error:  # noqa: BLE001 - what a parser raises is not ours to list
        raise Malformed(f"not valid {what} ({said(error)})") from None


@overload
def read_json(data: bytes | str) -> dict[str, Any]: ...
@overload
def read_json(data: bytes | str, model: type[T]) -> T: ...
def read_json(data: bytes | str, model: Any = dict[str, Any]) -> Any:
    """JSON -> what it says, as a type.

    Args:
        data: the file.
        model: a pydantic model, a dataclass, or a type such as ``dict[str, int]``.

    Raises:
        Malformed: it is no JSON, has text that is no Unicode, or does not fit the model.

    >>> read_json(b'{"a": 1}', dict[str, int])
    {'a': 1}
    """
    from pydantic import ValidationError

    adapter = _adapter(model)
    with parsing("JSON"):
        text = data if isinstance(data, str) else data.decode(json.detect_encoding(data))
        try:
            return adapter.validate_json(text, strict=True)
        except ValidationError as error:
            problems = error.errors(include_url=False)
    if problems[0]["type"] == "json_invalid":
        raise Malformed(f"not valid JSON ({problems[0]['ctx']['error']})")
    told = [f"{'.'.join(map(str, one['loc'])) or 'all of it'}: {_problem(one)}" for one in problems]
    more = f"; and {len(told) - PROBLEMS} more" if len(told) > PROBLEMS else ""
    raise Malformed(f"not the JSON that was expected ({'; '.join(told[:PROBLEMS])}{more})")


def read_json_lines(data: bytes, schema: pa.Schema) -> pa.Table:
    """JSON, an object a line -> a table, a row a line; of the schema's keys those that a line has not are null there.

    Raises:
        Malformed: a line is no JSON, or its values do not fit.
    """
    if not data:
        return schema.empty_table()
    from pyarrow import json as lines

    options = lines.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    with parsing("lines of JSON"):
        return lines.read_json(io.BytesIO(data), lines.ReadOptions(use_threads=False), options)


def _problem(problem: Mapping[str, Any]) -> str:
    return "missing" if problem["type"] == "missing" else f"got {shown(problem['input'])}; {problem['msg']}"


@lru_cache(maxsize=64)
def _adapter(model: type[T]) -> TypeAdapter[T]:
    from pydantic import TypeAdapter

    return TypeAdapter(model)


def utf8(data: bytes) -> bytes:
    """Bytes that are text in UTF-8, as they are: a reader of CSV may find out late, or in a callback.

    Raises:
        Malformed: they are none.
    """
    with parsing("text in UTF-8"):
        data.decode("utf-8-sig")
    return data


def arrow_file(data: bytes) -> Any:
    """A pyarrow file over a copy of bytes in Arrow's own memory, for its readers of Parquet and CSV.

    A thread of Arrow may let go of what it read from only after the read has returned. Where that belongs to Python, a
    process which ends just then aborts (seen: 34 of 300 that read one small table) or hangs: apache/arrow issues 34314
    and 50482.
    """
    import pyarrow as pa

    memory = pa.BufferOutputStream()
    memory.write(data)
    return pa.BufferReader(memory.getvalue())


def read_parquet(data: bytes | Path, schema: pa.Schema | None = None, **options: Any) -> pa.Table:
    """A Parquet file -> its table.

    Args:
        data: the file, or where it lies on a disk.
        schema: what its columns have to be, all of them; others are dropped. None for any.
        options: ``columns`` and ``filters``, as of `pyarrow.parquet.read_table`.

    Raises:
        Malformed: it is no Parquet, claims more than `MAX_CELLS`, has text that is no UTF-8, or does not fit.
    """
    with parsing("Parquet"), parquet_file(data) as file:
        if options or isinstance(data, Path):
            import pyarrow.parquet as pq

            table = pq.read_table(data if isinstance(data, Path) else arrow_file(data), **options)  # noqa: TID251
        else:
            table = file.read()
        table.validate(full=True)
    return table if schema is None else conform(table, schema)


@contextmanager
def parquet_file(data: bytes | Path, **options: Any) -> Iterator[Any]:
    """A Parquet file that is opened: a `pyarrow.parquet.ParquetFile`, for its footer or to be read in parts.

    Raises:
        Malformed: it is no Parquet, or claims more than `MAX_CELLS`; also of what is read of it in the block.
    """
    import pyarrow.parquet as pq

    source = data if isinstance(data, Path) else arrow_file(data)
    with parsing("Parquet"), pq.ParquetFile(source, **options) as file:  # noqa: TID251
        cells = file.metadata.num_rows * file.metadata.num_columns
        if cells > MAX_CELLS:
            raise Malformed(f"claims {cells} values, which is more than {MAX_CELLS}")
        yield file


def conform(table: pa.Table, schema: pa.Schema, added: Sequence[str] = ()) -> pa.Table:
    """A table -> its columns of a schema, in that order and of those types; its own metadata stay.

    Args:
        table: with more columns, or in another order.
        schema: what is wanted.
        added: columns of it that are null where the table does not have them: they came later than it.

    Raises:
        Malformed: one is missing, of another type, or null where none may be.
    """
    import pyarrow as pa

    for name in (name for name in added if name not in table.column_names):
        table = table.append_column(schema.field(name), pa.nulls(table.num_rows, schema.field(name).type))
    if missing := [name for name in schema.names if name not in table.column_names]:
        raise Malformed(f"columns {missing} are missing; expected {schema.names}")
    try:
        made = table.select(schema.names).cast(schema)
    except Exception as error:  # noqa: BLE001 - as `parsing`
        raise Malformed(f"a column has the wrong type or a null where none may be: {said(error)}") from None
    return made.replace_schema_metadata({**(schema.metadata or {}), **(table.schema.metadata or {})})


def python_values(column: pa.ChunkedArray) -> list[Any]:
    """An Arrow column -> its values as Python has them; times that it has not, before year 1 or after 9999, as text."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return [_value(one) for one in column]


def _value(one: pa.Scalar) -> Any:
    """A value as Python has it, or else as NumPy writes it: Arrow's own text has years of 16 bits."""
    import numpy as np
    import pyarrow as pa

    if not one.is_valid:
        return None
    if pa.types.is_list(one.type):
        return [_value(inner) for inner in one.values]
    if pa.types.is_struct(one.type):
        return {name: _value(inner) for name, inner in one.items()}
    try:
        return one.as_py()
    except (OverflowError, ValueError):
        unit: Any = one.type.unit if pa.types.is_timestamp(one.type) else "D" if pa.types.is_date32(one.type) else "ms"
        return str(np.datetime64(one.value, unit))


@contextmanager
def open_image(source: bytes | Path) -> Iterator[Image]:
    """An image file as Pillow opens it, its pixels not read yet.

    Raises:
        NotAnImage, TooManyPixels, Malformed: as their names say; also of what the block asks of the image.
        FileNotFoundError: no such file.
    """
    import PIL.Image

    if isinstance(source, Path) and source.exists() and not source.is_file():
        raise NotAnImage("not a regular file")
    try:
        with PIL.Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:  # noqa: TID251
            yield image
    except (RoadscanError, FileNotFoundError):
        raise
    except PIL.UnidentifiedImageError:
        raise _unidentified(source) from None
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise TooManyPixels(said(error)) from None
    except Exception as error:  # noqa: BLE001 - as `parsing`
        raise Malformed(said(error)) from None


def _unidentified(source: bytes | Path) -> Malformed:
    """The error for what no reader takes for its own; what begins as a JPEG is one, and its reader says why not."""
    from PIL.JpegImagePlugin import JpegImageFile

    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        if file.read(len(JPEG)) == JPEG:
            file.seek(0)
            try:
                JpegImageFile(file)
            except Exception as error:  # noqa: BLE001 - as `parsing`
                return Malformed(said(error))
    return NotAnImage("not an image")


def read_zip(data: bytes, names: Sequence[str]) -> dict[str, bytes]:
    """A zip -> some of its files by name, unpacked.

    Args:
        data: the zip.
        names: of the files, or what names begin with.

    Raises:
        Malformed: it is no zip, or they have more than `MAX_UNPACKED_BYTES` together; nothing has been unpacked then.
    """
    with _open_zip(data) as archive:
        wanted = [entry for entry in archive.infolist() if entry.filename.startswith(tuple(names))]
        total = sum(entry.file_size for entry in wanted)
        if total > MAX_UNPACKED_BYTES:
            raise Malformed(f"its files have {total} bytes unpacked, which is more than {MAX_UNPACKED_BYTES}")
        return {entry.filename: archive.read(entry) for entry in wanted}


def zip_names(data: bytes) -> list[str]:
    """A zip -> the names of its files; none where it is no zip."""
    try:
        with _open_zip(data) as archive:
            return archive.namelist()
    except Malformed:
        return []


@contextmanager
def _open_zip(data: bytes) -> Iterator[zipfile.ZipFile]:  # noqa: TID251
    with parsing("zip"), zipfile.ZipFile(io.BytesIO(data)) as archive:  # noqa: TID251
        yield archive


def finite_number(text: str | None) -> float | None:
    """The number that a text is, where it is one and finite.

    >>> finite_number("1.5"), finite_number("nan"), finite_number("north"), finite_number(None)
    (1.5, None, None, None)
    """
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
