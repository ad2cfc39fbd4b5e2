"""Joining a cluster where there is none: a message in seconds, and no traceback."""

from __future__ import annotations

import pytest

from roadscan.cluster import connect
from roadscan.demo.server import free_ports
from roadscan.errors import ClusterError


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://10.0.0.1:8265", "expected the head's own address"),
        ("127.0.0.1:{}", "no connection (.*refused.*); is the head up"),
        ("ray://127.0.0.1:{}", "no connection (.*refused.*); is the head up"),
        ("head:port", "'port'"),
        ("nonsense", "Invalid address format: nonsense; 'roadscan doctor'"),
    ],
)
def test_an_address_that_cannot_be_joined(monkeypatch: pytest.MonkeyPatch, address: str, message: str) -> None:
    given = address.format(free_ports(1)[0])
    monkeypatch.setenv("RAY_ADDRESS", given)
    with pytest.raises(ClusterError, match=message) as caught:
        connect()
    assert given in str(caught.value)
