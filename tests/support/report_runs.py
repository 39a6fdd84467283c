"""Folders of runs as they would be found, written without running anything."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from recorded_trials import make_trial

from common.files import write_json_atomically
from common.trial import Trial
from records.best import save_best
from records.trials import TrialLog

OPERATIONS = ("max_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_5x5")
DATASET = {"name": "digits", "classes": 10, "train": 1293, "validation": 144, "test": 360, "image_shape": [3, 32, 32]}
RECIPE = {"initial_lr": 0.1, "weight_decay": 5e-4, "optimizer": "sgd", "momentum": 0.9}


def write_config(folder: Path, settings: dict[str, Any], identity: dict[str, Any], **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    same = {"space": {"name": "zoo", "arguments": {}}, "dataset": DATASET, "recipe": RECIPE, "epochs": 3, "seed": 0, "pins": {}}
    config = {"format": "retiarius-run", "version": 1, "created": "2026-01-31T12:00:00+00:00", "command": "python run_experiment.py"}
    config |= {"commit": "abc", "versions": {"torch": "2.6"}, "resumed": [], "settings": settings, "identity": {**same, **identity}, **more}
    write_json_atomically(folder / "config.json", config)
    return folder


def make_trials(
    count: int, *, seed: int = 0, epochs: int = 8, backbones: tuple[str, ...] = ("resnet18", "vgg16", "mobilenet_v2")
) -> list[Trial]:
    """Complete ones, every fourth pruned, every tenth failed; the score is the higher the nearer the learning rate is to 0.05."""
    draw = random.Random(seed)
    trials = []
    for number in range(count):
        rate = 10 ** draw.uniform(-4, -0.3)
        score = max(0.1, 0.95 - abs(rate - 0.05)) - draw.uniform(0, 0.02)
        status = "failed" if number % 10 == 9 else "pruned" if number % 4 == 3 else "complete"
        length = {"complete": epochs, "pruned": max(1, epochs // 3), "failed": 0}[status]
        hyperparameters = {"initial_lr": rate, "weight_decay": 10 ** draw.uniform(-6, -3), "momentum": 0.9}
        hyperparameters |= {
            "optimizer": draw.choice(["sgd", "adam"]),
            "batch_size": draw.choice([64, 128]),
            "grad_clip": draw.uniform(0, 5),
        }
        trials.append(
            make_trial(
                number,
                status,
                {"backbone": draw.choice(backbones), "stem": draw.choice(["own", "small"])},
                hyperparameters,
                score if status == "complete" else None,
                [score * (n + 1) / (epochs + 1) for n in range(length)],
                seconds=draw.uniform(1, 90),
                parameters=draw.randrange(10_000, 10_000_000),
                flops=draw.randrange(1_000_000, 100_000_000),
                error="CUDA out of memory" if status == "failed" else None,
            )
        )
    return trials


def write_search(folder: Path, trials: list[Trial], *, strategy: str = "tpe", planned: int | None = None) -> Path:
    settings = {"space": "zoo", "strategy": strategy, "retrain": None, "preset": "quick", "dataset": "auto", "data_dir": "data", "pins": {}}
    write_config(folder, settings, {"strategy": strategy, "trials": planned or len(trials)})
    (folder / "trials.jsonl").unlink(missing_ok=True)
    for trial in trials:
        TrialLog(folder / "trials.jsonl", durable=False).append(trial)
    completed = [trial for trial in trials if trial.score is not None]
    if completed:
        best = max(completed, key=lambda trial: trial.score or 0.0)
        write_best(folder, "zoo", strategy, best.architecture, best.hyperparameters, best.score or 0.0, trial=best.number)
    return folder


def write_command_search(folder: Path, scores: list[float], mode: str = "minimize", command: str = "python main.py") -> Path:
    """The search of somebody's own program, each trial of which has reported twice its result and then that; without the best one."""
    settings = {"trial_command": command, "optimize_mode": mode, "strategy": "tpe", "space": None, "retrain": None, "pins": {}}
    write_config(folder, settings, {"strategy": "tpe", "trials": len(scores), "space": None, "dataset": None, "recipe": None})
    for number, score in enumerate(scores):
        trial = make_trial(number, "complete", {}, {"lr": 0.1 * (number + 1)}, score, [2 * score, score])
        TrialLog(folder / "trials.jsonl", durable=False).append(trial)
    return folder


def write_best(
    folder: Path, space: str, strategy: str, architecture: dict[str, Any], values: dict[str, Any], score: float, **more: Any
) -> None:
    save_best(
        folder / "best.json",
        space_name=space,
        space_arguments={},
        architecture=architecture,
        hyperparameters=values,
        score={"metric": "validation accuracy", "value": score, "epochs": 3},
        dataset=DATASET,
        strategy={"name": strategy, **more},
        seed=0,
        parameters=123_456,
        flops=7_890_000,
        versions={},
    )


def make_cells(nodes: int = 4, seed: int = 0) -> dict[str, Any]:
    """An architecture of two cells, as the space ``darts`` labels it."""
    draw = random.Random(seed)
    architecture: dict[str, Any] = {}
    for kind in ("normal", "reduce"):
        for node in range(2, nodes + 2):
            architecture |= {f"{kind}/edge_{source}_{node}": draw.choice(OPERATIONS) for source in range(node)}
            architecture[f"{kind}/inputs_{node}"] = sorted(draw.sample(range(node), 2))
    return architecture


def write_one_shot(folder: Path, epochs: int = 5) -> Path:
    architecture = make_cells()
    settings = {"space": "darts", "strategy": "darts", "retrain": None, "pins": {}, "dataset": "digits"}
    write_config(folder, settings, {"strategy": "darts", "trials": 1, "space": {"name": "darts", "arguments": {"width": 4}}})
    edges = [label for label in architecture if "/edge_" in label]
    with (folder / "epochs.jsonl").open("w", encoding="utf-8") as file:
        for number in range(1, epochs + 1):
            shares = {label: {name: 0.25 + 0.01 * number * (index - 1.5) for index, name in enumerate(OPERATIONS)} for label in edges}
            epoch = {"number": number, "train_loss": 2.3 / number, "train_accuracy": 0.1 * number, "validation_loss": 2.4 / number}
            epoch |= {"validation_accuracy": 0.09 * number, "probabilities": shares, "sample": architecture}
            epoch |= {"entropy": 1.4 - 0.1 * number, "skips": {"normal": [number % 3, 8], "reduce": [1, 8]}}
            file.write(json.dumps(epoch) + "\n")
    write_best(folder, "darts", "darts", architecture, RECIPE, 0.45)
    return folder


def write_retraining(
    folder: Path, retrain: str, architecture: dict[str, Any], accuracy: float, *, space: str = "zoo", seed: int = 0, **settings: Any
) -> Path:
    pins = settings.get("pins", {})
    identity = {
        "space": {"name": space, "arguments": {}},
        "architecture": architecture,
        "seed": seed,
        "pins": pins,
        "recipe": {**RECIPE, **pins},
    }
    write_config(folder, {"retrain": retrain, "recipe": None, "pins": {}, **settings}, identity)
    curve = [{"number": n, "loss": 2.0 / n, "accuracy": accuracy * n / 4, "seconds": 5.0 * n} for n in range(1, 5)]
    result = {"test_accuracy": accuracy, "flip_averaging": False, "curve": curve, "seconds": 20.0, "parameters": 11_000_000}
    result |= {"flops": 37_000_000, "epochs": 4, "hyperparameters": RECIPE, "architecture": architecture, "seed": seed}
    write_json_atomically(folder / "retrained.json", result)
    return folder


def read_scalars(folder: Path) -> dict[str, dict[int, float]]:
    """What TensorBoard reads in a folder: by name, the value of each step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}


def read_hyperparameters(folder: Path) -> dict[str, Any]:
    """What the tab HPARAMS shows of a trial: its numbers."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    events = EventAccumulator(str(folder)).Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    chosen = HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: value.number_value for name, value in chosen.items()}
