"""The state of a training on disk: interrupted trainings, broken files, full disks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from bright_bars import SETTINGS, make_data, make_network
from torch import nn

from common.errors import EvaluatorError
from common.optimizers import OPTIMIZERS
from evaluators.training.checkpoints import save_weights, write_checkpoint
from evaluators.training.loop import train
from evaluators.training.recipes import Recipe, make_recipe


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
    with pytest.raises(EvaluatorError, match="not a checkpoint of this training; remove it to start again"):
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


def test_weights_that_cannot_be_written_are_told_by_the_name_of_their_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "weights.safetensors"
    with pytest.raises(OSError, match=r"file/weights\.safetensors") as caught:
        save_weights(make_network(), path)
    assert str(caught.value).startswith(str(path)) and not list(tmp_path.glob(".*.tmp"))
