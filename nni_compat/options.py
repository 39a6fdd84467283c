"""What NNI's files say to the options of a run that were left out."""

from __future__ import annotations

from typing import Any

from common.errors import RecordError
from common.text import show_text
from nni_compat.algorithms import SERVED_ASSESSORS, SERVED_TUNERS
from nni_compat.config import NniConfig, load_config
from nni_compat.files import read_search_space

# What a config.yml says is asked for by these options as well; one that is given has the last word.
_FROM_CONFIG: tuple[str, ...] = ("experiment", "strategy", "pruner", "start_step", "seed", "trials", "concurrency", "time_budget")
_FROM_CONFIG += ("trial_time", "optimize_mode", "trial_command", "code_dir")


def adopt_nni_files(options: dict[str, Any]) -> list[str]:
    """Replace the paths in ``options`` by what the files say, and fill in what no option said; return the notes, one line each.

    ``options["trial_command"]`` stays where trials are to run it: where it is given as an option, or by the file and no space is named.

    Parameters
    ----------
    options
        Name to value, None where it was left out: those of ``_FROM_CONFIG`` and ``config``, ``search_space`` (paths), ``space``,
        ``portal``, ``port``, ``workers``, ``table``, ``retrain``, ``list``, ``report``, ``dashboard``.

    Raises
    ------
    RecordError
        A file cannot be used, or options contradict one another.
    """
    if options["retrain"] is not None or options["list"] or options["report"] or options["dashboard"]:
        for name in ("config", "search_space", "trial_command"):
            if options[name] is not None:
                raise RecordError(f"--{name.replace('_', '-')} is for searches: leave it out")
        return []
    if options["trial_command"] is not None and options["space"] is not None:
        raise RecordError("--space and --trial-command cannot be combined: leave one out")
    if options["portal"] and options["space"] is not None:
        raise RecordError("--portal needs a trial command, and cannot be combined with --space: leave one out")
    config = NniConfig() if options["config"] is None else load_config(options["config"])
    if options["search_space"] is not None:
        config.search_space = read_search_space(options["search_space"])
    options["search_space"] = config.search_space
    given = {name: options[name] for name in _FROM_CONFIG if options.get(name) is not None}
    options |= {name: given.get(name, getattr(config, name)) for name in _FROM_CONFIG}
    if config.search_space is None:
        for name in ("config", "trial_command"):
            if options[name] is not None:
                raise RecordError(f"--{name.replace('_', '-')} needs a search space: --search-space FILE, or searchSpaceFile in the config")
        return []
    options["strategy"] = options["strategy"] or "tpe"
    # What ours does otherwise does not apply where NNI's service runs the very assessor that the file names.
    served_as_it_is = options["portal"] and _is_served(config.assessor, SERVED_ASSESSORS.get(options["pruner"]))
    notes = [note.text for note in config.notes if note.about not in given and not (served_as_it_is and note.about == "pruner")]
    if options["portal"]:
        return notes + _serve_by_nni(options, config)
    notes += [f"{argument} has no effect: it is not supported" for argument in _arguments_of(config)]
    if config.port is not None:
        notes.append("port has no effect without --portal, which opens NNI's portal")
    if options.get("table") is not None and "trial_command" not in given:
        return notes + _train_here(options, config, given.get("concurrency"))
    return (
        notes if options["trial_command"] and options["space"] is None else notes + _train_here(options, config, given.get("concurrency"))
    )


def _is_served(named: object, served: object) -> bool:
    """Return whether the file names the very algorithm of NNI's that its service is going to run."""
    return named is not None and named is served


def _arguments_of(config: NniConfig) -> list[str]:
    owners = {"tuner": config.tuner_arguments, "assessor": config.assessor_arguments}
    return [f"{owner}.classArgs.{show_text(name)}" for owner, arguments in owners.items() for name in arguments]


def _serve_by_nni(options: dict[str, Any], config: NniConfig) -> list[str]:
    """Let NNI's own service run the trials, with tuner and assessor as the file has them unless an option names others."""
    notes = []
    options["port"] = options["port"] or config.port
    if _is_served(config.tuner, SERVED_TUNERS.get(options["strategy"])):
        options["tuner_arguments"], config.tuner_arguments = config.tuner_arguments, {}
    if _is_served(config.assessor, SERVED_ASSESSORS.get(options["pruner"])):
        options["assessor_arguments"], config.assessor_arguments = config.assessor_arguments, {}
    notes += [f"{argument} has no effect: a flag replaces the algorithm it belongs to" for argument in _arguments_of(config)]
    if (options["concurrency"] or 1) > 1:
        notes.append(f"trials run one at a time, not {options['concurrency']}: NNI's service mixes up the results of parallel trials")
        options["concurrency"] = 1
    return notes


def _train_here(options: dict[str, Any], config: NniConfig, concurrency: int | None) -> list[str]:
    """Let the trials be trainings of ours; what of the files does not apply to them. ``concurrency`` is what was given as an option."""
    notes = []
    looks_up = options.get("table") is not None
    if not looks_up:
        options["space"] = options["space"] or "zoo"
    if options["trial_command"] is not None:
        others = f"the networks of --space {options['space']} are trained instead; to run it, leave out --space"
        notes.append(f"the trial command is not run: {'the results are looked up in --table' if looks_up else others}")
    if options["workers"] is None and (config.concurrency or 1) > 1 and not looks_up:
        options["workers"] = config.concurrency
        notes.append(f"trialConcurrency {config.concurrency}: so many trainings run in parallel; for one at a time, use --workers 1")
    if options["optimize_mode"] == "minimize" and not looks_up:
        notes.append("optimize_mode minimize has no effect: the accuracy of trainings is maximised")
    if options["trial_time"] is not None:
        notes.append("maxTrialDuration has no effect on trainings: use --epochs to limit them")
    options |= {"trial_command": None, "code_dir": None, "concurrency": concurrency, "trial_time": None}
    options["optimize_mode"] = options["optimize_mode"] if looks_up else None
    return notes
