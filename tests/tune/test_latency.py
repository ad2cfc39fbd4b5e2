from __future__ import annotations

import pytest
import torch

from roadscan.tune.latency import measure_latency


@pytest.fixture
def threads() -> object:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_larger_image_takes_longer(threads: None) -> None:
    small, large = (measure_latency("detect", "n", "silu", size_px, 1, holds_gpu=False) for size_px in (32, 320))
    assert 0 < small < large  # a hundred times the pixels
