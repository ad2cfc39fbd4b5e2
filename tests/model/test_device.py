from __future__ import annotations

import pytest

from roadscan.errors import DeviceError
from roadscan.model.device import Cuda, choose_device, device_name

CARD = Cuda("2.15.0+cu132", "13.2", ("NVIDIA H100",))
NO_DRIVER = Cuda("2.15.0+cu132", "13.2", ())
CPU_BUILD = Cuda("2.15.0+cpu", None, ())


@pytest.mark.parametrize(
    ("holds_gpu", "cuda", "override", "device"),
    [
        (True, CARD, None, "cuda"),
        (None, CARD, None, "cuda"),  # a GPU server without a cluster
        (False, CARD, None, "cpu"),  # Ray gave it none: it must not take another's
        (None, NO_DRIVER, None, "cpu"),
        (False, CPU_BUILD, None, "cpu"),
        (True, CARD, "cpu", "cpu"),
        (True, CPU_BUILD, "cpu", "cpu"),
        (None, CARD, "cpu", "cpu"),
    ],
)
def test_a_process_computes_where_it_was_put(
    holds_gpu: bool | None, cuda: Cuda, override: str | None, device: str
) -> None:
    assert choose_device(holds_gpu, cuda, override) == device


@pytest.mark.parametrize(
    ("cuda", "words"), [(CPU_BUILD, "a build for CPUs"), (NO_DRIVER, "for CUDA 13.2 finds none there; is the driver")]
)
def test_a_gpu_that_torch_cannot_use_is_an_error(cuda: Cuda, words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        choose_device(True, cuda)


def test_a_wrong_override_is_told() -> None:
    with pytest.raises(DeviceError, match="ROADSCAN_DEVICE: got 'gpu', expected cpu"):
        choose_device(None, CARD, "gpu")


def test_a_cpu_has_its_name_without_a_look_at_cards() -> None:
    assert device_name("cpu") == "cpu"
