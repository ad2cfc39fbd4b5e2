from __future__ import annotations

from pathlib import Path

import pytest
from support.ablations import ablate_config, ablation

from roadscan.ablate.page import ablation_page, shown_losses


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_the_page_has_all_parts_and_needs_no_other_file(tmp_path: Path, task: str) -> None:
    made = ablation(tmp_path, ablate_config(variants=["n"], seeds=[0], resamples=5, pictured_images=1), task=task)
    page = ablation_page(made)
    for heading in (
        "Variants", "Differences to cross-entropy", "By class, size, condition and occlusion", "Training curves",
        "Reliability of scores", "What each variant sees", "Runs",
    ):  # fmt: skip
        assert f"<h2>{heading}</h2>" in page
    assert "with one seed, a gain or a loss may be that of the seed" in page
    kinds = 1 if task == "detect" else 2
    assert page.count('src="data:image/png') == 1 + kinds + 2 * kinds  # curves; reliability; two losses
    assert "http" not in page
    assert all(run.name in page for run in made.runs)


def test_the_loss_that_is_shown_beside_the_baseline_is_the_best(tmp_path: Path) -> None:
    made = ablation(tmp_path, ablate_config(seeds=[0], resamples=5))
    assert shown_losses(made, "box") == ("cross-entropy", "gfl")
