from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from roadscan.config import load_config
from roadscan.errors import ConfigError
from roadscan.tune.config import TuneConfig
from roadscan.tune.space import grid_points, params_of, suggest

SPACE = {
    "variant": ["n", "s"],
    "loss.gamma": [0, {"low": 1, "high": 3}],
    "loss.alpha": [None, {"low": 0.1, "high": 0.9}],
    "optimiser.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "augment.close_mosaic": {"low": 0, "high": 5, "whole": True},
}


def config(**fields: Any) -> TuneConfig:
    tree = {"train": {"data": "d", "epochs": 9}, "space": SPACE} | fields
    return load_config(TuneConfig, None, [f"{name}={value!r}".replace("None", "null") for name, value in tree.items()])


settings = st.fixed_dictionaries(
    {
        "variant": st.sampled_from(["n", "s"]),
        "loss.gamma": st.just(0) | st.floats(1, 3),
        "loss.alpha": st.none() | st.floats(0.1, 0.9),
        "optimiser.lr": st.floats(1e-4, 1e-2),
        "augment.close_mosaic": st.integers(0, 5),
    }
)


@given(settings)
def test_parameters_give_the_settings_that_they_were_made_of(wanted: dict[str, Any]) -> None:
    space = config().space
    params = params_of(space, wanted)
    assert params is not None
    assert suggest(space, FixedTrial(params)) == wanted
    assert ("loss.gamma in 1 to 3" in params) == (wanted["loss.gamma"] != 0)  # only in trials that chose the range
    assert ("loss.alpha in 0.1 to 0.9" in params) == (wanted["loss.alpha"] is not None)


@pytest.mark.parametrize(
    ("field", "value"),
    [("variant", "x"), ("loss.gamma", 0.5), ("loss.gamma", None), ("loss.alpha", 0), ("augment.close_mosaic", 2.5)],
)
def test_settings_outside_have_no_parameters(field: str, value: object) -> None:
    inside = {"variant": "n", "loss.gamma": 2.0, "loss.alpha": None, "optimiser.lr": 1e-3, "augment.close_mosaic": 1}
    assert params_of(config().space, inside) is not None
    assert params_of(config().space, inside | {field: value}) is None


def test_a_grid_has_the_points_of_all_dimensions() -> None:
    assert grid_points(config().space, 5) == 2 * (1 + 5) * (1 + 5) * 5 * 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"space": {}}, r"space: got \{\}; .*at least 1"),
        ({"space": {"variant": []}}, "at least 1"),
        ({"space": {"loss.gamma": [0, 0.0]}}, r"space\.loss\.gamma.*: got \[0, 0\.0\]; expected each value once"),
        ({"space": {"loss.gamma": [0, [1, 3]]}}, r"space\.loss\.gamma.*: got \[1, 3\]; expected a value or \{low"),
        ({"space": {"variant": "s"}}, r"expected \[values\] or \{low: , high: \}"),
        ({"space": {"loss.gamma": {"low": 3, "high": 1}}}, "expected low < high, got low 3.0 and high 1.0"),
        ({"space": {"optimiser.lr": {"low": 0, "high": 1, "log": True}}}, "log: expected low > 0, got 0"),
        ({"space": {"batch": {"low": 1.5, "high": 8, "whole": True}}}, "whole: expected whole bounds"),
        ({"space": {"batch": {"low": 1, "high": 8}}}, r"space\.batch: .*batch: got 3\.2"),
        ({"space": {"loss.gama": [0]}}, r"space\.loss\.gama: .*gama: unknown field; known fields: .*gamma"),
        ({"space": {"loss.gamma": [0, 0.5]}}, r"space\.loss\.gamma: .*0\.5"),
        ({"space": {"variant": ["n", "q"]}}, r"space\.variant: .*'q'"),
        ({"space": {"epochs": [3, 9]}}, r"space\.epochs: trials cannot differ in that"),
        ({"space": {"execution.workers": [1, 2]}}, r"space\.execution\.workers: trials cannot differ in that"),
        ({"train": {"data": "d", "name": "a"}}, r"train\.name: the sweep names and keeps its trials itself"),
        ({"by_variant": {"x": {"batch": 8}}}, r"by_variant\.x: no trial has that variant; expected n, s"),
        ({"by_variant": {"s": {"epochs": 8}}}, r"by_variant\.s\.epochs: trials cannot differ in that here"),
        ({"by_variant": {"s": {"loss.gamma": 2}}}, r"by_variant\.s\.loss\.gamma: it is searched; leave it out"),
        ({"by_variant": {"s": {"bach": 8}}}, "variant s: .*bach: unknown field; known fields: .*batch"),
        ({"trials": 1}, r"trials: got 1, expected at least 2: the baseline of each variant"),
        ({"by_variant": {"s": {"execution.workers": 32}}}, r"variant s: .*batch: got 16 images for 32 parts"),
        (
            {"latency": True, "space": {"image_size_px": {"low": 64, "high": 640}}},
            r"latency is measured for each value",
        ),
        ({"metric": "map"}, "metric: got 'map'"),
        ({"trials": 0}, "trials: got 0"),
    ],
)
def test_what_cannot_be_searched_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        config(**fields)


def test_a_range_has_an_end() -> None:
    overrides = ["train={data: d}", "space={optimiser.weight_decay: {low: 0, high: .inf}}"]
    with pytest.raises(ConfigError, match=r"weight_decay\.range\.high: got inf; .*finite"):
        load_config(TuneConfig, None, overrides)


def test_a_trial_has_the_fields_of_its_variant() -> None:
    swept = config(by_variant={"s": {"batch": 8, "execution.workers": 2}})
    assert (swept.trial({"variant": "n"}).batch, swept.trial({"variant": "n"}).execution.workers) == (16, 1)
    assert (swept.trial({"variant": "s"}).batch, swept.trial({"variant": "s"}).execution.workers) == (8, 2)
    assert swept.trial({"loss.gamma": 2.5}).loss.gamma == 2.5
