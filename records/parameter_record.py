"""What the search of somebody's own program leaves behind beside its trials: ``best_parameters.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.files import write_json_atomically
from common.reporter import Reporter
from common.trial import Trial
from records.metric import result_metric
from records.provenance import collect_versions
from records.run_folder import RunFolder
from records.scalars import open_scalars
from records.trial_keeper import TrialKeeper

FORMAT = "retiarius-parameters"
VERSION = 1


class ParameterRecord:
    """Keeps the best parameters of a search.

    Args:
        path: ``best_parameters.json``.
        command: what each trial runs.
        optimize_mode: ``maximize`` or ``minimize``. Scores are higher where better; results are as the program reported them.
        parameters: from what a trial records to what its program was given.
    """

    def __init__(self, path: Path, command: str, optimize_mode: str, parameters: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self.path, self._command, self._mode, self._parameters = path, command, optimize_mode, parameters
        self.metric = result_metric(optimize_mode)

    def save_best(self, trial: Trial) -> None:
        """Write the parameters of ``trial``, which is the best so far. Raises ``OSError`` where that cannot be done."""
        assert trial.score is not None
        document = {"format": FORMAT, "version": VERSION, "parameters": self._parameters(trial.hyperparameters)}
        document |= {"result": self.metric.result(trial.score), "optimize_mode": self._mode, "trial": trial.number}
        write_json_atomically(self.path, document | {"trial_command": self._command, "versions": collect_versions()})

    def keep_trials(self, folder: RunFolder, reporter: Reporter, *, tensorboard: bool = False) -> TrialKeeper:
        """What keeps the trials of the search in ``folder``, those of an interrupted one included."""
        scalars = open_scalars(folder.path, wanted=tensorboard, metric=self.metric)
        shown: dict[str, Any] = {"show_score": self.metric.show, "scalars": scalars}
        return TrialKeeper(folder.trials_path, self.path, reporter, architecture=(), recipe={}, save_best=self.save_best, **shown)
