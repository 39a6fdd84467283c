"""A search in stages by ``search``: what each supernet has, how it ends, and that it is resumed as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bright_bars import make_data
from nni.nas.nn.pytorch import InputChoice, ModelSpace
from nni_parts import classification
from noted_epochs import read_epochs
from torch import Tensor, nn

import retiarius as rt
from evaluators.training.supernet import EpochCheckpoint
from retiarius.stages import Remaining
from spaces.darts.space import DartsSpace
from strategies.stages import Place, Stage, strongest

pytestmark = pytest.mark.usefixtures("own_folder")
SIZES: dict[str, Any] = {"width": 2, "num_nodes": 2, "batch_size": 20, "none": True}
STAGES: dict[str, Any] = {"stage_cells": [3, 4, 5], "kept_operations": [4, 2], "skip_dropout": [0.0, 0.4, 0.7]}
HERE: dict[str, Any] = {"device": "cpu", "precision": "float32", "epochs": 6}


class Warned(rt.Reporter):
    """Keeps the warnings."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def warn(self, text: str) -> None:
        self._said.append(text)


def search(out: str, resume: bool = False, strategy: rt.Strategy | None = None, **told: Any) -> rt.SearchResult:
    data = make_data()
    asked = {"data": data, "fixed": SIZES, "out": out, "resume": resume, **HERE, **told}
    return rt.search("darts", strategy or rt.PDarts(**STAGES), **asked)


def best_of(out: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(out, "best.json").read_text())
    return {name: value for name, value in content.items() if name != "created"}


@pytest.mark.slow
def test_every_stage_has_a_deeper_supernet_of_the_strongest_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    from retiarius.context import RunContext

    built: list[Any] = []
    original = RunContext.build

    def build(self: RunContext, architecture: Any, **changed: Any) -> Any:
        network = original(self, architecture, **changed)
        if architecture is None:
            built.append(len(network.cells))
        return network

    monkeypatch.setattr(RunContext, "build", build)
    found = search("run")
    assert built == [3, 4, 5]
    epochs = read_epochs("run")
    assert [(epoch["number"], epoch["stage"]) for epoch in epochs] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)]
    edges = [label for label in epochs[0]["alphas"] if "edge" in label]
    for last, first, keeps in ((1, 2, 4), (3, 4, 2)):
        kept = strongest({label: epochs[last]["probabilities"][label] for label in edges}, keeps)
        assert {label: list(epochs[first]["probabilities"][label]) for label in edges} == kept
        assert {len(names) for names in kept.values()} == {keeps}
    alphas = [value for number in (0, 2) for each in epochs[number]["alphas"].values() for value in each.values()]
    assert max(map(abs, alphas)) < 0.02, "each stage begins with new alphas"
    best = best_of("run")
    assert best["score"]["epochs"] == 6 and best["space"]["arguments"]["num_cells"] == 5
    assert best["strategy"]["stage_cells"] == [3, 4, 5]
    assert found.best.choices == DartsSpace.canonical(epochs[-1]["sample"])
    assert sorted(path.parent.name for path in Path("run/checkpoints").rglob("*.ckpt")) == ["stage_1", "stage_2", "stage_3"]


class Killed(BaseException):
    """Ends a run as nothing that it could catch would."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("checkpoint", "written"),
    [(2, False), (2, True), (3, False), (4, True), (6, False)],
    ids=["within", "between", "early", "twice", "end"],
)
def test_a_resumed_search_is_the_same_bit_by_bit(checkpoint: int, written: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before or after it writes its so manieth checkpoint."""
    search("whole")
    original, seen = EpochCheckpoint.on_train_epoch_end, []

    def on_train_epoch_end(self: EpochCheckpoint, *told: Any) -> None:
        seen.append(None)
        if written or len(seen) != checkpoint:
            original(self, *told)
        if len(seen) == checkpoint:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(EpochCheckpoint, "on_train_epoch_end", on_train_epoch_end)
        with pytest.raises(Killed):
            search("run")
    assert not Path("run/best.json").exists()
    search("run", resume=True)
    assert read_epochs("run") == read_epochs("whole")
    assert best_of("run") == best_of("whole")


def test_what_is_left_out_by_a_budget_is_trained_by_a_resumed_search() -> None:
    search("run", time_budget=1e-3)
    (epoch,) = read_epochs("run")
    assert epoch["stage"] == 1 and best_of("run")["score"]["epochs"] == 1
    search("run", resume=True)
    assert [epoch["number"] for epoch in read_epochs("run")] == list(range(1, 7))


def test_a_search_that_a_budget_ends_before_its_last_stage_keeps_what_is_read_off() -> None:
    strategy = rt.PDarts(stage_cells=[3, 3], kept_operations=[3], skip_dropout=[0, 0], selection="inherited", population=4, generations=2)
    said: list[str] = []
    found = search("run", strategy=strategy, time_budget=1e-3, reporter=Warned(said))
    (epoch,) = read_epochs("run")
    assert found.best.choices == DartsSpace.canonical(epoch["sample"]) and "selected" not in best_of("run")["strategy"]
    assert "the search ended before its last stage, which a selection follows: its cell is read off by the alphas" in said


@pytest.mark.slow
def test_stages_go_with_other_parts_and_with_nnis_mixtures() -> None:
    told: dict[str, Any] = {"stage_cells": [3, 3], "kept_operations": [3], "skip_dropout": [0.2, 0.5]}
    partial = {"partial_channels": 2, "edge_normalization": True, "sampler": "dirichlet"}
    for number, parts in enumerate((partial, {"sampler": "gumbel"}, {"sampler": "gumbel", "skip_dropout": [0, 0]}, {"supernet": "stock"})):
        fixed = {**SIZES, "width": 4}
        search(f"run {number}", strategy=rt.PDarts(**{**told, **parts}), epochs=2, fixed=fixed)
        first, second = read_epochs(f"run {number}")
        sizes = [{len(each) for label, each in epoch["probabilities"].items() if "edge" in label} for epoch in (first, second)]
        assert sizes == [{8}, {3}]


@pytest.mark.slow
def test_a_selection_follows_the_last_stage_alone() -> None:
    told: dict[str, Any] = {"stage_cells": [3, 3], "kept_operations": [3], "skip_dropout": [0.0, 0.0], "collapse_guard": "off"}
    told |= {"selection": "inherited", "population": 4, "generations": 2, "statistics_images": 20, "validation_images": 20}
    search("run", strategy=rt.PDarts(**told), epochs=2)
    assert [epoch["number"] for epoch in read_epochs("run")] == [1, 2]
    kept = {label: list(each) for label, each in read_epochs("run")[-1]["alphas"].items() if "edge" in label}
    best = best_of("run")
    assert best["strategy"]["selected"]["by"] == "inherited"
    chosen = best["architecture"]
    nodes = [(kind, node) for kind in ("normal", "reduce") for node in (2, 3)]
    read = [f"{kind}/edge_{source}_{node}" for kind, node in nodes for source in chosen[f"{kind}/inputs_{node}"]]
    assert all(chosen[label] in kept[label] for label in read)


def test_a_preset_of_few_epochs_has_one_for_each_stage() -> None:
    found = rt.search("darts", rt.PDarts(**STAGES), data=make_data(), fixed=SIZES, out="run", device="cpu")
    assert [epoch["stage"] for epoch in read_epochs("run")] == [1, 2, 3] and found.best.choices


def test_a_stage_that_ended_early_is_the_last() -> None:
    guard, epoch = SimpleNamespace(stops=False), SimpleNamespace(number=4, probabilities={"edge": {"a": 0.2, "b": 0.5, "c": 0.3}})
    trained = SimpleNamespace(guard=guard, result=lambda: epoch)
    stage = Stage(strategy=None, epochs=2, place=Place(2, 2), keeps=2)
    remaining = Remaining(None)
    assert remaining.goes_on(trained, stage, ["edge"]) and remaining.kept == {"edge": ["b", "c"]}
    assert not remaining.goes_on(trained, Stage(strategy=None, epochs=2, place=Place(2, 2)), ["edge"]), "no other follows"
    assert not Remaining(0.0).goes_on(trained, stage, ["edge"])
    guard.stops = True
    assert not remaining.goes_on(trained, stage, ["edge"])
    guard.stops, epoch.number = False, 3
    assert not remaining.goes_on(trained, stage, ["edge"])


def test_a_space_without_a_depth_loses_operations_alone() -> None:
    told: dict[str, Any] = {"stage_cells": [3, 3], "kept_operations": [3], "skip_dropout": [0.0, 0.5]}
    data, fixed = make_data(), {"width": 2, "cells": 1, "batch_size": 20}
    rt.search("nasbench201", rt.PDarts(**told), data=data, out="run", **{**HERE, "epochs": 2}, fixed=fixed)
    first, second = read_epochs("run")
    assert {len(each) for each in first["alphas"].values()} == {5} and {len(each) for each in second["alphas"].values()} == {3}
    assert best_of("run")["space"]["arguments"] == {"width": 2, "cells": 1, "num_classes": 3}


class InputsAlone(ModelSpace):
    """Nothing to drop."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)
        self.inputs = InputChoice(3, n_chosen=1, label="inputs")
        self.classifier = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.layer(images).mean(dim=(2, 3))
        return self.classifier(self.inputs([x, 2 * x, 3 * x]))


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: search("run", fixed={**SIZES, "num_cells": 4}),
        "p_darts sets the number of cells in each stage: set `stage_cells` in place of",
    ),
    (lambda: search("run", epochs=2), "p_darts has 3 stages of one epoch or more: it needs 3 epochs or more, not 2"),
    (
        lambda: rt.search(InputsAlone, "p_darts", data=make_data(), epochs=3, out="run"),
        "p_darts drops operations of LayerChoices with named candidates, and this space has none",
    ),
    (
        lambda: rt.search(InputsAlone, "p_darts", evaluator=classification(max_epochs=3), out="run"),
        "p_darts trains 3 supernets, and NNI's evaluator trains one: leave out `evaluator`",
    ),
]


@pytest.mark.parametrize(("ask", "message"), REFUSED)
def test_what_stages_cannot_have_is_refused(ask: Callable[[], Any], message: str) -> None:
    with pytest.raises(rt.StrategyError, match=message):
        ask()
