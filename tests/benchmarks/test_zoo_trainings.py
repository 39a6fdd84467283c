"""The trainings of the zoo: a plan that is balanced and drawn by a seed, trainings that go on where they were stopped."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from bright_bars import make_data

from benchmarks import zoo_trainings
from benchmarks.zoo_plan import FACTOR, HEAVY, OTHERS, RATES, SHARED, SPARSE, SPREAD, plan, plan_rates, usual_rate
from benchmarks.zoo_trainings import read_fashion, read_lines, run, run_all
from common.errors import InputError
from evaluators.data.images import Split
from evaluators.data.splits import Dataset
from spaces.zoo.vocabulary import BACKBONES, DEPTHS, LEGAL, SIZED, WIDTHS

SMALL = {"backbone": SIZED, "stem": "own", "width": 16, "depth": 2, "optimizer": "sgd", "initial_lr": 0.05, "batch_size": 64}
SMALL |= {"label_smoothing": 0.0, "cutout": 0, "flip": "random"}


def configurations(name: str, seed: int = 0) -> list[dict[str, Any]]:
    return [one for data, one in plan(seed) if data == name]


def make_larger_data() -> Dataset:
    """The same of 32x32 pixels, as networks of the zoo take 28 or more."""
    data = make_data()
    larger = [Split(split.images.repeat_interleave(4, 2).repeat_interleave(4, 3), split.labels) for split in (data.train, data.validation)]
    return replace(data, train=larger[0], validation=larger[1])


def ticks(step: float) -> Iterator[float]:
    return itertools.count(0.0, step)


def test_every_backbone_is_trained_by_every_optimizer_on_the_same_data() -> None:
    first, second = (sorted(configurations(name), key=lambda one: one["number"]) for name in SHARED)
    assert first == second and len(first) + len(second) >= 200
    pairs = Counter((one["backbone"], one["optimizer"]) for one in first)
    assert set(pairs) == set(itertools.product(BACKBONES, RATES))
    assert {(one["width"], one["depth"]) for one in first if one["backbone"] == SIZED} == set(itertools.product(WIDTHS, DEPTHS))
    assert all(one[label] in values for one in first for label, values in LEGAL.items())
    sparse = configurations(SPARSE)
    assert len(sparse) >= 40 and all(one in first for one in sparse)
    assert {one["backbone"] for one in sparse} == set(BACKBONES)


def test_values_are_equally_frequent_and_rates_are_spread_around_the_usual_one() -> None:
    chosen = configurations(SHARED[0])
    for label, values in OTHERS.items():
        counts = Counter(one[label] for one in chosen)
        assert set(counts) == set(values) and max(counts.values()) - min(counts.values()) <= 1
    for optimizer, usual in RATES.items():
        places = sorted(math.log10(one["initial_lr"] / usual) for one in chosen if one["optimizer"] == optimizer)
        width = 2 / len(places)
        assert math.isclose(SPREAD, 10) and len(places) > 20
        for rank, place in enumerate(places):  # one in each of as many equal parts, up to the rounding of rates
            assert width * rank - 1.01 < place < width * (rank + 1) - 0.99


def test_the_plan_is_drawn_by_its_seed_and_a_part_of_it_is_mixed() -> None:
    assert plan(3) == plan(3) != plan(4)
    beginning = [one for _, one in plan(0)[:80]]
    assert {one["optimizer"] for one in beginning} == set(RATES)
    assert {one["backbone"] for one in beginning} == set(BACKBONES) - set(HEAVY)
    is_heavy = [one["backbone"] in HEAVY for _, one in plan(0)]
    assert is_heavy == sorted(is_heavy)


def test_lighter_backbones_are_trained_at_three_rates_around_the_usual_one() -> None:
    chosen, light = [one for _, one in plan_rates()], set(BACKBONES) - set(HEAVY)
    assert [one["number"] for one in chosen] == list(range(3 * len(light) * len(RATES)))
    for pair in itertools.product(light, RATES):
        own = [one for one in chosen if (one["backbone"], one["optimizer"]) == pair]
        usual = own[0]["initial_lr"]
        assert [one["initial_lr"] for one in own] == pytest.approx([usual, usual / FACTOR, usual * FACTOR], rel=1e-3)
        assert usual_rate(*pair) / 2 - 1e-9 <= usual <= usual_rate(*pair), "batches of 64 have at most the rate of 128"
        assert own[1]["number"] - 1 == own[2]["number"] - 2 == own[0]["number"]
    assert plan_rates(1) == plan_rates(1) != plan_rates()


def test_a_training_has_the_epochs_that_fit_and_what_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_larger_data()
    options: dict[str, Any] = {"precision": torch.float32, "clock": ticks(0.25).__next__}
    monkeypatch.setattr(zoo_trainings, "measure_epoch", lambda *_: 2.0)
    ended = run({"number": 1, **SMALL}, data, limit=7.0, **options)
    assert (ended["state"], ended["epochs"], len(ended["curve"])) == ("ended", 3, 3)
    assert [seconds for seconds, _, _ in ended["curve"]] == [0.25, 0.5, 0.75]
    assert all(0 <= accuracy <= 1 for _, accuracy, _ in ended["curve"])
    slow = run({"number": 1, **SMALL}, data, limit=1.9, **options)
    assert (slow["state"], slow["epoch_seconds"], slow["curve"]) == ("too slow", 2.0, [])
    lost = run({"number": 1, **SMALL, "initial_lr": 1000.0, "optimizer": "rmsprop"}, data, limit=7.0, **options)
    assert lost["state"] in ("diverged", "ended") and lost["epochs"] == 3


def test_an_epoch_is_measured_by_a_few_steps() -> None:
    data = make_larger_data()
    seconds = zoo_trainings.measure_epoch({"number": 0, **SMALL}, data, torch.float32, ticks(0.5).__next__)
    steps = len(data.train) // SMALL["batch_size"] or 1
    assert seconds >= 0.5 * steps, "a step is a tick of this clock"


def test_trainings_go_on_where_they_were_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[str, int]] = []

    def train_one(configuration: dict[str, Any], data: Dataset, **options: Any) -> dict[str, Any]:
        trained.append((data.name, configuration["number"]))
        return {**configuration, "state": "ended", "curve": []}

    monkeypatch.setattr(zoo_trainings, "run", train_one)
    planned = [("one", {"number": number, **SMALL}) for number in range(4)]
    path, data = tmp_path / "trainings.jsonl", make_data()

    def go_on() -> list[dict[str, Any]]:
        return list(run_all(planned, path, lambda _: data, precision=torch.float32, limit=1.0))

    first = run_all(planned, path, lambda _: data, precision=torch.float32, limit=1.0)
    next(first), next(first)
    first.close()
    path.write_text(path.read_text() + '{"data": "one", "num', encoding="utf-8")  # killed while it wrote
    assert [line["number"] for line in go_on()] == [2, 3]
    assert [number for _, number in trained] == [0, 1, 2, 3]
    assert [line["number"] for line in read_lines(path)] == [0, 1, 2, 3]
    assert go_on() == []


def test_fashion_is_read_without_the_part_that_looks_like_a_test_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo_trainings, "FASHION_FIRST", 5)
    folder = tmp_path / "src" / "clothes"
    folder.mkdir(parents=True)
    for label in range(10):
        rows: list[list[int]] = [[0] * 784] * 5 + [[]] * (label == 0) + [[label + 1] * 784] * 3
        (folder / f"{label}.json").write_text(json.dumps({"data": rows}))
    images, labels = read_fashion(tmp_path, each=2)
    assert images.shape == (20, 3, 28, 28) and labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert images[:, 0, 0, 0].tolist() == [label + 1 for label in range(10) for _ in range(2)]
    with pytest.raises(InputError, match="expected the npm package"):
        read_fashion(tmp_path / "nowhere")
