"""Which number format a training's forward pass has."""

from __future__ import annotations

import pytest
import torch

from roadscan.train.precision import trains_in_bfloat16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "has_it"),
    [
        ({"architecture": "x86_64", "avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"architecture": "x86_64", "avx2": True, "avx512_bf16": True, "amx_bf16": False}, True),
        ({"architecture": "aarch64", "bf16": True}, True),
    ],
)
def test_auto_is_what_the_processor_computes(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, object], has_it: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert trains_in_bfloat16("auto", CPU) == has_it
    assert trains_in_bfloat16("bf16", CPU)
    assert not trains_in_bfloat16("full", CPU)
