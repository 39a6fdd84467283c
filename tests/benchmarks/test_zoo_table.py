"""The table of zoo trainings: what is shipped is whole, is read by the library, and gives the priors that are shipped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import retiarius as rt
from benchmarks.zoo_near import NearestRows
from benchmarks.zoo_plan import ARCHITECTURE, FACTOR, HYPERPARAMETERS, RATES, plan, plan_rates, usual_rate
from benchmarks.zoo_priors import (
    NETWORKS,
    PORTFOLIO,
    best_factor,
    choose_networks,
    choose_portfolio,
    measured_accuracies,
    portfolio_document,
)
from benchmarks.zoo_quality import BUDGETS, WAYS, search_mutables, simulations
from benchmarks.zoo_table import (
    COLUMNS,
    GUESSING,
    RATES_TABLE,
    SHARES,
    SPACE,
    TABLE,
    Training,
    as_table,
    read_table,
    search_space,
    training_of,
)
from common.files import read_json
from evaluators.table import load_table


def made(number: int, *, data: str = "digits", end: float = 0.9, seconds: float = 8.0, **changes: Any) -> Training:
    """A training of two epochs by the plan's configuration of this number, changed."""
    told = next(one for _, one in plan() if one["number"] == number)
    curve = [[seconds / 2, end / 2, 1.0], [seconds, end, 0.5]]
    line = {"data": data, **told, "state": "ended", "epochs": 2, "epoch_seconds": seconds / 2, "curve": curve}
    return training_of({**line, **changes}, limit=8.0)


def test_a_training_is_told_at_shares_of_its_time() -> None:
    training = made(0, curve=[[3.0, 0.3, 1.0], [6.0, 0.5, 1.0], [8.2, 0.6, 1.0]])
    assert [training.after(seconds) for seconds in (2.0, 4.0, 6.0, 8.0)] == [(GUESSING, 2.0), (0.3, 3.0), (0.5, 6.0), (0.6, 8.2)]
    assert made(0, state="too slow", curve=[]).end == (GUESSING, 8.0)
    lost = made(0, state="diverged", curve=[[3.0, 0.3, 1.0], [5.0, 0.4, 1.0]])
    assert [lost.after(seconds) for seconds in (4.0, 6.0, 8.0)] == [(0.3, 3.0), (GUESSING, 5.0), (GUESSING, 5.0)]


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    trainings = [made(3), made(1, end=0.4), made(2, data="cifar10", state="too slow", curve=[])]
    path = tmp_path / "zoo.csv.gz"
    path.write_bytes(as_table(trainings))
    assert sorted(read_table(path), key=repr) == sorted(trainings, key=repr)
    assert as_table(reversed(trainings)) == path.read_bytes()


def test_what_is_shipped_is_of_the_plan_and_whole() -> None:
    trainings, planned = read_table(), {(name, one["number"]): one for name, one in plan()}
    counts = Counter(one.data for one in trainings)
    assert counts["cifar10"] + counts["digits"] >= 200 and counts["fashion"] >= 40
    for one in trainings:
        configuration = planned[one.data, one.configuration["number"]]
        assert all(one.configuration[label] == configuration[label] for label in (*ARCHITECTURE, *HYPERPARAMETERS))
        seconds = [point[0] for point in one.curve]
        assert seconds == sorted(seconds) and all(0 <= accuracy <= 1 for _, accuracy in one.curve)
        assert one.state in ("ended", "diverged", "too slow")
        assert (len(one.curve) == one.epochs) if one.state != "diverged" else (len(one.curve) <= one.epochs)
    assert as_table(trainings) == TABLE.read_bytes(), "the table is what its writer makes of it"
    assert search_space(trainings) == read_json(SPACE)


def test_the_library_reads_it_at_each_share_of_the_time() -> None:
    table = load_table(TABLE, COLUMNS).narrowed(["network", "optimizer"], {"data": "digits"})
    assert table.fidelities == list(SHARES) and table.has_seconds and table.num_classes == 10
    best = max(one.end[0] for one in read_table() if one.data == "digits")
    assert max(row.fidelities[100][0] for row in table.rows.values()) == best


@pytest.mark.parametrize("strategy", [rt.TPE(), rt.Random()])
def test_a_search_on_it_ends(tmp_path: Path, strategy: Any) -> None:
    told: dict[str, Any] = {"search_space": read_json(SPACE), "table": TABLE, "table_columns": COLUMNS, "fixed": {"data": "cifar10"}}
    found = rt.search(strategy=strategy, epochs=100, trials=30, out=tmp_path / "run", **told)
    assert found.best_parameters.keys() == {"network", "optimizer"}
    assert len(found.trials) == 30


def test_the_priors_that_are_shipped_are_those_of_the_tables() -> None:
    shipped = read_json(NETWORKS)
    assert choose_networks(read_table(RATES_TABLE), shipped) == shipped
    assert portfolio_document(read_table()) == read_json(PORTFOLIO)


def test_the_rates_that_are_shipped_are_of_the_plan() -> None:
    planned = {one["number"]: one for _, one in plan_rates()}
    trainings = read_table(RATES_TABLE)
    assert len(trainings) == len(planned) and as_table(trainings) == RATES_TABLE.read_bytes()
    for one in trainings:
        assert {label: one.configuration[label] for label in (*ARCHITECTURE, *HYPERPARAMETERS)} == {
            label: planned[one.configuration["number"]][label] for label in (*ARCHITECTURE, *HYPERPARAMETERS)
        }


def test_what_trains_best_at_a_higher_rate_gets_a_higher_one_and_what_got_nowhere_the_usual() -> None:
    higher, nowhere = ("resnet18", "sgd"), ("resnet10t", "sgd")
    ends = {higher: {1 / FACTOR: 0.3, 1: 0.5, FACTOR: 0.6}, nowhere: {1 / FACTOR: 0.1, 1: 0.12, FACTOR: 0.1}}
    trainings = []
    for _, told in plan_rates():
        pair = (told["backbone"], told["optimizer"])
        factor = told["initial_lr"] / usual_rate(*pair) * 2  # batches of 64, and SGD's rate is in proportion
        if pair in ends:
            curve = [[1.0, ends[pair][min(ends[pair], key=lambda one: abs(one - factor))], 1.0]]
            line = {"data": "cifar10", **told, "state": "ended", "epochs": 1, "epoch_seconds": 1.0, "curve": curve}
            trainings.append(training_of(line, 8.0))
    assert measured_accuracies(trainings) == {higher: [0.3, 0.5, 0.6]}
    good = {name: told["optimizers"] for name, told in choose_networks(trainings, read_json(NETWORKS))["networks"].items()}
    others = {"weight_decay": 0.0005, "batch_size": 128}
    assert good["resnet18"]["sgd"] == {"initial_lr": 0.4, **others, "source": "trainings", "n": 3}
    assert good["resnet10t"]["sgd"] == good["resnet50"]["sgd"] == {"initial_lr": 0.1, **others, "source": "practice", "n": 0}
    assert good["convnet32"]["sgd"]["source"] == "recipe", "what was measured otherwise stays"


@pytest.mark.parametrize(
    ("accuracies", "factor"),
    [
        ((0.3, 0.5, 0.6), 4.0),  # the vertex of the parabola is at 4 ** 1.5
        ((0.3, 0.7, 0.6), 4**0.3),
        ((0.3, 0.5, 0.3), 1.0),
        ((0.3, 0.4, 0.5), 4.0),  # a straight line: the highest of the three
        ((0.5, 0.4, 0.3), 0.25),
        ((0.4, 0.2, 0.5), 4.0),  # a valley
    ],
)
def test_the_good_rate_is_at_the_top_of_a_parabola(accuracies: Any, factor: float) -> None:
    assert best_factor(accuracies) == pytest.approx(factor)


def test_the_portfolio_gains_by_the_second_and_is_of_different_backbones() -> None:
    numbers = {one["backbone"]: one["number"] for _, one in plan()}
    good, better, weak = (numbers[name] for name in ("resnet10t", "resnet18", "resnet50"))
    trainings = [
        *(
            made(number, data=data, end=end, seconds=seconds)
            for data in ("one", "two")
            for number, end, seconds in ((weak, 0.5, 8.0), (better, 0.9, 8.0))
        ),
        *(made(good, data=data, end=0.85, seconds=2.0) for data in ("one", "two")),
    ]
    chosen = [one["number"] for one in choose_portfolio(trainings)]
    assert chosen == [good, better, weak], "the second gains, the third is a second best"
    assert len(choose_portfolio(trainings, 2)) == 2


def test_a_sample_stands_for_the_nearest_training() -> None:
    rows = [one for one in read_table() if one.data == "digits"]
    nearest = NearestRows(rows, list(search_mutables()))
    for row in rows[:10]:
        assert nearest.nearest(row.configuration) is row
        assert nearest.nearest({**row.configuration, "initial_lr": 1.05 * row.configuration["initial_lr"]}) is row
        assert nearest.canonical(nearest.canonical(row.configuration)) == nearest.canonical(row.configuration)


@pytest.mark.parametrize("way", WAYS)
def test_a_simulated_search_finds_what_is_in_the_table(way: str) -> None:
    simulation = simulations(read_table())["digits"]
    found = [simulation.search("random", way, seed, BUDGETS[0]) for seed in range(3)]
    assert all(GUESSING <= accuracy <= simulation.best for accuracy in found) and max(found) > 0.3
    assert simulation.search("random", way, 0, BUDGETS[0]) == found[0]
    assert set(RATES) == set(search_mutables()["optimizer"].values)  # type: ignore[attr-defined]
