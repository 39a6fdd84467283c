"""Whole runs by the command line, as a person types them, on 300 of the digits and on 1,200 images of the real CIFAR-10."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import SMALL, in_a_folder_of_its_own_with_few_digits, read, run  # noqa: F401
from image_folders import write_images
from report_runs import read_scalars

from evaluators.training.recipes import RECIPES
from kernels.build import kernels_for
from records.trials import TrialLog

TRIALS = [*SMALL, "--trials", "2", "--epochs", "1"]


@pytest.fixture(scope="module")
def cifar_subset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 training and 200 test images of the real CIFAR-10 as a folder of images."""
    sprites = Path(__file__).parents[3] / "shared" / "cifar10" / "sprites"
    if not sprites.is_dir():
        pytest.skip("the real CIFAR-10 is not beside the checkout (shared/cifar10)")
    from PIL import Image

    folder = tmp_path_factory.mktemp("real") / "cifar-subset"
    for sprite in sprites.glob("*-00.webp"):
        split, label, _ = sprite.stem.split("-")
        (folder / split / label).mkdir(parents=True)
        with Image.open(sprite) as opened:
            images = opened.convert("RGB")
            for index in range(100 if split == "train" else 20):
                images.crop((0, 32 * index, 32, 32 * index + 32)).save(folder / split / label / f"{index}.png")
    return folder


def check_best(path: str, space: str, dataset: str) -> dict[str, Any]:
    best: dict[str, Any] = read(path)
    assert best["space"]["name"] == space
    assert best["dataset"]["name"] == dataset
    assert 0 < best["score"]["value"] <= 1
    assert best["parameters"] > 1000
    assert best["flops"] > 1000
    return best


@pytest.mark.slow
def test_darts_by_darts_then_retrained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--space", "darts", "--strategy", "darts", *SMALL, "--epochs", "1", "--tensorboard", "--out", "search") == 0
    best = check_best("search/best.json", "darts", "digits")
    assert best["score"]["metric"] == "supernet validation accuracy"
    assert best["hyperparameters"]["optimizer"] == "muon", "the recipe for the network that is trained alone"
    epoch, scalars = read("search/epochs.jsonl"), read_scalars(Path("search/tensorboard"))
    for name in ("train_loss", "validation_accuracy", "entropy"):
        assert scalars[name] == {1: pytest.approx(epoch[name])}
    assert "share of skip connections" in scalars
    printed = capsys.readouterr()
    assert "--retrain search/best.json\n" in printed.out, "the file knows the data set"
    assert "WARNING" not in printed.out + printed.err

    assert run("--retrain", "search/best.json", *SMALL, "--epochs", "1", "--tensorboard", "--out", "retrained") == 0
    result, scalars = read("retrained/retrained.json"), read_scalars(Path("retrained/tensorboard"))
    for name, key in (("training loss", "loss"), ("training accuracy", "accuracy"), ("learning rate", "learning_rate")):
        assert scalars[name] == {1: pytest.approx(result["curve"][0][key])}
    assert result["curve"][0]["learning_rate"] == 0.06 and scalars["test accuracy"] == {1: pytest.approx(result["test_accuracy"])}
    assert 0 <= result["test_accuracy"] <= 1
    assert result["space"]["arguments"]["width"] == 8, "the preset's size of retraining, not the supernet's"
    assert len(result["curve"]) == result["epochs"] == 1
    assert Path("retrained/weights.safetensors").stat().st_size > 4 * result["parameters"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "tpe", "evolution", "grid"])
@pytest.mark.parametrize("space", ["darts", "zoo"])
def test_trials(space: str, strategy: str) -> None:
    assert run("--space", space, "--strategy", strategy, *TRIALS, "--out", "run") == 0
    best = check_best("run/best.json", space, "digits")
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert len(trials) == 2
    assert best["score"]["value"] == max(trial.score for trial in trials if trial.score is not None)
    assert best["architecture"] in [trial.architecture for trial in trials]
    assert {"darts": "normal/edge_0_2", "zoo": "initial_lr"}[space] in best["strategy"]["searched"]
    assert read("run/config.json")["ended"]


@pytest.mark.slow
def test_hpo_keeps_the_backbone_and_begins_with_the_recipe() -> None:
    assert run("--space", "zoo", "--strategy", "hpo", *TRIALS, "--model", "squeezenet1_1", "--out", "run") == 0
    first, second = TrialLog(Path("run/trials.jsonl")).read()
    assert first.architecture == second.architecture == {"backbone": "squeezenet1_1", "stem": "own", "width": 64, "depth": 2}
    assert first.hyperparameters["initial_lr"] == RECIPES["fast"].initial_lr != second.hyperparameters["initial_lr"]


@pytest.mark.slow
def test_the_labs_baseline_is_one_configuration() -> None:
    lab = ["--recipe", "lab", "--model", "resnet18", "--initial_lr", "0.01", "--batch_size", "64"]
    assert run("--space", "zoo", "--strategy", "random", *SMALL, "--trials", "1", "--epochs", "1", *lab, "--out", "run") == 0
    (trial,) = TrialLog(Path("run/trials.jsonl")).read()
    assert trial.architecture == {"backbone": "resnet18", "stem": "own", "width": 64, "depth": 2}
    expected = {"initial_lr": 0.01, "batch_size": 64, "schedule": "cosine_per_batch", "weight_decay": 5e-4, "optimizer": "sgd"}
    assert {name: trial.hyperparameters[name] for name in expected} == expected


@pytest.mark.slow
def test_pinning_everything_is_one_trial(capsys: pytest.CaptureFixture[str]) -> None:
    pins = {"backbone": "tinynet_e", "stem": "own", "initial_lr": 0.02, "weight_decay": 0, "optimizer": "adam", "momentum": 0.9}
    pins |= {"batch_size": 64, "cutout": 0, "grad_clip": 0, "label_smoothing": 0}
    flags = [flag for name, value in pins.items() for flag in ("--set", f"{name}={value}")]
    assert run("--space", "zoo", "--strategy", "tpe", *SMALL, "--trials", "5", "--epochs", "1", *flags, "--out", "run") == 0
    assert len(TrialLog(Path("run/trials.jsonl")).read()) == 1
    assert read("run/best.json")["strategy"]["searched"] == []


@pytest.mark.slow
def test_real_cifar_by_darts_and_by_trials_then_retrained(cifar_subset: Path) -> None:
    data = ["--dataset", str(cifar_subset), "--device", "cpu", "--precision", "float32"]
    cells = ["--set", "width=4", "--set", "num_cells=3"]
    assert run("--space", "darts", "--strategy", "darts", *data, "--epochs", "1", *cells, "--out", "search") == 0
    check_best("search/best.json", "darts", "cifar-subset")
    small = ["--model", "convnet32", "--set", "width=16", "--set", "depth=2"]
    assert run("--space", "zoo", "--strategy", "tpe", *data, "--trials", "2", "--epochs", "2", *small, "--out", "zoo") == 0
    best = check_best("zoo/best.json", "zoo", "cifar-subset")
    assert run("--retrain", "zoo/best.json", *data, "--epochs", "4", "--out", "retrained") == 0
    result = read("retrained/retrained.json")
    assert result["dataset"]["test"] == 200
    assert result["test_accuracy"] > 0.15, "better than one in ten"
    assert result["hyperparameters"] == best["hyperparameters"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "grid", "evolution", "hpo"])
def test_real_cifar_by_every_other_strategy(cifar_subset: Path, strategy: str) -> None:
    data = ["--dataset", str(cifar_subset), "--device", "cpu", "--precision", "float32", "--model", "squeezenet1_1"]
    assert run("--space", "zoo", "--strategy", strategy, *data, "--trials", "2", "--epochs", "1", "--out", "run") == 0
    check_best("run/best.json", "zoo", "cifar-subset")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["fast", "lab", "darts"])
def test_every_recipe_can_begin_a_search_of_hyperparameters(recipe: str) -> None:
    options = [*SMALL, "--trials", "1", "--epochs", "1", "--model", "squeezenet1_1", "--recipe", recipe]
    assert run("--space", "zoo", "--strategy", "tpe", *options, "--out", "run") == 0
    (trial,) = TrialLog(Path("run/trials.jsonl")).read()
    size = 256 if recipe == "fast" else 128
    assert trial.hyperparameters["batch_size"] == size, "the recipe's, or the default where 96 is none of the choices"


@pytest.mark.slow
def test_a_lost_best_json_comes_back_with_the_resumed_run() -> None:
    search = ["--space", "zoo", "--strategy", "random", *TRIALS, "--model", "squeezenet1_1", "--out", "run"]
    assert run(*search) == 0
    before = read("run/best.json")
    Path("run/best.json").unlink()
    assert run(*search, "--resume") == 0
    after = read("run/best.json")
    assert {**before, "created": ""} == {**after, "created": ""}


@pytest.mark.slow
def test_sizes_of_the_cells_and_how_the_supernet_is_trained_can_be_set() -> None:
    write_images(Path("few"), train=100)
    few = ["--dataset", "few", *SMALL[2:]]
    supernet = ["--order", "2", "--supernet", "stock", "--collapse-guard", "stop", "--cost-weight", "50", "--set", "alpha_lr=0.01"]
    search = ["--space", "darts", "--strategy", "darts", *few, "--epochs", "1", "--set", "width=6", "--set", "num_cells=3"]
    assert run(*search, "--set", "num_nodes=2", "--set", "none=true", *supernet, "--out", "search") == 0
    best = read("search/best.json")
    assert best["space"]["arguments"] == {"width": 6, "num_cells": 3, "num_nodes": 2, "none": True, "num_classes": 2}
    assert len(best["architecture"]) == 2 * (2 + 5), "of each cell two choices of inputs and five edges"
    told = best["strategy"]
    assert (told["order"], told["cost_weight"], told["collapse_guard"]["mode"], told["alpha_lr"]) == (2, 50.0, "stop", 0.01)
    assert not any("conv" in str(value) for value in best["architecture"].values()), "costs outweigh all else"
    assert read("search/config.json")["identity"]["--supernet"] == "stock"
    assert run("--retrain", "search/best.json", *few, "--epochs", "1", "--set", "width=5", "--out", "retrain") == 0
    sizes = read("retrain/retrained.json")["space"]["arguments"]
    assert sizes == {"width": 5, "num_cells": 5, "num_nodes": 2, "none": True, "auxiliary": True, "num_classes": 2}


@pytest.mark.slow
def test_a_published_genotype_is_trained_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--retrain", "DARTS_V2", *SMALL, "--epochs", "1", "--precision", "bfloat16", "--out", "run") == 0
    precision = "bfloat16" if kernels_for(torch.float32) is None else "float32"  # in which the kernels compute, whatever is asked for
    assert read("run/retrained.json")["precision"] == precision
    assert ("--precision bfloat16 has no effect" in capsys.readouterr().err) == (precision == "float32")
    assert read("run/retrained.json")["space"]["arguments"] == {"width": 8, "num_cells": 5, "auxiliary": True, "num_classes": 10}


@pytest.mark.slow
def test_networks_that_are_too_large_are_not_trained(capsys: pytest.CaptureFixture[str]) -> None:
    limits = ["--max-params", "0.75M", "--max-flops", "3M"]
    assert run("--space", "zoo", "--strategy", "random", *SMALL, "--trials", "2", "--epochs", "1", *limits, "--out", "run") == 0
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert [trial.number for trial in trials] == [0, 1], "what is left out costs no trial"
    for trial in trials:
        assert trial.parameters is not None and trial.parameters <= 750_000
        assert trial.flops is not None and trial.flops <= 3_000_000
    printed, logged = "".join(capsys.readouterr()), Path("run/log.txt").read_text()
    assert "the default configuration is not tried first: 11,181,642 parameters, more than --max-params 750,000" in printed
    assert f"{logged.count('not tried')} networks were skipped as too large" in printed
    assert "parameters, more than `max_parameters=750,000`: {" in logged


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    assert (
        run("--space", "zoo", "--strategy", "random", *SMALL, "--trials", "1", "--epochs", "1", "--model", "squeezenet1_1", "--out", "run")
        == 0
    )
    assert torch.equal(torch.get_rng_state(), before)
