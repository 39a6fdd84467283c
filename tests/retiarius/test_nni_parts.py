"""Strategies and evaluators of NNI's own, handed over to a search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nni
import nni.nas.strategy as nnis
import pytest
import torch
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.evaluator.pytorch import DataLoader, Regression
from nni.nas.space import model_context
from nni_parts import Dropping, Widths, classification, reports
from torch import Tensor
from torch.utils.data import TensorDataset

import retiarius as rt
from strategies.nni_strategy import NniOneShot, NniTrials

RATES = [0.1, 0.2, 0.3]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def open_rate() -> Any:
    return FunctionalEvaluator(reports, rate=nni.choice("speed", RATES))


TRIALS: dict[str, Callable[[], Any]] = {
    "random": lambda: nnis.Random(seed=1),
    "grid": nnis.GridSearch,
    "evolution": lambda: nnis.RegularizedEvolution(population_size=3, sample_size=2, seed=1),
    "ours": lambda: rt.TPE(),
}


@pytest.mark.parametrize("name", TRIALS)
def test_a_strategy_by_trials_and_an_evaluator_that_reports(name: str) -> None:
    found = rt.search(Widths, TRIALS[name](), evaluator=open_rate(), trials=6, out="run")
    assert [trial.state for trial in found.trials] == ["complete"] * len(found.trials) and 3 <= len(found.trials) <= 6
    for trial in found.trials:
        assert trial.hyperparameters == {"speed": trial.score} and trial.curve == [trial.score / 2]
        assert trial.architecture.keys() == {"conv", "width"}
    assert found.best.score == max(trial.score for trial in found.trials)
    assert rt.open_run("run").trials == found.trials
    assert rt.load_architecture("run/best.json", space=Widths).choices == found.best.choices


def test_tpe_of_nnis_looks_for_the_highest_score() -> None:
    strategy = nnis.TPE()
    assert strategy.tuner.optimize_mode.value == "minimize", "as NNI makes it"
    built = NniTrials(nni=strategy).build(rt.SearchContext())
    assert built is strategy and built.tuner.optimize_mode.value == "maximize"


def test_an_object_of_nnis_is_good_for_one_search() -> None:
    strategy = nnis.Random()
    rt.search(Widths, strategy, evaluator=open_rate(), trials=1, out="run")
    with pytest.raises(rt.StrategyError, match="this Random of NNI has been used already: make a new one for each search"):
        rt.search(Widths, strategy, evaluator=open_rate(), trials=1)


def test_a_hyperparameter_of_the_evaluator_can_be_fixed() -> None:
    found = rt.search(Widths, "random", evaluator=open_rate(), trials=3, fixed={"speed": 0.2}, out="run")
    assert {trial.score for trial in found.trials} == {0.2}
    with pytest.raises(rt.SpaceError, match=r"speed'\]`: 0\.7 is not a value that"):
        rt.search(Widths, "random", evaluator=open_rate(), trials=3, fixed={"speed": 0.7})


def test_what_an_evaluator_of_its_own_found_is_retrained_without_its_hyperparameters(few_digits: Any) -> None:
    found = rt.search(WidthsOf32, "random", evaluator=open_rate(), trials=2, out="run")
    final = rt.retrain(found.best, data=few_digits, epochs=1, out="anew")
    assert 0 <= final.test_accuracy <= 1
    assert "speed" not in final.document["hyperparameters"]


class WidthsOf32(Widths):
    def __init__(self) -> None:
        super().__init__(side=32)


@pytest.fixture
def few_digits() -> Any:
    return rt.load_data("digits", limit=120)


ONE_SHOT: dict[str, Callable[[], Any]] = {
    "ours": lambda: rt.Darts(),
    "second order": lambda: rt.Darts(order=2),
    "darts": nnis.DARTS,
    "gumbel": nnis.GumbelDARTS,
    "random": nnis.RandomOneShot,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_SHOT)
def test_one_shot_by_an_evaluator_of_nnis(name: str) -> None:
    given = classification(optimizer=torch.optim.SGD)
    found = rt.search(Widths, ONE_SHOT[name](), evaluator=given, out="run")
    assert [epoch["number"] for epoch in found.epochs] == [1, 2]
    assert all(epoch["train_loss"] > 0 and 0 <= epoch["train_accuracy"] <= 1 for epoch in found.epochs)
    assert found.best.metric is not None and found.best.metric.startswith("supernet") and found.best.score is not None
    with model_context(found.best.choices):
        assert Widths().conv is not None
    assert given.trainer.current_epoch == 0 and Path("run/checkpoints/supernet.ckpt").exists()
    assert not Path("lightning_logs").exists()
    found.report()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [nnis.DARTS, nnis.RandomOneShot, lambda: rt.Darts()])
def test_one_shot_by_our_training_of_the_supernet(strategy: Callable[[], Any], few_digits: Any) -> None:
    small = {"stem_out_channels": 2, "num_modules_per_stack": 1}
    found = rt.search("nni.nas.hub.pytorch:NasBench201", strategy(), data=few_digits, epochs=1, fixed=small, out="run")
    assert len(found.epochs) == 1 and len(found.best.choices) == 6
    assert found.epochs[0]["train_loss"] > 0


@pytest.mark.slow
def test_second_order_looks_one_step_of_sgd_ahead() -> None:
    with pytest.raises(rt.StrategyError, match="darts: `order=2` works with SGD only, and the evaluator trains with Adam"):
        rt.search(Widths, rt.Darts(order=2), evaluator=classification(), out="run")


def test_one_shot_names_the_choice_that_stands_in_the_way() -> None:
    with pytest.raises(rt.StrategyError, match=r"dropout is a range \(Numerical\), and only choices among candidates can be mixed"):
        rt.search(Dropping, "darts", evaluator=classification())
    with pytest.raises(rt.StrategyError, match="alpha_lr: 'auto' counts the steps of supernets that this library trains: give a number"):
        rt.search(Widths, rt.Darts(alpha_lr="auto"), evaluator=classification(), out="run")
    assert not Path("run").exists()
    with pytest.raises(rt.StrategyError, match="trains one supernet with one evaluator: give its lr a value"):
        rt.search(Widths, nnis.DARTS(), evaluator=classification(learning_rate=nni.choice("lr", [0.1, 0.01])))
    with pytest.raises(rt.StrategyError, match="trains a supernet and takes no evaluator: leave out `evaluator=nni_parts:reports`"):
        rt.search(Widths, "darts", evaluator=FunctionalEvaluator(reports))
    assert not Path("runs").exists(), "nothing was begun"


def test_which_of_ours_stands_for_one_of_nnis() -> None:
    assert NniOneShot(nni=nnis.DARTS()).one_shot and not NniTrials(nni=nnis.Random()).one_shot
    assert NniTrials(nni=nnis.Random()).name == "nni-random"
    assert "arc_learning_rate=0.0003" in NniOneShot(nni=nnis.DARTS()).settings()["--strategy"], "a run is known by them"


def test_a_range_is_found_written_and_read_again() -> None:
    found = rt.search(Dropping, "tpe", evaluator=FunctionalEvaluator(reports), trials=3, out="run")
    again = rt.load_architecture("run/best.json", space=Dropping)
    assert 0.1 <= again.choices["dropout"] <= 0.9 and again.network().drop.p == again.choices["dropout"]
    more = rt.search(Dropping, "tpe", evaluator=FunctionalEvaluator(reports), trials=2, start_with=["run"], out="more")
    assert more.trials[0].architecture == found.best.choices
    fixed = rt.search(Dropping, "random", evaluator=FunctionalEvaluator(reports), trials=2, fixed={"dropout": 0.3}, out="fixed")
    assert {trial.architecture["dropout"] for trial in fixed.trials} == {0.3}
    with pytest.raises(rt.RecordError, match=r"found 2; legal: a number from 0\.1 to 0\.9"):
        rt.search(Dropping, "random", evaluator=FunctionalEvaluator(reports), trials=2, fixed={"dropout": 2})


def test_what_is_to_be_small() -> None:
    found = rt.search(Widths, "grid", evaluator=open_rate(), trials=20, optimize_mode="minimize", out="run")
    assert found.best.score == 0.1 and {trial.score for trial in found.trials} == {-0.1, -0.2, -0.3}
    assert all(trial.curve == [trial.score / 2] for trial in found.trials), "pruners compare what is higher where better"
    assert rt.open_run("run").record.metric.show(-0.1) == "0.1"
    with pytest.raises(rt.StrategyError, match="`optimize_mode='minimize'` needs"):
        rt.search("zoo", "tpe", optimize_mode="minimize")


def test_a_regression_that_is_maximised_is_told() -> None:
    heard: list[str] = []

    class Heard(rt.Reporter):
        def warn(self, line: str) -> None:
            heard.append(line)

    class OneNumber(Widths):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images)[:, 0]

    def numbers() -> Any:
        return DataLoader(TensorDataset(torch.rand(16, 3, 8, 8), torch.rand(16)), 8)

    regression = Regression(train_dataloaders=numbers(), val_dataloaders=numbers(), max_epochs=1, accelerator="cpu")
    found = rt.search(OneNumber, "random", evaluator=regression, trials=2, out="run", reporter=Heard())
    assert [line for line in heard if "NNI's Regression reports a squared error" in line]
    heard.clear()
    least = rt.search(OneNumber, "random", evaluator=regression, trials=2, optimize_mode="minimize", out="least", reporter=Heard())
    assert not [line for line in heard if "Regression" in line]
    assert found.best.score == max(trial.score for trial in found.trials)
    assert least.best.score == min(-trial.score for trial in least.trials)
