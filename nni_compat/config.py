"""NNI's ``config.yml``, with the keys of version 1 or 2, as settings of ours; what cannot apply is said, one line each.

Keys are those of ``nni.experiment.config.ExperimentConfig`` and of ``convert.py``, which turns version 1 into version 2. As NNI does, case
and underscores in a key are passed over, and relative paths begin at the folder of the file. NNI's own classes do not read it: they take
seconds to import, answer a misspelt key with a traceback and a missing one of version 1 with a ``KeyError``, and ask for what has no
meaning here, such as a training service.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.numbers import LARGEST_SEED
from common.text import show
from nni_compat.algorithms import ASSESSORS, TUNERS, Assessor, Tuner, find_assessor, find_tuner
from nni_compat.files import is_parameter, read_search_space, read_yaml
from nni_compat.sections import Note, Section


@dataclass
class NniConfig:
    """What a ``config.yml`` asks for; None where it says nothing.

    Attributes
    ----------
    experiment
        Its name.
    strategy, pruner, start_step
        Tuner and assessor in our words; results of a trial before it can be pruned.
    seed, trials, concurrency
        Whole numbers.
    time_budget, trial_time
        Seconds, for all trials and for each.
    optimize_mode
        ``maximize`` or ``minimize``.
    search_space
        The content of the search space.
    trial_command, code_dir
        What a trial runs, and where.
    port
        Of NNI's portal.
    tuner, assessor
        Those that the file names.
    tuner_arguments, assessor_arguments
        Those ``classArgs`` that have no counterpart here.
    notes
        What does not apply.
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
    tuner: Tuner | None = None
    assessor: Assessor | None = None
    tuner_arguments: dict[str, Any] = field(default_factory=dict)
    assessor_arguments: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def load_config(path: Path) -> NniConfig:
    """Read ``config.yml``.

    Raises
    ------
    RecordError
        The file, or the search space that it names, cannot be read; a key is unknown, or a value is not what it takes; it asks for what
        is not here: another machine, annotations, a tuner of one's own.
    """
    document = read_yaml(path)
    if isinstance(document, dict) and document and all(is_parameter(value) for value in document.values()):
        raise RecordError(f"{path} is a search space, not a configuration: use it with --search-space")
    top = Section(str(path), "", document)
    config = NniConfig(experiment=top.take_text("experimentName"))
    top.take("authorName"), top.take("description")
    if top.take("experimentType") not in (None, "hpo"):
        raise RecordError(f"{path}: only experiments of type hpo are supported; for NAS, use --space and --strategy")
    config.concurrency = top.take_whole("trialConcurrency")
    config.trials = top.take_whole("maxTrialNum", "maxTrialNumber")
    config.time_budget = top.take_seconds("maxExecDuration", "maxExperimentDuration")
    config.trial_time = top.take_seconds("maxTrialDuration")
    config.port = top.take_whole("webPort", "port", least=0, most=65535) or None
    if config.trials is None:
        config.notes.append(Note("maxTrialNumber is missing: the number of trials comes from --trials or --preset", "trials"))
    _read_space(top, path, config)
    _read_trial(top, path, config)
    _read_algorithms(top, config)
    _read_service(top, config)
    top.finish(config.notes)
    return config


def _read_space(top: Section, path: Path, config: NniConfig) -> None:
    if top.take("useAnnotation"):
        raise RecordError(f"{path}: useAnnotation is not supported; write a search_space.json and set searchSpaceFile")
    if top.take("multiPhase"):
        raise RecordError(f"{path}: multiPhase is not supported, here or in NNI 3.0; leave it out")
    name, inline = top.take_text("searchSpacePath", "searchSpaceFile"), top.take("searchSpace")
    if name is not None and inline is not None:
        raise RecordError(f"{path}: searchSpace and searchSpaceFile cannot be combined; leave one out")
    config.search_space = inline if name is None else read_search_space(_beside(path, name))


def _read_trial(top: Section, path: Path, config: NniConfig) -> None:
    config.trial_command = top.take_text("trialCommand")
    directory = top.take_text("trialCodeDirectory")
    trial = top.take_section("trial")
    if trial is not None:
        if config.trial_command is not None or directory is not None:
            raise RecordError(
                f"{trial.where}: this section is of version 1, and trialCommand and trialCodeDirectory are of version 2; use one"
            )
        config.trial_command, directory = trial.take_text("command"), trial.take_text("codeDir")
        trial.finish(config.notes)
    config.code_dir = _beside(path, directory or ".")


def _beside(path: Path, name: str) -> Path:
    """Return what ``name`` says in the file ``path``."""
    try:
        os.fsencode(name)
        return path.parent / os.path.expanduser(name)
    except ValueError as error:  # a NUL character, a lone surrogate
        raise RecordError(f"{path}: {show(name)} is not a path: {error}") from None


def _read_algorithms(top: Section, config: NniConfig) -> None:
    tuner, advisor, assessor = (top.take_section(name) for name in ("tuner", "advisor", "assessor"))
    if tuner is not None and advisor is not None:
        raise RecordError(f"{advisor.where}: tuner and advisor cannot be combined; leave one out")
    tuner = tuner or advisor
    if tuner is not None:
        _read_tuner(tuner, config)
    if assessor is not None:
        _read_assessor(assessor, config)
    if tuner is not None and config.optimize_mode is None:
        text = "results are maximised, as the tuner's classArgs have no optimize_mode (some of NNI's tuners would minimise)"
        config.notes.append(Note(text, "optimize_mode"))


def _read_tuner(section: Section, config: NniConfig) -> None:
    name, arguments = _name_and_arguments(section, "builtinTunerName", "builtinAdvisorName")
    config.tuner = tuner = find_tuner(name)
    if tuner is None:
        offered = ", ".join(tuner.name for tuner in TUNERS if tuner.is_offered)
        raise RecordError(f"{section.where}: {show(name)} is not supported; supported: {offered}")
    config.strategy, config.pruner = tuner.strategy, tuner.pruner
    if not tuner.is_same:
        config.notes.append(Note(f"tuner {name} is not supported; the closest, --strategy {tuner.strategy}, is used instead", "strategy"))
    _check_mode(arguments, config)
    config.seed = arguments.take_whole("seed", "random_seed", least=0, most=LARGEST_SEED)
    config.tuner_arguments = arguments.take_rest()
    section.finish(config.notes)


def _read_assessor(section: Section, config: NniConfig) -> None:
    name, arguments = _name_and_arguments(section, "builtinAssessorName")
    config.assessor = assessor = find_assessor(name)
    if assessor is None:
        known = ", ".join(assessor.name for assessor in ASSESSORS)
        raise RecordError(f"{section.where}: {show(name)} is not supported; supported: {known}; or leave it out")
    if config.pruner is not None:
        raise RecordError(f"{section.where}: the tuner stops trials itself ({config.pruner}); leave the assessor out")
    config.pruner = assessor.pruner
    instead = "" if assessor.is_same else f"is not supported; the closest, --pruner {assessor.pruner}, is used instead: it "
    rule = f"{instead}stops trials, from the fifth on, whose best result is below the median of the others"
    config.notes.append(Note(f"assessor {name} {rule}", "pruner"))
    config.start_step = arguments.take_whole("start_step", least=0)
    _check_mode(arguments, config)
    config.assessor_arguments = arguments.take_rest()
    section.finish(config.notes)


def _name_and_arguments(section: Section, *v1_names: str) -> tuple[str, Section]:
    name = section.take_text(*v1_names, "name")
    if name is None:
        for key in ("className", "classFileName", "codeDir", "codeDirectory"):
            if section.take(key) is not None:
                raise RecordError(
                    f"{section.where}: {key}: own tuners and assessors are not supported; write a strategy instead (CONTRIBUTING.md)"
                )
        raise RecordError(f"{section.where}: the name is missing, such as 'name: TPE'")
    return name, section.take_section("classArgs") or Section(section.where, "classArgs", {})


def _check_mode(arguments: Section, config: NniConfig) -> None:
    mode = arguments.take_text("optimize_mode")
    if mode not in (None, "maximize", "minimize"):
        raise RecordError(f"{arguments.where}: optimize_mode is {show(mode)}; expected maximize or minimize")
    if mode is not None and config.optimize_mode not in (None, mode):
        raise RecordError(f"{arguments.where}: optimize_mode is {mode}, and the tuner's is {config.optimize_mode}; they must be the same")
    config.optimize_mode = mode or config.optimize_mode


def _read_service(top: Section, config: NniConfig) -> None:
    service = top.take_section("localConfig", "trainingService")
    platform = top.take_text("trainingServicePlatform")
    if service is not None:
        platform = service.take_text("platform") or platform
    if platform not in (None, "local"):
        where = "expected local"
        if platform == "remote":
            where = "expected local; for other machines, start Ray on each of the machineList, and use 'platform: local' and --ray auto"
        raise RecordError(f"{top.where}: the platform {show(platform)} is not supported; {where}")
    if service is not None:
        service.finish(config.notes)
