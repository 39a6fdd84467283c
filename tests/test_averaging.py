"""The average of weights and the mixing of images in training: what is scored and kept, and that interruptions change nothing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import make_data, make_network
from torch import Tensor, nn

from evaluators.averaging import AveragedWeights
from evaluators.batches import TrainingBatches
from evaluators.recipes import make_recipe
from evaluators.training import retrain, train

SETTINGS = {"batch_size": 16, "initial_lr": 0.05}


def vector(network: nn.Module) -> Tensor:
    return torch.cat([value.flatten().double() for value in network.state_dict().values() if value.is_floating_point()])


def test_the_average_is_that_of_the_formula() -> None:
    network, decay = make_network(), 0.6
    average = AveragedWeights(network, decay)
    expected = torch.zeros_like(vector(network))  # of the weights before the first step nothing is left
    for step in range(1, 8):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
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


@pytest.mark.parametrize("values", [{"ema_decay": 0.9}, {"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0, "ema_decay": 0.99}])
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


def batches_of(**values: Any) -> list[tuple[Tensor, Tensor]]:
    recipe = make_recipe({"batch_size": 30, "crop_padding": 0, **values})
    torch.manual_seed(0)
    data = make_data()
    return list(TrainingBatches(data.train, data, recipe, 1, torch.Generator().manual_seed(0), torch.device("cpu")).epoch(0))


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_images_are_mixed_as_their_labels_say(way: str) -> None:
    shares = []
    for (inputs, labels), (plain, answers) in zip(batches_of(**{way: 1.0}), batches_of(), strict=True):
        assert labels.shape == (30, 3) and torch.allclose(labels.sum(1), torch.ones(30))
        assert inputs.is_contiguous(memory_format=torch.channels_last)
        other = plain.roll(1, 0)
        ours, theirs = (torch.nn.functional.one_hot(each, 3).float() for each in (answers, answers.roll(1, 0)))
        mixed = (ours != theirs).any(1)  # of two of one class the label tells no share
        share = (labels * ours).sum(1)[mixed].mean().item()
        assert torch.allclose(labels, share * ours + (1 - share) * theirs, atol=1e-5)
        if way == "mixup":
            assert torch.allclose(inputs, share * plain + (1 - share) * other, atol=1e-4)
        else:
            of_other = (inputs != plain).any(1)
            assert torch.equal(inputs, torch.where(of_other[:, None], other, plain))
            assert abs(of_other.float().mean().item() - (1 - share)) < 0.02, "as much of the image as of the label"
        shares.append(share)
    assert len(set(shares)) == len(shares), "every batch is mixed in its own way"


def test_both_ways_take_turns_by_a_coin() -> None:
    plain = batches_of(batch_size=6)
    mixed = batches_of(batch_size=6, mixup=1.0, cutmix=1.0)
    pasted = [bool(((a == b) | (a == b.roll(1, 0))).all()) for (a, _), (b, _) in zip(mixed, plain, strict=True)]
    assert 0 < sum(pasted) < len(pasted)


def test_a_copy_of_the_network_is_averaged_not_the_network() -> None:
    network = make_network()
    before = copy.deepcopy(network.state_dict())
    AveragedWeights(network, 0.9).update(network, 1)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
