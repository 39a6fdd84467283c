"""The best of some draws by inherited weights: which are drawn, on what they are measured, and which is selected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nni.nas.evaluator.pytorch import Classification, DataLoader
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from small_supernets import CountedSpace, PlainSpace, facts_of, seeded
from torch import Tensor
from torch.utils.data import TensorDataset

from common.numbers import LARGEST_SEED
from strategies import SearchContext, make_strategy
from strategies.one_shot.best_of_draws import BestOfDraws, Draw, draw_evenly
from strategies.one_shot.darts import DartsStrategy
from strategies.one_shot.single_path import UniformPath


def test_the_best_of_the_draws_is_selected_and_a_loss_that_is_no_number_is_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, asked = DartsStrategy(sampler=UniformPath(seed=0), facts=facts_of(CountedSpace())), []
    strategy.mutate_model(CountedSpace())

    def score(self: BestOfDraws, sample: dict[str, Any], measure: Any) -> Draw:
        asked.append(sample)
        return Draw(sample, None, float("nan") if len(asked) == 1 else 7.0 - sum(sample["inputs"]))

    monkeypatch.setattr(BestOfDraws, "_score", score)
    selection = BestOfDraws(strategy.restrictable, seed=0, draws=30)
    best = selection.select(0, lambda batch, number: {})
    assert asked == draw_evenly(strategy.restrictable.mutables, np.random.RandomState([0, 0]), 30)
    assert best == selection.ranked[0].sample and best["inputs"] == [2, 3]
    assert best is next(sample for sample in asked[1:] if sample["inputs"] == [2, 3]), "the first of equal ones"
    assert selection.ranked[-1].sample is asked[0] and len(selection.ranked) == 30
    again = BestOfDraws(strategy.restrictable, seed=0)
    again.restore(selection.state())
    assert again.ranked[:-1] == selection.ranked[:-1]


@pytest.mark.parametrize(("noted", "each"), [(3, 1), (20, 1), (65, 3), (1000, 10)])
def test_a_selection_takes_no_more_passes_than_the_epoch_had_steps(noted: int, each: int) -> None:
    strategy = DartsStrategy(sampler=UniformPath(seed=0), facts=facts_of(CountedSpace()))
    strategy.mutate_model(CountedSpace())
    selection, asked = BestOfDraws(strategy.restrictable, seed=0), []

    def measure(batch: int, number: int) -> dict[str, Tensor]:
        asked.append(batch)
        return {"accuracy": torch.tensor(float("nan")), "loss": torch.tensor(float(batch))}

    for epoch in range(2):
        for batch in range(noted):
            selection.note(batch)
        selection.select(epoch, measure)
    assert asked == 2 * 20 * list(range(noted - each, noted)), "the last batches of the epoch"


def test_each_seed_and_each_epoch_has_draws_of_its_own() -> None:
    strategy = DartsStrategy(sampler=UniformPath(seed=0), facts=facts_of(CountedSpace()))
    strategy.mutate_model(CountedSpace())
    drawn: dict[tuple[int, int], list[Any]] = {}
    for seed in (0, 1, LARGEST_SEED):
        for epoch in (0, 1):
            selection, seen = BestOfDraws(strategy.restrictable, seed), drawn.setdefault((seed, epoch), [])
            selection._score = lambda sample, measure, seen=seen: seen.append(sample) or Draw(sample, 0.0, 0.0)  # type: ignore[method-assign, assignment, misc]
            selection.select(epoch, lambda batch, number: {})
    assert all(first == second or drawn[first] != drawn[second] for first in drawn for second in drawn)


def test_an_evaluator_that_logs_its_accuracy_selects_by_the_loss_of_each_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an epoch the logged accuracy is a mean over all batches, those of other draws among them."""
    worths: list[tuple[dict[str, Any], float]] = []
    score = BestOfDraws._score

    def note(self: BestOfDraws, sample: dict[str, Any], measure: Any) -> Draw:
        draw = score(self, sample, measure)
        worths.append((sample, draw.worth))
        return draw

    monkeypatch.setattr(BestOfDraws, "_score", note)
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (320,), generator=generator)
    images = TensorDataset(30 * torch.randn(320, 3, 8, 8, generator=generator) + 3 * labels[:, None, None, None], labels)
    loaders = {name: DataLoader(images, batch_size=8) for name in ("train_dataloaders", "val_dataloaders")}
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
    classification = Classification(
        **loaders, **quiet, max_epochs=1, learning_rate=0.002, num_classes=3, accelerator="cpu", default_root_dir=str(tmp_path)
    )
    space = seeded(PlainSpace, {})
    strategy: Any = make_strategy("spos").build(SearchContext(seed=0, one_shot=facts_of(space)))
    strategy(RawFormatModelSpace(space, classification), SequentialExecutionEngine())
    by_sample: dict[str, set[float]] = {}
    for sample, value in worths:
        by_sample.setdefault(str(sample), set()).add(value)
    assert len(by_sample) > 1 and all(len(values) == 1 for values in by_sample.values()), "an architecture is worth what it is worth"
    assert strategy.result().sample == max(worths, key=lambda each: each[1])[0] == strategy.draws[0].sample
    assert all(draw.accuracy is None and draw.worth == -draw.loss for draw in strategy.draws)
