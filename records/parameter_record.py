"""What the search of somebody's own program leaves behind beside its trials: ``best_parameters.json``, and the closing table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from records.files import write_json_atomically
from records.formats import count_of
from records.metric import result_metric
from records.provenance import collect_versions
from records.run_folder import RunFolder
from records.scalars import open_scalars
from records.screen import Screen
from records.settings import Settings
from records.trial_keeper import TrialKeeper
from records.trials import Trial

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

    def keep_trials(self, folder: RunFolder, settings: Settings, screen: Screen) -> TrialKeeper:
        """What keeps the trials of the search in ``folder``, those of an interrupted one included."""
        scalars = open_scalars(folder.path, wanted=settings.tensorboard, metric=self.metric)
        shown: dict[str, Any] = {"show_score": self.metric.show, "scalars": scalars}
        return TrialKeeper(folder.trials_path, self.path, screen, architecture=(), recipe={}, save_best=self.save_best, **shown)

    def show(self, keeper: TrialKeeper, strategy: str, screen: Screen) -> None:
        """The closing table of the best trial; there must be one."""
        assert keeper.best is not None
        rows: list[list[object]] = [["result", self.metric.show(keeper.best.score)], ["trial", keeper.best.number]]
        rows += [list(item) for item in self._parameters(keeper.best.hyperparameters).items()] + [["written to", self.path]]
        screen.closing_table(f"Best of {count_of(len(keeper.trials), 'trial')} by {strategy}, to {self._mode}", rows)


def open_command_search(settings: Settings, trials: int, parameters: Callable[..., Any]) -> tuple[RunFolder, ParameterRecord]:
    """The folder of a search of ``trials`` by somebody's program, and where its best ``parameters`` go (see ``ParameterRecord``).

    A resumed search must be the same in those of the ``settings`` that say what is tried. Raises what ``RunFolder.create`` does.
    """
    names = ["strategy", "search_space", "trial_command", "code_dir", "concurrency", "optimize_mode", "trial_time"]
    names += ["pins", "seed", "epochs", "start_step"]
    identity = {name: getattr(settings, name) for name in names} | {"trials": trials, **settings.trial_flags}
    identity |= {"portal": True} if settings.portal else {}
    where: dict[str, Any] = {"space": "command", "strategy": settings.strategy, "resume": settings.resume, "identity": identity}
    folder = RunFolder.create(settings.out, **where)
    path = folder.path / "best_parameters.json"
    return folder, ParameterRecord(path, settings.trial_command or "", settings.optimize_mode, parameters)
