"""What the search of a user program leaves behind beside its trials: ``best_parameters.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.files import write_json_atomically
from common.reporter import Reporter
from common.trial import Trial
from records.metric import Metric, result_metric
from records.provenance import collect_versions
from records.run_folder import RunFolder
from records.scalars import open_scalars
from records.trial_keeper import TrialKeeper

FORMAT = "retiarius-parameters"
VERSION = 1


class ParameterRecord:
    """Keeps the best parameters of a search.

    Parameters
    ----------
    path
        ``best_parameters.json``.
    origin
        Where results come from: ``{"trial_command": ...}``, what each trial runs, or ``{"dataset": ...}``, the table.
    optimize_mode
        ``maximize`` or ``minimize``. Scores are higher where better; results are as they were reported.
    parameters
        From what a trial records to what its program was given.
    metric
        What trials are compared by; by default the results of a program.

    Attributes
    ----------
    path
        The file.
    metric
        What trials are compared by.
    """

    def __init__(
        self,
        path: Path,
        origin: Mapping[str, Any],
        optimize_mode: str,
        parameters: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        metric: Metric | None = None,
    ) -> None:
        self.path, self._origin, self._mode, self._parameters = path, origin, optimize_mode, parameters
        self.metric = metric or result_metric(optimize_mode)

    def save_best(self, trial: Trial) -> None:
        """Write the parameters of ``trial``, which is the best so far. Raise ``OSError`` where that cannot be done."""
        assert trial.score is not None
        document = {"format": FORMAT, "version": VERSION, "parameters": self._parameters(trial.hyperparameters)}
        document |= {"result": self.metric.result(trial.score), "optimize_mode": self._mode, "trial": trial.number}
        write_json_atomically(self.path, document | {**self._origin, "versions": collect_versions()})

    def keep_trials(self, folder: RunFolder, reporter: Reporter, *, tensorboard: bool = False, durable: bool = True) -> TrialKeeper:
        """Return what keeps the trials of the search in ``folder``, those of the run that it resumes included.

        ``durable`` is as in ``records.trials.TrialLog``.
        """
        scalars = open_scalars(folder.path, wanted=tensorboard, metric=self.metric)
        shown: dict[str, Any] = {"show_score": self.metric.show, "scalars": scalars, "durable": durable}
        return TrialKeeper(folder.trials_path, self.path, reporter, architecture=(), recipe={}, save_best=self.save_best, **shown)
