"""Training processes that work together, for tests: gloo on this machine, without Ray."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from roadscan.dataset.read import read_dataset
from roadscan.demo.server import free_ports
from roadscan.model.bundle import StateDict
from roadscan.storage import open_store
from roadscan.train import loop
from roadscan.train.config import TrainConfig
from roadscan.train.history import write_history
from roadscan.train.ranks import SingleProcess
from roadscan.train.result import write_result
from roadscan.train.state import Ema, State
from support import labelled

QUIET = {"mosaic": 0.0, "fliplr": 0.0, "scale": 0.2}


def config_of(data: Path, **fields: Any) -> TrainConfig:
    """A run of seconds: shapes of 160x96 pixels, full precision."""
    base: dict[str, Any] = {
        "data": str(data), "epochs": 2, "batch": 4, "image_size_px": 160, "aspect": "dataset", "precision": "full",
        "augment": QUIET, "optimiser": {"lr": 1e-3, "warmup_epochs": 0.5},
    }  # fmt: skip
    return TrainConfig.model_validate(base | fields)


def digest(network: torch.nn.Module) -> str:
    """SHA-256 of all weights and statistics."""
    return _digest_of(network.state_dict())


def _digest_of(weights: StateDict) -> str:
    return hashlib.sha256(b"".join(weights[n].contiguous().numpy().tobytes() for n in sorted(weights))).hexdigest()


def gradient(state: State) -> torch.Tensor:
    """What AdamW averaged of the gradients: after one step a tenth of the clipped gradient."""
    return torch.cat([moments["exp_avg"].flatten() for moments in state.optimiser.state.values()])


def train_together(world_size: int, config: TrainConfig, images: dict[str, int], folder: Path) -> list[dict[str, Any]]:
    """Train in so many processes; what each rank saw: digests after each step, and the history."""
    _start(_rank, world_size, config.model_dump_json(), images, str(folder))
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(world_size)]


def run_together(world_size: int, config: TrainConfig, folder: Path) -> None:
    """A whole run in so many processes: what `roadscan train` leaves in the run's folder, in a folder."""
    _start(_run_rank, world_size, config.model_dump_json(), str(folder))


def _start(rank: Callable[..., None], world_size: int, *arguments: Any) -> None:
    """Call it in so many processes with rank, world size, a free port, and the arguments; wait for their end."""
    (port,) = free_ports(1)
    # Seconds a process, paid once; the second is what every optimiser imports.
    mp.set_forkserver_preload(["roadscan.train.loop", "torch._dynamo"])
    mp.start_processes(rank, (world_size, port, *arguments), nprocs=world_size, start_method="forkserver")


def _join(rank: int, world_size: int, port: int) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world_size)


def _run_rank(rank: int, world_size: int, port: int, config: str, folder: str) -> None:
    _join(rank, world_size, port)
    settings, store, device = TrainConfig.model_validate_json(config), open_store(folder), torch.device("cpu")
    dataset = read_dataset(settings.data)
    state = loop.train(settings, dataset, None, SingleProcess(Path(folder), device, rank, world_size))
    if rank == 0:
        write_history(state.history, settings, store)
        write_result(state, dataset, settings, "scratch", store, device)
    dist.destroy_process_group()


def _rank(rank: int, world_size: int, port: int, config: str, images: dict[str, int], folder: str) -> None:
    _join(rank, world_size, port)
    settings = TrainConfig.model_validate_json(config)
    dataset = labelled.draw_dataset(Path(folder) / f"data-{rank}", images)
    steps: list[list[str]] = []
    stock_update = Ema.update

    def update(ema: Ema) -> None:
        """What ends each step."""
        stock_update(ema)
        steps.append([_digest_of(ema.source), _digest_of(ema.weights)])

    Ema.update = update  # type: ignore[method-assign]
    ranks = SingleProcess(Path(folder) / "run", torch.device("cpu"), rank, world_size)
    state = loop.train(settings, dataset, None, ranks)
    torch.save(gradient(state), Path(folder) / f"gradient-{rank}.pt")
    seen = {"steps": steps, "history": state.history}
    (Path(folder) / f"rank-{rank}.json").write_text(json.dumps(seen))
    dist.destroy_process_group()
