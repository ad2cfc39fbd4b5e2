from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roadscan.errors import ConfigError, SurveyError
from roadscan.schemas import ACCURACY
from roadscan.survey.drive import read_drive
from roadscan.survey.importers import IngestSummary, ingest, ingest_config

SIZE = "cameras=[{width_px: 64, height_px: 48, hfov_deg: 70}]"
HEADER = "image_uri,captured_at,lon,lat,heading_deg,speed_mps,hdop"
GOOD = "1.jpg,2024-01-31T02:00:00.5+07:00,100.5,13.75,-90,25,1.1"
AT = datetime(2024, 1, 30, 19, 0, 0, 500_000, tzinfo=UTC)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., IngestSummary]:
    def ingest_text(text: str, *overrides: str) -> IngestSummary:
        (tmp_path / "frames.csv").write_text(text, encoding="utf-8")
        return ingest(ingest_config("table", tmp_path / "frames.csv", tmp_path / "drive", [SIZE, *overrides]))

    return ingest_text


def rows(summary: IngestSummary) -> list[dict[str, Any]]:
    return read_drive(summary.uri).frames.to_pylist()


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_csv_row_becomes_a_frame(run: Callable[..., IngestSummary], mark: str) -> None:
    assert rows(run(f"{mark}{HEADER}\n{GOOD}\n")) == [
        {
            "frame_id": "1",
            "image_uri": "1.jpg",
            "captured_at": AT,
            "lon": 100.5,
            "lat": 13.75,
            "heading_deg": 270.0,
            "speed_mps": 25.0,
            "hdop": 1.1,
            "camera_id": "front",
            "reason": None,
            **dict.fromkeys(ACCURACY),
            "pos_sigma_m": pytest.approx(2.75),  # an HDOP of 1.1 times 2.5 m
        }
    ]


def test_a_table_tells_its_accuracy(run: Callable[..., IngestSummary]) -> None:
    names = "pos_sigma_m,heading_sigma_deg,altitude_m,pitch_deg,roll_deg"
    told = rows(run(f"{HEADER},{names}\n{GOOD},0.03,0.1,7.5,-1.5,2\n{GOOD.replace('1.jpg', '2.jpg')},0,0,,,\n"))
    assert [told[0][name] for name in ACCURACY] == [0.03, 0.1, 7.5, -1.5, 2.0]
    assert [told[1][name] for name in ACCURACY] == [pytest.approx(2.75), None, None, None, None]  # 0 is unknown


@pytest.mark.parametrize(("setting", "sigma"), [("uere_m=1", 1.1), ("uere_m=null", None)])
def test_an_hdop_is_worth_the_range_error_that_is_stated(
    run: Callable[..., IngestSummary], setting: str, sigma: float | None
) -> None:
    assert rows(run(f"{HEADER}\n{GOOD}\n", setting))[0]["pos_sigma_m"] == sigma


def test_a_course_has_no_error_of_a_recorded_heading(run: Callable[..., IngestSummary]) -> None:
    (row,) = rows(run(f"{HEADER},heading_sigma_deg\n{GOOD},0.1\n", "heading=course"))
    assert (row["heading_deg"], row["heading_sigma_deg"]) == (None, None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2.jpg,2024-01-31T02:00:01+07:00,east,13.75,,,", "bad_row: lon is 'east'; expected a number"),
        ("2.jpg,2024-01-31T02:00:01+07:00,100.5,13.75,400,,", "bad_row: heading_deg is '400'; expected -360 to 360"),
        ("2.jpg,2024-01-31T02:00:01+07:00,100.5,13.75,,-1,", "bad_row: speed_mps is '-1'"),
        ("2.jpg,2024-01-31T02:00:01+07:00,,13.75,,,", "no_gps"),
        ("2.jpg,2024-01-31T02:00:01+07:00,nan,nan,,,", "no_gps"),
        ("2.jpg,2024-01-31T02:00:01+07:00,0,0.0,,,", "bad_gps"),
        ("2.jpg,2024-01-31T02:00:01+07:00,13.75,100.5,,,", "bad_gps"),
        ("2.jpg,2024-01-31T02:00:01,100.5,13.75,,,", "no_time: 2024-01-31T02:00:01 has no time zone"),
        ("2.jpg,yesterday,100.5,13.75,,,", "no_time: captured_at is 'yesterday'; expected ISO 8601"),
        ("2.jpg,1706641201,100.5,13.75,,,", "no_time"),
        ("2.jpg,,100.5,13.75,,,", "no_time: captured_at is empty"),
        ("2.jpg,1970-01-01T00:00:00Z,100.5,13.75,,,", "no_time: captured_at is '1970-01-01T00:00:00Z'"),
        (",2024-01-31T02:00:01+07:00,100.5,13.75,,,", "bad_row: image_uri of row 2 is empty"),
        ("2.jpg,2024-01-31T02:00:01+07:00,100.5,13.75,,", "bad_row: expected 7 columns, got 6"),
        ("2.jpg,2024-01-31T02:00:01+07:00,100.5,13.75,,,,", "bad_row: expected 7 columns, got 8"),
        ("../2.jpg,2024-01-31T02:00:01+07:00,100.5,13.75,,,", "bad_key"),
    ],
)
def test_a_bad_row_keeps_its_place(run: Callable[..., IngestSummary], line: str, reason: str) -> None:
    summary = run(f"{HEADER}\n{GOOD}\n{line}\n{GOOD.replace('1.jpg', '3.jpg')}\n")
    found = rows(summary)
    assert [row["reason"] is None for row in found] == [True, False, True]
    assert found[1]["reason"].startswith(reason)
    assert summary.reasons == {reason.partition(":")[0]: 1}


def test_a_broken_line_and_an_empty_uri_do_not_get_one_id(run: Callable[..., IngestSummary]) -> None:
    summary = run(f"{HEADER}\n{GOOD}\nshort\n,,,,,,\nshort,too\n")
    assert [row["frame_id"] for row in rows(summary)] == ["1", "row_000002", "row_000003", "row_000004"]


@pytest.mark.parametrize(
    ("time_format", "text"),
    [("epoch_s", "1706641200.5"), ("epoch_ms", "1706641200500"), ("iso", "2024-01-30 19:00:00.5Z")],
)
def test_time_formats(run: Callable[..., IngestSummary], time_format: str, text: str) -> None:
    # 2024-01-30T19:00:00Z: 19752 days of 86400 s since 1970 are 1706572800, and 19 h more are 68400: 1706641200.
    line = f"image_uri,captured_at,lon,lat\n1.jpg,{text},100.5,13.75\n"
    assert rows(run(line, f"time_format={time_format}"))[0]["captured_at"] == AT


def test_milliseconds_taken_for_seconds_are_no_time(run: Callable[..., IngestSummary]) -> None:
    line = "image_uri,captured_at,lon,lat\n1.jpg,1706641200500,100.5,13.75\n"
    assert rows(run(line, "time_format=epoch_s"))[0]["reason"].startswith("no_time")


def test_a_zone_for_times_without_one(run: Callable[..., IngestSummary]) -> None:
    line = "image_uri,captured_at,lon,lat\n1.jpg,2024-01-31T02:00:00.5,100.5,13.75\n"
    assert rows(run(line, "utc_offset_h=7"))[0]["captured_at"] == AT


def test_columns_with_other_names(run: Callable[..., IngestSummary]) -> None:
    text = f"File,T,x_lon,y_lat\n1.jpg,{AT.isoformat()},100.5,13.75\n"
    names = "columns={image_uri: File, captured_at: T, lon: x_lon, lat: y_lat}"
    assert rows(run(text, names))[0]["reason"] is None
    with pytest.raises(SurveyError, match=r"no columns \['image_uri', 'captured_at', 'lon', 'lat'\], only \['File'"):
        run(text)
    with pytest.raises(SurveyError) as long:
        run(f"{'x' * 100_000},T\n1.jpg,2\n")
    assert len(str(long.value)) < 1000


def test_a_renamed_column_must_exist(run: Callable[..., IngestSummary]) -> None:
    with pytest.raises(SurveyError, match=r"no columns \['pdop'\]"):
        run(f"{HEADER}\n{GOOD}\n", "columns={hdop: pdop}")


def test_parquet_with_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "frame_id": pa.array([7, 8]),
            "image_uri": [str(tmp_path / "a/7.jpg"), "file.png"],
            "captured_at": pa.array([AT, None], pa.timestamp("ns", tz="Asia/Bangkok")),
            "lon": [100.5, 100.6],
            "lat": pa.array([13.75, None], pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "frames.parquet")
    found = rows(ingest(ingest_config("table", tmp_path / "frames.parquet", tmp_path / "drive", [SIZE])))
    assert found[0]["frame_id"] == "7"
    assert found[0]["image_uri"] == "a/7.jpg"
    assert found[0]["captured_at"] == AT
    assert found[1]["reason"] == "no_gps: lat is empty"


def test_cameras_of_the_table(run: Callable[..., IngestSummary], tmp_path: Path) -> None:
    text = f"image_uri,captured_at,lon,lat,camera_id\n1.jpg,{AT.isoformat()},100.5,13.75,left\n"
    with pytest.raises(ConfigError, match="the frames are of 2 cameras"):
        run(text + f"2.jpg,{AT.isoformat()},100.5,13.75,right\n", "cameras=[]")
    size = "width_px: 64, height_px: 48, hfov_deg: 70"
    summary = run(text, f"cameras=[{{camera_id: left, {size}}}, {{camera_id: b, {size}}}, {{camera_id: absent}}]")
    assert rows(summary)[0]["camera_id"] == "left"
    assert [camera.camera_id for camera in summary.cameras] == ["left", "b"]


def test_a_size_must_come_from_somewhere(run: Callable[..., IngestSummary]) -> None:
    with pytest.raises(
        SurveyError, match=r"cameras: front .* none of the first 1 below .* can be read \(1.jpg: missing"
    ):
        run(f"{HEADER}\n{GOOD}\n", "cameras=[]")


def test_copying_finds_what_is_missing(run: Callable[..., IngestSummary], photo: Callable[..., Path]) -> None:
    photo("1.jpg")
    text = f"{HEADER}\nphotos/{GOOD}\nphotos/{GOOD.replace('1.jpg', '2.jpg')}\n"
    summary = run(text, "copy_images=true")
    assert summary.reasons == {"missing": 1}
    assert [row["reason"] for row in rows(summary)] == [None, "missing: no such object"]


@pytest.mark.parametrize(
    "content", [b"", b"image_uri,captured_at,lon,lat\n", b"image_uri,captured_at,lon,lat\n\xff\xfe,1,2,3\n"]
)
def test_a_file_that_is_no_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "frames.csv").write_bytes(content)
    with pytest.raises(SurveyError, match=r"source: .*frames\.csv"):
        ingest(ingest_config("table", tmp_path / "frames.csv", tmp_path / "drive", [SIZE]))
    with pytest.raises(SurveyError, match=r"nothing\.parquet does not exist"):
        ingest(ingest_config("table", tmp_path / "nothing.parquet", tmp_path / "drive", [SIZE]))


def test_a_time_that_python_has_not_is_a_reason_of_its_frame_alone(tmp_path: Path) -> None:
    times = pa.array([2**62, int(AT.timestamp() * 1e6)], pa.timestamp("us", "UTC"))
    table = pa.table({"image_uri": ["1.jpg", "2.jpg"], "captured_at": times, "lon": [100.5] * 2, "lat": [13.75] * 2})
    pq.write_table(table, tmp_path / "frames.parquet")
    far, near = rows(ingest(ingest_config("table", tmp_path / "frames.parquet", tmp_path / "drive", [SIZE])))
    assert far["reason"].startswith("no_time: captured_at is '148108-07-06T14:00:27.387904'")
    assert (near["captured_at"], near["reason"]) == (AT, None)


def test_a_broken_line_that_is_no_text_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Arrow calls back with each broken line, and an exception there would only be printed."""
    (tmp_path / "frames.csv").write_bytes(f"{HEADER}\n{GOOD}\n".encode() + b"2.jpg,\xff\xfe,\n")
    with pytest.raises(SurveyError, match="not valid text in UTF-8"):
        ingest(ingest_config("table", tmp_path / "frames.csv", tmp_path / "drive", [SIZE]))
    assert "Traceback" not in capfd.readouterr().err
