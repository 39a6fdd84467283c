"""What a run left in its folder, for a person's own code: every value is read from the record."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import RecordError, describe_error
from common.text import show
from common.trial import Trial
from records.metric import Metric
from records.pareto import DEFAULT_OBJECTIVES, find_pareto_front
from records.report.collect import Run, read_run
from records.retraining import RETRAINED
from retiarius.architectures import Architecture, load_architecture, registered_space, with_space
from spaces.adapter import Space, find_space

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame
    from torch import nn


class RunResult:
    """The record of one run.

    Attributes
    ----------
    path
        The run's folder.
    """

    def __init__(self, path: str | Path, space: Space | None = None) -> None:
        self.path = Path(path)
        self._space = space

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @cached_property
    def record(self) -> Run:
        """What the files of the run say, read when it is first asked for."""
        return read_run(self.path)

    @property
    def state(self) -> str:
        """Return ``running``, ``finished``, ``failed`` or ``unfinished``."""
        return self.record.state

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The epochs of the supernet or of the retraining, in their order; none of a search by trials."""
        return self.record.epochs

    def report(self, out: str | Path | None = None) -> Path:
        """Write one HTML file about the run, and return its path: ``report.html`` in the run's folder, or ``out``."""
        from records.report import write_report

        path, _ = write_report([self.path], None if out is None else Path(out))
        return path

    def plot(self, what: str = "progress", *, over: str = "time") -> Figure:
        """Return a matplotlib figure, as the report has it.

        Parameters
        ----------
        what
            ``"progress"``: the score of every trial and the best so far, or the accuracy of a supernet or a training by epoch.
            ``"curves"``: all trials epoch by epoch. ``"parameters"``, ``"flops"``, ``"latency"``: the score against it, with the
            Pareto front. ``"cells"``: the cells that were found.
        over
            ``"time"`` or ``"trials"``: what the horizontal axis of the progress of a search by trials is.

        Raises
        ------
        RecordError
            There is no such plot, or nothing of it was noted.
        """
        from retiarius.plots import plot_run

        return plot_run(self.record, what, over)


class SearchResult(RunResult):
    """What a search found. Make one with ``search`` or ``open_run``."""

    def __init__(self, path: str | Path, space: Space | None = None, data: Any = None, table: Any = None) -> None:
        super().__init__(path, space)
        self._data, self._table = data, table

    @property
    def trials(self) -> list[Trial]:
        """All trials, failed and pruned ones too, in the order of their ends; none of a one-shot search."""
        return self.record.trials

    @property
    def retrained(self) -> RetrainResult | None:
        """What training the best network anew gave (``then_retrain``); None where that was not asked for or has not begun."""
        folder = self.path / RETRAINED
        return RetrainResult(folder, self._space) if (folder / "config.json").is_file() else None

    @cached_property
    def best(self) -> Architecture:
        """The architecture that was found.

        Raises
        ------
        RecordError
            Nothing was found yet.
        """
        path = self.path / "best.json"
        if not path.is_file():
            has_parameters = bool(self.record.best_parameters)
            raise RecordError(f"{self.path}: no best.json: {'see best_parameters' if has_parameters else 'the run has found nothing yet'}")
        found = with_space(load_architecture(path), self._space)
        return found if self._data is None else replace(found, data=self._data)

    @property
    def pareto(self) -> list[Trial]:
        """The complete trials that no other beats in all objectives of the search, by falling accuracy.

        They are those of ``NSGA2``. Of other strategies: the accuracy, which is to be high, and the parameters, which are to be few.
        """
        return find_pareto_front(self.trials, self.record.identity.get("objectives") or DEFAULT_OBJECTIVES)

    def architecture_of(self, trial: Trial) -> Architecture:
        """Return the architecture of a trial, of the best or of another one, for ``retrain``, or to be saved.

        Raises
        ------
        RecordError
            The trial has no score or no network, or the search has found nothing yet.
        """
        if not isinstance(trial, Trial) or trial.score is None or not trial.architecture_labels:
            raise RecordError(f"{show(trial)} is not a trial with a score and a network: give one of found.trials or found.pareto")
        best, metric = self.best, self.record.metric
        if trial.number == best.record.strategy.get("trial"):
            return best
        hyperparameters = {**best.record.hyperparameters, **trial.hyperparameters}
        epochs = hyperparameters.pop("epochs", len(trial.curve) or self.record.identity.get("epochs"))
        score = {"metric": metric.name, "value": metric.result(trial.score)}
        if "epochs" in (best.record.score or {}):
            score["epochs"] = epochs
        record = replace(
            best.record,
            architecture={**best.record.architecture, **trial.architecture},
            hyperparameters=hyperparameters,
            score=score,
            strategy={"name": best.record.strategy.get("name"), "trial": trial.number},
            parameters=trial.parameters,
            flops=trial.flops,
            created=trial.finished,
        )
        return replace(best, record=record, name=f"{self.path}, trial {trial.number}")

    @property
    def best_parameters(self) -> dict[str, Any]:
        """The best parameters of a user program, name to value; empty where networks were searched."""
        return dict(self.record.best_parameters.get("parameters", {}))

    @property
    def test_score_by_table(self) -> float | None:
        """The test figure of the best trial where a table was looked up and has one, whatever it measures; None elsewhere."""
        trial = self.record.best_trial
        if self._table is None or trial is None:
            return None
        figure: float | None = self._table.table.test_score(self._table.fields(trial.sample))
        return figure

    @property
    def test_accuracy_by_table(self) -> float | None:
        """The test accuracy of the best trial where a table was looked up and has it, in [0, 1]; None elsewhere."""
        trial = self.record.best_trial
        return self._table.table.test_accuracy(self._table.fields(trial.sample)) if self._table is not None and trial is not None else None

    def to_frame(self) -> DataFrame:
        """Return one row for each trial, or for each epoch of a one-shot search: a pandas ``DataFrame``.

        A label of the sample that is also the name of a column gets the prefix ``sample.``. Scores are higher where better: where results
        are minimised, they have the other sign. One more column then has them as they were reported: as a table calls it, or ``result``.

        Raises
        ------
        RecordError
            pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise RecordError("to_frame() needs pandas, which is not installed: pip install pandas") from None
        if self.trials:
            return pandas.DataFrame([_row_of(trial, self.record.metric) for trial in self.trials]).set_index("number")
        plain = [{name: value for name, value in epoch.items() if not isinstance(value, dict)} for epoch in self.epochs]
        return pandas.DataFrame(plain)


def _row_of(trial: Trial, metric: Metric) -> dict[str, Any]:
    row = {"number": trial.number, "state": trial.state, "score": trial.score, "seconds": trial.seconds, "error": trial.error}
    if metric.sign < 0:
        column = "result" if metric.name in row else metric.name
        row |= {column: None if trial.score is None else metric.result(trial.score)}
    row |= trial.facts
    return row | {(f"sample.{label}" if label in row else label): value for label, value in trial.sample.items()}


class RetrainResult(RunResult):
    """What a retraining gave. Make one with ``retrain`` or ``open_run``."""

    @property
    def document(self) -> dict[str, Any]:
        """The content of ``retrained.json``.

        Raises
        ------
        RecordError
            The retraining has not come to its end.
        """
        if not self.record.retrained:
            damage = next((note for note in self.record.notes if "retrained.json" in note), None)
            raise RecordError(damage or f"{self.path}: no retrained.json, as the retraining has not ended; resume it")
        return self.record.retrained

    @property
    def test_accuracy(self) -> float:
        """Accuracy on the test images as they are, in [0, 1]; of older runs as their recipe scored them."""
        return float(self.document.get("plain_test_accuracy", self.document["test_accuracy"]))

    @property
    def mirrored_test_accuracy(self) -> float | None:
        """Accuracy of answers averaged over an image and its mirror image, in [0, 1]; None where it was not measured."""
        value = self.document.get("mirrored_test_accuracy")
        return None if value is None else float(value)

    def load_network(self) -> nn.Module:
        """Return the trained network, in evaluation mode, with the normalisation as a part of it.

        Returns
        -------
        torch.nn.Module
            Takes raw images, uint8 or floats in [0, 1], [N, 3, H, W]; returns logits [N, number of classes]. ``classes`` names them.

        Raises
        ------
        RecordError
            The retraining has not come to its end, its files are damaged, or an older version made it and kept no normalisation.
        SpaceError
            The space is neither registered nor handed over to ``open_run``.
        """
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_model

        from evaluators.network import ReadyNetwork

        told, weights = self.document, self.path / "weights.safetensors"
        if "normalization" not in told:
            raise RecordError(f"{self.path}: this run is of an older version, which kept no normalisation; retrain the architecture")
        where = str(self.path / "retrained.json")
        try:
            space = self._space or registered_space(str(told["space"]["name"]), where)
            network = space.network(told["space"]["arguments"], told["architecture"])
            scale, classes = told["normalization"], told["classes"]
            load_model(network, str(weights))
            precision = getattr(torch, str(told["precision"]))
            return ReadyNetwork(network, scale["mean"], scale["std"], classes, precision)
        except (KeyError, TypeError) as error:
            raise RecordError(f"{where}: damaged: {describe_error(error)}; retrain the architecture") from error
        except (OSError, RuntimeError, SafetensorError) as error:
            raise RecordError(f"{weights}: not the weights of this network: {describe_error(error)}; retrain the architecture") from error


def open_run(path: str | Path, *, space: Any = None) -> SearchResult | RetrainResult:
    """Return what the run in the folder ``path`` left there, as it is now: open it again to see how a run goes on.

    Parameters
    ----------
    space
        The model space of the run, where that is not one of ours: a class, an instance, a factory or ``"package.module:Class"``.

    Raises
    ------
    RecordError
        The folder holds no run.
    """
    if not isinstance(path, str | Path):
        raise RecordError(f"{show(path)} is not a path; give the folder of a run, such as 'runs/NAME'")
    run, given = read_run(Path(path)), None if space is None else find_space(space)
    result = RetrainResult(path, given) if run.is_retraining else SearchResult(path, given)
    result.__dict__["record"] = run
    return result
