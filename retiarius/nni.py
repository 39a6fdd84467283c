"""``NasExperiment`` for programs written for NNI's tutorials: they change one import, and need no service and no port.

There are ``config``, ``run``, ``start``, ``run_or_resume``, ``stop`` and ``export_top_models``. What NNI's service answers is not there.

>>> from retiarius.nni import NasExperiment                                    # doctest: +SKIP
>>> exp = NasExperiment(model_space, evaluator, search_strategy)               # doctest: +SKIP
>>> exp.config.max_trial_number = 3                                            # doctest: +SKIP
>>> exp.run()                                                                  # doctest: +SKIP
>>> exp.export_top_models(formatter="dict")                                    # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from common.errors import RecordError, unknown_name
from common.reporter import Reporter
from common.trial import Trial
from nni_compat.sections import Section
from retiarius.architectures import Architecture
from retiarius.results import SearchResult
from retiarius.search_run import search
from retiarius.value_checks import as_reporter

FORMATTERS = ("dict", "instance")


@dataclass
class NasExperimentConfig:
    """What an experiment is told beside its space, evaluator and strategy; all may be set after it was made.

    Attributes
    ----------
    max_trial_number
        Number of trials; None: as many as ``retiarius.search`` has.
    max_experiment_duration
        After which no trial starts: seconds, or a text such as ``"10m"``; None: no limit.
    trial_concurrency
        Trials side by side, each in a process of its own where they are more than one.
    experiment_working_directory
        Where the folder of the run is made; None: ``runs``.
    experiment_name, trial_gpu_number, training_service
        Taken, but without effect: there is no service, and the evaluator says where it computes.
    """

    max_trial_number: int | None = None
    max_experiment_duration: str | float | None = None
    trial_concurrency: int = 1
    experiment_working_directory: str | Path | None = None
    experiment_name: str = ""
    trial_gpu_number: int = 0
    training_service: SimpleNamespace = field(default_factory=SimpleNamespace)

    def __setattr__(self, name: str, value: Any) -> None:
        known = [entry.name for entry in fields(self)]
        if name not in known:
            raise RecordError(unknown_name("setting of an experiment", name, known))
        super().__setattr__(name, value)


class NasExperiment:
    """An experiment of NNI's: a model space, an evaluator, and a strategy that searches the one by the other.

    Parameters
    ----------
    model_space
        An NNI ``ModelSpace``: an instance, or what ``retiarius.search`` takes.
    evaluator
        NNI's ``FunctionalEvaluator``, ``Classification``, ``Regression`` or ``Lightning``; or any function.
    strategy
        One of NNI's, or one of ours.
    config
        More can be set on ``config`` later.
    id
        Name of the run's folder; None: one with the time of the run.
    reporter
        Hears what happens; nobody does otherwise.

    Attributes
    ----------
    config
        The settings.
    """

    def __init__(
        self,
        model_space: Any,
        evaluator: Any,
        strategy: Any,
        config: NasExperimentConfig | None = None,
        id: str | None = None,
        *,
        reporter: Reporter | None = None,
    ) -> None:
        self._space, self._evaluator, self._strategy = model_space, evaluator, strategy
        self.config = config or NasExperimentConfig()
        self._id, self._reporter = id, as_reporter(reporter)
        self._result: SearchResult | None = None

    @property
    def id(self) -> str | None:
        """The name of the run's folder; None before the run, where none was given."""
        return self._id if self._result is None else self._result.path.name

    @property
    def result(self) -> SearchResult:
        """What was found, with all trials.

        Raises
        ------
        RecordError
            The experiment has not run.
        """
        if self._result is None:
            raise RecordError("the experiment has not run: call run() first")
        return self._result

    def run(self, port: int | None = None, debug: bool = False, **ignored: Any) -> None:
        """Search until trials or time are spent. ``port``, ``debug`` and all else that steers NNI's service are taken and have no effect.

        Raises
        ------
        InputError
            What was asked for cannot be done.
        SearchFailed
            Nothing came of it.
        """
        self._search(resume=False)

    start = run

    def __getattr__(self, name: str) -> Any:
        """Say of what NNI's experiments have, and this one has not, where to look instead."""
        raise AttributeError(f"NasExperiment has no {name}: NNI's service is not used; exp.result has all trials after exp.run()")

    def run_or_resume(self, port: int | None = None, debug: bool = False, **ignored: Any) -> None:
        """Resume the run of this ``id`` where there is one, else begin; raise as :meth:`run` does."""
        folder = self._folder()
        self._search(resume=folder is not None and (folder / "config.json").is_file())

    def stop(self) -> None:
        """Do nothing: an experiment ends with its run."""

    def export_top_models(self, top_k: int = 1, *, formatter: str | None = None, **ignored: Any) -> list[Any]:
        """Return the best models, the best first; of a one-shot strategy the one that it found.

        Parameters
        ----------
        top_k
            How many; fewer where fewer trials were completed.
        formatter
            ``"dict"``: samples, label to choice, as ``model_context`` takes them; ``"instance"``: networks, untrained; None: objects
            with all that is known (``retiarius.Architecture``).

        Raises
        ------
        RecordError
            The experiment has not run, or there is no such formatter.
        """
        if formatter is not None and formatter not in FORMATTERS:
            raise RecordError(unknown_name("formatter", formatter, FORMATTERS))
        best = self.result.best
        found = [best] if not self.result.trials else [_of_trial(best, trial) for trial in self._ranked()[:top_k]]
        if formatter == "instance":
            return [architecture.network() for architecture in found]
        if formatter is None:
            return found
        return [each.choices if not self.result.trials else {**each.choices, **each.hyperparameters} for each in found]

    def _ranked(self) -> list[Trial]:
        completed = [trial for trial in self.result.trials if trial.score is not None and trial.state == "complete"]
        return sorted(completed, key=lambda trial: -(trial.score or 0.0))

    def _folder(self) -> Path | None:
        root = self.config.experiment_working_directory
        return None if self._id is None else Path("runs" if root is None else root) / self._id

    def _search(self, *, resume: bool) -> None:
        config = self.config
        times = Section("config", "", {"max_experiment_duration": config.max_experiment_duration})
        told: Mapping[str, Any] = {
            "evaluator": self._evaluator,
            "trials": config.max_trial_number,
            "workers": config.trial_concurrency,
            "time_budget": times.take_seconds("max_experiment_duration"),
        }
        self._result = search(self._space, self._strategy, **told, out=self._folder(), resume=resume, reporter=self._reporter)


def _of_trial(best: Architecture, trial: Trial) -> Architecture:
    """Return the network of a trial, as ``best`` is the one of the best trial."""
    record = best.record
    score = None if record.score is None else {**record.score, "value": trial.score}
    of_trial = replace(record, architecture=trial.architecture, hyperparameters=trial.hyperparameters, score=score)
    return replace(best, record=replace(of_trial, parameters=trial.parameters, flops=trial.flops))
