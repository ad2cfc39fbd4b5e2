"""What ranks tell each other."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from roadscan.demo.server import free_ports
from roadscan.train.ranks import all_gather, broadcast

SHORT_S = 2  # a step's patience


def test_a_rank_alone_hears_itself() -> None:
    assert all_gather({"rank": 0}) == [{"rank": 0}]
    assert broadcast("own") == "own"


@pytest.mark.slow
def test_a_rank_that_takes_long_is_waited_for_but_a_step_that_hangs_is_not(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    mp.spawn(_rank, (port, str(tmp_path)), nprocs=2)
    heard = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert heard[0] == {"values": [["early", 0], ["late", 1]], "first": 0, "step": "failed"}
    assert heard[1]["values"] == heard[0]["values"]
    assert heard[1]["first"] == 0


def _rank(rank: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    dist.init_process_group("gloo", rank=rank, world_size=2, timeout=timedelta(seconds=SHORT_S))
    all_gather(None)
    if rank == 1:
        time.sleep(2 * SHORT_S)  # as one that stages a dataset
    heard = {"values": all_gather(("late", 1) if rank else ("early", 0)), "first": broadcast(rank)}
    if rank == 0:
        try:
            dist.all_reduce(torch.zeros(1))  # which the other one never comes to
            heard["step"] = "passed"
        except RuntimeError:
            heard["step"] = "failed"
    else:
        while not (Path(folder) / "0.json").exists():
            time.sleep(0.1)
    (Path(folder) / f"{rank}.partial").write_text(json.dumps(heard))
    (Path(folder) / f"{rank}.partial").rename(Path(folder) / f"{rank}.json")
    os._exit(0)  # a group that failed cannot be left in order
