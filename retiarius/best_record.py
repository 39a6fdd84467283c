"""What a search writes beside its trials or epochs: ``best.json``, which follows the best trial so far."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from common.trial import Trial
from evaluators import find_evaluator
from evaluators.adapter import takes
from records.best import save_best
from records.metric import ACCURACY, INHERITED, own_metric, table_metric
from records.provenance import collect_versions
from records.run_folder import RunFolder
from records.scalars import open_scalars
from records.trial_keeper import TrialKeeper
from retiarius.context import RunContext
from retiarius.settings import SearchSettings


class BestRecord:
    """Writes what the search in ``folder`` finds."""

    def __init__(self, folder: RunFolder, context: RunContext, settings: SearchSettings) -> None:
        self._folder, self._context, self._settings = folder, context, settings
        # What a training returns is an accuracy; a function of one's own may return anything.
        self._trains_nothing = find_evaluator(settings.evaluator)[1].untrained
        is_any = ":" in settings.evaluator_name or self._trains_nothing
        self.metric = own_metric(settings.optimize_mode) if is_any else ACCURACY
        if find_evaluator(settings.evaluator)[1].inherits:
            self.metric = INHERITED
        if context.table is not None:
            self.metric = table_metric(context.table.score_name, settings.optimize_mode)

    def save(
        self,
        architecture: Mapping[str, Any],
        hyperparameters: Mapping[str, Any],
        score: tuple[str, float, int | None] | None,
        size: Mapping[str, int | None],
        **told: Any,
    ) -> None:
        """Write ``best.json``.

        Parameters
        ----------
        hyperparameters
            With which the network is to be retrained.
        score
            (metric, value, epochs), of which the last is None where nobody knows it; None where nothing was measured.
        size
            ``parameters`` and ``flops``.
        told
            Of the strategy, beside its name.
        """
        context = self._context
        save_best(
            self._folder.best_path,
            space_name=context.space.name,
            space_arguments=context.arguments,
            dataset=context.data.describe(),
            architecture=architecture,
            hyperparameters=hyperparameters,
            score=None if score is None else _describe_score(*score),
            strategy={"name": self._settings.strategy.name, **told},
            seed=self._settings.seed,
            versions=collect_versions(),
            parameters=size["parameters"],
            flops=size.get("flops"),
        )

    def _epochs_of(self, trial: Trial) -> int | None:
        """Return how long a trial was trained whose sample does not say it; None where nobody knows."""
        if self._trains_nothing:
            return None
        if trial.planned_epochs is not None:
            return len(trial.curve)
        if self._settings.nni_evaluation is not None:
            return max(1, len(trial.curve))  # NNI's evaluators say themselves how long they train: as often as they report
        if self._context.table is not None:
            return self._context.epochs if self._context.table.has_epochs else None
        function = find_evaluator(self._settings.evaluator)[1].load()
        return self._context.epochs if takes(function, "epochs") else len(trial.curve) or None

    def _recipe_of_trials(self) -> dict[str, Any]:
        """Return the hyperparameters that every trial has where its sample says nothing else: those that the evaluator takes."""
        if self._context.table is not None:
            return {}
        function = find_evaluator(self._settings.evaluator)[1].load()
        return {label: value for label, value in self._context.recipe.items() if self.metric is ACCURACY or takes(function, label)}

    def keep_trials(
        self,
        *,
        architecture: Collection[str],
        canonical: Callable[[dict[str, Any]], Mapping[str, Any]],
        labels_with_effect: Callable[[Mapping[str, Any]], Sequence[str]],
    ) -> TrialKeeper:
        """Return what keeps the trials of a search, those of an interrupted one included, and the best of them as ``best.json``.

        Parameters
        ----------
        architecture
            The labels of a sample that belong to the architecture; the others are hyperparameters.
        canonical
            From an architecture to the one that stands for all that build the same network.
        labels_with_effect
            Of such an architecture the labels of what was searched and could have come out otherwise.
        """
        context = self._context

        def save_trial(trial: Trial, **told: Any) -> None:
            assert trial.score is not None
            hyperparameters = trial.hyperparameters
            score = (self.metric.name, self.metric.result(trial.score), hyperparameters.pop("epochs", self._epochs_of(trial)))
            if context.table is not None:
                hyperparameters |= {label: value for label, value in self._settings.fixed.items() if label in context.recipe}
            if hyperparameters:  # what a table leaves open is, in a retraining, as ever
                hyperparameters = {**context.recipe, **hyperparameters}
            best = canonical(trial.architecture)
            size = {"parameters": trial.parameters, "flops": trial.flops}
            self.save(best, hyperparameters, score, size, trial=trial.number, searched=labels_with_effect(best), **told)

        self.save_trial = save_trial
        return TrialKeeper(
            self._folder.trials_path,
            self._folder.best_path,
            context.reporter,
            architecture=architecture,
            recipe=self._recipe_of_trials(),
            save_best=save_trial,
            durable=context.table is None,  # a table answers again at no cost
            show_score=self.metric.show,
            scalars=open_scalars(self._folder.path, wanted=self._settings.tensorboard, metric=self.metric),
        )


def _describe_score(metric: str, value: float, epochs: int | None) -> dict[str, Any]:
    return {"metric": metric, "value": value, **({} if epochs is None else {"epochs": epochs})}
