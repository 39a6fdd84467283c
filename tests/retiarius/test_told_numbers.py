"""What strategies are told of numbers: their order, and with a time budget their usual values; a resumed search is told the same again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nni.mutable import Categorical, Numerical
from two_layers import TwoLayers

import retiarius as rt
from retiarius.told_numbers import KEY, ORDER, USUAL
from run_experiment import main

GOOD = {"relu": 1e-3, "silu": 1e-1}
HOURS = 3600.0 * 5


class Knowing(TwoLayers):
    """The same networks, trained by numbers whose good values it knows."""

    @staticmethod
    def hyperparameters() -> dict[str, Any]:
        return {
            "rate": Numerical(1e-5, 1.0, log_distributed=True, label="rate"),
            "size": Categorical([16, 32, 64, 128], label="size"),
            "layers": Categorical([0, 1, 2, 3], label="layers"),
        }

    @staticmethod
    def usual(sample: dict[str, Any]) -> dict[str, float]:
        return {"rate": GOOD[sample["activation"]]}


def score(network: object, *, rate: float, size: int, layers: int) -> float:
    return -abs(rate - 0.01) + size / 1000 + layers / 100


def rates(out: Path) -> list[bool]:
    """Of each trial whether its rate is within a factor of ten of what is usual for its network."""
    trials = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]
    told = [(trial["hyperparameters"]["rate"], GOOD[trial["architecture"]["activation"]]) for trial in trials]
    return [good / 10.001 <= rate <= good * 10.001 for rate, good in told]


def identity(out: Path) -> dict[str, Any]:
    return json.loads((out / "config.json").read_text())["identity"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["tpe", "bo", "gp"])
def test_with_a_time_budget_rates_are_near_what_is_usual(strategy: str, tmp_path: Path) -> None:
    told: dict[str, Any] = {"evaluator": score, "trials": 12}
    rt.search(Knowing, strategy, **told, time_budget=HOURS, out=tmp_path / "timed")
    rt.search(Knowing, strategy, **told, out=tmp_path / "free")
    timed, free = rates(tmp_path / "timed"), rates(tmp_path / "free")
    assert len(timed) == len(free) == 12
    # bo tries neighbours of its best, too, which may be a step outside.
    assert all(timed) if strategy != "bo" else sum(timed) >= 9
    assert not all(free), "the whole range"
    assert identity(tmp_path / "timed")[KEY] == [ORDER, USUAL]
    assert identity(tmp_path / "free")[KEY] == [ORDER]


def test_the_one_number_that_is_searched_is_near_what_is_usual_for_the_rest(tmp_path: Path) -> None:
    fixed = {"activation": "silu", "convolution": "small", "size": 16, "layers": 0}
    rt.search(Knowing, evaluator=score, fixed=fixed, trials=6, time_budget=HOURS, out=tmp_path / "run")
    assert rates(tmp_path / "run") == [True] * 6


def test_what_nni_draws_is_of_the_whole_range(tmp_path: Path) -> None:
    rt.search(Knowing, "random", evaluator=score, trials=12, time_budget=HOURS, out=tmp_path / "run")
    assert not all(rates(tmp_path / "run"))


@pytest.mark.slow
def test_a_range_of_a_persons_own_is_searched_as_it_is(tmp_path: Path) -> None:
    space = {"initial_lr": {"_type": "loguniform", "_value": [1e-4, 1e-3]}}
    with pytest.raises(rt.RetiariusError, match="no trial"):
        rt.search("zoo", evaluator=_fails, search_space=space, trials=2, time_budget=HOURS, data="digits", out=tmp_path / "run")
    assert USUAL not in identity(tmp_path / "run").get(KEY, [])


def _fails(network: object, *, initial_lr: float) -> float:
    raise ValueError("not of interest")


@pytest.mark.slow
@pytest.mark.parametrize("told", [[ORDER, USUAL], [ORDER], None])
def test_a_resumed_search_is_told_what_it_was_told_at_first(told: list[str] | None, tmp_path: Path) -> None:
    """A run of an earlier version noted nothing, and its strategy was told nothing."""
    run, search = tmp_path / "run", {"evaluator": score, "time_budget": HOURS}
    rt.search(Knowing, **search, trials=8, out=run)
    config = json.loads((run / "config.json").read_text())
    config["identity"] = {name: value for name, value in config["identity"].items() if name != KEY} | ({KEY: told} if told else {})
    (run / "config.json").write_text(json.dumps(config))
    (run / "trials.jsonl").unlink()
    (run / "best.json").unlink()
    proposed = [trial.sample for trial in rt.search(Knowing, **search, trials=8, out=run, resume=True).trials]
    assert identity(run).get(KEY) == told
    assert all(rates(run)) == (told is not None and USUAL in told)
    extended = [trial.sample for trial in rt.search(Knowing, **search, trials=16, out=run, resume=True).trials]
    assert (extended[:8], len(extended)) == (proposed, 16), "what was proposed is proposed again"


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(HOURS, None), (None, HOURS)])
def test_a_budget_that_comes_or_goes_changes_nothing_of_that(first: float | None, then: float | None, tmp_path: Path) -> None:
    run, search = tmp_path / "run", {"evaluator": score, "fixed": {"activation": "silu"}, "out": tmp_path / "run"}
    rt.search(Knowing, **search, trials=6, time_budget=first)
    told = identity(run)[KEY]
    rt.search(Knowing, **search, trials=12, time_budget=then, resume=True)
    assert identity(run)[KEY] == told == ([ORDER] if first is None else [ORDER, USUAL])
    assert len(rates(run)) == 12
    assert all(rates(run)) == (first is not None)


ROWS = "batch_size,cutout,score\n" + "".join(f"{size},{cutout},{size + cutout}\n" for size in (64, 128, 256) for cutout in (0, 8, 16))


def test_columns_of_our_own_labels_have_an_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text(ROWS)
    search = ["--space", "zoo", "--strategy", "hpo", "--table", "rows.csv", "--out", "run"]
    assert main([*search, "--trials", "6"]) == 0
    assert identity(tmp_path / "run")[KEY] == [ORDER]
    first = (tmp_path / "run/trials.jsonl").read_text()
    assert main([*search, "--trials", "9", "--resume"]) == 0
    assert (tmp_path / "run/trials.jsonl").read_text().startswith(first)


def test_where_no_choice_is_of_numbers_nothing_is_noted(tmp_path: Path) -> None:
    def weights(network: Any) -> float:
        return float(sum(parameter.numel() for parameter in network.parameters()))

    rt.search(TwoLayers, evaluator=weights, trials=2, time_budget=HOURS, out=tmp_path / "run")
    assert KEY not in identity(tmp_path / "run")
