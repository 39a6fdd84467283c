"""The flags that take NNI's files, and what these files say to the flags that were left out."""

from __future__ import annotations

from typing import Any

from records import RecordError
from records.nni_config import NniConfig, load_config
from records.nni_files import read_search_space

# What a config.yml says is asked for by these flags as well; a flag that is given has the last word.
_FROM_CONFIG: tuple[str, ...] = (
    "experiment",
    "strategy",
    "pruner",
    "start_step",
    "seed",
    "trials",
    "concurrency",
    "time_budget",
    "trial_time",
)
_FROM_CONFIG += ("optimize_mode", "trial_command", "code_dir")


def adopt_nni_files(options: dict[str, Any]) -> list[str]:
    """Replace the paths in ``options`` by what the files say, and fill in what no flag said; returns the notes, one line each.

    ``options["trial_command"]`` stays where trials are to run it: where it is given as a flag, or by the file and no space is named.

    Raises:
        RecordError: a file cannot be used, or flags contradict one another.
    """
    if options["retrain"] is not None or options["list"] or options["report"] or options["dashboard"]:
        for name in ("config", "search_space", "trial_command"):
            if options[name] is not None:
                raise RecordError(f"--{name.replace('_', '-')} goes with a search")
        return []
    if options["trial_command"] is not None and options["space"] is not None:
        raise RecordError("--space and --trial-command: a search has one or the other; leave one out")
    config = NniConfig() if options["config"] is None else load_config(options["config"])
    if options["search_space"] is not None:
        config.search_space = read_search_space(options["search_space"])
    options["search_space"] = config.search_space
    given = options["concurrency"]
    for name in _FROM_CONFIG:
        if options.get(name) is None:
            options[name] = getattr(config, name)
    if config.search_space is None:
        for name in ("config", "trial_command"):
            if options[name] is not None:
                raise RecordError(f"--{name.replace('_', '-')} needs a search space: --search-space FILE, or searchSpaceFile in the config")
        return config.notes
    options["strategy"] = options["strategy"] or "tpe"
    if options["portal"]:
        _serve_by_nni(options, config)
    return config.notes + ([] if options["trial_command"] and options["space"] is None else _train_here(options, config, given))


def _serve_by_nni(options: dict[str, Any], config: NniConfig) -> None:
    """Let NNI's own service run the trials; what is said of our pruner does not apply to its assessor."""
    config.notes = [note for note in config.notes if not note.startswith("assessor ")]
    if (options["concurrency"] or 1) > 1:
        config.notes.append(f"NNI's service mixes up the results of parallel trials: one runs at a time, not {options['concurrency']}")
        options["concurrency"] = 1


def _train_here(options: dict[str, Any], config: NniConfig, concurrency: int | None) -> list[str]:
    """Let the trials be trainings of ours; what of the files does not apply to them. ``concurrency`` is what was given as a flag."""
    notes = []
    options["space"] = options["space"] or "zoo"
    if options["trial_command"] is not None:
        notes.append(f"the trial command is not run: --space {options['space']} trains its own networks; leave out --space to run it")
    if options["workers"] is None and (config.concurrency or 1) > 1:
        options["workers"] = config.concurrency
        notes.append(f"trialConcurrency {config.concurrency}: as many trainings run side by side; --workers 1 runs one at a time")
    if options["optimize_mode"] == "minimize":
        notes.append("optimize_mode minimize has no effect here: trainings report their accuracy, which is maximised")
    if options["trial_time"] is not None:
        notes.append("maxTrialDuration has no effect here: --epochs bounds a training")
    options |= {"trial_command": None, "code_dir": None, "concurrency": concurrency, "optimize_mode": None, "trial_time": None}
    return notes
