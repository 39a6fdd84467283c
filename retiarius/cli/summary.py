"""What a person sees when a run has come to its end: a short table, and the next command to type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from records.best import BestArchitecture
from records.formats import format_accuracy, format_count, format_seconds
from records.next_command import retrain_command
from retiarius.cli.screen import Screen
from retiarius.cli.settings import Settings

AVERAGED = ", image and mirror image averaged"
_Rows = list[list[object]]


def show_found(
    screen: Screen, settings: Settings, best: BestArchitecture, path: Path, *, dataset: str, words: Mapping[str, object], program: str
) -> None:
    """The end of a search: what was found, of the hyperparameters those that were searched.

    Args:
        settings: those of the search; the next command repeats what it needs of them.
        best: what was found, written to ``path``.
        dataset: the name of the images or of the table.
        words: the architecture in words, and what else is known of it, by name.
        program: the script that knows the space and can train what was found.
    """
    assert best.score is not None
    metric = str(best.score["metric"])
    if settings.table is None and metric == "validation accuracy" and best.hyperparameters.get("flip_averaging"):
        metric += AVERAGED
    rows: _Rows = [[metric, f"{format_accuracy(best.score['value'])}, epoch {best.score['epochs']}"]]
    rows += [list(item) for item in words.items()]
    searched = best.strategy.get("searched", [])
    rows += [
        [name, f"{value:.3g}" if isinstance(value, float) else value] for name, value in best.hyperparameters.items() if name in searched
    ]
    rows += [["parameters", format_count(best.parameters)], ["multiply-adds", format_count(best.flops)], ["written to", path]]
    screen.closing_table(f"Best of {settings.space} by {settings.strategy} on {dataset}", rows)
    screen.next_command(retrain_command(program, path, settings.describe(), dataset if settings.table is None else None))


def show_retrained(screen: Screen, document: Mapping[str, Any], path: Path) -> None:
    """The end of a training anew: ``document`` was written to ``path``."""
    metric = f"test accuracy{AVERAGED if document['flip_averaging'] else ''}"
    rows: _Rows = [[metric, format_accuracy(document["test_accuracy"])], ["epochs", document["epochs"]]]
    rows += [["parameters", format_count(document["parameters"])], ["multiply-adds", format_count(document["flops"])]]
    rows += [["training took", format_seconds(document["seconds"])], ["written to", path]]
    screen.closing_table(f"Retrained on {document['dataset']['name']}", rows)
