"""``NasExperiment``: programs of NNI's with one import changed."""

from __future__ import annotations

from pathlib import Path

import nni
import nni.nas.strategy as nnis
import pytest
import torch
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import model_context
from nni_parts import Widths, classification, reports

import retiarius as rt
from retiarius.nni import NasExperiment, NasExperimentConfig


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_trials_as_in_the_first_tutorial(capfd: pytest.CaptureFixture[str]) -> None:
    evaluator = FunctionalEvaluator(reports, rate=nni.choice("speed", [0.1, 0.2, 0.3]))
    exp = NasExperiment(Widths(), evaluator, nnis.Random(seed=3))
    exp.config.max_trial_number = 3
    exp.config.trial_concurrency = 1
    exp.config.trial_gpu_number = 0
    exp.config.training_service.use_active_gpu = True
    exp.run(port=8081)
    assert len(exp.result.trials) == 3
    found = exp.export_top_models(2, formatter="dict")
    assert [model.keys() for model in found] == [{"conv", "width", "speed"}] * 2, "what NNI's samples hold, and nothing else"
    assert found[0]["speed"] == max(trial.score for trial in exp.result.trials) and found[0]["speed"] >= found[1]["speed"]
    (network,) = exp.export_top_models(formatter="instance")
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 10) and isinstance(network, Widths)
    (best,) = exp.export_top_models()
    assert best.score == found[0]["speed"] and best.choices == exp.result.best.choices
    with model_context(found[0]):
        assert Widths().first.out_features == found[0]["width"]
    exp.stop()
    assert capfd.readouterr().out == ""
    assert list(Path().iterdir()) == [Path("runs")] and exp.id == next(Path("runs").iterdir()).name


@pytest.mark.slow
def test_one_shot_as_in_the_tutorial_on_darts() -> None:
    evaluator = classification(fast_dev_run=True)
    exp = NasExperiment(Widths(), evaluator, nnis.DARTS(gradient_clip_val=5.0))
    exp.run()
    (architecture,) = exp.export_top_models(formatter="dict")
    assert architecture.keys() == {"conv", "width"}
    with model_context(architecture):
        final = Widths()
    evaluator.evaluate(final)  # the same evaluator trains what was found: the search worked on a copy of it
    assert evaluator.trainer.global_step == 1


def test_an_experiment_is_resumed_by_its_id() -> None:
    def experiment() -> NasExperiment:
        exp = NasExperiment(Widths, FunctionalEvaluator(reports), rt.Random(), NasExperimentConfig(max_trial_number=3), id="mine")
        exp.config.experiment_working_directory = "experiments"
        return exp

    first = experiment()
    first.run_or_resume(debug=True)
    again = experiment()
    again.run_or_resume()
    assert again.result.trials == first.result.trials and Path("experiments/mine/best.json").is_file()
    with pytest.raises(rt.RecordError, match="already holds a run; set `out` to another folder, or continue the run with `resume`"):
        experiment().run()


def test_what_cannot_be_done_is_said_in_one_line() -> None:
    exp = NasExperiment(Widths(), FunctionalEvaluator(reports), nnis.Random())
    with pytest.raises(rt.RecordError, match=r"the experiment has not run: call run\(\) first"):
        exp.export_top_models()
    with pytest.raises(rt.RecordError, match="unknown formatter 'code'; known: dict, instance"):
        exp.export_top_models(formatter="code")
    with pytest.raises(rt.RecordError, match=r"unknown setting of an experiment 'max_trials' \(did you mean max_trial_number\?\)"):
        exp.config.max_trials = 3
    with pytest.raises(
        AttributeError,
        match=r"NasExperiment has no list_trial_jobs: NNI's service is not used; exp\.result has all trials after exp\.run\(\)",
    ):
        exp.list_trial_jobs()
    exp.config.max_experiment_duration = "soon"
    with pytest.raises(rt.RecordError, match="max_experiment_duration is 'soon'; expected a time such as 30m"):
        exp.run()
