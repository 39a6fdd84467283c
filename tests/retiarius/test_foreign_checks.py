"""What is known of a user's space and evaluator before the first trial, and what a run has in common with the one that it resumes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nni
import nni.nas.strategy as nnis
import pytest
import torch
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.evaluator.pytorch import Classification, DataLoader
from nni.nas.nn.pytorch import ModelSpace, MutableConv2d
from nni_parts import Dropping, Widths, classification, loader, reports
from torch import Tensor, nn

import retiarius as rt


class Kernels(ModelSpace):
    """A choice among tuples, which a file has as lists."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = MutableConv2d(3, 4, nni.choice("kernel", [(1, 1), (3, 3)])), nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.conv(images).mean((2, 3)))


class Classes(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        self.add_mutable(nni.choice("act", [nn.ReLU, nn.GELU]))


def evaluator() -> Any:
    return FunctionalEvaluator(reports)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_tuples_are_found_kept_and_built_again() -> None:
    found = rt.search(Kernels, "tpe", evaluator=evaluator(), trials=2, out="run")
    size = found.best.network().conv.kernel_size
    assert found.best.choices == {"kernel": list(size)}
    assert rt.load_architecture("run/best.json", space=Kernels).network().conv.kernel_size == size
    again = rt.search(Kernels, "tpe", evaluator=evaluator(), trials=2, out="run", resume=True)
    assert len(again.trials) == 2
    fixed = rt.search(Kernels, "random", evaluator=evaluator(), trials=1, fixed={"kernel": [3, 3]}, out="fixed")
    assert fixed.best.network().conv.kernel_size == (3, 3)


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (Classes, {}, r"a candidate of 'act' is <class 'torch\.nn.*ReLU'>, which cannot be stored; use strings or numbers"),
    (Widths, {"epochs": 7}, "`epochs` has no effect on NNI's nni_parts:reports, which sets its own: leave it out"),
    (Widths, {"recipe": "lab"}, "`recipe` has no effect on NNI's nni_parts:reports, which sets its own: leave it out"),
    (
        Widths,
        {"fixed": {"batch_size": 64}},
        r"`fixed\['batch_size'\]`: the evaluator nni_parts:reports has no parameter batch_size; leave it out",
    ),
    (
        Widths,
        {"evaluator": FunctionalEvaluator(reports, rate=nni.choice("conv", [0.1, 0.2]))},
        "the evaluator and .*Widths both have a choice 'conv': rename one of them",
    ),
]


@pytest.mark.parametrize(("space", "arguments", "message"), REFUSED)
def test_what_cannot_be(space: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(rt.InputError, match=message):
        rt.search(space, "random", **{"evaluator": evaluator(), "trials": 1, **arguments})
    assert not Path("runs").exists()


def test_what_a_strategy_of_nnis_cannot_search_is_one_line() -> None:
    with pytest.raises(rt.SearchFailed, match="NNI's TPE cannot search this space: NotImplementedError: as_legacy_dict is not implemented"):
        rt.search(Dropping, nnis.TPE(), evaluator=evaluator(), trials=2, out="run")


def test_tpe_of_nnis_searches_what_it_can() -> None:
    found = rt.search(Widths, nnis.TPE(), evaluator=FunctionalEvaluator(reports, rate=nni.choice("speed", [0.1, 0.2])), trials=2, out="run")
    assert len(found.trials) == 2 and found.best.score == max(trial.score for trial in found.trials)


def test_an_evaluator_that_exits_fails_its_trial() -> None:
    def quits(network: Any) -> float:
        sys.exit(3)

    with pytest.raises(rt.SearchFailed, match="no trial was completed: 2 failed, 0 pruned; the first failure: SystemExit: 3"):
        rt.search(Widths, "random", evaluator=FunctionalEvaluator(quits), trials=2, out="run")


@pytest.mark.slow
def test_a_loader_that_draws_its_order_draws_the_same_for_every_search() -> None:
    data = loader().dataset
    shuffled = DataLoader(data, 8, shuffle=True, generator=torch.Generator().manual_seed(3))
    given = Classification(train_dataloaders=shuffled, val_dataloaders=DataLoader(data, 8), num_classes=10, max_epochs=1, accelerator="cpu")
    curves = [[trial.curve for trial in rt.search(Widths, "random", evaluator=given, trials=2, out=name).trials] for name in ("a", "b")]
    assert curves[0] == curves[1]


def test_a_run_is_resumed_with_the_same_strategy_and_evaluator_alone() -> None:
    def search(population: int, limit: int, **more: Any) -> Any:
        strategy = nnis.RegularizedEvolution(population_size=population, sample_size=2, seed=1)
        return rt.search(Widths, strategy, evaluator=FunctionalEvaluator(bounded, limit=limit), trials=3, out="run", **more)

    first = search(2, 5)
    with pytest.raises(rt.RecordError, match="cannot resume this run: --strategy was 'RegularizedEvolution"):
        search(9, 5, resume=True)
    with pytest.raises(rt.RecordError, match=r"evaluator_arguments\.limit was 5 and is 6 now"):
        search(2, 6, resume=True)
    assert search(2, 5, resume=True).trials == first.trials


def bounded(network: Any, limit: int) -> float:
    return float(limit)


ONE_SHOT: list[Callable[[], Any]] = [nnis.GumbelDARTS, nnis.RandomOneShot, lambda: rt.Darts()]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ONE_SHOT)
def test_a_one_shot_search_whose_epochs_are_done_is_resumed(strategy: Callable[[], Any]) -> None:
    found = rt.search(Widths, strategy(), evaluator=classification(), out="run")
    epochs = found.epochs
    Path("run/best.json").unlink()  # it was killed after its last checkpoint
    again = rt.search(Widths, strategy(), evaluator=classification(), out="run", resume=True)
    assert again.best.choices == found.best.choices and again.epochs == epochs


def test_a_supernet_of_too_few_classes_or_for_other_images_is_refused() -> None:
    data = rt.load_data("digits", limit=60)
    with pytest.raises(rt.SpaceError, match="Widths does not accept images of 32x32 pixels"):
        rt.search(Widths, "darts", data=data, epochs=1)
