"""NNI's ``config.yml``, with the keys of version 1 or 2, as settings of ours; what cannot apply is said, one line each.

Keys are those of ``nni.experiment.config.ExperimentConfig`` and of ``convert.py``, which turns version 1 into version 2. As NNI does, case
and underscores in a key are passed over, and relative paths begin at the folder of the file.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.numbers import LARGEST_SEED
from common.text import show
from nni_compat.files import fold, is_parameter, read_search_space, read_yaml

# Tuners and advisors, their names folded -> (strategy, pruner, whether that is the thing itself rather than the nearest to it)
TUNERS: dict[str, tuple[str, str | None, bool]] = {
    "tpe": ("tpe", None, True),
    "tpelegacy": ("tpe", None, True),
    "random": ("random", None, True),
    "gridsearch": ("grid", None, True),
    "evolution": ("evolution", None, True),
    "regularizedevolutiontuner": ("evolution", None, True),
    "hyperband": ("random", "hyperband", True),
    "bohb": ("tpe", "hyperband", True),
    "anneal": ("tpe", None, False),
    "smac": ("tpe", None, False),
    "gp": ("gp", None, True),
    "metis": ("gp", None, False),
    "dngo": ("tpe", None, False),
}
ASSESSORS: dict[str, tuple[str, bool]] = {"medianstop": ("median", True), "curvefitting": ("median", False)}
OFFERED_TUNERS = "TPE, Random, GridSearch, Evolution, GP, Hyperband, BOHB"

_GPU = "no GPU is assigned to trials here; --device names the one to train on, and a trial command sees all of them"
_SERVICE = "the search runs on this machine alone, and its results are in --out DIR"
_PRUNED = "pruned trials are told with their results"
_LOG = "log.txt in the run's folder has it all"
# Keys that are understood and have nothing to do here, by section: folded -> (key, why).
_IDLE = {
    "": {
        **dict.fromkeys(("trialGpuNumber", "tunerGpuIndices"), _GPU),
        **dict.fromkeys(("nniManagerIp", "experimentWorkingDirectory", "logDir", "sharedStorage"), _SERVICE),
        **dict.fromkeys(("debug", "logLevel", "logCollection", "versionCheck", "multiThread"), _LOG),
    },
    "trial": {"gpuNum": _GPU},
    **{name: {"gpuIndices": _GPU, "includeIntermediateResults": _PRUNED} for name in ("tuner", "assessor", "advisor")},
    "trainingService": {
        **dict.fromkeys(("useActiveGpu", "maxTrialNumberPerGpu", "maxTrialNumPerGpu", "gpuIndices", "trialGpuNumber"), _GPU),
        **dict.fromkeys(("reuseMode", "nniManagerIp", "debug", "logCollection"), _SERVICE),
    },
}
_SILENT = (None, False, 0, "")  # values that ask for nothing
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Note:
    """A line about what does not apply. It holds unless a flag speaks of ``about``, an option of ours, where that is given."""

    text: str
    about: str = ""


@dataclass
class NniConfig:
    """What a ``config.yml`` asks for; ``None`` where it says nothing.

    Attributes:
        experiment: its name.
        strategy, pruner, start_step: tuner and assessor in our words; results of a trial before it can be pruned.
        seed, trials, concurrency: whole numbers.
        time_budget, trial_time: seconds, for all trials and for each.
        optimize_mode: ``maximize`` or ``minimize``.
        search_space: the content of the search space.
        trial_command, code_dir: what a trial runs, and where.
        port: of NNI's portal.
        algorithms: the names of tuner and assessor, folded.
        tuner_arguments, assessor_arguments: those ``classArgs`` that have no counterpart here.
        notes: what does not apply.
    """

    experiment: str | None = None
    strategy: str | None = None
    pruner: str | None = None
    start_step: int | None = None
    seed: int | None = None
    trials: int | None = None
    concurrency: int | None = None
    time_budget: float | None = None
    trial_time: float | None = None
    optimize_mode: str | None = None
    search_space: Any = None
    trial_command: str | None = None
    code_dir: Path | None = None
    port: int | None = None
    algorithms: list[str] = field(default_factory=list)
    tuner_arguments: dict[str, Any] = field(default_factory=dict)
    assessor_arguments: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def runs_as(self, algorithm: str | None) -> bool:
        """Whether the file names this very tuner or assessor of NNI's."""
        return algorithm is not None and fold(algorithm) in self.algorithms


class _Section:
    """An object of the file, from which keys are taken; what is left at the end is idle or unknown."""

    def __init__(self, where: str, name: str, document: Any) -> None:
        self.where = where if not name else f"{where}: {name}"
        if not isinstance(document, Mapping):
            raise RecordError(f"{self.where}: {show(document)} where keys and values were expected, such as 'trialConcurrency: 2'")
        self._name, self._known = name, list[str]()
        self._left: dict[str, tuple[str, Any]] = {}
        for key, value in document.items():
            if fold(key) in self._left:
                raise RecordError(f"{self.where}: {self._left[fold(key)][0]} and {key} are the same key")
            self._left[fold(key)] = (str(key), value)

    def take(self, *names: str) -> Any:
        """The value of the key that has one of ``names``, or ``None``."""
        self._known += names
        found = [self._left.pop(fold(name)) for name in names if fold(name) in self._left]
        if len(found) > 1:
            raise RecordError(f"{self.where}: {found[0][0]} and {found[1][0]} say the same; leave one out")
        return found[0][1] if found else None

    def take_whole(self, *names: str, least: int = 1, most: float = math.inf) -> int | None:
        value = self.take(*names)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most):
            bounds = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
            raise RecordError(f"{self.where}: {names[-1]} is {show(value)}; a whole number {bounds} was expected")
        return value

    def take_text(self, *names: str) -> str | None:
        value = self.take(*names)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise RecordError(f"{self.where}: {names[-1]} is {show(value)}; a text was expected")
        return value

    def take_seconds(self, *names: str) -> float | None:
        value = self.take(*names)
        if value is None:
            return None
        number, unit = (value[:-1], value[-1:].lower()) if isinstance(value, str) else (value, "s")
        try:
            seconds = float(number) * _UNITS[unit] if not isinstance(number, bool) else math.nan
        except (ValueError, TypeError, KeyError):
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise RecordError(f"{self.where}: {names[-1]} is {show(value)}; a time such as 30m, 2h, 1d or a number of seconds was expected")
        return seconds

    def take_section(self, *names: str) -> _Section | None:
        value = self.take(*names)
        return None if value is None else _Section(self.where, names[-1], value)

    def take_rest(self) -> dict[str, Any]:
        """The keys that are left, with their values."""
        left, self._left = dict(self._left.values()), {}
        return left

    def finish(self, notes: list[Note]) -> None:
        """Say of the keys that are left that they are idle; raise on one that nobody knows."""
        idle = {fold(key): reason for key, reason in _IDLE.get(self._name, {}).items()}
        for folded, (key, value) in self._left.items():
            if folded not in idle:
                known = [*self._known, *_IDLE.get(self._name, {})]
                close = difflib.get_close_matches(key, known, n=1) or known[:6]
                raise RecordError(f"{self.where}: unknown key {show(key)}; closest known: {', '.join(close)}")
            quiet = (*_SILENT, 1) if folded.startswith("maxtrialnum") else _SILENT
            if value not in quiet:
                prefix = f"{self._name}." if self._name else ""
                notes.append(Note(f"{prefix}{key} has no effect here: {idle[folded]}"))


def load_config(path: Path) -> NniConfig:
    """Read ``config.yml``.

    Raises:
        RecordError: the file, or the search space that it names, cannot be read; a key is unknown, or a value is not what it takes; it
            asks for what is not here: another machine, annotations, a tuner of one's own.
    """
    document = read_yaml(path)
    if isinstance(document, dict) and document and all(is_parameter(value) for value in document.values()):
        raise RecordError(f"{path}: this is a search space, and no experiment's configuration: it goes with --search-space")
    top = _Section(str(path), "", document)
    config = NniConfig(experiment=top.take_text("experimentName"))
    top.take("authorName"), top.take("description")
    if top.take("experimentType") not in (None, "hpo"):
        raise RecordError(f"{path}: only experiments of the type hpo are described by a file; NNI's NAS is --space darts --strategy darts")
    config.concurrency = top.take_whole("trialConcurrency")
    config.trials = top.take_whole("maxTrialNum", "maxTrialNumber")
    config.time_budget = top.take_seconds("maxExecDuration", "maxExperimentDuration")
    config.trial_time = top.take_seconds("maxTrialDuration")
    config.port = top.take_whole("webPort", "port", least=0, most=65535) or None
    if config.trials is None:
        config.notes.append(Note("there is no maxTrialNumber: --trials N, or the preset, says how many trials there are", "trials"))
    _read_space(top, path, config)
    _read_trial(top, path.parent, config)
    _read_algorithms(top, config)
    _read_service(top, config)
    top.finish(config.notes)
    return config


def _read_space(top: _Section, path: Path, config: NniConfig) -> None:
    if top.take("useAnnotation"):
        raise RecordError(f"{path}: useAnnotation is not here; write the annotations into a search_space.json and name it")
    if top.take("multiPhase"):
        raise RecordError(f"{path}: multiPhase is not here, and no longer in NNI; leave it out")
    name, inline = top.take_text("searchSpacePath", "searchSpaceFile"), top.take("searchSpace")
    if name is not None and inline is not None:
        raise RecordError(f"{path}: searchSpace and searchSpaceFile are both there; leave one out")
    config.search_space = inline if name is None else read_search_space(path.parent / os.path.expanduser(name))


def _read_trial(top: _Section, base: Path, config: NniConfig) -> None:
    config.trial_command = top.take_text("trialCommand")
    directory = top.take_text("trialCodeDirectory")
    trial = top.take_section("trial")
    if trial is not None:
        if config.trial_command is not None or directory is not None:
            raise RecordError(f"{trial.where}: is of version 1, trialCommand and trialCodeDirectory are of version 2; use one")
        config.trial_command, directory = trial.take_text("command"), trial.take_text("codeDir")
        trial.finish(config.notes)
    config.code_dir = base / os.path.expanduser(directory or ".")


def _read_algorithms(top: _Section, config: NniConfig) -> None:
    tuner, advisor, assessor = (top.take_section(name) for name in ("tuner", "advisor", "assessor"))
    if tuner is not None and advisor is not None:
        raise RecordError(f"{advisor.where}: there is a tuner, too; leave one out")
    tuner = tuner or advisor
    if tuner is not None:
        _read_tuner(tuner, config)
    if assessor is not None:
        name, arguments = _name_and_arguments(assessor, "builtinAssessorName")
        if fold(name) not in ASSESSORS:
            raise RecordError(f"{assessor.where}: {show(name)} is not here; known are Medianstop, Curvefitting; or leave it out")
        if config.pruner is not None:
            raise RecordError(f"{assessor.where}: the tuner ends trials by itself ({config.pruner}); leave the assessor out")
        config.algorithms.append(fold(name))
        config.pruner, is_same = ASSESSORS[fold(name)]
        how = "here ends trials" if is_same else f"is not here; the nearest, --pruner {config.pruner}, ends trials"
        config.notes.append(Note(f"assessor {name} {how} from the fifth on whose best result is below the median of the others", "pruner"))
        config.start_step = arguments.take_whole("start_step", least=0)
        _check_mode(arguments, config)
        config.assessor_arguments = arguments.take_rest()
        assessor.finish(config.notes)
    if tuner is not None and config.optimize_mode is None:
        text = "the tuner's classArgs have no optimize_mode: results are maximised (some of NNI's tuners would minimise)"
        config.notes.append(Note(text, "optimize_mode"))


def _read_tuner(tuner: _Section, config: NniConfig) -> None:
    name, arguments = _name_and_arguments(tuner, "builtinTunerName", "builtinAdvisorName")
    if fold(name) not in TUNERS:
        raise RecordError(f"{tuner.where}: {show(name)} is not here; there are {OFFERED_TUNERS}")
    config.algorithms.append(fold(name))
    config.strategy, config.pruner, is_same = TUNERS[fold(name)]
    if not is_same:
        config.notes.append(Note(f"tuner {name} is not here; the nearest, --strategy {config.strategy}, takes its place", "strategy"))
    _check_mode(arguments, config)
    config.seed = arguments.take_whole("seed", "random_seed", least=0, most=LARGEST_SEED)
    config.tuner_arguments = arguments.take_rest()
    tuner.finish(config.notes)


def _name_and_arguments(section: _Section, *v1_names: str) -> tuple[str, _Section]:
    name = section.take_text(*v1_names, "name")
    if name is None:
        for key in ("className", "classFileName", "codeDir", "codeDirectory"):
            if section.take(key) is not None:
                raise RecordError(f"{section.where}: {key}: one of your own is a strategy here; CONTRIBUTING.md has the three steps")
        raise RecordError(f"{section.where}: the name is missing, such as 'name: TPE'")
    return name, section.take_section("classArgs") or _Section(section.where, "classArgs", {})


def _check_mode(arguments: _Section, config: NniConfig) -> None:
    mode = arguments.take_text("optimize_mode")
    if mode not in (None, "maximize", "minimize"):
        raise RecordError(f"{arguments.where}: optimize_mode is {show(mode)}; it is maximize or minimize")
    if mode is not None and config.optimize_mode not in (None, mode):
        raise RecordError(f"{arguments.where}: optimize_mode is {mode}, and the tuner's is {config.optimize_mode}; they must be the same")
    config.optimize_mode = mode or config.optimize_mode


def _read_service(top: _Section, config: NniConfig) -> None:
    service = top.take_section("localConfig", "trainingService")
    platform = top.take_text("trainingServicePlatform")
    if service is not None:
        platform = service.take_text("platform") or platform
    if platform not in (None, "local"):
        raise RecordError(f"{top.where}: the platform {show(platform)} is not here; trials run on this machine: local")
    if service is not None:
        service.finish(config.notes)
