"""On which engine the trials of a user program run: on this machine, or on the nodes of a cluster."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from retiarius.command_settings import CommandSettings
from retiarius.ray_cluster import Ray, connected

if TYPE_CHECKING:
    from nni_compat.search_space import NniSpace
    from nni_compat.trial_command import TrialCommand
    from strategies.engines.recording import RecordingEngine


def make_command_engine(settings: CommandSettings, space: NniSpace, program: TrialCommand, **options: Any) -> RecordingEngine:
    """Make the engine that runs ``program``; ``options`` are those of ``RecordingEngine``."""
    from strategies.engines.concurrent import ConcurrentEngine

    options |= {"canonical": space.canonical, "time_budget": settings.time_budget}
    where = settings.concurrency
    if isinstance(where, Ray) and where.address is not None:
        return _make_cluster_engine(where, settings, space, program, **options)
    concurrency = where.slots if isinstance(where, Ray) else where
    return ConcurrentEngine(lambda number, sample: program.start(number, space.parameters(sample)), concurrency=concurrency, **options)


def _make_cluster_engine(
    cluster: Ray, settings: CommandSettings, space: NniSpace, program: TrialCommand, **options: Any
) -> RecordingEngine:
    from nni_compat.remote_command import FetchedTrial, RemoteCommand, seen_by_nodes
    from strategies.engines.concurrent import ConcurrentEngine
    from strategies.engines.ray_pool import RayPool
    from strategies.engines.ray_room import Room

    program = replace(program, directory=program.directory.absolute(), folder=program.folder.absolute())
    with ExitStack() as stack:
        stack.enter_context(connected(cluster, 0, code=program.directory, but=program.folder.parent))
        pool = RayPool(RemoteCommand(program, stack.enter_context(seen_by_nodes(program))), needs=cluster.needs)
        stack.callback(pool.close)

        def start(number: int, sample: Any) -> FetchedTrial:
            told = {"number": number, "parameters": space.parameters(sample)}
            return FetchedTrial(pool.start(number, told), program.folder / str(number))

        room = Room(cluster.needs, cluster.workers, options["max_trials"])
        return ConcurrentEngine(start, concurrency=room, wait=pool.wait, close=stack.pop_all().close, **options)
