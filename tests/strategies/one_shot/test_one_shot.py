"""One-shot DARTS: the paper's rule, the traps of NNI that are stepped around, the two halves of the training set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from bright_bars import make_data
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from small_supernets import SMALL, PlainSpace, evaluator, facts_of, search, seeded

from common.errors import StrategyError
from evaluators.data.dataset import Split
from evaluators.training.supernet import SupernetTraining
from spaces import SPACES, make_space
from spaces.adapter import find_space
from spaces.darts.space import DartsSpace
from strategies import STRATEGIES
from strategies.one_shot.darts import DartsStrategy
from strategies.one_shot.search_epoch import SearchEpoch, choose_edges
from strategies.one_shot.supernet_modules import SummedInput

ONE_SHOT = [name for name, kind in STRATEGIES.items() if kind.one_shot]
SHORTER = {"darts_pt": {"tuning_epochs": 1}}
SUPERNETS = ("fused", pytest.param("stock", marks=pytest.mark.slow))  # by way of the same strategy


@pytest.mark.parametrize("name", ONE_SHOT)
@pytest.mark.parametrize("space", [name for name, entry in SPACES.items() if "one_shot" in entry.offers])
@pytest.mark.slow
def test_every_one_shot_pair_finds_a_legal_architecture_and_repeats_itself(space: str, name: str, tmp_path: Path) -> None:
    found, space_class = [], SPACES[space].load()
    arguments = {**find_space(space).preset_arguments("quick", "search"), **(SMALL if space == "darts" else {}), "num_classes": 3}
    for seed in (0, 0, 1):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        found.append(search(seeded(space_class, arguments), folder, name=name, seed=seed, **SHORTER.get(name, {}))[0].result())
    assert make_space(space_class, arguments).check_contains(found[0].sample) is None
    assert 0 <= found[0].validation_accuracy <= 1
    assert found[0] == found[1]
    assert found[0].train_loss != found[2].train_loss


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("supernet", SUPERNETS)
def test_gradients_of_the_weights_are_clipped(
    supernet: str, precision: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    original = torch.optim.SGD.step

    def step(self: torch.optim.SGD, closure: Any = None, **options: Any) -> Any:
        def measured() -> Any:
            loss = closure()  # Lightning differentiates and clips in here
            gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
            norms.append(torch.cat([gradient.flatten() for gradient in gradients]).norm().item())
            return loss

        return original(self, measured, **options)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    space = seeded(DartsSpace, SMALL)
    strategy = DartsStrategy(seed=0, supernet=supernet, gradient_clip_val=0.01, facts=facts_of(space))
    strategy(RawFormatModelSpace(space, evaluator(tmp_path, 1, precision=precision)), SequentialExecutionEngine())
    assert len(norms) == 3 and max(norms) <= 0.01 * 1.001


def test_the_papers_rule() -> None:
    probabilities = {
        "e0": {"none": 0.8, "skip": 0.15, "conv": 0.05},
        "e1": {"none": 0.1, "skip": 0.2, "conv": 0.7},
        "e2": {"none": 0.3, "skip": 0.3, "conv": 0.4},
    }
    sample = choose_edges(probabilities, {"inputs": ["e0", "e1", "e2"]}, {"inputs": 2})
    assert sample == {"e0": "skip", "e1": "conv", "e2": "conv", "inputs": [1, 2]}, "none is never chosen and never counts"
    even = {edge: {"skip": 0.5, "conv": 0.5} for edge in probabilities}
    assert choose_edges(even, {"inputs": ["e0", "e1", "e2"]}, {"inputs": 2})["inputs"] == [0, 1]


@pytest.mark.parametrize("supernet", SUPERNETS)
def test_architecture_parameters_come_in_the_order_of_the_space(supernet: str, tmp_path: Path) -> None:
    space = DartsSpace(**SMALL)
    labels = [label for label in space.simplify() if "edge" in label]
    strategy, _ = search(space, tmp_path, supernet=supernet)
    parameters = strategy.oneshot_module.arch_parameters()
    assert len(parameters) == len(labels) == 2 * 5
    assert all(strategy._arch_parameters[label] is parameter for label, parameter in zip(labels, parameters, strict=True))


@pytest.mark.parametrize("supernet", SUPERNETS)
def test_the_supernet_at_certainty_is_the_frozen_network(supernet: str) -> None:
    """With all weight on one operation per edge, a node adds up its edges, as the frozen node does (NNI's own would mix them)."""
    space = DartsSpace(width=2, num_cells=3, num_nodes=1)  # one node, two states: both are read, nothing is left out
    sample = {label: mutable.values[3] if "edge" in label else [0, 1] for label, mutable in space.simplify().items()}
    frozen = space.freeze(sample).train()
    strategy = DartsStrategy(supernet=supernet, facts=facts_of(space))
    mixed = strategy.mutate_model(space).train()
    assert any(isinstance(module, SummedInput) for module in mixed.modules()) == (supernet == "stock")
    with torch.no_grad():
        for label, parameter in strategy._arch_parameters.items():
            if "edge" in label:
                parameter.fill_(-1e4)
                parameter[3] = 1e4
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(mixed(images), frozen(images), atol=1e-5)


@pytest.mark.parametrize("supernet", SUPERNETS)
@pytest.mark.slow
def test_each_step_trains_its_own_parameters(supernet: str, tmp_path: Path) -> None:
    space = DartsSpace(**SMALL)
    weights_before = {name: parameter.clone() for name, parameter in space.named_parameters()}
    strategy, (epoch,) = search(space, tmp_path, supernet=supernet)
    alphas = torch.cat(strategy.oneshot_module.arch_parameters())
    unsearched = DartsSpace(**SMALL)
    fresh = DartsStrategy(seed=0, facts=facts_of(unsearched))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh.mutate_model(unsearched)
    first = torch.cat([p for label, p in fresh._arch_parameters.items() if "edge" in label])
    # 3 steps of Adam at 3e-4 move an alpha by at most about 1e-3, and not by nothing
    assert 1e-5 < (alphas - first).abs().max() < 2e-3
    stem = weights_before["stem.0.weight"]
    assert not torch.equal(stem, strategy.supernet.stem[0].weight)
    assert epoch.number == 1
    assert all(abs(sum(p.values()) - 1) < 1e-5 for p in epoch.probabilities.values())


def test_a_space_without_cells_keeps_as_many_inputs_as_it_asks_for(tmp_path: Path) -> None:
    strategy, _ = search(PlainSpace(), tmp_path)
    sample = strategy.result().sample
    assert sample["layer"] in ("wide", "narrow")
    assert len(sample["inputs"]) == 2
    # the mixed input is of the size of two inputs: 2 * (x + 2x + 3x) / 3 when all weigh the same
    mixed = strategy.supernet.inputs
    with torch.no_grad():
        mixed._arch_alpha.zero_()
    x = torch.ones(1)
    assert mixed([x, 2 * x, 3 * x]).item() == pytest.approx(4.0)


def test_inputs_of_which_the_mean_is_taken() -> None:
    mixed = DartsStrategy().mutate_model(PlainSpace("mean")).inputs
    assert mixed([torch.ones(1)] * 3).item() == pytest.approx(1.0), "as much as the mean of the two that are kept"
    cells = DartsSpace(**SMALL)
    cells.cells[0].nodes[0].inputs.reduction = "mean"
    with pytest.raises(StrategyError, match="normal/inputs_2: a supernet needs reduction='sum', not 'mean'"):
        DartsStrategy(supernet="stock", facts=facts_of(cells)).mutate_model(cells)


def test_weights_and_architecture_never_share_an_image(tmp_path: Path) -> None:
    lightning = evaluator(tmp_path, 1)
    halves = [loader.batches.split for loader in (lightning.train_dataloaders, lightning.val_dataloaders)]
    images = [{image.numpy().tobytes() for image in half.images} for half in halves]
    assert len(images[0]) == len(images[1]) == 60
    assert not images[0] & images[1]
    assert [half.labels.bincount().tolist() for half in halves] == [[20, 20, 20]] * 2


@pytest.mark.parametrize("order", [1, 2])
def test_each_half_trains_what_is_its_own(order: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lightning = evaluator(tmp_path, 1)
    for loader, label in ((lightning.train_dataloaders, 0), (lightning.val_dataloaders, 2)):
        loader.batches.split.labels.fill_(label)
    space, seen = seeded(DartsSpace, SMALL), []
    original = SupernetTraining.training_step

    def step(self: SupernetTraining, batch: Any, batch_idx: int) -> Any:
        seen.append((batch[1].unique().item(), space.stem[0].weight.requires_grad))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(SupernetTraining, "training_step", step)
    strategy = DartsStrategy(seed=0, order=order, facts=facts_of(space))
    strategy(RawFormatModelSpace(space, lightning), SequentialExecutionEngine())
    labels = [label for label, _ in seen]
    if order == 1:
        assert seen == [(2, False), (0, True)] * 3
    else:
        # A step of the weights tried out, the alphas' gradient after it, that of two weights nearby, and the step of the weights.
        assert labels == [0, 2, 0, 0, 0] * 3


def test_an_odd_number_of_images_makes_no_step_that_the_schedule_does_not_know(tmp_path: Path) -> None:
    data = make_data()
    odd = replace(data, train=Split(data.train.images[:-1], data.train.labels[:-1]))
    assert len(odd.train_and_validation) == 119
    lightning = evaluator(tmp_path, 1, data=odd, batch_size=59)
    assert [len(loader) for loader in (lightning.train_dataloaders, lightning.val_dataloaders)] == [1, 1]
    assert {len(loader.batches.split) for loader in (lightning.train_dataloaders, lightning.val_dataloaders)} == {59}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"order": 2}, {"collapse_guard": "stop"}])
def test_a_resumed_search_is_the_search_that_was_not_interrupted(options: dict[str, Any], tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("whole", "parted")}
    for folder in folders.values():
        folder.mkdir()
    steps: list[int] = []
    whole, seen = search(seeded(DartsSpace, SMALL), folders["whole"], epochs=3, on_step=steps.append, **options)
    assert steps == list(range(1, len(steps) + 1)) and len(steps) % 3 == 0

    class Enough(Exception):
        pass

    def stop_in_the_second(epoch: SearchEpoch) -> None:
        if epoch.number == 2:
            raise Enough

    space = seeded(DartsSpace, SMALL)
    with pytest.raises(Enough):
        DartsStrategy(seed=0, on_epoch=stop_in_the_second, facts=facts_of(space), **options)(
            RawFormatModelSpace(space, evaluator(folders["parted"], 3)), SequentialExecutionEngine()
        )
    more: list[int] = []
    resumed, rest = search(seeded(DartsSpace, SMALL), folders["parted"], epochs=3, on_step=more.append, **options)
    assert more == steps[len(steps) // 3 :], "the second epoch is done again"
    assert resumed.guard.state_dict() == whole.guard.state_dict()
    assert rest == seen[1:]
    for first, second in zip(whole.oneshot_module.parameters(), resumed.oneshot_module.parameters(), strict=True):
        assert torch.equal(first, second)
