"""``--list``: what there is, and what fits what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluators import EVALUATORS
from evaluators.names import DATASETS
from retiarius.cli.screen import Screen
from retiarius.presets import PRESETS
from spaces import SPACES
from strategies import PRUNERS, STRATEGIES

_OWN_IMAGES = ["PATH", "a folder of your own images: train/<class>/ and test/<class>/"]


def show_list(screen: Screen) -> None:
    """Show the registries, and which strategy fits which space: one that ``offers`` what the strategy ``needs``."""
    fits = [
        [name, *("yes" if strategy.needs <= space.offers else "-" for space in SPACES.values()), strategy.summary]
        for name, strategy in STRATEGIES.items()
    ]
    screen.closing_table("Strategies (--strategy), and the spaces they fit", fits, header=["", *SPACES, ""])
    _show(screen, "Spaces (--space)", SPACES)
    screen.closing_table("Data sets (--dataset)", [*map(list, DATASETS.items()), _OWN_IMAGES])
    _show(screen, "Evaluators (--evaluator)", EVALUATORS)
    _show(screen, "Pruners (--pruner)", PRUNERS)
    _show(screen, "Presets (--preset)", PRESETS)


def _show(screen: Screen, title: str, registry: Mapping[str, Any]) -> None:
    screen.closing_table(title, [[name, entry.summary] for name, entry in registry.items()])
