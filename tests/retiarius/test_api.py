"""``import retiarius as rt``: searches, retrainings and their results from a person's own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nni
import pytest
import torch
from bright_bars import make_data
from torch import nn
from two_layers import TwoLayers, count_weights

import retiarius as rt
from spaces.nasbench201.space import NasBench201Space

pytestmark = pytest.mark.usefixtures("own_folder")
HERE: dict[str, Any] = {"device": "cpu", "precision": "float32"}


def test_everything_that_is_exported_is_there() -> None:
    assert set(rt.__all__) == set(rt._HOME_OF)
    for name in rt.__all__:
        assert getattr(rt, name) is not None
    assert set(rt.__all__) <= set(dir(rt))
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        rt.serch  # noqa: B018


def test_a_space_and_a_function_need_no_registration(capsys: pytest.CaptureFixture[str]) -> None:
    found = rt.search(TwoLayers, rt.Random(), evaluator=count_weights, trials=4, out="run", **HERE, data=make_data())
    assert found.best.choices["convolution"] == "large"
    assert found.best.score == max(trial.score or 0.0 for trial in found.trials)
    assert found.best.description == found.best.choices
    assert {trial.state for trial in found.trials} == {"complete"}
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3]
    assert found.state == "finished"
    assert capsys.readouterr() == ("", ""), "nothing is printed"


@pytest.mark.parametrize("space", [TwoLayers, TwoLayers(width=2), lambda: TwoLayers(width=2)], ids=["class", "instance", "factory"])
def test_a_space_is_a_class_an_instance_or_a_factory(space: Any, data: Any) -> None:
    found = rt.search(space, "random", evaluator=count_weights, trials=2, out="run", data=data, **HERE)
    assert len(found.trials) == 2
    width = 4 if space is TwoLayers else 2
    assert found.best.parameters == found.best.score == count_weights(found.best.network())
    assert isinstance(found.best.network().get_submodule("head.0"), nn.BatchNorm2d)
    assert found.best.network().get_submodule("head.0").num_features == width


def test_an_evaluator_of_nnis_form_reports_by_nni(data: Any) -> None:
    def evaluate(model: nn.Module) -> None:
        nni.report_intermediate_result(0.25)
        nni.report_intermediate_result(0.5)
        nni.report_final_result(0.75)

    found = rt.search(TwoLayers, rt.TPE(), evaluator=evaluate, trials=2, out="run", data=data, **HERE)
    assert [(trial.curve, trial.score) for trial in found.trials] == [([0.25, 0.5], 0.75)] * 2


def test_hyperparameters_are_searched_where_the_space_brings_them_and_the_function_takes_them(data: Any) -> None:
    from nni.mutable import Categorical

    class WithRate(TwoLayers):
        @staticmethod
        def hyperparameters() -> dict[str, Any]:
            return {"rate": Categorical([0.1, 0.2], label="rate")}

    found = rt.search(WithRate, "grid", evaluator=lambda network, rate: rate, trials=8, out="run", data=data, **HERE)
    assert found.best.hyperparameters["rate"] == found.best.score == 0.2
    with pytest.raises(rt.EvaluatorError, match="rate"):
        rt.search(WithRate, "grid", evaluator=count_weights, trials=8, out="other", data=data, **HERE)


def test_a_search_a_retraining_and_the_trained_network(data: Any) -> None:
    recipe = rt.Recipe.named("lab", batch_size=16, initial_lr=0.1, schedule="cosine")
    found = rt.search(TwoLayers, rt.TPE(pruner=rt.Median()), data=data, recipe=recipe, trials=3, epochs=2, out="search", **HERE)
    assert all(len(trial.curve) == 2 for trial in found.trials if trial.state == "complete")
    final = rt.retrain(found.best, data=data, epochs=3, recipe=recipe, out="retrained", **HERE)
    assert 0 <= final.test_accuracy <= 1 and final.mirrored_test_accuracy is not None
    assert len(final.epochs) == 3
    network = final.load_network()
    assert not network.training
    with torch.no_grad():
        right = (network(data.test.images).argmax(1) == data.test.labels).double().mean().item()
        assert torch.allclose(network(data.test.images), network(data.test.images.float() / 255), atol=1e-5)
    assert right == pytest.approx(final.test_accuracy)


@pytest.mark.slow
def test_one_shot_by_an_object_with_settings() -> None:
    found = rt.search("darts", rt.Darts(order=1, alpha_lr=1e-3), data="digits", epochs=1, time_budget=0.01, out="run", **HERE)
    assert found.best.metric == "supernet validation accuracy" and len(found.epochs) == 1 and found.trials == []
    assert json.loads(Path("run/best.json").read_text())["strategy"]["alpha_lr"] == 1e-3
    assert json.loads(Path("run/config.json").read_text())["identity"]["pins"] == {"alpha_lr": 1e-3}


def test_a_run_is_resumed_from_python(data: Any) -> None:
    calls = []

    def evaluate(network: nn.Module) -> float:
        calls.append(network)
        return count_weights(network)

    told: dict[str, Any] = {"evaluator": evaluate, "trials": 4, "out": "run", "data": data, **HERE}
    rt.search(TwoLayers, rt.Random(), **told)
    lines = Path("run/trials.jsonl").read_text().splitlines(keepends=True)
    Path("run/trials.jsonl").write_text("".join(lines[:2]))
    found = rt.search(TwoLayers, rt.Random(), **told, resume=True)
    assert len(found.trials) == 4 and len(calls) == 6
    with pytest.raises(rt.RecordError, match="already holds a run; set `out` to another folder, or continue the run with `resume`"):
        rt.search(TwoLayers, rt.Random(), **told)


@pytest.mark.slow
def test_two_workers_run_a_function_of_this_file(data: Any) -> None:
    found = rt.search(TwoLayers, rt.Random(), evaluator=count_weights, trials=2, workers=2, out="run", data=data, **HERE)
    assert sorted(trial.number for trial in found.trials) == [0, 1]
    assert all(trial.score == trial.parameters for trial in found.trials)


class Heard(rt.Reporter):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def test_a_reporter_hears_what_happens(data: Any) -> None:
    heard = Heard()
    rt.search(TwoLayers, "random", evaluator=count_weights, trials=1, out="run", data=data, reporter=heard, **HERE)
    assert any("bars" in line for line in heard.said)


def test_what_would_run_is_told_without_running_it() -> None:
    told = rt.preview(space="nasbench201", strategy="random", trials=5, epochs=3, data="digits", **HERE)
    assert (told.space, told.strategy, told.configurations, told.trials, told.epochs) == ("nasbench201", "random", 15_625, 5, 3)
    assert told.parameters is not None and told.flops is not None
    assert list(Path().iterdir()) == []


class Needy(TwoLayers):
    """Its constructor cannot do without the number of classes."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes=num_classes)


def test_a_space_may_need_the_number_of_classes(data: Any) -> None:
    found = rt.search(Needy, "random", evaluator=count_weights, trials=1, out="run", data=data, **HERE)
    assert found.best.record.space_arguments == {"num_classes": 3}


def test_a_reopened_run_of_a_foreign_space_takes_the_space(data: Any) -> None:
    told: dict[str, Any] = {"data": data, "recipe": {"batch_size": 16}, "epochs": 1, **HERE}
    rt.search(TwoLayers, "random", trials=1, out="run", **told)
    reopened = rt.open_run("run")
    assert isinstance(reopened, rt.SearchResult)
    with pytest.raises(rt.SpaceError, match="is imported only if you name it: set `space` to its class, or to MODULE:CLASS"):
        rt.retrain(reopened.best, out="no", **told)
    rt.retrain(reopened.best, space=TwoLayers, out="retrained", **told)
    with pytest.raises(rt.SpaceError, match="not of zoo"):
        rt.retrain(reopened.best, space="zoo", out="no", **told)
    assert isinstance(rt.open_run("run", space=TwoLayers).best.network(), nn.Module)  # type: ignore[union-attr]
    final = rt.open_run("retrained")
    with pytest.raises(rt.SpaceError, match="is imported only if you name it: set `space` to its class, or to MODULE:CLASS"):
        final.load_network()  # type: ignore[union-attr]
    assert rt.open_run("retrained", space=TwoLayers).load_network()(data.test.images).shape == (30, 3)  # type: ignore[union-attr]


def test_the_word_of_a_file_imports_nothing(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("evil.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(Path.cwd())
    rt.search(TwoLayers, "random", evaluator=count_weights, trials=1, out="run", data=data, **HERE)
    best = json.loads(Path("run/best.json").read_text())
    best["space"]["name"] = "evil:Space"
    Path("run/best.json").write_text(json.dumps(best))
    with pytest.raises(rt.SpaceError, match="is imported only if you name it: set `space` to its class, or to MODULE:CLASS"):
        rt.load_architecture("run/best.json").network()


def test_images_in_memory_are_retrained_on_and_told_apart_from_files(data: Any) -> None:
    told: dict[str, Any] = {"recipe": {"batch_size": 16}, "epochs": 1, **HERE}
    found = rt.search(TwoLayers, "random", data=data, trials=1, out="run", **told)
    assert json.loads(Path("run/config.json").read_text())["settings"]["dataset"] is None
    assert rt.retrain(found.best, out="retrained", **told).document["dataset"]["name"] == "bars"


def test_preset_and_data_set_are_those_of_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    rt.search("nasbench201", "random", data="digits", evaluator=count_weights, trials=1, preset="lab", out="run", **HERE)
    loaded = rt.load_architecture("run/best.json")
    assert (loaded.preset, loaded.data) == ("lab", "digits")
    config = json.loads(Path("run/config.json").read_text())
    config["settings"] |= {"dataset": "/images/cifar", "data_dir": "there"}
    Path("run/config.json").write_text(json.dumps(config))
    assert (rt.load_architecture("run/best.json").data, str(rt.load_architecture("run/best.json").data_dir)) == ("/images/cifar", "there")
    config["settings"] |= {"table": "t.csv"}
    Path("run/config.json").write_text(json.dumps(config))
    assert rt.load_architecture("run/best.json").data == "digits"
    assert rt.load_architecture("DARTS_V2").data is None


def test_a_broken_retraining_is_told_by_its_file(data: Any) -> None:
    told: dict[str, Any] = {"data": data, "recipe": {"batch_size": 16}, "epochs": 1, **HERE}
    final = rt.retrain(rt.search(TwoLayers, "random", trials=1, out="run", **told).best, out="retrained", **told)
    Path("retrained/weights.safetensors").unlink()
    with pytest.raises(rt.RecordError, match=r"weights\.safetensors: not the weights"):
        final.load_network()
    with pytest.raises(rt.RecordError, match="is not a path"):
        rt.open_run(5)  # type: ignore[arg-type]
    with pytest.raises(rt.RecordError, match="no run"):
        rt.open_run("nowhere")


def test_a_recipe_by_values_lies_over_the_spaces_own(data: Any) -> None:
    rt.search("zoo", "hpo", data="digits", evaluator=lambda network, **all: 0.5, trials=1, recipe={"cutmix": 0.5}, out="run", **HERE)
    recipe = json.loads(Path("run/config.json").read_text())["identity"]["recipe"]
    assert recipe["optimizer"] == "muon" and recipe["cutmix"] == 0.5


def test_own_tensors_are_data() -> None:
    images, labels = torch.zeros(60, 3, 8, 8, dtype=torch.uint8), torch.arange(60) % 3
    data = rt.load_data((images, labels), test=(images[:9], labels[:9]))
    assert len(data.train) + len(data.validation) == 60 and len(data.test) == 9 and data.num_classes == 3
    with pytest.raises(rt.DataError):
        rt.load_data((images, labels[:-1]))


def test_loaded_images_are_used_as_they_are_with_any_preset() -> None:
    def count_images(network: Any, data: Any) -> float:
        return float(len(data.train) + len(data.validation))

    images, labels = torch.zeros(5_000, 3, 8, 8, dtype=torch.uint8), torch.arange(5_000) % 2
    loaded = rt.load_data((images, labels), test=(images[:20], labels[:20]))
    found = rt.search(TwoLayers, "random", data=loaded, evaluator=count_images, trials=1, **HERE)
    assert found.best.score == 5_000
    assert (
        rt.search(TwoLayers, "random", data=rt.load_data((images, labels), limit=40), evaluator=count_images, trials=1, **HERE).best.score
        == 40
    )


def test_a_strategy_keeps_its_settings_and_refuses_others() -> None:
    strategy = rt.Darts(order=2)
    assert strategy == rt.Darts(order=2) and hash(strategy) == hash(rt.Darts(order=2))
    with pytest.raises(AttributeError):
        strategy.order = 1  # type: ignore[misc]
    with pytest.raises(rt.StrategyError, match="order"):
        rt.Darts(order=3)


def test_a_registered_space_is_named_as_well() -> None:
    assert rt.SPACES["nasbench201"].load() is NasBench201Space


def test_an_evaluator_that_takes_no_images_gets_none_and_none_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluators.data.dataset.load_dataset", lambda *_, **__: pytest.fail("images are loaded"))
    told: dict[str, Any] = {"evaluator": count_weights, "trials": 2, **HERE}
    found = rt.search(TwoLayers, rt.Random(), out="run", **told)
    assert found.best.score == found.best.parameters and found.best.flops is None
    assert json.loads(Path("run/best.json").read_text())["dataset"] == {"name": "none"}
    found.report()
    with pytest.raises(
        rt.EvaluatorError, match="`max_multiply_adds` needs images to count multiply-adds, and the evaluator takes none; set `data`"
    ):
        rt.search(TwoLayers, rt.Random(), out="limited", max_multiply_adds=1000, **told)
