"""Each shipped config against the cluster that it is shipped for: planned before there is a worker, true with all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from support.manifests import K8S, render
from support.offers import Offer, of_aws, of_kuberay

from roadscan.config import load_config
from roadscan.errors import ConfigError
from roadscan.nodes import Node
from roadscan.scan.config import ScanConfig
from roadscan.scan.placement import place as place_scan
from roadscan.train.config import TrainConfig
from roadscan.train.placement import Placement, place
from roadscan.tune.config import TuneConfig
from roadscan.tune.placement import fits, place_trials

MANY = 1000  # shards
GUIDE = Path(__file__).parents[2] / "cluster" / "README.md"
CONFIGS = Path(__file__).parents[2] / "jobs" / "configs"
PRODUCTION = K8S / "overlays" / "production" / "configs"
CLUSTERS = ("aws", "development", "production/scan", "production/train", "production/tune")
PLANS = [  # where configs lie; the clusters of a training and of a sweep
    (CONFIGS, "aws", "aws"),
    (PRODUCTION, "production/train", "production/tune"),
]


@pytest.fixture(scope="module")
def offers() -> dict[str, Offer]:
    """By cluster."""
    found = {"aws": of_aws()}
    for overlay in CLUSTERS[1:]:
        rays = [m for m in render(K8S / "overlays" / overlay) if m["kind"] in ("RayJob", "RayCluster")]
        (found[overlay],) = map(of_kuberay, rays)
    return found


def fit_at_once(offer: Offer, placement: Placement, copies: int) -> bool:
    return fits(offer.full, [(placement.cpus, placement.gpus)] * placement.most * copies)


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_clusters_start_without_a_place_for_work(cluster: str, offers: dict[str, Offer]) -> None:
    """What makes planning hard: if one day they start with workers, the configs need say less."""
    assert offers[cluster].start == [Node(0, 0)]
    assert {node.gpus for node in offers[cluster].full[1:]} == {1}


@pytest.mark.parametrize(("folder", "cluster", "_"), PLANS)
def test_a_training_is_planned_before_there_is_a_worker(
    folder: Path, cluster: str, _: str, offers: dict[str, Offer]
) -> None:
    config, offer = load_config(TrainConfig, folder / "train.yaml"), offers[cluster]
    found = place(config, offer.start, grows=True)
    assert (found.most, found.gpus) == (4, 1)
    assert fit_at_once(offer, found, copies=1)
    assert not fits(offer.full, [(found.cpus + 2, 1)]), "a worker has its node's processors, but one"
    assert config.batch % found.most == 0


@pytest.mark.parametrize(("folder", "_", "cluster"), PLANS)
def test_a_sweep_is_planned_before_there_is_a_worker(
    folder: Path, _: str, cluster: str, offers: dict[str, Offer]
) -> None:
    config, offer = load_config(TuneConfig, folder / "tune.yaml"), offers[cluster]
    plan = place_trials(config, offer.start, grows=True)
    assert plan.placements.keys() == set(config.variants)
    for variant, placement in plan.placements.items():
        assert placement.gpus == 1
        assert plan.at_once[variant] >= 1
        assert fit_at_once(offer, placement, plan.at_once[variant]), variant
    assert plan.at_once["n"] >= 4


@pytest.mark.parametrize(("folder", "train", "tune"), PLANS)
def test_what_configs_say_of_growth_is_true(folder: Path, train: str, tune: str, offers: dict[str, Offer]) -> None:
    training, sweep = load_config(TrainConfig, folder / "train.yaml"), load_config(TuneConfig, folder / "tune.yaml")
    for cluster, execution in ((train, training.execution), (tune, sweep.train.execution)):
        stated = execution.grows_to
        assert stated is not None
        assert fits(offers[cluster].full, [(stated.cpus, stated.gpus)] * stated.nodes)
        if folder == PRODUCTION:  # made for one cluster alone
            assert offers[cluster].full == [Node(0, 0), *[Node(stated.cpus, stated.gpus)] * stated.nodes]


def scans() -> list[tuple[str, ScanConfig]]:
    """Clusters, and the scans that are shipped for them: as files, and for `ray up` as the guide's command."""
    (stated,) = re.findall(r"jobs/scan\.py jobs/configs/scan\.yaml --set '(grows_to=.*)'", GUIDE.read_text())
    nightly = yaml.safe_load((PRODUCTION / "nightly.yaml").read_text())
    return [
        ("aws", load_config(ScanConfig, CONFIGS / "scan.yaml", [stated])),
        ("production/scan", load_config(ScanConfig, PRODUCTION / "scan.yaml")),
        ("production/scan", ScanConfig.model_validate({"warehouse": nightly["warehouse"], **nightly["scan"]})),
    ]


@pytest.mark.parametrize(("cluster", "config"), scans())
def test_a_scan_has_all_gpus_and_cores_before_there_is_a_worker(
    cluster: str, config: ScanConfig, offers: dict[str, Offer]
) -> None:
    offer = offers[cluster]
    found = place_scan(config, offer.start, MANY, grows=True)
    assert fits(offer.full, [(found.cpus, found.gpus)] * found.actors)
    assert found == place_scan(config, offer.full, MANY), "what is stated of growth is what the cluster grows to"
    assert found.actors * found.gpus == sum(node.gpus for node in offer.full)
    with pytest.raises(ConfigError, match="Say in grows_to what the cluster grows to"):
        place_scan(config.model_copy(update={"grows_to": None}), offer.start, MANY, grows=True)


@pytest.mark.parametrize("job", ["scan", "nightly"])
def test_what_is_shipped_for_any_cluster_takes_the_one_that_is_there(job: str) -> None:
    tree = yaml.safe_load((CONFIGS / f"{job}.yaml").read_text())
    config = ScanConfig.model_validate({"warehouse": "w", **(tree["scan"] if job == "nightly" else tree)})
    assert place_scan(config, [Node(2, 0)], MANY, grows=True).gpus == 0
    assert place_scan(config, [Node(8, 1)] * 20, MANY, grows=True).actors == 40


def test_the_cluster_for_people_is_smaller_but_runs_the_same_training(offers: dict[str, Offer]) -> None:
    offer = offers["development"]
    found = place(load_config(TrainConfig, CONFIGS / "train.yaml"), offer.start, grows=True)
    assert isinstance(found.workers, tuple)
    assert fits(offer.full, [(found.cpus, found.gpus)] * found.workers[0])


def test_without_a_word_on_growth_there_would_be_no_place(offers: dict[str, Offer], tmp_path: Path) -> None:
    tree = yaml.safe_load((CONFIGS / "train.yaml").read_text())
    del tree["execution"]["grows_to"]
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=r"places for 0 with 1 GPU each; lower it, or say in execution\.grows_to"):
        place(load_config(TrainConfig, tmp_path / "train.yaml"), offers["aws"].start, grows=True)
