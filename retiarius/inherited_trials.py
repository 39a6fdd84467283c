"""Trials by inherited weights: the supernet of a one-shot run scores the networks of another search, which trains nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import EvaluatorError, RecordError
from records.run_config import find_difference, plain, read_config
from retiarius.context import RunContext
from retiarius.presets import image_limit
from retiarius.settings import SearchSettings
from retiarius.stages import has_stages
from strategies import STRATEGIES, OneShotFacts, SearchContext

if TYPE_CHECKING:
    from evaluators.data.splits import Dataset
    from evaluators.trial_run import TrialRun
    from strategies.one_shot.restriction import Supernet

_OF_ALPHAS = ("cost", "cost_penalty")  # which make no other supernet, and need costs that nobody reads here


@dataclass(frozen=True)
class TrainedSupernet:
    """The supernet of a run.

    Attributes
    ----------
    supernet
        The supernet, with the weights that it has in the run's checkpoint.
    halves
        The images, ``train`` those that its weights were trained on, ``validation`` those that they were not.
    told
        By what a resumed search knows it again.
    """

    supernet: Supernet
    halves: Dataset
    told: str

    def inherit(self, run: TrialRun) -> TrialRun:
        """Return ``run`` with networks that have the weights of the supernet; sizes are those of the networks that ``run`` builds."""
        from strategies.one_shot.restriction import RestrictedSupernet

        return replace(
            run,
            build=partial(RestrictedSupernet, self.supernet),
            measure=lambda network: run.measure(run.build(network.sample)),
            training={**run.training, "data": self.halves},
        )


def supernet_run(path: Path) -> tuple[Mapping[str, Any], Any]:
    """Return what the one-shot run in the folder ``path`` is, and the class of its strategy; nothing heavy is imported for that.

    Raises
    ------
    EvaluatorError
        The run has no supernet, or several of parts of its space.
    RecordError
        The folder holds no run.
    """
    try:
        identity = read_config(path)["identity"]
    except RecordError as error:
        raise RecordError(f"`supernet_weights`: {error}; name the folder of a one-shot run") from error
    kind = STRATEGIES.get(str(identity.get("strategy")))
    if kind is None or not kind.one_shot:
        told = f"{path} is a run of {identity.get('strategy')}, which has no supernet"
        raise EvaluatorError(f"`supernet_weights`: {told}; name a one-shot run, such as one of darts")
    if has_stages(path):
        raise EvaluatorError(f"`supernet_weights`: the supernets of {path} have parts of the space; name a run of one, such as of darts")
    return identity, kind


def open_supernet(context: RunContext, settings: SearchSettings) -> TrainedSupernet | None:
    """Return the supernet by whose weights networks are scored; None where they are trained, or scored otherwise.

    Raises
    ------
    EvaluatorError
        The run has trained no supernet, or one of another space or on other images.
    RecordError
        The folder holds no run.
    """
    path = settings.supernet_weights
    if path is None:
        return None
    from evaluators.training.checkpoints import read_checkpoint
    from evaluators.training.inherited import supernet_halves
    from evaluators.training.supernet import CHECKPOINT, finished_epochs

    identity, kind = supernet_run(path)
    _refuse(path, "of the same space and arguments", find_difference(identity["space"], _space_of(context)))
    epochs = finished_epochs(path / "checkpoints")
    if not epochs:
        raise EvaluatorError(f"`supernet_weights`: the supernet of {path} has no epoch behind it; let its search end first")
    data = _images_of(context, settings, identity)
    _refuse(path, "on the same images", find_difference(identity["dataset"], plain(data.describe())))
    checkpoint = path / "checkpoints" / CHECKPOINT
    supernet = _restore(context, identity, kind, read_checkpoint(checkpoint)["state_dict"])
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:8]
    return TrainedSupernet(supernet, supernet_halves(data, identity["seed"]), f"of {epochs} epochs, {digest}")


def _space_of(context: RunContext) -> dict[str, Any]:
    return plain({"name": context.space.name, "arguments": context.arguments})


def _refuse(path: Path, needed: str, difference: str | None) -> None:
    if difference is not None:
        raise EvaluatorError(f"`supernet_weights`: {path} was not trained as this search needs it, {needed}: {difference}")


def _images_of(context: RunContext, settings: SearchSettings, identity: Mapping[str, Any]) -> Dataset:
    """Return the images as the run had them, whose seed says which of them trained the supernet's weights."""
    from evaluators.data.dataset import load_dataset

    seed, preset = identity["seed"], identity["preset"]
    if (seed, preset) == (settings.seed, settings.preset):
        data: Dataset = context.data
        return data
    return load_dataset(settings.data, data_dir=settings.data_dir, seed=seed, limit=image_limit(preset, settings.data))


def _restore(context: RunContext, identity: Mapping[str, Any], kind: Any, state: Mapping[str, Any]) -> Supernet:
    """Return the supernet that the strategy of the run makes of the space, with the weights of ``state``."""
    model = context.space.make(context.arguments)
    told = context.space.one_shot(model)
    own = {name: value for name, value in identity["pins"].items() if name in kind.set_by_name and name not in _OF_ALPHAS}
    strategy = kind(**own, supernet=identity.get("--supernet", kind.supernet))
    built = strategy.build(SearchContext(one_shot=OneShotFacts(**vars(told))))
    supernet: Supernet = built.load_supernet(model, state)
    return supernet
