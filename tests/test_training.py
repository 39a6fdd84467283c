"""The training loop: the same seed, the same curve; schedules; checkpoints; divergence; the test set untouched by search."""

from __future__ import annotations

import itertools
import math
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn
from torchvision.ops import StochasticDepth

from evaluators import EVALUATORS, EvaluatorError, TrainingDiverged, evaluator_entry
from evaluators.batches import TrainingBatches
from evaluators.checkpoints import write_checkpoint
from evaluators.complexity import measure_complexity
from evaluators.data import Dataset, Split
from evaluators.devices import choose_device, choose_precision
from evaluators.optimizers import learning_rate_factor, make_optimizer
from evaluators.recipes import (
    OPTIMIZERS,
    RECIPES,
    Recipe,
    check_hyperparameter,
    make_recipe,
    override,
    recipe_values,
    supernet_values,
    values_as_told,
)
from evaluators.training import measure_accuracy, retrain, train, train_and_validate


def make_data() -> Dataset:
    """Noise in which the channel of the class is brighter: 3 classes, 90 + 30 + 30 images of 8x8 pixels."""
    generator = torch.Generator().manual_seed(0)

    def split(size: int) -> Split:
        labels = torch.arange(size) % 3
        noise = torch.randint(0, 100, (size, 3, 8, 8), generator=generator)
        bright = nn.functional.one_hot(labels, 3).reshape(size, 3, 1, 1)
        return Split((noise + 100 * bright).to(torch.uint8), labels)

    return Dataset("bars", ("a", "b", "c"), split(90), split(30), split(30), (0.4, 0.4, 0.4), (0.25, 0.25, 0.25), "0")


def make_network(dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout)]
        return nn.Sequential(*layers, nn.Linear(8, 3))


SETTINGS: dict[str, Any] = {"initial_lr": 0.1, "batch_size": 16}
HERE: dict[str, Any] = {"device": torch.device("cpu"), "precision": torch.float32}


@pytest.mark.parametrize("name", [name for name, entry in EVALUATORS.items() if not entry.looks_up])
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


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path: Path, optimizer: str) -> None:
    values = {**SETTINGS, "optimizer": optimizer, "initial_lr": 0.01, "cutout": 2, "warmup_epochs": 1, "flip": "alternating"}
    data, recipe = make_data(), make_recipe({**values, "start_size": 0.5, "crop_fill": "reflect"})
    whole, parted = make_network(dropout=0.5), make_network(dropout=0.5)
    path = tmp_path / "state.ckpt"
    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = list(train(whole, data.train, data, epochs=4, recipe=recipe))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        steps = train(parted, data.train, data, epochs=4, recipe=recipe, checkpoint=path)
        next(steps), next(steps)
        steps.close()
    fresh = make_network(dropout=0.5)
    with torch.random.fork_rng():
        torch.manual_seed(99)  # the state comes from the file
        resumed = list(train(fresh, data.train, data, epochs=4, recipe=recipe, checkpoint=path))
    assert [(e.number, e.loss, e.accuracy) for e in resumed] == [(e.number, e.loss, e.accuracy) for e in expected]
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), fresh.state_dict().values(), strict=True))


@pytest.mark.parametrize("content", [b"", b"junk" * 100, None])
def test_a_broken_checkpoint_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "state.ckpt"
    if content is None:  # of another network
        list(
            train(
                nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), make_data().train, make_data(), epochs=1, recipe=Recipe(), checkpoint=path
            )
        )
    else:
        path.write_bytes(content)
    with pytest.raises(EvaluatorError, match="not a checkpoint of this training; remove it to start over"):
        next(train(make_network(), make_data().train, make_data(), epochs=2, recipe=Recipe(), checkpoint=path))


@pytest.mark.skipif(sys.platform == "win32", reason="limits as Unix has them")
def test_a_full_disk_is_told_as_such_and_the_checkpoint_stays(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "retrain.ckpt"
    write_checkpoint(path, {"weights": torch.zeros(10)})
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_checkpoint(path, {"weights": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_divergence_ends_the_training_with_a_word() -> None:
    with pytest.raises(TrainingDiverged, match="a smaller initial_lr or a grad_clip may help"):
        train_and_validate(make_network(), data=make_data(), epochs=50, initial_lr=1e30, batch_size=16)


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


def test_drop_path_rises_linearly_and_only_where_the_recipe_has_it() -> None:
    network = nn.Sequential(make_network(), StochasticDepth(0.0, "row"))
    path = network[1]
    seen = [path.p for _ in train(network, make_data().train, make_data(), epochs=4, recipe=make_recipe({**SETTINGS, "drop_path": 0.4}))]
    assert seen == pytest.approx([0.0, 0.1, 0.2, 0.3])
    path.p = 0.25
    list(train(network, make_data().train, make_data(), epochs=1, recipe=make_recipe(SETTINGS)))
    assert path.p == 0.25, "a network's own stochastic depth is left alone"


def test_norms_and_biases_are_decayed_only_where_the_recipe_says_so() -> None:
    network = make_network()
    for decay_norms, expected in ((True, [6]), (False, [2, 4])):
        optimizer = make_optimizer(network, Recipe(decay_norms=decay_norms))
        assert [len(group["params"]) for group in optimizer.param_groups] == expected
        assert [group["weight_decay"] for group in optimizer.param_groups] == [5e-4, 0.0][: len(expected)]


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
        ("optimizer", "lion", "'lion' is not one of sgd, rmsprop, adam, muon"),
        ("nesterov", 1, "1 is not one of True, False"),
        ("colour", 1, "unknown hyperparameter 'colour'; known: initial_lr, "),
    ],
)
def test_illegal_hyperparameters_are_named_with_the_legal_ones(name: str, value: Any, message: str) -> None:
    with pytest.raises(EvaluatorError, match=message):
        check_hyperparameter(name, value)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_legal(name: str) -> None:
    assert make_recipe(recipe_values(name)) == RECIPES[name]
    used = supernet_values(recipe_values(name))
    assert used.keys() == recipe_values(name).keys() and used["batch_size"] == RECIPES[name].batch_size
    assert (used["crop_padding"], used["start_size"], used["drop_path"]) == (4, 1.0, 0.0), "a supernet sees the paper's images"
    assert override(recipe_values(name), {"batch_size": 32, "backbone": "x"}) == {**recipe_values(name), "batch_size": 32}


def test_unknown_recipes_evaluators_devices_and_precisions_name_the_known_ones() -> None:
    for call, message in [
        (lambda: recipe_values("slow"), "unknown recipe 'slow'; known: fast, cells, lab"),
        (lambda: evaluator_entry("guess"), "unknown evaluator 'guess'; known: train"),
        (lambda: choose_device("abacus"), "device 'abacus' cannot be used here; usable: auto, cpu"),
        (lambda: choose_precision("float64", torch.device("cpu")), "unknown precision 'float64'; known: auto, float32, bfloat16"),
    ]:
        with pytest.raises(EvaluatorError, match=message):
            call()
    assert choose_device("cpu") == torch.device("cpu")


def test_measuring_which_precision_is_faster_leaves_torchs_generator_alone() -> None:
    state = torch.get_rng_state()
    assert choose_precision("auto", torch.device("cpu")) in (torch.float32, torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), state)


def test_values_that_an_older_run_did_not_know_are_left_out_while_they_are_as_before() -> None:
    values = {"initial_lr": 0.03, "mixup": 0.0, "ema_decay": 0.99, "auxiliary_weight": 0.4}
    assert values_as_told(values, {"initial_lr": 0.1}) == {"initial_lr": 0.03, "ema_decay": 0.99}
    assert values_as_told(values, {"initial_lr": 0.1, "mixup": 0.0}) == {"initial_lr": 0.03, "mixup": 0.0, "ema_decay": 0.99}
    assert values_as_told(values, None) == values


def test_a_gpu_that_cannot_be_used_is_told_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def refuse(*sizes: int, device: torch.device) -> torch.Tensor:
        assert device.type == "cuda"
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nCompile with more")

    monkeypatch.setattr(torch, "zeros", refuse)
    assert choose_device("auto", said.append) == torch.device("cpu")
    assert said == ["the GPU cannot be used, so the CPU computes: CUDA error: no kernel image is available for execution on the device"]
    with pytest.raises(EvaluatorError, match="device 'cuda' cannot be used here"):
        choose_device("cuda")


def test_a_warm_up_takes_half_of_the_training_at_most() -> None:
    factor = learning_rate_factor(Recipe(initial_lr=1.0, warmup_epochs=10), epochs=4, steps=10)
    assert factor(19) == pytest.approx(20 / 21)
    assert factor(20) == 1.0
    assert factor(39) < 0.02


def test_images_grow_over_the_whole_training() -> None:
    data = make_data()
    recipe = make_recipe({"start_size": 0.5, "batch_size": 9})
    batches = TrainingBatches(data.train, data, recipe, 4, torch.Generator().manual_seed(0), torch.device("cpu"))
    sides = [[images.shape[3] for images, _ in batches.epoch(number)] for number in range(4)]
    flat = [side for of_epoch in sides for side in of_epoch]
    assert flat == sorted(flat)
    assert flat[0] == 4 and flat[-1] == 8
    assert sides[0][-1] < sides[3][0]


def test_a_line_falls_to_the_end() -> None:
    factor = learning_rate_factor(Recipe(initial_lr=1.0, ending_lr=0.2, warmup_epochs=1, schedule="linear"), epochs=5, steps=10)
    assert [factor(step) for step in (10, 20, 30, 50)] == pytest.approx([1.0, 0.8, 0.6, 0.2])


@pytest.mark.parametrize(("keep", "batch_size", "sizes"), [(False, 40, [40, 40]), (True, 40, [40, 40, 10]), (True, 89, [89])])
def test_the_last_batch(keep: bool, batch_size: int, sizes: list[int]) -> None:
    data = make_data()
    recipe = make_recipe({"drop_last": not keep, "batch_size": batch_size})
    batches = TrainingBatches(data.train, data, recipe, 1, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert [len(labels) for _, labels in batches.epoch(0)] == sizes, "of 90 images; one alone cannot be normalised"
    assert (batches.images, batches.steps) == (sum(sizes), len(sizes))


def test_the_labs_program_ends_where_its_rate_is_lowest() -> None:
    """By its loader, which keeps the last batch: 391 steps of 50,000 images an epoch, of a rate that swings every 60 steps."""
    factor = learning_rate_factor(RECIPES["lab"], epochs=30, steps=391)
    assert factor(30 * 391 - 1) < 0.01
    assert learning_rate_factor(RECIPES["lab"], epochs=30, steps=390)(30 * 390 - 1) > 0.99


def test_alternating_flips_show_both_sides_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_data()
    recipe = make_recipe({**SETTINGS, "flip": "alternating", "crop_padding": 0, "batch_size": 90})
    batches = TrainingBatches(data.train, data, recipe, 3, torch.Generator().manual_seed(0), torch.device("cpu"))
    shown = [next(batches.epoch(number))[0] for number in range(3)]
    first, second, third = (sorted(image.sum(0).flatten().tolist() for image in images) for images in shown)
    mirrored = sorted(image.flip(2).sum(0).flatten().tolist() for image in shown[0])
    assert first == third and second == mirrored and first != second
    as_they_are = sorted(image.sum(0).flatten().tolist() for image in batches.normalize(data.train.images))
    assert sum(image in as_they_are for image in first) not in (0, 90)


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
    result = retrain(make_network(), data=data, epochs=1, recipe=make_recipe({**SETTINGS, "flip_averaging": True}))
    assert result["flip_averaging"] is True


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told to")
def test_freed_memory_is_kept_on_linux() -> None:
    code = """
import resource, torch
from evaluators.memory import keep_freed_memory
assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**22)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    assert int(process.stdout) < 100, "20 tensors of 16 MiB, 4,096 pages each"


class Watch(nn.Sequential):
    """A network that notes whether the processor takes 1e-40 for 0 while it is trained."""

    seen: ClassVar[list[bool]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen.append(counts_as_zero(1e-40))
        return super().forward(x)


def counts_as_zero(number: float) -> bool:
    return not torch.full((1000,), number).mul(1.0).any()


def test_numbers_next_to_nothing_count_as_zero_while_training_and_not_after() -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot take them for 0")
    Watch.seen.clear()
    train_and_validate(Watch(*make_network()), data=make_data(), epochs=1, **SETTINGS)
    assert set(Watch.seen) == {True}
    assert not counts_as_zero(1e-40) and math.nextafter(0.0, 1.0) > 0
