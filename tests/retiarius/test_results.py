"""What a run gives to a person's own code: a table, a figure, the architecture of any trial."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.figure import Figure
from two_layers import TwoLayers, count_weights

import retiarius as rt

pytestmark = pytest.mark.usefixtures("own_folder")
HERE: dict[str, Any] = {"device": "cpu", "precision": "float32"}


@pytest.mark.slow
def test_results_as_a_table_a_figure_a_report_and_a_file(data: Any) -> None:
    pandas = pytest.importorskip("pandas")
    found = rt.search(TwoLayers, "grid", evaluator=count_weights, trials=4, out="run", data=data, **HERE)
    frame = found.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["score"]) == [trial.score for trial in found.trials]
    assert set(frame["convolution"]) == {"small", "large"}
    assert isinstance(found.plot(), Figure)
    assert found.report().read_text().startswith("<!DOCTYPE html>")
    path = found.best.save("mine.json")
    with pytest.raises(rt.SpaceError, match="is imported only if you name it: set `space` to its class, or to MODULE:CLASS"):
        rt.load_architecture(path).network()
    loaded = rt.load_architecture(path, space=TwoLayers)
    assert loaded.choices == found.best.choices and loaded.score == found.best.score
    again = rt.open_run("run")
    assert isinstance(again, rt.SearchResult) and again.trials == found.trials


def test_minimised_results_are_in_a_column_of_their_own(data: Any) -> None:
    pytest.importorskip("pandas")
    found = rt.search(TwoLayers, "grid", evaluator=count_weights, trials=4, optimize_mode="minimize", out="run", data=data, **HERE)
    frame = found.to_frame()
    assert list(frame["score"]) == [trial.score for trial in found.trials] and (frame["score"] < 0).all()
    assert list(frame["result"]) == list(-frame["score"]) and frame["result"].min() == found.best.score


def test_any_trial_has_an_architecture_and_the_best_compromises_are_told(data: Any) -> None:
    found = rt.search(TwoLayers, "grid", trials=4, epochs=1, out="run", data=data, **HERE)
    front = found.pareto
    assert front and max(front, key=lambda trial: trial.score or 0).score == found.best.score
    assert [trial.parameters for trial in front] == sorted((trial.parameters for trial in front), reverse=True)
    for trial in found.trials:
        one = found.architecture_of(trial)
        assert one.choices == trial.architecture and one.score == trial.score
        weights = sum(parameter.numel() for parameter in one.network().parameters())
        assert weights == trial.parameters == rt.load_architecture(one.save(f"{trial.number}.json"), space=TwoLayers).record.parameters
    final = rt.retrain(found.architecture_of(min(found.trials, key=lambda trial: trial.parameters or 0)), data=data, epochs=1, **HERE)
    assert final.document["parameters"] == min(trial.parameters or 0 for trial in found.trials)
