"""The average of weights and the mixing of images in training: what is scored and kept, and that interruptions change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from bright_bars import make_data, make_network
from torch import Tensor, nn

from evaluators.training.averaging import AveragedWeights
from evaluators.training.batches import TrainingBatches
from evaluators.training.loop import retrain, train
from evaluators.training.recipes import make_recipe

SETTINGS = {"batch_size": 16, "initial_lr": 0.05}


def vector(network: nn.Module) -> Tensor:
    return torch.cat([value.flatten().double() for value in network.state_dict().values() if value.is_floating_point()])


def test_the_average_is_that_of_the_formula() -> None:
    network, decay = make_network(), 0.6
    average = AveragedWeights(network, decay)
    expected = torch.zeros_like(vector(network))  # of the weights before the first step nothing is left
    for step in range(1, 8):
        with torch.no_grad():
            for value in network.state_dict().values():  # running statistics too
                value.add_(torch.randn(value.shape).to(value.dtype))
        average.update(network, step)
        kept = min(decay, 1 - step ** (-2 / 3))
        expected = kept * expected + (1 - kept) * vector(network)
    own = vector(network)
    with average.instead_of_weights(network):
        assert torch.allclose(vector(network), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(vector(network), own)
    average.put_into(network)
    assert torch.allclose(vector(network), expected, rtol=1e-5, atol=1e-5) and not torch.allclose(own, expected, rtol=0.01)


def test_the_average_is_scored_and_kept_and_does_not_change_the_training() -> None:
    networks, seen, losses = [make_network(), make_network()], [[], []], [[], []]  # type: ignore[var-annotated]
    for network, decay, weights, curve in zip(networks, (0.0, 0.9), seen, losses, strict=True):
        recipe = make_recipe({**SETTINGS, "ema_decay": decay})
        for epoch in train(network, make_data().train, make_data(), epochs=3, recipe=recipe):
            weights.append(vector(network))
            curve.append(epoch.loss)
    assert losses[0] == losses[1], "the steps are taken from the weights themselves"
    for plain, averaged in zip(*seen, strict=True):
        assert not torch.equal(plain, averaged)
    assert torch.equal(vector(networks[1]), seen[1][-1]), "at the end the network has what was scored last"


@pytest.mark.parametrize(
    "values", [{"ema_decay": 0.9}, {"rand_augment": 9}, {"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0, "ema_decay": 0.99}]
)
def test_an_interrupted_training_goes_on_bit_for_bit(values: dict[str, Any], tmp_path: Path) -> None:
    settings: dict[str, Any] = {"data": make_data(), "epochs": 3, "recipe": make_recipe({**SETTINGS, **values})}
    whole, cut, again = (make_network(dropout=0.2) for _ in range(3))
    expected = retrain(whole, **settings)

    def interrupt(epoch: Any) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrain(cut, **settings, checkpoint=tmp_path / "checkpoint", on_epoch=interrupt)
    for _ in range(2):  # the second time it is done already
        result = retrain(again, **settings, checkpoint=tmp_path / "checkpoint")
        assert [epoch["loss"] for epoch in result["curve"]] == [epoch["loss"] for epoch in expected["curve"]]
        assert result["test_accuracy"] == expected["test_accuracy"]
        assert torch.equal(vector(again), vector(whole))
        again = make_network(dropout=0.2)


def mixed_batches(count: int, **values: float) -> list[tuple[Tensor, Tensor]]:
    """The same images and labels, mixed time and again."""
    data, generator = make_data(), torch.Generator().manual_seed(0)
    batches = TrainingBatches(data.train, data, make_recipe(values), 1, generator, torch.device("cpu"))
    assert batches.mixing is not None
    return [batches.mixing(IMAGES, LABELS) for _ in range(count)]


IMAGES, LABELS = torch.randn(30, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(30) // 5 % 3


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_images_are_mixed_as_their_labels_say(way: str) -> None:
    ours, theirs = (nn.functional.one_hot(each, 3).float() for each in (LABELS, LABELS.roll(1, 0)))
    differ, other, shares = (ours != theirs).any(1), IMAGES.roll(1, 0), []  # of two of one class the label tells no share
    for inputs, labels in mixed_batches(6, **{way: 1.0}):
        assert inputs.is_contiguous(memory_format=torch.channels_last)
        share = (labels * ours).sum(1)[differ].mean().item()
        assert torch.allclose(labels, share * ours + (1 - share) * theirs, atol=1e-6)
        if way == "mixup":
            assert torch.allclose(inputs, share * IMAGES + (1 - share) * other, atol=1e-5)
        else:
            of_other = (inputs != IMAGES).any(1, keepdim=True)
            assert torch.equal(inputs, torch.where(of_other, other, IMAGES))
            assert of_other.float().mean().item() == pytest.approx(1 - share, abs=1e-6), "as much of the image as of the label"
        shares.append(share)
    assert len(set(shares)) >= 4, "every batch is mixed in its own way"


def test_both_ways_take_turns_by_a_coin() -> None:
    mixed = mixed_batches(20, mixup=1.0, cutmix=1.0)
    pasted = [bool(((inputs == IMAGES) | (inputs == IMAGES.roll(1, 0))).all()) for inputs, _ in mixed]
    assert 4 <= sum(pasted) <= 16


def test_the_seed_alone_says_how_images_are_mixed() -> None:
    drawn = []
    for state in (1, 2):
        torch.manual_seed(state)
        before = torch.get_rng_state()
        drawn.append(mixed_batches(3, mixup=1.0, cutmix=1.0))
        assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for one, two in zip(*drawn, strict=True) for a, b in zip(one, two, strict=True))


def test_next_to_nothing_mixes_nothing() -> None:
    data, recipe = make_data(), make_recipe({"mixup": 1e-50, "cutmix": 0.0})
    assert TrainingBatches(data.train, data, recipe, 1, torch.Generator(), torch.device("cpu")).mixing is None


def test_mixed_images_are_trained_on_by_their_shares() -> None:
    losses = []
    for mixup in (0.0, 1.0):
        recipe = make_recipe({**SETTINGS, "initial_lr": 0.1, "mixup": mixup})
        losses.append([epoch.loss for epoch in train(make_network(), make_data().train, make_data(), epochs=12, recipe=recipe)][-1])
    assert losses[0] < 0.3 < losses[1], "a mixed label keeps its entropy"
