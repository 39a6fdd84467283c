"""What is known of the zoo's networks: every backbone and optimizer has legal values, and the portfolio's can be searched."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import pytest
from project import PROJECT

from common.optimizers import OPTIMIZERS
from spaces.choices import takes
from spaces.zoo.hyperparameters import search_hyperparameters
from spaces.zoo.networks import BATCH, POWERS, GoodTraining, good_networks, portfolio, usual_values
from spaces.zoo.space import ZooSpace
from spaces.zoo.vocabulary import BACKBONES, STEMS

SEARCHED = search_hyperparameters()
BATCHES = SEARCHED["batch_size"].values


def test_every_backbone_is_known_with_every_optimizer() -> None:
    known = good_networks()
    assert list(known) == list(BACKBONES)
    assert set(POWERS) == set(OPTIMIZERS)
    for backbone, network in known.items():
        assert network.stem in STEMS, backbone
        assert list(network.optimizers) == list(OPTIMIZERS), backbone


@pytest.mark.parametrize("backbone", BACKBONES)
def test_what_is_known_is_legal_and_says_what_measured_it(backbone: str) -> None:
    for optimizer, training in good_networks()[backbone].optimizers.items():
        assert training.batch_size in BATCHES, optimizer
        assert takes(SEARCHED["weight_decay"], training.weight_decay), optimizer
        assert len(training.source) > 20, "words, and not the name by which the file has them"
        assert type(training.n) is int and training.n >= 0
        for batch_size in BATCHES:
            usual = usual_values({"backbone": backbone, "optimizer": optimizer, "batch_size": batch_size, "stem": "own"})
            assert list(usual) == ["initial_lr", "weight_decay"]
            assert all(takes(SEARCHED[label], value) for label, value in usual.items()), (optimizer, batch_size, usual)


def test_the_rate_grows_with_the_batch_as_the_optimizer_wants() -> None:
    training = GoodTraining(initial_lr=0.1, weight_decay=1e-4, batch_size=256, source="", n=0)
    rates = {name: [training.rate_at(name, size) for size in (BATCH // 2, BATCH, 2 * BATCH)] for name in OPTIMIZERS}
    assert rates["sgd"] == pytest.approx([0.05, 0.1, 0.2])
    assert rates["adam"] == rates["rmsprop"] == pytest.approx([0.1 / 2**0.5, 0.1, 0.1 * 2**0.5])
    assert rates["muon"] == [0.1, 0.1, 0.1]


def test_the_portfolio_is_of_few_and_different_whole_configurations() -> None:
    configurations = portfolio()
    assert 3 <= len(configurations) <= 8
    assert len({configuration["architecture"]["backbone"] for configuration in configurations}) >= 3
    for configuration in configurations:
        assert configuration.keys() == {"architecture", "hyperparameters"}
        architecture, values = configuration["architecture"], configuration["hyperparameters"]
        assert ZooSpace.canonical(architecture) == architecture, "legal, and the one that stands for all that mean the same"
        assert values.keys() == SEARCHED.keys()
        assert all(takes(mutable, values[label]) for label, mutable in SEARCHED.items()), values
    assert all(one != other for one, other in itertools.combinations(configurations, 2))


def test_nobody_can_change_the_portfolio_of_the_next_search() -> None:
    first = ZooSpace.portfolio()
    kept: dict[str, Any] = portfolio()[0]
    first[0]["hyperparameters"]["initial_lr"] = 7.0
    assert ZooSpace.portfolio()[0] == kept


def test_reading_it_imports_nothing_heavy() -> None:
    program = """
import sys
from spaces.zoo.networks import good_networks, portfolio
print(len(good_networks()), len(portfolio()) > 0, *{"torch", "nni", "numpy"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert done.stdout.split() == [str(len(BACKBONES)), "True"]
