"""How many trials a cluster of Ray has room for; it may grow and shrink meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from strategies.engines.ray_connection import import_ray

logger = logging.getLogger("retiarius.strategies")
_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_BEFORE_A_WARNING = 20.0  # a node that has just joined may still be starting
_NAMES = {"num_cpus": "CPU", "num_gpus": "GPU"}


class Room:
    """Called, it returns how many trials that need ``needs`` the nodes have room for, 1 or more.

    One waits for a node where none has room; that this is so is said once, as Ray itself says nothing.

    Parameters
    ----------
    needs
        As ``RayPool`` takes them. A trial that needs nothing of it takes one CPU.
    most
        No more than the least of these; ``None``: no limit.
    """

    def __init__(self, needs: Mapping[str, Any], *most: int | None) -> None:
        told = {**{_NAMES[name]: needs[name] for name in _NAMES if needs.get(name)}, **(needs.get("resources") or {})}
        self._needs, self._most = told or {"CPU": 1}, min((limit for limit in most if limit is not None), default=None)
        self._looked, self._room = -_SECONDS_BETWEEN_LOOKS, 1
        self._without: float | None = None  # since when no node has room
        self._said = False

    def __call__(self) -> int:
        now = time.monotonic()
        if now - self._looked >= _SECONDS_BETWEEN_LOOKS:
            count = self._count()
            self._looked, self._room = now, max(1, count)
            self._warn(now, count)
        return self._room

    def _warn(self, now: float, count: int) -> None:
        if count:
            self._without, self._said = None, False
            return
        self._without = now if self._without is None else self._without
        if not self._said and now - self._without >= _SECONDS_BEFORE_A_WARNING:
            self._said = True
            told = ", ".join(f"{each:g} {name}" for name, each in self._needs.items())
            logger.warning("no node of the cluster has what a trial takes (%s): waiting for one that has", told)

    def _count(self) -> int:
        nodes = [node["Resources"] for node in import_ray().nodes() if node["Alive"]]
        room = sum(min(int(node.get(name, 0) / each + 1e-6) for name, each in self._needs.items()) for node in nodes)
        return room if self._most is None else min(room, self._most)
