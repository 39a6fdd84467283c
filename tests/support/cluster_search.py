"""A search of 40 trials on a cluster of Ray: ``python cluster_search.py ADDRESS FOLDER``. What a trial does is in ``cluster_trial``.

Each trial leaves a line in ``FOLDER/started`` when it begins, and in ``FOLDER/trials`` when the search has heard of its end. A second
search in the folder knows the trials in the latter.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

TRIALS = 40


def cluster_trial(sample: Mapping[str, Any], report: Any, note: Any, *, folder: str) -> float:
    import ray

    with (Path(folder) / "started").open("a") as file:
        file.write(json.dumps([sample["x"], os.getpid(), ray.get_runtime_context().get_node_id()]) + "\n")
    note({"pid": os.getpid(), "node": ray.get_runtime_context().get_node_id()})
    for step in range(10):
        time.sleep(0.05)
        report(sample["x"] + step)
    return sample["x"] * sample["n"]


def main(address: str, folder: Path) -> None:
    from fake_trials import SPACE
    from nni.nas.space import SimplifiedModelSpace

    from common.trial import Trial
    from nni_compat.trial_program import TrialProgram
    from strategies import Random, SearchContext
    from strategies.engines.concurrent import ConcurrentEngine
    from strategies.engines.ray_connection import cluster_ray
    from strategies.engines.ray_pool import RayPool
    from strategies.engines.ray_room import Room

    log = folder / "trials"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    known = [Trial(**line) for line in lines]

    def keep(trial: Trial) -> None:
        told = ("number", "sample", "state", "score", "curve", "error", "facts")
        with log.open("a") as file:
            file.write(json.dumps({name: getattr(trial, name) for name in told}) + "\n")

    with cluster_ray(address):
        pool, room = RayPool(partial(cluster_trial, folder=str(folder))), Room({"num_cpus": 1})
        options: dict[str, Any] = {"wait": pool.wait, "close": pool.close, "max_trials": TRIALS, "on_result": keep, "known": known}
        with ConcurrentEngine(pool.start, concurrency=room, canonical=SPACE.canonical, **options) as engine:
            space = SimplifiedModelSpace(TrialProgram(), SPACE.mutables, None)
            Random().build(SearchContext(trials=TRIALS, seed=1, canonical=SPACE.canonical))(space, engine)
            engine.wait_models()


if __name__ == "__main__":
    from common.libraries import quiet_libraries

    quiet_libraries()
    main(sys.argv[1], Path(sys.argv[2]))
