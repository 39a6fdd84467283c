"""On which Ray trials run side by side, and what its nodes are given."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import RecordError, StrategyError
from common.numbers import is_real
from common.text import show
from records.formats import count_of
from retiarius.value_checks import check_counts, check_texts

AUTO = "auto"
_ADDRESS = re.compile(r"(ray://)?(\[[0-9A-Fa-f:.%]+\]|[^\s/:\[\]]+):[0-9]{1,5}")  # Ray takes more: for "local" it starts one, open to all
PACKAGES = ("common", "kernels", "spaces", "strategies", "evaluators", "records", "nni_compat", "retiarius")
NEVER_SENT = ["**/__pycache__", ".git", ".venv", "venv", "runs"]
# What lies beside a person's space or evaluator and is not needed to run it. Ray leaves the same out of our own packages, one of which is
# evaluators/data: of a folder of that name, programs are sent.
LEFT_BEHIND = [*NEVER_SENT, "**/data/*", "!**/data/*.py", "*.pt", "*.pth", "*.ckpt", "*.safetensors"]
_RUN_COMMANDS = ("common", "strategies", "nni_compat")  # which a node needs for a trial command


@dataclass(frozen=True)
class Ray:
    """Trials side by side on Ray: ``rt.search(..., workers=rt.Ray("auto", gpus_per_trial=0.5))``.

    Attributes
    ----------
    address
        Of a cluster: ``"auto"`` (the one that this machine belongs to), ``"HOST:PORT"``, ``"ray://HOST:PORT"``; it stays as it is.
        ``None``: Ray is started on this machine, for this search alone.
    workers
        Trials at a time, 1 or more; ``None``: as many as there is room for, while a cluster grows and shrinks.
    cpus_per_trial
        CPUs of a trial, 0 or more.
    gpus_per_trial
        GPUs of a trial, 0 or more: a fraction, or a whole number. Ray lets each trial see its own only.

    Raises
    ------
    RecordError
        A value is none of these.
    """

    address: str | None = None
    workers: int | None = None
    cpus_per_trial: float = 1
    gpus_per_trial: float = 0

    def __post_init__(self) -> None:
        check_texts(address=self.address)
        if self.address is not None:
            check_address(self.address)
        check_counts(workers=self.workers)
        for name in ("cpus_per_trial", "gpus_per_trial"):
            value = getattr(self, name)
            if not is_real(value) or not 0 <= value < 10**6 or (value > 1 and value != int(value)):
                raise RecordError(f"{name}: {show(value)} is neither a fraction from 0 to 1 nor a whole number")

    @property
    def needs(self) -> dict[str, float]:
        """What a trial takes, as Ray names it."""
        return {"num_cpus": self.cpus_per_trial, "num_gpus": self.gpus_per_trial}

    @property
    def slots(self) -> int:
        """Trials at a time on this machine alone."""
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.workers or max(1, int(cpus / max(1, self.cpus_per_trial)))


def check_address(address: str) -> None:
    """Raise ``RecordError`` where ``address`` is none of a cluster."""
    if address != AUTO and _ADDRESS.fullmatch(address) is None:
        raise RecordError(f"{show(address)} is no address of a Ray cluster: give auto, HOST:PORT or ray://HOST:PORT")


def as_workers(value: Any) -> int | Ray:
    """Return a number of trainings side by side, or the Ray on which they run; ``"auto"`` is a Ray of this machine.

    Raises
    ------
    RecordError
        It is none of these.
    """
    if isinstance(value, Ray):
        return value
    if value == AUTO:
        return Ray()
    check_counts(workers=value)
    return int(value)


def cluster_of(workers: int | Ray) -> Ray | None:
    """Return the Ray on which trials run; ``None``: one after another in this process."""
    if isinstance(workers, Ray):
        return workers
    return Ray(workers=workers) if workers > 1 else None


def workers_flag(workers: int | Ray) -> int | str | None:
    """Return what the record calls it: where the trials ran is not part of what was searched. ``None`` for one at a time."""
    number = workers.workers or AUTO if isinstance(workers, Ray) else workers
    return None if number == 1 else number


def check_cluster(cluster: Ray, storage: str | None) -> None:
    """Raise ``StrategyError`` where trials cannot run on ``cluster``: Ray or a GPU is missing, or they are shared otherwise already."""
    from strategies.engines.ray_connection import require_ray

    if cluster.address is not None and storage is not None:
        raise StrategyError(
            "a Ray cluster runs the trials of one search; `storage` shares one study among searches without Ray: leave one out"
        )
    require_ray("--workers" if cluster.address is None else "--ray")
    if cluster.address is None and cluster.gpus_per_trial:
        import torch

        if (gpus := torch.cuda.device_count()) < cluster.gpus_per_trial:
            told = f"`gpus_per_trial={cluster.gpus_per_trial:g}`"
            raise StrategyError(f"{told}: this machine has {count_of(gpus, 'GPU')}, so no trial could begin")


@contextmanager
def connected(cluster: Ray, room: int, *names: str, code: Path | None = None, but: Path | None = None) -> Iterator[None]:
    """Be connected to ``cluster`` within the block.

    Parameters
    ----------
    cluster
        Which.
    room
        Bytes of the store, where Ray is started here.
    names
        Of what a trial needs, of whoever wrote it, such as ``package.module:function``.
    code, but
        The folder of a program, in a copy of which the trials then run, and what of it is not sent; ``None`` where they are no programs.
    """
    from strategies.engines.ray_connection import cluster_ray, own_ray

    if cluster.address is None:
        with own_ray(max(1, round(cluster.slots * max(1, cluster.cpus_per_trial))), room):
            yield
    else:
        with cluster_ray(cluster.address, runtime_environment(*names) if code is None else _with_code(code, but)):
            yield


def runtime_environment(*names: str) -> Mapping[str, Any]:
    """Return Ray's ``runtime_env``: the project's packages, and the folder of the person's own modules.

    Raises
    ------
    StrategyError
        These lie in several folders.
    """
    own_code = [str(_folder_of_package(name)) for name in PACKAGES]
    told: dict[str, Any] = {"py_modules": own_code, "excludes": LEFT_BEHIND}
    folders = sorted({folder for name in names if (folder := _folder_of(name)) is not None})
    if len(folders) > 1:  # what is above both would be all that a person has, and no folder from which a node imports
        raise StrategyError(f"your space and your evaluator lie in {' and '.join(folders)}, and nodes get one folder: put both into one")
    if folders:
        told["working_dir"] = folders[0]
    return told


def _with_code(folder: Path, but: Path | None) -> Mapping[str, Any]:
    """Return Ray's ``runtime_env`` of a program in ``folder``, all of which is sent without ``but`` and what NNI's ``.nniignore`` names."""
    ignored = folder / ".nniignore"
    lines = ignored.read_text(encoding="utf-8", errors="replace").splitlines() if ignored.is_file() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if but is not None and but.is_relative_to(folder):
        patterns.append(f"/{but.relative_to(folder).as_posix()}")
    if patterns:  # which Ray applies to our own packages as well
        entries = {path for package in _RUN_COMMANDS for path in _folder_of_package(package).iterdir() if path.name not in NEVER_SENT}
        ours = sorted(f"!/{path.name}" for path in entries) + sorted(f"!/{path.name}/**" for path in entries if path.is_dir())
        patterns += ["!.", *ours, "**/__pycache__"]
    return {**runtime_environment(), "working_dir": str(folder), "excludes": [*NEVER_SENT, *patterns]}


def _folder_of_package(name: str) -> Path:
    return Path(str(importlib.import_module(name).__file__)).parent


def _folder_of(name: str) -> str | None:
    """Return the folder from which a person's own module was imported; ``None`` for a package's, a notebook's or the program's own."""
    module = name.partition(":")[0]
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or module == "__main__" or module.split(".")[0] in PACKAGES:
        return None
    path = Path(file).resolve()
    if {"site-packages", "dist-packages"} & set(path.parts) or path.is_relative_to(Path(sys.base_prefix).resolve() / "lib"):
        return None
    return str(path.parents[len(module.split(".")) - (0 if path.stem == "__init__" else 1)])
