"""The metrics of nights, read by Prometheus' own parser; the board and the alerts ask for nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from support.commands import ROOT
from support.nights import Scan, config_of, drive_of_night, run
from support.services import Service

from roadscan.config import load_config
from roadscan.errors import ConfigError
from roadscan.nightly.config import NightlyConfig
from roadscan.nightly.drift import Rate
from roadscan.nightly.metrics import METRICS, exposition, gateway_url
from roadscan.nightly.summary import GateReport, NightSummary
from roadscan.scan.ray import LIVE

BOARD, ALERTS = ROOT / "cluster/prometheus/board.json", ROOT / "cluster/prometheus/alerts.yaml"
OF_RAY = {f"ray_roadscan_scan_{name}_total": set[str]() for name in LIVE}
EXPORTED = {metric.name: {"warehouse", *metric.labels} for metric in METRICS} | OF_RAY

FULL = NightSummary(
    night="2026-11-01", outcome="gate closed", started_at="2026-11-01T18:30:00+00:00", seconds=61.5, host="head",
    code_version="0.1", frames=20, frames_ok=18, frames_quarantined=2, reasons={"truncated": 2}, drives=("a", "b"),
    detections=7, assets={'Sign "A"\\B': {"confirmed": 3, "missing": 1}}, km=1.5, on_time=False, max_quarantined=0.05,
    rates={"Pole": Rate(4.7, 8.0, 6.0, 10.0, drifted=True)}, node_seconds={"head": 61.5, "gpu": 30.0}, release=7,
    images_per_second=10.0, images_per_node_second=5.0, gates={"model": GateReport(True, ("map50_95",))},
    withheld=("x",),
)  # fmt: skip


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found = [one for family in text_string_to_metric_families(text) for one in family.samples]
    by_labels = {(one.name, frozenset(one.labels.items())): one.value for one in found}
    assert len(by_labels) == len(found)  # none is there twice
    return by_labels


def value(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return found[name, frozenset({"warehouse": "s3://w", **labels}.items())]


def test_prometheus_reads_every_number_of_a_night() -> None:
    found = samples(exposition(FULL, "s3://w"))
    assert {name for name, _ in found} == {metric.name for metric in METRICS}
    assert value(found, "roadscan_night_end_timestamp_seconds") == 1793557861.5  # 18:31:01.5 UTC
    assert value(found, "roadscan_night_complete") == 0
    assert value(found, "roadscan_night_exit_code") == 6
    assert value(found, "roadscan_night_frames", status="quarantined") == 2
    assert value(found, "roadscan_night_quarantined_ratio") == 0.1
    assert value(found, "roadscan_night_node_seconds", kind="gpu") == 30
    assert value(found, "roadscan_night_detections_per_km_low", **{"class": "Pole"}) == 6
    assert value(found, "roadscan_night_drifted", **{"class": "Pole"}) == 1
    assert value(found, "roadscan_night_gate_closed", gate="model") == 1
    assert value(found, "roadscan_register_assets", **{"class": 'Sign "A"\\B', "state": "missing"}) == 1


def test_every_sample_has_the_labels_that_its_metric_names() -> None:
    for name, labels in samples(exposition(FULL, "s3://w")):
        assert {label for label, _ in labels} == EXPORTED[name]


def test_what_is_not_known_has_no_sample_and_every_metric_its_help() -> None:
    night = NightSummary(
        night="2026-11-01",
        outcome="error",
        started_at="2026-11-01T18:30:00+00:00",
        seconds=1,
        host="h",
        code_version="0",
    )
    families = {one.name: one for one in text_string_to_metric_families(exposition(night, "w"))}
    assert set(families) == {metric.name for metric in METRICS}
    assert all(one.documentation and one.type == "gauge" for one in families.values())
    assert families["roadscan_night_on_time"].samples == families["roadscan_release"].samples == []


def test_the_metrics_of_a_night_are_in_the_file_that_its_config_names(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    drive_of_night(tmp_path, 2)
    file = tmp_path / "collector/roadscan.prom"
    config = config_of(tmp_path, detect_model, health={"metrics": str(file)})
    run(config, Scan(failing={"000001"}), one=1)
    assert samples(file.read_text())["roadscan_night_complete", frozenset({("warehouse", config.warehouse)})] == 0
    run(config, Scan(), one=2)
    assert samples(file.read_text())["roadscan_night_complete", frozenset({("warehouse", config.warehouse)})] == 1
    assert list(file.parent.glob("*.prom")) == [file]
    assert file.stat().st_mode & 0o444 == 0o444  # the collector is another user


def test_a_file_that_cannot_be_written_is_a_warning(tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    (tmp_path / "folder").write_text("a file")
    config = config_of(tmp_path, detect_model, health={"metrics": str(tmp_path / "folder/roadscan.prom")})
    code, (told,) = run(config, Scan(), one=1)
    assert (code, told.outcome) == (0, "complete")
    assert told.warnings[0].startswith("the metrics of this night were not written: ")


@pytest.mark.slow
def test_a_pushgateway_gets_the_metrics_of_each_warehouse_under_its_name(
    service: Service, tmp_path: Path, detect_model: str
) -> None:
    drive_of_night(tmp_path, 1)
    config = config_of(tmp_path, detect_model, health={"metrics": service.address})
    service.answers = [503]
    assert run(config, Scan(), one=1)[0] == 0
    first, second = service.requests  # it was busy once
    assert first == second
    assert (second.method, second.content_type) == ("PUT", "text/plain; version=0.0.4; charset=utf-8")
    _, metrics, job, name, named, encoded = second.path.split("/")
    assert (metrics, job, name, named) == ("metrics", "job", "roadscan", "warehouse@base64")
    assert base64.urlsafe_b64decode(encoded).decode() == config.warehouse
    assert {name for name, _ in samples(second.body.decode())} <= set(EXPORTED)


def test_a_pushgateway_that_refuses_is_a_warning(service: Service, tmp_path: Path, detect_model: str) -> None:
    drive_of_night(tmp_path, 1)
    service.answers = [400]
    code, (told,) = run(config_of(tmp_path, detect_model, health={"metrics": service.address}), Scan(), one=1)
    assert code == 0
    assert told.warnings == ("the Pushgateway of health.metrics has no metrics of this night: it answered 400",)


def test_an_empty_address_part_keeps_the_way_whole() -> None:
    assert gateway_url("http://g:9091", "w").endswith("/metrics/job/roadscan/warehouse@base64/dw==")


@pytest.mark.parametrize("address", ["http://user:pass@g:9091", "https://g/?token=x"])
def test_a_secret_in_the_address_is_refused(tmp_path: Path, address: str) -> None:
    path = tmp_path / "nightly.yaml"
    path.write_text(f"warehouse: w\nscan: {{drives: [d]}}\nhealth: {{metrics: '{address}'}}\n")
    with pytest.raises(ConfigError, match=r"health\.metrics: .*no secret stands in a config"):
        load_config(NightlyConfig, path)


# What the board and the alerts ask for


def board_expressions() -> Iterator[str]:
    for panel in json.loads(BOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]
    for variable in json.loads(BOARD.read_text())["templating"]["list"]:
        if variable["type"] == "query":  # label_values(metric, label)
            metric, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").split(", ")
            yield f"sum by ({label}) ({metric})"


def alert_expressions() -> Iterator[str]:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def asked(expression: Any) -> Iterator[tuple[str, set[str]]]:
    """The metrics of a parsed expression, each with the labels that it is asked by."""
    if isinstance(expression, promql_parser.VectorSelector):
        assert expression.name, "a metric without a name"
        yield expression.name, {matcher.name for matcher in expression.matchers.matchers}
    elif isinstance(expression, promql_parser.MatrixSelector):
        yield from asked(expression.vector_selector)
    elif isinstance(expression, promql_parser.BinaryExpr):
        yield from asked(expression.lhs)
        yield from asked(expression.rhs)
    elif isinstance(expression, promql_parser.AggregateExpr):
        by = set(expression.modifier.labels) if expression.modifier else set()
        yield from ((name, labels | by) for name, labels in asked(expression.expr))
    elif isinstance(expression, promql_parser.Call):
        for argument in expression.args:
            yield from asked(argument)
    elif isinstance(expression, promql_parser.ParenExpr | promql_parser.UnaryExpr):
        yield from asked(expression.expr)
    else:
        assert isinstance(expression, promql_parser.NumberLiteral | promql_parser.StringLiteral), type(expression)


EXPRESSIONS = [*board_expressions(), *alert_expressions()]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_asks_for_what_is_exported(expression: str) -> None:
    found = dict(asked(promql_parser.parse(expression)))
    assert found
    for name, labels in found.items():
        assert labels <= EXPORTED[name]


def test_every_metric_is_on_the_board() -> None:
    shown = {name for expression in board_expressions() for name, _ in asked(promql_parser.parse(expression))}
    assert shown == set(EXPORTED)


def test_panels_of_the_board_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = json.loads(BOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_alerts_name_labels_that_their_metrics_have() -> None:
    for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]:
        labels = set.union(*(EXPORTED[name] for name, _ in asked(promql_parser.parse(rule["expr"]))))
        words = " ".join(rule["annotations"].values()).split("$labels.")[1:]
        assert {word.split()[0] for word in words} <= labels
        assert rule["labels"]["severity"] in {"critical", "warning"}
