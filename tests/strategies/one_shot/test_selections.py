"""Selections: what is settled by which accuracies, in which order, and that an interruption changes nothing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from bright_bars import make_data
from mixed_spaces import Cells
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from scored_supernets import TINY, Sum, supernet_of
from small_supernets import SMALL, PlainSpace, evaluator, facts_of, seeded

from common.errors import StrategyError
from common.trial import sample_key
from evaluators.training.checkpoints import read_checkpoint
from evaluators.training.inherited import inherited_accuracy, supernet_halves
from spaces.darts.space import DartsSpace
from spaces.kept_candidates import keep_candidates
from spaces.nasbench201.space import NasBench201Space
from strategies import DartsPT, SearchContext, make_strategy
from strategies.one_shot.darts import DartsStrategy
from strategies.one_shot.projection import Projection, plan_rounds
from strategies.one_shot.selection import Scorer
from strategies.one_shot.tuning import begin_tuning_epoch, tuning_rate

STEPS = 3  # of an epoch


def test_the_operation_stays_without_which_the_most_is_lost() -> None:
    supernet = supernet_of(NasBench201Space, TINY)
    score = Sum(supernet)
    losses = {label: weights * score.worth[label] for label, weights in supernet.expected.items()}
    projection = Projection(scorer=Scorer(score, {}), seed=0, tuning_epochs=0)
    projection.bind(supernet)
    selected = projection.finish()
    assert selected.sample == {label: supernet.names(label)[int(loss.argmax())] for label, loss in losses.items()}
    assert score.calls == 6 * 5 + 1, "each operation of each edge is removed once, and the result is scored"
    supernet.hold(supernet.weights_of(selected.sample))
    assert selected.top[0][1] == pytest.approx(score(supernet.model))


def test_nodes_keep_the_edges_whose_operations_are_dearest_to_the_supernet() -> None:
    supernet = supernet_of(DartsSpace, {**SMALL, "none": True})
    score = Sum(supernet)
    for edge in (edge for edges in supernet.input_edges.values() for edge in edges):
        score.worth[edge][0] = 2.0  # of `none`, which no edge that is kept can be
    projection = Projection(scorer=Scorer(score, {}), seed=0, tuning_epochs=0)
    projection.bind(supernet)
    sample = projection.finish().sample
    for label, edges in supernet.input_edges.items():
        names = [supernet.names(edge) for edge in edges]
        kept = [int(score.worth[edge][1:].argmax()) + 1 for edge in edges]
        assert [sample[edge] for edge in edges] == [own[place] for own, place in zip(names, kept, strict=True)]
        worth = [float(score.worth[edge][place]) for edge, place in zip(edges, kept, strict=True)]
        assert sample[label] == sorted(sorted(range(len(edges)), key=lambda source: -worth[source])[:2])


def test_inputs_that_are_mixed_are_kept_by_what_they_are_worth() -> None:
    supernet = supernet_of(PlainSpace, {})
    score = Sum(supernet)
    score.worth["inputs"] = torch.tensor([0.3, 0.1, 0.2])
    projection = Projection(scorer=Scorer(score, {}), seed=0, tuning_epochs=0)
    projection.bind(supernet)
    assert projection.finish().sample["inputs"] == [0, 2]


def test_one_choice_of_each_cell_is_settled_at_a_time_edges_before_nodes() -> None:
    supernet = supernet_of(DartsSpace, SMALL)
    rounds = [plan_rounds(supernet.mutables, supernet.input_edges, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    for planned in rounds:
        assert [sorted(label.partition("/")[0] for label in together) for together in planned] == [["normal", "reduce"]] * 6
        assert all("edge" in label for together in planned[:5] for label in together)
        settled = sorted(label for together in planned for label in together)
        assert settled == sorted({*supernet.mutables} - {"normal/inputs_2", "reduce/inputs_2"}), "nodes that keep both are no rounds"
    assert rounds[0] != rounds[1]
    with pytest.raises(StrategyError, match="has no way to settle cell, of a cell of NNI's"):
        Projection(scorer=Scorer(None, {}), seed=0, tuning_epochs=1).bind(supernet_of(Cells, {}))


def test_what_has_one_value_is_kept_without_a_round() -> None:
    space = seeded(NasBench201Space, TINY)
    keep_candidates(space, {label: ["nor_conv_3x3"] for label in list(space.simplify())[:5]})
    strategy = DartsStrategy(facts=facts_of(space))
    strategy.mutate_model(space)
    score = Sum(strategy.restrictable)
    projection = Projection(scorer=Scorer(score, {}), seed=0, tuning_epochs=2)
    projection.bind(strategy.restrictable)
    assert projection.epochs == 0
    assert sorted(projection.finish().sample) == sorted(strategy.restrictable.mutables)


def test_the_cells_of_darts_are_tuned_sixteen_times() -> None:
    space = DartsSpace(width=2, num_cells=3, num_nodes=4)
    mutables, edges = {str(label): mutable for label, mutable in space.simplify().items()}, facts_of(space).input_edges
    assert DartsPT(tuning_epochs=1).count_tuning_epochs(mutables, edges) == 16, "14 edges and three nodes, less one"


def context(space: Any, known: dict[str, float], **told: Any) -> SearchContext:
    data = supernet_halves(make_data(), 0)
    return SearchContext(
        gradient_clip=5.0, one_shot=facts_of(space), score=lambda model: inherited_accuracy(model, data=data), scores=known, **told
    )


def train(folder: Path, known: dict[str, float], *, epochs: int = 1, name: str = "gdas", **settings: Any) -> tuple[Any, list[Any]]:
    folder.mkdir(exist_ok=True)
    space, seen = seeded(NasBench201Space, TINY), []
    on_step = settings.pop("on_step", None)
    strategy = make_strategy(name, **settings).build(context(space, known, on_epoch=seen.append, on_step=on_step))
    strategy(RawFormatModelSpace(space, evaluator(folder, epochs)), SequentialExecutionEngine())
    return strategy, seen


class Killed(Exception):
    """Ends a search, as a kill does."""


@pytest.mark.slow
def test_a_supernet_is_tuned_between_choices_and_an_interruption_changes_nothing(tmp_path: Path) -> None:
    settings = {"selection": "perturbation", "tuning_epochs": 2, "name": "drnas"}
    known: dict[str, float] = {}
    strategy, epochs = train(tmp_path / "whole", known, **settings)
    assert [epoch.number for epoch in epochs] == list(range(1, 1 + 1 + 2 * 5)), "six choices, two epochs between each and the next"
    settled = [sum(max(shares.values()) == 1.0 for shares in epoch.probabilities.values()) for epoch in epochs]
    assert settled == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert strategy.result().sample == strategy.selected.sample == strategy.selected.top[0][0]
    whole = read_checkpoint(tmp_path / "whole" / "supernet.ckpt")
    rates = [group["lr"] for group in whole["optimizer_states"][0]["param_groups"]]
    assert rates == [pytest.approx(0.05 * tuning_rate(9, 10))]

    def kill(step: int) -> None:
        if step == 3 * 4 + 2:  # amid the fifth epoch, of three steps, after the second choice was settled
            raise Killed

    part: dict[str, float] = {}
    with suppress(Killed):
        train(tmp_path / "part", part, on_step=kill, **settings)
    before = len(part)
    assert 0 < before < len(known)
    resumed, later = train(tmp_path / "part", part, **settings)
    assert [epoch.number for epoch in later] == list(range(5, 12))
    assert part == known and resumed.selected == strategy.selected
    state = read_checkpoint(tmp_path / "part" / "supernet.ckpt")["state_dict"]
    assert all(torch.equal(value, whole["state_dict"][name]) for name, value in state.items())
    again, none = train(tmp_path / "whole", part, **settings)
    assert again.selected == strategy.selected and not none and part == known, "nothing is left to do"


@pytest.mark.slow
def test_an_evolution_by_inherited_weights_follows_the_training(tmp_path: Path) -> None:
    known: dict[str, float] = {}
    settings = {"selection": "inherited", "population": 4, "generations": 2}
    strategy, epochs = train(tmp_path / "whole", known, **settings)
    assert len(epochs) == 1 and len(known) == 8
    assert strategy.result().sample == strategy.selected.sample
    best, accuracy = strategy.selected.top[0]
    assert known[f"{sample_key(best)} after {2 * STEPS} steps"] == accuracy == max(known.values())
    again, _ = train(tmp_path / "whole", {}, **settings)
    assert again.selected == strategy.selected, "the trained supernet is read from its checkpoint"


@pytest.mark.slow
def test_a_supernet_that_was_trained_on_is_scored_anew(tmp_path: Path) -> None:
    """A search that its budget ended is resumed, and longer: what was scored before is of other weights."""
    settings: dict[str, Any] = {"selection": "inherited", "population": 4, "generations": 2}
    known: dict[str, float] = {}
    train(tmp_path / "run", known, epochs=1, **settings)
    first = dict(known)
    longer, _ = train(tmp_path / "run", known, epochs=2, **settings)
    assert known.items() > first.items() and len(known) == 2 * len(first) == 16
    afresh, _ = train(tmp_path / "run", {}, epochs=2, **settings)
    assert longer.selected == afresh.selected


def test_a_checkpoint_does_not_say_by_which_form_of_the_optimizer_the_supernet_is_tuned() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9, fused=False)
    optimizer.param_groups[0] |= {"fused": True, "initial_lr": 0.1}  # of an earlier version, in which all weights had a gradient
    selection: Any = SimpleNamespace(supernet=SimpleNamespace(), begin_epoch=lambda number: None, epochs=2)
    begin_tuning_epoch(selection, optimizer, 0, 3)
    assert optimizer.param_groups[0]["fused"] is False


def test_the_learning_rate_of_tuning_is_that_of_the_authors() -> None:
    rates = [0.025 * tuning_rate(number, 10) for number in range(11)]
    assert rates[0] == pytest.approx(0.0025) and rates[5] == pytest.approx(0.00175) and rates[10] == pytest.approx(0.001)
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"selection": "strong"}, r"gdas: unknown selection 'strong' \(did you mean strongest\?\)"),
        ({"tuning_epochs": -1}, "tuning_epochs: -1 is not a whole number of at least 0"),
        ({"population": 1}, "population: 1 is not a whole number of at least 2"),
        ({"trained_epochs": 0.5}, "trained_epochs: 0.5 is not a whole number of at least 1"),
        ({"generations": True}, "generations: True is not a whole number of at least 1"),
        ({"selection": "inherited", "cost_weight": 0.5}, "cost_weight: it works with `selection='strongest'` and 'nearest' only"),
        (
            {"selection": "perturbation", "collapse_guard": "stop"},
            "collapse_guard='stop': it works with `selection='strongest'` and 'nearest' only",
        ),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        make_strategy("gdas", **settings)
