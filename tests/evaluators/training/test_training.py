"""The training loop: the same seed, the same curve; divergence; the test set untouched by search."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from bright_bars import HERE, SETTINGS, make_data, make_network
from torch import nn
from torchvision.ops import StochasticDepth

from common.errors import EvaluatorError, TrainingDiverged
from evaluators import EVALUATORS, evaluator_entry
from evaluators.complexity import measure_complexity
from evaluators.data.dataset import Dataset, Split
from evaluators.training.accuracy import measure_accuracies, measure_accuracy
from evaluators.training.loop import idle_settings, retrain, train, train_and_validate
from evaluators.training.recipes import RECIPES, Recipe, make_recipe

BFLOAT16: dict[str, Any] = {"device": torch.device("cpu"), "precision": torch.bfloat16}


@pytest.mark.parametrize("name", [name for name, entry in EVALUATORS.items() if not (entry.looks_up or entry.untrained)])
def test_every_evaluator_learns_reports_each_epoch_and_repeats_itself(name: str) -> None:
    evaluate = evaluator_entry(name).load()
    networks, curves = [make_network() for _ in range(3)], [[], [], []]  # type: ignore[var-annotated]
    for network, curve, seed in zip(networks, curves, (0, 0, 1), strict=True):
        score = evaluate(network, data=make_data(), epochs=15, seed=seed, report=curve.append, **HERE, **SETTINGS)
        assert score == curve[-1] > 0.9
        assert len(curve) == 15
    assert curves[0] == curves[1]
    first, again, other = (torch.cat([p.flatten() for p in network.parameters()]) for network in networks)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_recipe_fast_repeats_itself_in_bfloat16() -> None:
    recipe, states = make_recipe({**asdict(RECIPES["fast"]), "batch_size": 16}), []
    for _ in range(2):
        network = make_network()
        epochs = train(network, make_data().train, make_data(), epochs=3, recipe=recipe, **BFLOAT16)
        states.append([(epoch.loss, epoch.accuracy) for epoch in epochs])
        states.append([parameter.tolist() for parameter in network.parameters()])
    assert states[:2] == states[2:]


def test_search_never_looks_at_the_test_set() -> None:
    data = make_data()
    poisoned = Dataset(
        data.name, data.classes, data.train, data.validation, Split(data.test.images, data.test.labels + 100), data.mean, data.std, "0"
    )
    assert train_and_validate(make_network(), data=poisoned, epochs=2, **SETTINGS) == train_and_validate(
        make_network(), data=data, epochs=2, **SETTINGS
    )


def test_retraining_scores_the_test_set_and_uses_the_validation_images(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    data, network = make_data(), make_network()
    result = retrain(network, data=data, epochs=12, recipe=make_recipe(SETTINGS), weights=tmp_path / "weights.safetensors")
    assert result["test_accuracy"] == measure_accuracy(network, data.test, data) > 0.9
    assert [epoch["number"] for epoch in result["curve"]] == list(range(1, 13))
    assert result["seconds"] == pytest.approx(sum(epoch["seconds"] for epoch in result["curve"]))
    steps = len(data.train_and_validation) // 16
    assert network[1].num_batches_tracked == 12 * steps > 12 * (len(data.train) // 16)
    reloaded = make_network()
    reloaded.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert measure_accuracy(reloaded, data.test, data) == result["test_accuracy"]


def test_divergence_ends_the_training_with_a_word() -> None:
    with pytest.raises(TrainingDiverged, match="a smaller initial_lr or a grad_clip may help"):
        list(train(make_network(), make_data().train, make_data(), epochs=50, recipe=Recipe(initial_lr=1e30, batch_size=16)))
    with pytest.raises(TrainingDiverged, match="a smaller initial_lr or a grad_clip may help"):
        network = nn.Sequential(nn.Flatten(), nn.Linear(192, 20), nn.ReLU(), nn.Linear(20, 3))
        train_and_validate(network, data=make_data(), epochs=50, initial_lr=1000, batch_size=16)


def test_gradients_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    original = torch.optim.SGD.step

    def step(self: torch.optim.SGD, *arguments: Any, **options: Any) -> Any:
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        return original(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    train_and_validate(make_network(), data=make_data(), epochs=1, grad_clip=0.01, **SETTINGS)
    assert max(norms) <= 0.01 * 1.001


def test_drop_path_rises_linearly_and_only_where_the_recipe_has_it() -> None:
    network = nn.Sequential(make_network(), StochasticDepth(0.0, "row"))
    path = network[1]
    seen = [path.p for _ in train(network, make_data().train, make_data(), epochs=4, recipe=make_recipe({**SETTINGS, "drop_path": 0.4}))]
    assert seen == pytest.approx([0.0, 0.1, 0.2, 0.3])
    path.p = 0.25
    list(train(network, make_data().train, make_data(), epochs=1, recipe=make_recipe(SETTINGS)))
    assert path.p == 0.25, "a network's own stochastic depth is left alone"


def test_settings_that_change_nothing_are_told() -> None:
    network, with_paths = make_network(), nn.Sequential(make_network(), StochasticDepth(0.0, "row"))
    recipe = Recipe(drop_path=0.2, warmup_epochs=1)
    (line,) = idle_settings(network, recipe)
    assert line == "drop_path 0.2 has no effect: this network has no paths to drop"
    assert not list(idle_settings(with_paths, recipe))
    (line,) = idle_settings(with_paths, replace(recipe, schedule="cosine_per_batch"))
    assert line == "warmup_epochs 1 has no effect: the schedule cosine_per_batch has no warm-up"
    assert not list(idle_settings(network, Recipe(schedule="cosine_per_batch")))


def test_auxiliary_logits_count_by_their_weight() -> None:
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.auxiliary_head = make_network(), make_network()

        def forward(self, x: torch.Tensor) -> Any:
            return (self.body(x), self.auxiliary_head(x)) if self.training else self.body(x)

    network = TwoHeads()
    before = [p.clone() for p in network.auxiliary_head.parameters()]
    assert train_and_validate(network, data=make_data(), epochs=1, auxiliary_weight=0.0, weight_decay=0.0, **SETTINGS) >= 0
    assert all(torch.equal(a, b) for a, b in zip(before, network.auxiliary_head.parameters(), strict=True))
    train_and_validate(network, data=make_data(), epochs=1, **SETTINGS)
    assert not all(torch.equal(a, b) for a, b in zip(before, network.auxiliary_head.parameters(), strict=True))
    assert measure_complexity(network, (3, 8, 8)) == measure_complexity(make_network(), (3, 8, 8))


def test_modules_that_offer_it_take_their_first_weights_from_training_images() -> None:
    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[torch.Tensor] = []
            self.rest = make_network()

        def initialize_from(self, images: torch.Tensor) -> None:
            self.seen.append(images)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.rest(x)

    network, data = nn.Sequential(Centred()), make_data()
    list(train(network, data.train, data, epochs=2, recipe=make_recipe(SETTINGS)))
    assert [images.shape for images in network[0].seen] == [(90, 3, 8, 8)]
    assert network[0].seen[0].mean().abs() < 1


def test_flip_averaging_scores_an_image_with_its_mirror_image() -> None:
    class LeftEdge(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([x[:, 0, 0, 0], torch.zeros(len(x))], 1)

    data = make_data()
    images = torch.full((2, 3, 8, 8), 102, dtype=torch.uint8)  # 0.4, the mean: 0 when normalised
    images[0, :, 0, 0], images[0, :, 0, -1] = 0, 255
    images[1, :, 0, 0], images[1, :, 0, -1] = 120, 0
    split = Split(images, torch.tensor([0, 1]))
    assert measure_accuracy(LeftEdge(), split, data) == 0.0
    assert measure_accuracy(LeftEdge(), split, data, flip_averaging=True) == 1.0
    assert measure_accuracies(LeftEdge(), split, data) == (0.0, 1.0)
    result = retrain(make_network(), data=data, epochs=1, recipe=make_recipe({**SETTINGS, "flip_averaging": True}))
    assert result["flip_averaging"] is True


class LeftEdgeAlone(nn.Module):
    """A network that looks at one pixel and learns nothing; it counts the images that it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.asked = nn.Parameter(torch.ones(())), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.asked += 0 if self.training else len(x)
        return torch.stack([x[:, 0, 0, 0], torch.zeros(len(x)), torch.full((len(x),), -99.0)], 1) + self.weight


@pytest.mark.parametrize("averaged", [False, True])
def test_retraining_says_both_figures_of_one_pass_over_the_test_images(averaged: bool) -> None:
    images = torch.full((4, 3, 8, 8), 102, dtype=torch.uint8)  # 0.4, the mean: 0 when normalised
    images[:, :, 0, 0] = torch.tensor([0, 255, 255, 255], dtype=torch.uint8)[:, None]
    images[:, :, 0, -1] = torch.tensor([255, 255, 255, 0], dtype=torch.uint8)[:, None]
    network, test = LeftEdgeAlone(), Split(images, torch.tensor([0, 0, 1, 0]))
    data = replace(make_data(), test=test)
    result = retrain(network, data=data, epochs=1, recipe=make_recipe({**SETTINGS, "flip_averaging": averaged}))
    assert network.asked == 8, "each image and its mirror image, once"
    assert (result["plain_test_accuracy"], result["mirrored_test_accuracy"]) == (0.5, 0.75) == measure_accuracies(network, test, data)
    assert [measure_accuracy(network, test, data, flip_averaging=flips) for flips in (False, True)] == [0.5, 0.75]
    assert result["test_accuracy"] == (0.75 if averaged else 0.5)
    assert result["flip_averaging"] is averaged


class Pooling(nn.Sequential):
    """A network that takes images of 8 pixels and more."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def larger_data() -> Dataset:
    """As ``make_data``, of 16x20 pixels."""
    data = make_data()
    parts = {part: getattr(data, part) for part in ("train", "validation", "test")}
    larger = {part: Split(split.images.repeat(1, 1, 2, 3)[..., :20].contiguous(), split.labels) for part, split in parts.items()}
    return replace(data, **larger)


def test_images_that_are_too_small_for_a_network_are_refused_with_what_it_takes() -> None:
    data = larger_data()
    with pytest.raises(
        EvaluatorError, match=r"^start_size: 0\.2 is too small for this network, which accepts from 0\.5 to 1 of 16x20 pixels: "
    ) as caught:
        train_and_validate(Pooling(), data=data, epochs=2, start_size=0.2, **SETTINGS)
    assert "\n" not in str(caught.value)
    assert 0 <= train_and_validate(Pooling(), data=data, epochs=2, start_size=0.5, **SETTINGS) <= 1
    with pytest.raises(EvaluatorError, match="is too small for this network, which accepts only 1 of 8x8 pixels:"):
        train_and_validate(Pooling(), data=make_data(), epochs=2, start_size=0.5, **SETTINGS)


def test_another_fault_on_small_images_stays_what_it_is() -> None:
    class Faulty(Pooling):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.device.type != "meta" and self.training:
                raise RuntimeError("out of memory")
            return super().forward(x)

    for start_size in (0.5, 1.0):
        with pytest.raises(RuntimeError, match=r"^out of memory$"):
            train_and_validate(Faulty(), data=larger_data(), epochs=2, start_size=start_size, **SETTINGS)
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        train_and_validate(nn.Sequential(nn.Flatten(), nn.Linear(7, 3)), data=larger_data(), epochs=2, start_size=0.5, **SETTINGS)


class Watch(nn.Sequential):
    """A network that notes whether the processor takes 1e-40 for 0 while it is trained."""

    seen: ClassVar[list[bool]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen.append(counts_as_zero(1e-40))
        return super().forward(x)


def counts_as_zero(number: float) -> bool:
    """For each of the threads that torch computes with, to which it gives 32,768 numbers at least."""
    return not torch.full((torch.get_num_threads() * 2**15,), number).mul(1.0).any()


def test_numbers_next_to_nothing_count_as_zero_while_training_and_not_after() -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot take them for 0")
    Watch.seen.clear()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert not counts_as_zero(1e-40), "and OpenMP has its threads"
        train_and_validate(Watch(*make_network()), data=make_data(), epochs=1, **SETTINGS)
        assert set(Watch.seen) == {True}
        assert bool(torch.full((2**17,), 1e-40).mul(1.0).all()), "in no thread any more"
    finally:
        torch.set_num_threads(threads)
    assert math.nextafter(0.0, 1.0) > 0
