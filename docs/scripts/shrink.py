"""Commands of the pages made small by general rules, so that each takes seconds, or a reason why it cannot be run."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable
from itertools import dropwhile, takewhile
from pathlib import Path

PROGRAM = ["python", "run_experiment.py"]
# What a reader's folder holds that a clone lacks: by name, what takes its place.
OWN_FILES = {"main.py": "examples/nni_trial/main.py", "config.yml": "examples/nni_trial/config.yml"}
OWN_FILES |= {"search_space.json": "examples/nni_trial/search_space.json"}
SKIPPED_PROGRAMS = {
    **dict.fromkeys(("make", "pip", "python3", ".venv/bin/pip"), "installs, or runs the tests"),
    **dict.fromkeys(("source", "export"), "sets the reader's shell up"),
    **dict.fromkeys(("ssh", "srun", "ray", "for", "kubectl"), "a cluster"),
    "git": "a network",
    "taskset": "a benchmark",
    **dict.fromkeys(("tensorboard", "optuna-dashboard"), "a server that stays open"),
}
RUN_AS_THEY_ARE = ("printf", "echo", "python")
SERVERS = {"--portal": "NNI's service, which stays open", "--dashboard": "a server that stays open", "--ray": "a cluster"}
# Actions that train nothing.
QUICK = ("--list", "--report", "--help", "--help-all", "--version", "--dry-run")
ONE_SHOT = ("darts", "gdas", "drnas", "beta_darts", "sdarts", "pc_darts", "oles", "darts_pt", "spos", "fairnas", "p_darts")
IN_STAGES = ("p_darts",)  # of ONE_SHOT
GENOTYPES = ("DARTS_V1", "DARTS_V2", "PC_DARTS", "PDARTS")
TABLE = "nasbench201.csv.gz"
ASSIGNMENT = re.compile(r"[A-Z_]+=\S*$")


class Skipped(Exception):
    """A command that cannot be run here; its text says why."""


def is_command(line: str) -> bool:
    """Whether a line of code is a command of the shell."""
    words = list(dropwhile(ASSIGNMENT.match, line.removeprefix("$ ").split()))
    known = (*RUN_AS_THEY_ARE, *SKIPPED_PROGRAMS, "retiarius", ".venv/bin/retiarius")
    return line.startswith("$ ") or bool(words and words[0] in known)


def shrink(line: str, folder: Path, table: Path | None) -> str:
    """Return a small command in the place of ``line``.

    Parameters
    ----------
    line
        One line for the shell.
    folder
        Where it is run: a clone of the project.
    table
        The table of NAS-Bench-201, where it is on this machine.

    Raises
    ------
    Skipped
        It cannot be run here.
    """
    words = shlex.split(line, comments=True)
    given = list(takewhile(ASSIGNMENT.match, words))
    words = words[len(given) :]
    if not words:
        raise Skipped("sets the reader's shell up")
    if words[0].endswith("retiarius"):
        words = [*PROGRAM, *words[1:]]
    if words[0] in SKIPPED_PROGRAMS:
        raise Skipped(SKIPPED_PROGRAMS[words[0]])
    if words[:2] != PROGRAM:
        return _other(line, words)
    return " ".join([*given, shlex.join([*PROGRAM, *_small_run(words[2:], folder, table)])])


def _other(line: str, words: list[str]) -> str:
    script = words[1] if words[0] == "python" and len(words) > 1 else ""
    if script.startswith("benchmarks/"):
        return f"python {script} --help"  # it takes minutes or hours; that it starts is seen
    if script.startswith("tests/"):
        raise Skipped("records results anew")
    return line


def _small_run(words: list[str], folder: Path, table: Path | None) -> list[str]:
    for flag, reason in SERVERS.items():
        if flag in words:
            raise Skipped(reason)
    storage = value_of(words, "--storage") or ""
    if storage.startswith(("postgresql", "journal:////mnt")):
        raise Skipped("a server, or a network file system")
    if any(re.search(r"\bMODULE\b", word) for word in words):
        raise Skipped("has a placeholder for the reader's own code")
    words = [_existing(word, words[at - 1] if at else "", folder) for at, word in enumerate(words)]
    if any(flag in words for flag in QUICK):
        return words
    if value_of(words, "--table") == "FILE":
        if table is None:
            raise Skipped(f"needs the table of NAS-Bench-201, {TABLE}")
        words[words.index("--table") + 1] = str(table)
    if "--table" in words:
        return words
    return _small_training(words, folder)


def _existing(word: str, before: str, folder: Path) -> str:
    """Return ``word``, or what there is in the place of a run or a file that a reader would have."""
    if before == "--out" or (folder / word.partition(":")[0]).exists():
        return word
    if word.startswith("runs/"):
        wanted = "best.json" if word.endswith("best.json") else "config.json"
        runs = sorted(folder.glob(f"runs/*/{wanted}"), key=os.path.getmtime)
        if not runs:
            raise Skipped("needs a run, and no command before it makes one")
        return f"runs/{runs[-1].parent.name}" + ("/best.json" if wanted == "best.json" else "")
    if before in ("--config", "--search-space"):
        if word not in OWN_FILES:
            raise Skipped(f"{word} is the reader's own")
        return OWN_FILES[word]
    return word


def _small_training(words: list[str], folder: Path) -> list[str]:
    words = _without(words, lambda flag, value: flag in ("--preset", "--dataset", "--data-dir", "--epochs"))
    program = "--trial-command" in words or ("--config" in words and "--space" not in words)
    epochs = "2" if value_of(words, "--strategy") in IN_STAGES else "1"
    added = [] if program else ["--dataset", "digits", "--epochs", epochs]
    if "--retrain" not in words and value_of(words, "--strategy") not in ONE_SHOT:
        trials = min(int(value_of(words, "--trials") or 2), 2)
        words = _without(words, lambda flag, value: flag == "--trials")
        added += ["--trials", str(trials)]
    elif "--retrain" in words:  # one epoch is given, so no time may be
        words = _without(words, lambda flag, value: flag == "--time-budget")
    if "--then-retrain" in words:
        words[words.index("--then-retrain") + 1] = "5"
    for flag in ("--jobs", "-j", "--workers"):
        if (value_of(words, flag) or "").isdigit():
            words[words.index(flag) + 1] = "2"
    words = [re.sub(r"^(runs/.*:)\d+$", r"\g<1>1", word) for word in words]
    sizes = {} if program else _sizes(words, folder)
    words = _without(words, lambda flag, value: flag == "--set" and value.partition("=")[0] in sizes)
    return [*words, *added, *(word for name, value in sizes.items() for word in ("--set", f"{name}={value}"))]


def _sizes(words: list[str], folder: Path) -> dict[str, object]:
    """Return the smallest sizes of what is searched or trained, by the names that ``--set`` has for them."""
    target = value_of(words, "--retrain") or ""
    space = value_of(words, "--space") or ("darts" if target in GENOTYPES else target)
    if target.endswith(".json"):
        space = json.loads((folder / target).read_text(encoding="utf-8"))["space"]["name"]
    if space == "darts":
        strategy = value_of(words, "--strategy")
        if strategy in IN_STAGES:
            return {"width": 2, "num_nodes": 1, "stage_cells": "[3,3]", "kept_operations": "[3]", "skip_dropout": "[0,0.5]"}
        return {"width": 2, "num_cells": 3, **({"num_nodes": 1} if strategy in ONE_SHOT else {})}
    if space == "convnet32":
        return {"width": 16, "depth": 2}
    own_choice = any(word.startswith(("backbone=", "--search-space", "--config", "--model")) for word in words)
    if space == "zoo" and "--retrain" not in words and not own_choice:
        return {"backbone": "convnet32", "width": 16}
    return {}


def value_of(words: list[str], flag: str) -> str | None:
    """Return the word behind ``flag``; ``None`` where it is not there."""
    return words[words.index(flag) + 1] if flag in words[:-1] else None


def _without(words: list[str], leave_out: Callable[[str, str], bool]) -> list[str]:
    """Return ``words`` without the flags, and their values, that ``leave_out`` names."""
    kept: list[str] = []
    at = 0
    while at < len(words):
        if words[at].startswith("-") and at + 1 < len(words) and leave_out(words[at], words[at + 1]):
            at += 2
        else:
            kept.append(words[at])
            at += 1
    return kept
