"""What a run was asked for, as one frozen value that goes down unchanged: made by a call of the library, read by every step below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

from common.errors import RecordError, SpaceError
from common.nni_evaluators import is_lightning
from common.passwords import hide_passwords
from evaluators import find_evaluator
from evaluators.nni_evaluator import NniEvaluation
from records.pareto import LATENCY, parse_objectives
from retiarius.presets import DEFAULT_PRESET
from retiarius.ray_cluster import Ray, as_workers, workers_flag
from retiarius.strategy_choice import find_strategy, setting_names, with_settings
from retiarius.value_checks import (
    as_mapping,
    as_path,
    as_search_space,
    as_texts,
    check_counts,
    check_mode,
    check_preset,
    check_seconds,
    check_seed,
    check_study,
    check_texts,
)
from spaces.adapter import find_space
from strategies import NO_PRUNER, Pruner, TrialStrategy

DEFAULT_DATA_DIR = Path("data")
TRAIN = "train"


@dataclass(frozen=True)
class RunSettings:
    """What every run is told. ``None`` leaves a value to the preset or to the program.

    Attributes
    ----------
    preset
        How large the run is: ``quick``, ``lab`` or ``paper``.
    data
        ``auto``, the name of a data set, a folder of images, or images in memory (a ``Dataset``).
    data_dir
        Where data sets lie.
    epochs
        Of the supernet, of each trial, or of the retraining.
    recipe
        The name of a training recipe, or its values by name.
    fixed
        Label to value: choices, hyperparameters and sizes that are set and not searched.
    seed
        Of every random draw, 0 to 2**32 - 1.
    device, precision
        Where and how exactly to compute; ``auto`` chooses.
    out, resume
        The run's folder, and whether to resume the run in it.
    tensorboard
        Whether to write scalars for TensorBoard.
    """

    preset: str = DEFAULT_PRESET
    data: Any = "auto"
    data_dir: Path = DEFAULT_DATA_DIR
    epochs: int | None = None
    recipe: Any = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    out: Path | None = None
    resume: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        check_preset(self.preset)
        check_seed(self.seed)
        check_counts(epochs=self.epochs)
        self._settle(device=str(self.device), out=as_path("out", self.out), fixed=as_mapping("fixed", self.fixed))
        self._settle(data_dir=as_path("data_dir", self.data_dir) or DEFAULT_DATA_DIR)
        check_texts(precision=self.precision)
        if isinstance(self.data, Path):
            self._settle(data=str(self.data))
        if self.resume and self.out is None:
            raise RecordError("`resume` needs the run's folder: set `out`")

    def _settle(self, **values: Any) -> None:
        """Put checked values in the place of what was handed over."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def dataset(self) -> str:
        """The data set as a word for the record."""
        name = self.data if isinstance(self.data, str) else getattr(self.data, "name", "own")
        return name if isinstance(name, str) else "own"

    @property
    def recipe_name(self) -> str | None:
        """The recipe as a word for the record; None where none was named."""
        return self.recipe if isinstance(self.recipe, str) or self.recipe is None else "own"

    @property
    def pins(self) -> dict[str, Any]:
        """What is set and not searched, for the record."""
        return dict(self.fixed)

    @property
    def training_flags(self) -> dict[str, Any]:
        """By flag what was given of that which says on what, where and how exactly to train."""
        given = {"--data-dir": self.data_dir, "--device": self.device, "--precision": self.precision, "--recipe": self.recipe_name}
        usual = {"--data-dir": DEFAULT_DATA_DIR, "--device": "auto", "--precision": "auto", "--recipe": None}
        return {flag: value for flag, value in given.items() if value != usual[flag]}

    def describe(self) -> dict[str, Any]:
        """Return what was asked for as plain data, for ``config.json``."""
        words = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in self._told_otherwise}
        words |= {"dataset": self.data if isinstance(self.data, str) else None}  # images in memory cannot be named
        words |= {"data_dir": self.data_dir, "recipe": self.recipe_name, "pins": self.pins}
        return words

    _told_otherwise: ClassVar[tuple[str, ...]] = ("data", "recipe", "fixed")


class PrunerSettings:
    """What the settings of a search say of its pruner, which its strategy holds."""

    strategy: Any

    @property
    def pruner(self) -> Pruner | None:
        """What ends hopeless trials early, or None."""
        return self.strategy.pruner if isinstance(self.strategy, TrialStrategy) else None

    @property
    def pruner_name(self) -> str:
        """Its name; ``none`` where there is none."""
        return NO_PRUNER if self.pruner is None else self.pruner.name

    @property
    def start_step(self) -> int | None:
        """Scores of a trial before which Medianstop does not judge it."""
        return self.strategy.start_step if isinstance(self.strategy, TrialStrategy) else None


@dataclass(frozen=True)
class SearchSettings(RunSettings, PrunerSettings):
    """What a search is told beside what every run is.

    Attributes
    ----------
    space
        What can be chosen: what ``find_space`` takes becomes a ``spaces.adapter.Space``.
    strategy
        How it is chosen: a name becomes the strategy of that name, ``"auto"`` that which ``best_strategy`` names.
    evaluator
        How a choice is scored: ``train``, ``table``, the name of another registered one, or any function.
    table, table_columns
        The table that is looked up, and what its columns mean.
    supernet_weights
        The run whose supernet's weights networks are scored by.
    trials
        Number of trials.
    time_budget
        Seconds of the search: trials wait and go on so that they are used well, and a supernet ends; simulated ones with a table.
    then_retrain
        Seconds for which what was found is trained anew after the search; None: it is not.
    max_parameters, max_multiply_adds
        A network of more parameters, or multiply-adds, is not trained, nor selected from a supernet.
    start_with
        Networks to try first.
    screen
        How many untrained networks are scored before the first trial; None: none.
    objectives
        The accuracy, and what else is to be small, for a strategy of several objectives.
    search_space
        The content of NNI's ``search_space.json``; where there is a table, and no ``space``, its parameters are what is searched.
    optimize_mode
        ``maximize``, or ``minimize`` where the scores of a table are losses.
    workers
        Trainings side by side, or the Ray on which they run.
    storage, study
        The URL of a storage in which several processes search together, and the name of the study there.
    """

    space: Any = None
    strategy: Any = "tpe"
    evaluator: str | Callable[..., Any] = TRAIN
    table: Path | None = None
    table_columns: Path | None = None
    supernet_weights: Path | None = None
    trials: int | None = None
    time_budget: float | None = None
    then_retrain: float | None = None
    max_parameters: int | None = None
    max_multiply_adds: int | None = None
    start_with: tuple[str, ...] = ()
    screen: int | None = None
    objectives: tuple[str, ...] | None = None
    search_space: dict[str, Any] | None = None
    optimize_mode: str = "maximize"
    workers: int | Ray = 1
    storage: str | None = None
    study: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        limits = {"max_parameters": self.max_parameters, "max_multiply_adds": self.max_multiply_adds}
        check_counts(trials=self.trials, screen=self.screen, **limits)
        self._settle(workers=as_workers(self.workers))
        self._settle(table=as_path("table", self.table), table_columns=as_path("table_columns", self.table_columns))
        self._settle(space=None if self._searches_rows() else find_space(self.space))
        searched = {"table": self.table, "objectives": self.objectives, "storage": self.storage}
        self._settle(strategy=with_settings(find_strategy(self.strategy, **searched), self.fixed))
        self._settle(supernet_weights=as_path("supernet_weights", self.supernet_weights))
        for name, source in (("table", self.table), ("supernet", self.supernet_weights)):
            if source is not None and self.evaluator == TRAIN:
                self._settle(evaluator=name)
        check_mode(self.optimize_mode)
        self._settle(start_with=as_texts("start_with", self.start_with), search_space=as_search_space(self.search_space))
        if self.objectives is not None:
            self._settle(objectives=parse_objectives(",".join(as_texts("objectives", self.objectives))))
        check_seconds(time_budget=self.time_budget, then_retrain=self.then_retrain)
        if self.then_retrain is not None and (self.space is None or find_evaluator(self.evaluator)[1].untrained):
            raise SpaceError("`then_retrain` trains a network on images: set a `space`, and leave out `evaluator`")
        check_texts(storage=self.storage, study=self.study)
        find_evaluator(self.evaluator)
        check_study(self.storage, self.study)

    def _searches_rows(self) -> bool:
        """Return whether there is no space: the rows of a table are searched by the parameters of NNI's file."""
        if self.space is None and (self.table is None or self.search_space is None):
            missing = "set `search_space`, too" if self.table is not None else "set `space`, or `table` and `search_space`"
            raise SpaceError(f"there is nothing to search: {missing}")
        return self.space is None

    _told_otherwise: ClassVar[tuple[str, ...]] = (*RunSettings._told_otherwise, "space", "strategy", "evaluator")

    @property
    def trial_flags(self) -> dict[str, Any]:
        """By flag what was given of that which steers trials: which come first, are left out, end early, how many run at once."""
        flags: dict[str, Any] = {"--max-params": self.max_parameters, "--max-flops": self.max_multiply_adds}
        flags["--pruner"] = None if self.pruner is None else self.pruner_name
        flags |= {"--start-with": list(self.start_with) or None, "--screen": self.screen, "--workers": workers_flag(self.workers)}
        flags |= {"--storage": None if self.storage is None else hide_passwords(self.storage), "--study": self.study}
        return {flag: value for flag, value in flags.items() if value is not None}

    @property
    def one_shot_flags(self) -> dict[str, Any]:
        """By flag what steers a one-shot search and differs from its default."""
        return self.strategy.settings() if self.strategy.one_shot else {}

    @property
    def pins(self) -> dict[str, Any]:
        """What is set and not searched, settings of the strategy without a flag of their own among it, for the record."""
        own = [entry for entry in fields(self.strategy) if entry.name in setting_names(self.strategy)]
        changed = {entry.name: value for entry in own if (value := getattr(self.strategy, entry.name)) != entry.default}
        return {**changed, **self.fixed}

    @property
    def measures_latency(self) -> bool:
        """Whether the latency is among the objectives."""
        return LATENCY in (self.objectives or ())

    @property
    def evaluator_name(self) -> str:
        """The evaluator as a word for the record."""
        return find_evaluator(self.evaluator)[0]

    @property
    def lightning(self) -> Any:
        """The evaluator, where it is one of NNI's that trains by Lightning; None elsewhere."""
        evaluation = self.nni_evaluation
        return evaluation.evaluator if evaluation is not None and is_lightning(evaluation.evaluator) else None

    @property
    def nni_evaluation(self) -> NniEvaluation | None:
        """The evaluator, where it is one of NNI's; None elsewhere."""
        function = find_evaluator(self.evaluator)[1].function
        return function if isinstance(function, NniEvaluation) else None

    def describe(self) -> dict[str, Any]:
        """Return what was asked for as plain data, for ``config.json``, without the password of a storage."""
        workers = asdict(self.workers) if isinstance(self.workers, Ray) else self.workers
        words = super().describe() | {"workers": workers, "space": getattr(self.space, "name", None), "strategy": self.strategy.name}
        words |= {"evaluator": self.evaluator_name, "pruner": self.pruner_name, "start_step": self.start_step}
        words |= {flag.removeprefix("--").replace("-", "_"): value for flag, value in self.one_shot_flags.items()}
        return words | {"storage": None if self.storage is None else hide_passwords(self.storage)}
