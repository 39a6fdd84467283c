"""What a search of ours leaves behind beside its trials or epochs: ``best.json``, which follows the best trial so far."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from common.reporter import Reporter
from records.best import save_best
from records.provenance import collect_versions
from records.run_folder import RunFolder
from records.scalars import open_scalars
from records.trial_keeper import TrialKeeper
from records.trials import Trial
from retiarius.cli.settings import Settings


class FoundRecord:
    """Writes what the search in ``folder`` finds.

    Args:
        folder: the run's.
        settings: those of the search.
        origin: what is the same in all that it finds: ``space_name``, ``space_arguments`` and ``dataset`` of ``records.best.save_best``.
    """

    def __init__(self, folder: RunFolder, settings: Settings, **origin: Any) -> None:
        self._folder, self._settings, self._origin = folder, settings, origin

    def save(
        self,
        architecture: Mapping[str, Any],
        hyperparameters: Mapping[str, Any],
        score: tuple[str, float, int],
        size: Mapping[str, int | None],
        **told: Any,
    ) -> None:
        """Write ``best.json``.

        Args:
            hyperparameters: with which the network is to be trained anew.
            score: (metric, value, epochs).
            size: ``parameters`` and ``flops``.
            told: of the strategy, beside its name.

        Raises what ``records.best.save_best`` does.
        """
        save_best(
            self._folder.best_path,
            **self._origin,
            architecture=architecture,
            hyperparameters=hyperparameters,
            score=dict(zip(("metric", "value", "epochs"), score, strict=True)),
            strategy={"name": self._settings.strategy, **told},
            seed=self._settings.seed,
            versions=collect_versions(),
            parameters=size["parameters"],
            flops=size["flops"],
        )

    def keep_trials(
        self,
        reporter: Reporter,
        *,
        architecture: Collection[str],
        recipe: Mapping[str, Any],
        epochs: int,
        looked_up: bool,
        canonical: Callable[[dict[str, Any]], Mapping[str, Any]],
        labels_with_effect: Callable[[Mapping[str, Any]], Sequence[str]],
    ) -> TrialKeeper:
        """What keeps the trials of a search, those of an interrupted one included, and the best of them as ``best.json``.

        Args:
            architecture: the labels of a sample that belong to the architecture; the others are hyperparameters.
            recipe: the hyperparameters of a training where a sample says nothing else.
            epochs: of a trial, likewise.
            looked_up: whether another has trained these networks, in a way of which a table says no more than its columns.
            canonical: from an architecture to the one that stands for all that build the same network.
            labels_with_effect: of such an architecture the labels of what was searched and could have come out otherwise.
        """

        def save_trial(trial: Trial) -> None:
            assert trial.score is not None
            hyperparameters = dict(trial.hyperparameters)
            score = ("validation accuracy", trial.score, hyperparameters.pop("epochs", epochs))
            if hyperparameters:  # what a table leaves open is, in a training anew, as ever
                hyperparameters = {**recipe, **hyperparameters}
            found = canonical(trial.architecture)
            size = {"parameters": trial.parameters, "flops": trial.flops}
            self.save(found, hyperparameters, score, size, trial=trial.number, searched=labels_with_effect(found))

        return TrialKeeper(
            self._folder.trials_path,
            self._folder.best_path,
            reporter,
            architecture=architecture,
            recipe={} if looked_up else recipe,
            save_best=save_trial,
            durable=not looked_up,
            scalars=open_scalars(self._folder.path, wanted=self._settings.tensorboard),
        )
