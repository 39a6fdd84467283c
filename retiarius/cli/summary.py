"""What a person sees when a run has come to its end: a short table, and the next command to type."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from records.formats import count_of, format_accuracy, format_count, format_seconds
from records.next_command import retrain_command
from retiarius.cli.screen import Screen

if TYPE_CHECKING:
    from retiarius.dry_run import Preview
    from retiarius.results import RetrainResult, SearchResult

AVERAGED = ", image and mirror image averaged"
_Rows = list[list[object]]


def show_found(screen: Screen, result: SearchResult, *, is_retrained: bool = False) -> None:
    """Show the end of a search: what was found, of the hyperparameters those that were searched, and how to retrain it if it is not."""
    run, best = result.record, result.best
    score = best.record.score
    assert score is not None
    metric = str(score["metric"]) + (AVERAGED if run.averages_mirror_images else "")
    value = run.metric.format(score["value"])
    if run.metric.percent and "epochs" in score:
        value += f", epoch {score['epochs']}"
    rows: _Rows = [[metric, value]]
    rows += [list(item) for item in best.description.items()]
    rows += _test_by_table(result)
    searched = best.record.strategy.get("searched", [])
    chosen = {name: choice for name, choice in best.hyperparameters.items() if name in searched}
    rows += [[name, f"{choice:.3g}" if isinstance(choice, float) else choice] for name, choice in chosen.items()]
    path = result.path / "best.json"
    rows += [["parameters", format_count(best.parameters)], ["multiply-adds", format_count(best.flops)], ["written to", path]]
    on = "" if best.record.dataset.get("name") == "none" else f" on {best.record.dataset.get('name')}"
    screen.closing_table(f"Best of {run.space} by {run.strategy}{on}", rows)
    if not is_retrained:
        screen.next_command(retrain_command(*program_for(best.record.space_name), path))


def _test_by_table(result: SearchResult) -> _Rows:
    """Return the row of the test figure, where a table was looked up that has one."""
    metric, figure = result.record.metric, result.test_score_by_table if result.record.looks_up else None
    return [] if figure is None else [[f"test {'accuracy' if metric.percent else 'score'} by the table", metric.format(figure)]]


def program_for(space: str) -> tuple[list[str], str | None]:
    """Return the words that start the program which knows ``space``, and the space where it has to be named."""
    from spaces import SPACES

    started = sys.argv[0] if sys.argv else ""
    if started.endswith("retiarius"):
        words = ["retiarius"]
    else:
        # A space may be known to the script that has brought it along, and to no other.
        is_own = space in SPACES and not SPACES[space].target.startswith("spaces.")
        words = ["python", started if is_own or Path(started).name == "run_experiment.py" else "run_experiment.py"]
    return words, None if space in SPACES else space


def show_retrained(screen: Screen, result: RetrainResult) -> None:
    """Show the end of a retraining: both test accuracies, and the size of the network."""
    document = result.document
    rows: _Rows = [["test accuracy, images as they are", format_accuracy(result.test_accuracy)]]
    rows += [[f"test accuracy{AVERAGED}", format_accuracy(result.mirrored_test_accuracy)], ["epochs", document["epochs"]]]
    rows += [["parameters", format_count(document["parameters"])], ["multiply-adds", format_count(document["flops"])]]
    rows += [["training took", format_seconds(document["seconds"])], ["written to", result.path / "retrained.json"]]
    screen.closing_table(f"Retrained on {document['dataset']['name']}", rows)


def show_best_parameters(screen: Screen, result: SearchResult) -> None:
    """Show the best parameters of a user program, or of a table."""
    run, best = result.record, result.record.best_parameters
    rows: _Rows = [[run.metric.name, run.metric.format(best["result"])], *_test_by_table(result), ["trial", best["trial"]]]
    rows += [list(item) for item in best["parameters"].items()] + [["written to", result.path / "best_parameters.json"]]
    screen.closing_table(f"Best of {count_of(len(run.trials), 'trial')} by {run.strategy}, to {best['optimize_mode']}", rows)


def show_preview(screen: Screen, preview: Preview) -> None:
    """Show what would run."""
    rows: _Rows = [["space", preview.space], ["strategy", preview.strategy], ["configurations", _many(preview.configurations)]]
    timed = preview.seconds_per_trial is not None
    if preview.trials is not None:
        rows += [["trials", f"up to about {preview.trials}" if timed else preview.trials]]
    if not preview.measured:
        screen.closing_table("What would run", rows)
        return
    rows += [["time per trial", format_seconds(preview.seconds_per_trial)] if timed else ["epochs", preview.epochs]]
    rows += [[f"parameters of {preview.measured}", format_count(preview.parameters)]]
    rows += [[f"multiply-adds of {preview.measured}", format_count(preview.flops)]]
    known = "not known yet" if preview.seconds_per_epoch is None else format_seconds(preview.seconds_per_epoch)
    rows += [["time per epoch", known]]
    screen.closing_table("What would run", rows)


def _many(number: int | None) -> Any:
    if number is None:
        return "unlimited (a continuous range)"
    return f"{number:,}" if number < 10**9 else f"{Decimal(number):.1e}"
