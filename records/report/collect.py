"""What the files of a run say, read without trusting them: a report can be made of a run that is going on, that failed or was cut off."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.files import LARGEST_OWN_FILE, read_json
from common.trial import Trial
from records.best import BestArchitecture, load_best
from records.metric import ACCURACY, INHERITED, SCORE, Metric, own_metric, result_metric, table_metric
from records.report.run_files import read_epochs, read_log, read_skipped, read_trials
from records.report.text import as_number, as_object
from records.retraining import RETRAINED, is_training_of
from records.run_config import SECONDS_PER_TRIAL, read_config
from records.run_lock import is_locked
from records.skipped import SKIPPED
from records.trials import FINALS


@dataclass(frozen=True)
class Run:
    """One run's folder.

    Attributes
    ----------
    path
        The folder.
    config
        ``config.json``.
    trials
        Of ``trials.jsonl``, in their order.
    finals
        Of ``finals.jsonl``, likewise: networks that were compared once more, at full size or by short trainings.
    legs
        Of ``trials.jsonl``, all lines: a trial that has waited and gone on has several.
    skipped
        Of ``skipped.jsonl``: configurations that were proposed and not tried.
    epochs
        Of ``epochs.jsonl`` of a one-shot search or a retraining: the objects that hold a ``number``.
    best
        ``best.json``, or None.
    retrained
        ``retrained.json``, or an empty object.
    pareto
        ``pareto.json``, or an empty object.
    retraining
        The run in ``retrain/``, that of the best network after the search, or None.
    best_parameters
        ``best_parameters.json`` of the search of a user program, or an empty object.
    log
        The last lines of ``log.txt``.
    state
        ``running``, ``finished``, ``failed`` or ``unfinished``.
    notes
        What could not be read, for people.
    """

    path: Path
    config: dict[str, Any]
    trials: list[Trial] = field(default_factory=list)
    finals: list[Trial] = field(default_factory=list)
    legs: list[Trial] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    best: BestArchitecture | None = None
    retrained: dict[str, Any] = field(default_factory=dict)
    pareto: dict[str, Any] = field(default_factory=dict)
    retraining: Run | None = None
    best_parameters: dict[str, Any] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    state: str = "unfinished"
    notes: list[str] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as they were asked for."""
        return as_object(self.config.get("settings"))

    @property
    def last_occasion(self) -> dict[str, Any]:
        """When, how and with what the run was last resumed, ``settings`` and ``command`` among it; where it never was, its beginning."""
        resumed = self.config.get("resumed")
        last = as_object(resumed[-1]) if isinstance(resumed, list) and resumed else {}
        return last if as_object(last.get("settings")) else self.config

    @property
    def identity(self) -> dict[str, Any]:
        """What the run was in the end: space, data set, recipe, sizes."""
        return as_object(self.config.get("identity"))

    @property
    def is_retraining(self) -> bool:
        """Whether one architecture was trained, and no space searched."""
        return self.settings.get("retrain") is not None

    @property
    def trial_command(self) -> str | None:
        """What each trial ran, where that was a user program."""
        command = self.settings.get("trial_command")
        return None if command is None else str(command)

    @property
    def metric(self) -> Metric:
        """What its trials are compared by."""
        if self.trial_command is not None:
            return result_metric(self.settings.get("optimize_mode"))
        if ":" in str(self.identity.get("evaluator")) or self.identity.get("metric") == SCORE.name:
            return own_metric(self.identity.get("optimize_mode"))
        if self.identity.get("metric") == INHERITED.name:
            return INHERITED
        return table_metric(self.dataset.get("score"), self.identity.get("optimize_mode")) if self.looks_up else ACCURACY

    @property
    def looks_up(self) -> bool:
        """Whether its scores are of a table."""
        return self.identity.get("evaluator") == "table"

    @property
    def searches_parameters(self) -> bool:
        """Whether there was no space of networks: parameters were searched, of a user program or of the rows of a table."""
        return self.trial_command is not None or (self.looks_up and "space" not in self.identity)

    @property
    def space(self) -> str:
        """The space's name; where there is none, the program that was run for each trial, or the table that was looked up."""
        named = as_object(self.identity.get("space")).get("name") or self.settings.get("space") or self.trial_command
        return str(named or self.dataset.get("table") or "?")

    @property
    def strategy(self) -> str:
        """The strategy's name, or ``retrain``."""
        return "retrain" if self.is_retraining else str(self.identity.get("strategy") or self.settings.get("strategy") or "?")

    @property
    def dataset(self) -> dict[str, Any]:
        """The data set: name, classes, images by part."""
        return as_object(self.identity.get("dataset"))

    @property
    def has_ended(self) -> bool:
        """Whether the run noted that it came to its end."""
        return self.config.get("ended") is not None

    @property
    def planned(self) -> int | None:
        """How many trials a search by trials was to run, or has run where it has ended; None where time alone ends it."""
        if self.has_ended and self.trials:
            return len(self.trials)
        if self.is_retraining:
            return None
        asked = as_number(self._last_asked("trials"))
        if asked is None and self._ends_by_time:
            return None  # the number in the identity is an estimate, by which the strategy sizes its parts
        trials = as_number(self.identity.get("trials")) if asked is None else asked
        return None if trials is None else int(trials)

    @property
    def _ends_by_time(self) -> bool:
        """Whether a search without a number of trials has no end but its time: its trials wait, or a table's seconds count."""
        return SECONDS_PER_TRIAL in self.identity or (self.looks_up and self._last_asked("time_budget") is not None)

    def _last_asked(self, name: str) -> object:
        return as_object(self.last_occasion.get("settings")).get(name)

    @property
    def completed(self) -> list[Trial]:
        """The trials that have a score."""
        return [trial for trial in self.trials if trial.state == "complete" and trial.score is not None]

    @property
    def best_trial(self) -> Trial | None:
        """The completed trial of ``best.json``; where it names none, the one of the highest score, of equals the first to end."""
        named = None if self.best is None else self.best.strategy.get("trial")
        if (found := next((trial for trial in self.completed if trial.number == named), None)) is not None:
            return found
        return max(self.completed, key=lambda trial: trial.score or 0.0, default=None)

    @property
    def training_epochs(self) -> object:
        """How many epochs a training had, or those of a trial or supernet were to have; None where the record does not say it."""
        return self.retrained.get("epochs", self.identity.get("epochs"))

    @property
    def averages_mirror_images(self) -> bool:
        """Whether the accuracy of the result is that of answers averaged over an image and its mirror image."""
        if self.is_retraining:
            return self.retrained.get("flip_averaging") is True
        if self.best is None or self.epochs or self.identity.get("evaluator", "train") != "train":
            return False  # of a supernet, or of a table, it is not
        return self.best.hyperparameters.get("flip_averaging") is True

    @property
    def is_retrained(self) -> bool:
        """Whether the training of ``retrain/`` has ended, and was that of the network in ``best.json``, with its hyperparameters."""
        return self.is_of_retraining and self.retraining is not None and bool(self.retraining.retrained)

    @property
    def is_of_retraining(self) -> bool:
        """Whether the training of ``retrain/``, which may not have ended, is that of what is in ``best.json``."""
        return self.best is not None and self.retraining is not None and is_training_of(self.retraining.identity, self.best)

    @property
    def architecture(self) -> dict[str, Any]:
        """The architecture that was found or trained, or that a running one-shot search stands for now; empty where there is none."""
        if self.retrained or self.is_retraining:
            return as_object(self.retrained.get("architecture") or self.identity.get("architecture"))
        if self.best is not None:
            return self.best.architecture
        if self.best_trial is not None:
            return self.best_trial.architecture
        return as_object(self.epochs[-1].get("sample")) if self.epochs else {}


def read_run(path: Path) -> Run:
    """Read the run in the folder ``path``.

    Raises
    ------
    RecordError
        ``path`` is no folder of a run, or its ``config.json`` cannot be read. Other files that are missing, cut off or wrong are left
        out, and ``notes`` says so.
    """
    if not (path / "config.json").is_file():
        raise RecordError(f"{path}: no run to report (no config.json); name the folder of a run, such as runs/NAME")
    run = _read_folder(path)
    return run if run.is_retraining else replace(run, retraining=_read_retraining(path / RETRAINED, run.notes))


def _read_retraining(path: Path, notes: list[str]) -> Run | None:
    """Return the retraining in the folder ``path``; None where there is none. What is wrong goes to ``notes``."""
    if not (path / "config.json").is_file():
        return None
    try:
        run = _read_folder(path)
    except RecordError as error:
        notes.append(str(error))
        return None
    notes += run.notes
    return run if run.is_retraining else None


def _read_folder(path: Path) -> Run:
    config = read_config(path)
    notes: list[str] = []
    is_held = is_locked(path)  # before the rest is read: what ends meanwhile is then taken for running, not for unfinished
    trials, legs = read_trials(path / "trials.jsonl", notes)
    best: BestArchitecture | None = None
    documents: dict[str, dict[str, Any]] = {"retrained.json": {}, "pareto.json": {}, "best_parameters.json": {}}
    for name in ("best.json", *documents):
        if not (path / name).exists():
            continue
        try:
            if name == "best.json":
                best = load_best(path / name)
            else:
                documents[name] = as_object(read_json(path / name, max_bytes=LARGEST_OWN_FILE))
        except RecordError as error:
            notes.append(str(error))
    retrained, pareto, best_parameters = documents.values()
    run = Run(
        path,
        config,
        trials=trials,
        finals=read_trials(path / FINALS, notes)[0],
        legs=legs,
        skipped=read_skipped(path / SKIPPED, trials, notes),
        epochs=read_epochs(path / "epochs.jsonl", notes),
        best=best,
        retrained=retrained,
        pareto=pareto,
        best_parameters=best_parameters,
        log=read_log(path / "log.txt"),
        notes=notes,
    )
    return replace(run, state="running" if is_held else _find_state(run))


def _find_state(run: Run) -> str:
    if run.has_ended:
        return "finished"
    if run.is_retraining:
        return "finished" if run.retrained else "unfinished"
    if run.trials:
        if run.planned is not None and len(run.trials) >= run.planned:
            return "finished" if run.completed else "failed"
        return "unfinished"
    return "finished" if run.best is not None else "unfinished"
