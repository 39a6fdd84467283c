"""Figures for a notebook or a slide: the charts of the report on white paper."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_runs import make_trials, write_command_search, write_one_shot, write_retraining, write_search

import retiarius as rt


def test_the_progress_of_a_search_has_title_units_and_legend(tmp_path: Path) -> None:
    found = rt.open_run(write_search(tmp_path / "run", make_trials(12)))
    figure = found.plot(over="trials")
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "Score of each trial, and the best so far"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("trials that have ended", "validation accuracy (%)")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["complete", "pruned (last value)", "failed", "best so far"]
    best = max(axes.get_lines(), key=lambda line: len(line.get_xdata()))
    scores = [trial.score for trial in found.trials if trial.score is not None]
    assert best.get_ydata()[-1] == max(scores) and list(best.get_ydata()) == sorted(best.get_ydata())
    assert figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_results_that_are_minimised_go_down(tmp_path: Path) -> None:
    found = rt.open_run(write_command_search(tmp_path / "run", [-4.0, -2.5, -3.0]))
    best = max(found.plot().axes[0].get_lines(), key=lambda line: len(line.get_xdata()))
    assert (best.get_ydata()[0], best.get_ydata()[-1]) == (4.0, 2.5)


def test_the_pareto_front_curves_and_cells(tmp_path: Path) -> None:
    found = rt.open_run(write_search(tmp_path / "run", make_trials(12)))
    assert found.plot("parameters").axes[0].get_xlabel() == "parameters"
    assert found.plot("curves").axes[0].get_xlabel() == "epoch"
    cells = rt.open_run(write_one_shot(tmp_path / "cells"))
    assert [axes.get_title(loc="left") for axes in cells.plot("cells").axes] == ["normal cell", "reduce cell"]
    texts = {text.get_text() for axes in cells.plot("cells").axes for text in axes.texts}
    assert {"0", "1", "2", "3", "$c_{k-1}$", "$c_{k}$"} <= texts
    assert cells.plot().axes[0].get_ylabel() == "accuracy (%)"


def test_several_seeds_are_one_line_with_a_band(tmp_path: Path) -> None:
    folders = [write_retraining(tmp_path / f"{seed}", "resnet18", {}, 0.8 + seed / 10, seed=seed) for seed in range(2)]
    figure = rt.plot_runs([folders[0], rt.open_run(folders[1])])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "retraining of resnet18: mean of 2 seeds, band from lowest to highest"
    ]
    assert len(figure.axes[0].collections) == 1


def test_one_run_is_drawn_too_and_those_of_different_kinds_are_refused(tmp_path: Path) -> None:
    search, cells = write_search(tmp_path / "run", make_trials(5)), write_one_shot(tmp_path / "cells")
    for one in (search, str(search), rt.open_run(search)):
        assert len(rt.plot_runs(one).axes) == 1
    begun = write_search(tmp_path / "begun", [])
    assert len(rt.plot_runs([begun, search]).axes) == 1, "one that has no trial yet is left out"
    with pytest.raises(rt.RecordError, match=r"cells has validation accuracy of the supernet and .*run has .* of trials: plot them apart"):
        rt.plot_runs([search, cells])


@pytest.mark.parametrize(
    ("what", "over", "said"),
    [
        ("pareto", "time", "unknown plot 'pareto'.*parameters"),
        ("progress", "x", "unknown axis 'x'"),
        ("cells", "time", "no cells"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(tmp_path: Path, what: str, over: str, said: str) -> None:
    found = rt.open_run(write_search(tmp_path / "run", make_trials(3)))
    with pytest.raises(rt.RecordError, match=said):
        found.plot(what, over=over)
    with pytest.raises(rt.RecordError, match="no run to plot"):
        rt.plot_runs([])
