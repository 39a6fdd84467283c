"""Whether model spaces that nobody here wrote are searched, found and retrained as they are: the eleven of NNI's hub, and two of one's own.

    python benchmarks/any_space.py            # 4 trials, 256 images; writes docs/guides/any_space.md
    python benchmarks/any_space.py --quick    # 2 trials by random alone, 40 images, less than 50 s; the last line is one JSON object

Each space is named as a person names it (``package.module:Class``), with small sizes for its constructor and nothing else. Trials and
supernets are trained on images of CIFAR-10 where it is on this machine, else on scikit-learn's digits. A search counts where none of its
trials fails and the network of its ``best.json``, built anew, has the number of parameters that the file says. A retraining is the
command ``run_experiment.py --retrain .../best.json --space NAME``; it counts where the network that ``open_run`` gives back answers on
the test images with the accuracy on record. Errors are kept in one line each, and the status is 0: a space that cannot be searched is a
result.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import multiprocessing
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import retiarius as rt
from benchmarks.arguments import count, refuse
from benchmarks.results_section import write_section
from common.errors import describe_error

HUB = "nni.nas.hub.pytorch:"
OWN = "benchmarks.own_spaces:"
CELLS = {"width": 4, "num_cells": 3}
SPACES: dict[str, dict[str, Any]] = {
    f"{HUB}NasBench101": {"stem_out_channels": 8, "num_stacks": 2, "num_modules_per_stack": 1},
    f"{HUB}NasBench201": {"stem_out_channels": 4, "num_modules_per_stack": 1},
    f"{HUB}NASNet": CELLS,
    f"{HUB}ENAS": CELLS,
    f"{HUB}AmoebaNet": CELLS,
    f"{HUB}PNAS": CELLS,
    f"{HUB}DARTS": CELLS,
    f"{HUB}ProxylessNAS": {"width_mult": 0.25},
    f"{HUB}MobileNetV3Space": {
        "base_widths": [8, 8, 8, 8, 16, 16, 24, 24, 32],
        "expand_ratios": [1.0, 2.0],
        "width_multipliers": [0.5, 1.0],
    },
    f"{HUB}ShuffleNetSpace": {},
    f"{HUB}AutoFormer": {
        **{"search_embed_dim": [16, 32], "search_mlp_ratio": [1.0, 2.0], "search_num_heads": [1, 2], "search_depth": [1, 2]},
        "patch_size": 4,
    },
    f"{OWN}ValuesOfLayers": {},
    f"{OWN}CellsAndDepths": {"width": 8},
}
TRIALS: dict[str, Callable[[], Any]] = {"random": rt.Random, "tpe": rt.TPE, "evolution": rt.Evolution}
COLUMNS = (*TRIALS, "one-shot", "retrain")
BEGIN = "<!-- benchmarks/any_space.py writes from here -->"
END = "<!-- to here -->"


@dataclass(frozen=True)
class Size:
    """How large the trainings are, on how many images, by which searches, and whether each one's find is retrained, or the last alone."""

    trials: int
    images: int
    searches: tuple[str, ...]
    retrains_all: bool


QUICK, FULL = Size(2, 40, ("random",), retrains_all=False), Size(4, 256, tuple(TRIALS), retrains_all=True)


@dataclass
class Outcome:
    """What became of one space: by column why not, or ``None`` where it went well."""

    name: str
    reasons: dict[str, str | None] = field(default_factory=dict)

    def note(self, column: str, step: Callable[[], Any]) -> Any:
        """Return what ``step`` returns; where it raises, keep the reason, the first of the column, and return ``None``."""
        self.reasons.setdefault(column, None)
        try:
            return step()
        except Exception as error:
            why = str(error).removeprefix(f"{column}: ") if isinstance(error, rt.RetiariusError) else describe_error(error)
            self.reasons[column] = self.reasons[column] or why
            return None

    def went_well(self, *columns: str) -> bool:
        """Whether there is no reason against any of these columns, and all were tried."""
        return all(self.reasons.get(column, "not tried") is None for column in columns)


def require(holds: bool, otherwise: str) -> None:
    """Raise ``ValueError`` where a check fails."""
    if not holds:
        raise ValueError(otherwise)


def count_parameters(network: Any) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def search(name: str, arguments: Mapping[str, Any], strategy: Any, data: Any, size: Size, out: Path) -> Path:
    """Search the space with ``strategy``, check what was found, and return the path of its ``best.json``."""
    fixed = {**arguments, "batch_size": 64}
    trials = None if strategy.one_shot else size.trials
    found = rt.search(name, strategy, data=data, trials=trials, epochs=1, fixed=fixed, precision="float32", out=out)
    for trial in found.trials:
        require(trial.state == "complete", f"trial {trial.number}: {trial.error or trial.state}")
        require(trial.score is not None and 0 <= trial.score <= 1, f"trial {trial.number} scored {trial.score}")
    require(len(found.trials) == (trials or 0), f"{len(found.trials)} trials instead of {trials}")
    path = out / "best.json"
    best = rt.load_architecture(path, space=name)
    require(best.score is not None and math.isfinite(best.score), "no score in best.json")
    built = count_parameters(best.network())
    require(built == best.parameters, f"the network of best.json has {built} parameters, and the file says {best.parameters}")
    return path


def retrain(name: str, best: Path, data: Any, folder: Path, out: Path) -> None:
    """Retrain ``best`` by a command, and check that the network that it leaves is the one whose figures it tells."""
    import run_experiment

    words = [
        "--retrain",
        str(best),
        "--space",
        name,
        "--dataset",
        str(folder),
        "--epochs",
        "1",
        "--precision",
        "float32",
        "--out",
        str(out),
    ]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = run_experiment.main(words)
    require(status == 0, said.getvalue().strip().splitlines()[-1] if said.getvalue().strip() else f"status {status}")
    result: Any = rt.open_run(out, space=name)
    require(result.document["parameters"] == rt.load_architecture(best, space=name).parameters, "the retrained network is another one")
    answers = result.load_network()(data.test.images).argmax(1)
    # Folders are sorted by name and images by number, so the network's classes are those of the names.
    right = [data.classes[label] == result.document["classes"][answer] for label, answer in zip(data.test.labels, answers, strict=True)]
    accuracy = sum(right) / len(right)
    require(
        abs(accuracy - result.test_accuracy) < 1e-6, f"the network answers with {accuracy:.4f}, the record says {result.test_accuracy:.4f}"
    )


def try_space(name: str, arguments: Mapping[str, Any], data: Any, folder: Path, size: Size, runs: Path) -> Outcome:
    """Search one space in every way and retrain what was found."""
    outcome, found = Outcome(name), []
    strategies: dict[str, Any] = {column: TRIALS[column]() for column in size.searches} | {"one-shot": rt.Darts()}
    for column, strategy in strategies.items():
        out = runs / f"{name.partition(':')[2]}-{column}"
        found.append(outcome.note(column, lambda out=out, strategy=strategy: search(name, arguments, strategy, data, size, out)))
    paths = [path for path in found if path is not None]
    outcome.reasons["retrain"] = None if paths else "nothing was found"
    for path in paths if size.retrains_all else paths[-1:]:
        outcome.note("retrain", lambda path=path: retrain(name, path, data, folder, path.parent / "retrained"))
    return outcome


def keep_to_one_core() -> None:
    """Let this process compute on one core, and not warn of what NNI thinks of newer libraries."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)


def try_all(chosen: Mapping[str, Mapping[str, Any]], data: Any, size: Size, scratch: Path, processes: int) -> list[Outcome]:
    """Return what became of each space, in order; several are tried side by side, on one core each, as their networks are small."""
    tasks = [(name, told, data, scratch / "images", size, scratch) for name, told in chosen.items()]
    if processes == 1:
        keep_to_one_core()
        return [said(try_space(*task)) for task in tasks]
    with multiprocessing.get_context("spawn").Pool(processes, initializer=keep_to_one_core) as pool:
        return [said(result.get()) for result in [pool.apply_async(try_space, task) for task in tasks]]


def said(outcome: Outcome) -> Outcome:
    """Return ``outcome``, told in one line on the screen."""
    reasons = [f"{column}: {reason}" for column, reason in outcome.reasons.items() if reason is not None]
    print(f"{outcome.name}: {'; '.join(reasons) or 'all'}", file=sys.stderr, flush=True)
    return outcome


def write_images(data: Any, folder: Path) -> None:
    """Write the images as files, which a command can name: ``train/<class>/`` and ``test/<class>/``."""
    from PIL import Image

    for part, splits in (("train", (data.train, data.validation)), ("test", (data.test,))):
        number = 0
        for split in splits:
            for image, label in zip(split.images, split.labels, strict=True):
                path = folder / part / data.classes[label] / f"{number:05}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
                number += 1


def format_table(outcomes: Sequence[Outcome], data: Any, size: Size) -> str:
    """The table for the docs, and below it a line for each thing that cannot be done."""
    lines = [f"| space | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    for outcome in outcomes:
        cells = ["yes" if outcome.went_well(column) else "no" for column in COLUMNS]
        lines.append(f"| `{outcome.name.removeprefix(HUB)}` | {' | '.join(cells)} |")
    height, width = data.train.images.shape[2:]
    whole = len(data.train) + len(data.validation)
    told = f"{size.trials} trials of a search, one epoch each, {whole} images of {data.name} with {height}x{width} pixels"
    lines += ["", f"By `benchmarks/any_space.py`: {told}.", ""]
    lines += [
        f"- `{outcome.name.removeprefix(HUB)}`, {column}: {reason}"
        for outcome in outcomes
        for column, reason in outcome.reasons.items()
        if reason is not None
    ]
    return "\n".join(lines)


def summarize(outcomes: Sequence[Outcome], searches: Sequence[str]) -> dict[str, int]:
    """The numbers of the hub's spaces that can be searched in each of these ways, retrained, and searched one-shot."""
    hub = [outcome for outcome in outcomes if outcome.name.startswith(HUB)]
    wanted = {"searched": tuple(searches), "retrained": ("retrain",), "one_shot": ("one-shot",)}
    return {"spaces": len(hub)} | {word: sum(each.went_well(*columns) for each in hub) for word, columns in wanted.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 trials, 40 images, less than 50 s")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="try these spaces, such as ENAS, and write no documents")
    parser.add_argument("--processes", type=count, default=min(2, os.cpu_count() or 1), help="spaces tried side by side (default: 2)")
    parser.add_argument("--data-dir", type=Path, default=ROOT / "data", help="where CIFAR-10 lies (default: data)")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs/guides", help="where any_space.md lies")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    chosen = {name: told for name, told in SPACES.items() if arguments.only is None or name.partition(":")[2] in arguments.only}
    if not chosen:
        parser.error(f"--only: names are {', '.join(name.partition(':')[2] for name in SPACES)}")
    is_there = (arguments.data_dir / "cifar10").is_dir()
    with refuse(rt.DataError), tempfile.TemporaryDirectory() as scratch:
        data = rt.load_data("cifar10" if is_there else "digits", data_dir=arguments.data_dir, limit=size.images)
        write_images(data, Path(scratch, "images"))
        outcomes = try_all(chosen, data, size, Path(scratch), arguments.processes)
    if not arguments.quick and arguments.only is None:
        write_section(arguments.docs / "any_space.md", format_table(outcomes, data, size), BEGIN, END)
    print(json.dumps(summarize(outcomes, size.searches)))


if __name__ == "__main__":
    main()
