"""Recipes: legal values, what older runs knew, learning rates over a training, what is decayed."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, fields
from typing import Any

import pytest
import torch
from bright_bars import make_data, make_network
from torch import nn

from common.errors import EvaluatorError, TrainingDiverged
from common.optimizers import OPTIMIZERS
from evaluators.training.hyperparameters import LEGAL, Range, check_hyperparameter
from evaluators.training.loop import train
from evaluators.training.optimizers import learning_rate_factor, make_optimizer
from evaluators.training.recipes import (
    RECIPES,
    Recipe,
    complete_recipe,
    make_recipe,
    override,
    recipe_values,
    supernet_values,
    values_as_told,
)


def test_cosine_schedule_rises_and_falls_over_all_steps() -> None:
    factor = learning_rate_factor(Recipe(initial_lr=1.0, ending_lr=0.1, warmup_epochs=1), epochs=5, steps=10)
    values = [factor(step) for step in range(50)]
    assert values[0] == pytest.approx(1 / 11)
    assert max(values) == values[10] == 1.0
    assert all(a >= b for a, b in itertools.pairwise(values[10:]))
    assert factor(50) == pytest.approx(0.1)
    assert factor(30) == pytest.approx(0.55)


def test_the_labs_slip_swings_with_a_period_of_twice_the_epochs_in_batches() -> None:
    factor = learning_rate_factor(RECIPES["lab"], epochs=30, steps=351)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1), T_max=30)
    for step in range(100):
        assert 0.1 * factor(step) == pytest.approx(reference.get_last_lr()[0], abs=1e-6)
        reference.optimizer.step()
        reference.step()


def test_the_labs_program_ends_where_its_rate_is_lowest() -> None:
    """By its loader, which keeps the last batch: 391 steps of 50,000 images an epoch, of a rate that swings every 60 steps."""
    factor = learning_rate_factor(RECIPES["lab"], epochs=30, steps=391)
    assert factor(30 * 391 - 1) < 0.01
    assert learning_rate_factor(RECIPES["lab"], epochs=30, steps=390)(30 * 390 - 1) > 0.99


def test_a_line_falls_to_the_end() -> None:
    factor = learning_rate_factor(Recipe(initial_lr=1.0, ending_lr=0.2, warmup_epochs=1, schedule="linear"), epochs=5, steps=10)
    assert [factor(step) for step in (10, 20, 30, 50)] == pytest.approx([1.0, 0.8, 0.6, 0.2])


def test_a_warm_up_takes_half_of_the_training_at_most() -> None:
    factor = learning_rate_factor(Recipe(initial_lr=1.0, warmup_epochs=10), epochs=4, steps=10)
    assert factor(19) == pytest.approx(20 / 21)
    assert factor(20) == 1.0
    assert factor(39) < 0.02


def test_norms_and_biases_are_decayed_only_where_the_recipe_says_so() -> None:
    network = make_network()
    for decay_norms, expected in ((True, [6]), (False, [2, 4])):
        optimizer = make_optimizer(network, Recipe(decay_norms=decay_norms))
        assert [len(group["params"]) for group in optimizer.param_groups] == expected
        assert [group["weight_decay"] for group in optimizer.param_groups] == [5e-4, 0.0][: len(expected)]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("initial_lr", -0.1, "initial_lr: -0.1 is out of range; it must be more than 0"),
        ("initial_lr", 0, "more than 0"),
        ("initial_lr", "fast", "initial_lr: 'fast' is not a number"),
        ("initial_lr", math.nan, "not a number"),
        ("initial_lr", True, "True is not a number"),
        ("momentum", 1.0, "at least 0 and less than 1"),
        ("batch_size", 1, "at least 2"),
        ("batch_size", 64.5, "not a whole number"),
        ("optimizer", "lion", "'lion' is not one of sgd, adam, rmsprop, muon"),
        ("nesterov", 1, "1 is not one of True, False"),
        ("colour", 1, "unknown hyperparameter 'colour'; known: initial_lr, "),
        ("batch_sise", 1, r"unknown hyperparameter 'batch_sise' \(did you mean batch_size\?\); known: "),
        ("batch_size", 1e308, r"batch_size: 1e\+308 is out of range; it must be at least 2 and at most 100000"),
        ("batch_size", 10**400, "is not a whole number"),
        ("batch_size", "64", "batch_size: '64' is not a whole number"),
        ("initial_lr", 1e39, r"initial_lr: 1e\+39 is out of range; it must be more than 0 and at most 1000"),
        ("ending_lr", math.inf, "ending_lr: inf is not a number"),
        ("start_size", 0.05, "start_size: 0.05 is out of range; it must be at least 0.1 and at most 1"),
        ("momentum", [0.9], r"momentum: \[0.9\] is not a number"),
        ("optimizer", "x" * 1_000_000, r"'x+\.\.\. is not one of sgd, adam"),
        ("optimizer", ["sgd"], r"\['sgd'\] is not one of"),
        ("schedule", True, "True is not one of cosine"),
        ("x" * 1_000_000, 1, "unknown hyperparameter 'x"),
    ],
)
def test_illegal_hyperparameters_are_named_with_the_legal_ones(name: str, value: Any, message: str) -> None:
    with pytest.raises(EvaluatorError, match=message) as caught:
        check_hyperparameter(name, value)
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)


def test_every_hyperparameter_has_an_end_on_both_sides_and_keeps_to_it() -> None:
    assert list(LEGAL) == [field.name for field in fields(Recipe)]
    for name, legal in LEGAL.items():
        if not isinstance(legal, Range):
            assert getattr(Recipe, name) in legal
            continue
        assert isinstance(getattr(Recipe, name), int if legal.whole else float)
        for value, inside in (
            (legal.low, not legal.open_low),
            (legal.high, not legal.open_high),
            (legal.low - 1, False),
            (legal.high * 2, False),
        ):
            if inside:
                assert check_hyperparameter(name, value) == value
            else:
                with pytest.raises(
                    EvaluatorError, match=f"^{name}: .* is out of range; it must be (at least|more than) .* and (at most|less than) "
                ):
                    check_hyperparameter(name, value)


@pytest.mark.parametrize("name", ["initial_lr", "ending_lr", "weight_decay"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_ends_of_what_is_legal_train_or_diverge(optimizer: str, name: str) -> None:
    legal = LEGAL[name]
    assert isinstance(legal, Range)
    for value in (1e-300 if legal.open_low else legal.low, 0.999999 if legal.open_high else legal.high):
        recipe = make_recipe({"batch_size": 16, "optimizer": optimizer, name: value})
        try:
            list(train(make_network(), make_data().train, make_data(), epochs=1, recipe=recipe))
        except TrainingDiverged as error:
            assert "the training diverged" in str(error)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_legal(name: str) -> None:
    assert make_recipe(recipe_values(name)) == RECIPES[name]
    used = supernet_values(recipe_values(name))
    assert used.keys() == recipe_values(name).keys() and used["batch_size"] == RECIPES[name].batch_size
    assert (used["crop_padding"], used["start_size"], used["drop_path"]) == (4, 1.0, 0.0), "a supernet sees the paper's images"
    assert override(recipe_values(name), {"batch_size": 32, "backbone": "x"}) == {**recipe_values(name), "batch_size": 32}


def test_values_that_an_older_run_did_not_know_are_left_out_while_they_are_as_before() -> None:
    values = {"initial_lr": 0.03, "mixup": 0.0, "ema_decay": 0.99, "auxiliary_weight": 0.4}
    assert values_as_told(values, {"initial_lr": 0.1}) == {"initial_lr": 0.03, "ema_decay": 0.99}
    assert values_as_told(values, {"initial_lr": 0.1, "mixup": 0.0}) == {"initial_lr": 0.03, "mixup": 0.0, "ema_decay": 0.99}
    assert values_as_told(values, None) == values


# What a file has


def test_what_is_newer_than_a_file_is_at_its_default() -> None:
    old = {"initial_lr": 0.06, "optimizer": "muon", "batch_size": 64.0}
    assert complete_recipe(old, where="best.json") == {**asdict(Recipe()), **old}
    assert complete_recipe(recipe_values("cells"), where="best.json") == recipe_values("cells")
    assert complete_recipe({}, where="best.json") == {}, "nothing is said of a training"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"initial_lr": 0.06, "batch_size": 64},
            "^best\\.json: the hyperparameters initial_lr, batch_size need an 'optimizer'; add it, or remove them all",
        ),
        ({"optimizer": "lion"}, "^best.json: optimizer: 'lion' is not one of"),
        ({"dropout": 0.1}, "^best.json: unknown hyperparameter 'dropout'"),
        ({"batch_size": 1e308}, "^best.json: batch_size: "),
    ],
)
def test_hyperparameters_of_a_file_that_lack_the_optimizer_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluatorError, match=message):
        complete_recipe(values, where="best.json")
