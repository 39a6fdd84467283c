"""How many trials a cluster of Ray has room for; it may grow and shrink meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from strategies.engines.ray_connection import import_ray

_SECONDS_BETWEEN_LOOKS = 1.0
_NAMES = {"num_cpus": "CPU", "num_gpus": "GPU"}


class Room:
    """Called, it returns how many trials that need ``needs`` the nodes have room for, 1 or more.

    Parameters
    ----------
    needs
        As ``RayPool`` takes them. A trial that needs nothing of it takes one CPU.
    most
        No more than so many; ``None``: no limit.
    """

    def __init__(self, needs: Mapping[str, Any], most: int | None = None) -> None:
        told = {**{_NAMES[name]: needs[name] for name in _NAMES if needs.get(name)}, **(needs.get("resources") or {})}
        self._needs, self._most = told or {"CPU": 1}, most
        self._looked, self._room = -_SECONDS_BETWEEN_LOOKS, 1

    def __call__(self) -> int:
        now = time.monotonic()
        if now - self._looked >= _SECONDS_BETWEEN_LOOKS:
            self._looked, self._room = now, max(1, self._count())
        return self._room

    def _count(self) -> int:
        nodes = [node["Resources"] for node in import_ray().nodes() if node["Alive"]]
        room = sum(min(int(node.get(name, 0) / each + 1e-6) for name, each in self._needs.items()) for node in nodes)
        return room if self._most is None else min(room, self._most)
