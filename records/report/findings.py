"""What was found and what it cost, with the command to type next: the beginning of a report."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from records.best import BestArchitecture
from records.formats import count_of, format_accuracy, format_count, format_seconds
from records.report.after_search import accuracies_on_test_images, show_retraining
from records.report.cells import read_cells
from records.report.collect import Run
from records.report.commands import next_command
from records.report.seeds import Group, titles_of
from records.report.text import as_number, as_object, definition_list, escape, paragraph
from records.report.times import seconds_of

LONGEST_COMMAND = 6000
_STATES = ("complete", "pruned", "failed")


def show_finding(run: Run) -> str:
    """Return the result of one run, its cost, and what to type next."""
    parts = [_show_result(run), definition_list(_cost(run)), show_retraining(run), show_next(run)]
    return f'<div class="finding">{"".join(parts)}</div>'


def show_next(run: Run) -> str:
    """Return the command to type next; empty where there is none."""
    command = next_command(run)
    if command is None:
        return ""
    verb = "begin anew" if run.state == "unfinished" else "retrain what was found, and score the test set"  # NNI's service cannot resume
    verb = "resume it" if command.endswith(" --resume") else verb
    return f"<p>Next, {verb}:</p><pre>{escape(command, LONGEST_COMMAND)}</pre>"


def count_trials(runs: Sequence[Run]) -> str:
    """Return how many trials there were, and how they ended: ``6 of 8 trials: 5 complete, 1 failed``."""
    trials = [trial for run in runs for trial in run.trials]
    planned = [len(run.trials) if run.planned is None else run.planned for run in runs]
    done = f"{len(trials)} of " if sum(planned) != len(trials) else ""
    counts = {state: sum(trial.state == state for trial in trials) for state in _STATES}
    ends = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
    return f"{done}{count_of(sum(planned), 'trial')}: {ends}"


def show_overview(groups: Sequence[Group]) -> str:
    """Return a table of several runs, a line for each configuration with its seeds, and the command that goes on with the best."""
    heads = ("what was run", "data", "result", "n", "trials", "time", "folders")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = ""
    for group, title in zip(groups, titles_of(groups), strict=True):
        run = group.runs[0]
        seconds = [value for value in map(seconds_of, group.runs) if value is not None]
        trials = count_trials(group.runs) if any(run.trials for run in group.runs) else "-"
        cells = [title, data_name(run), _result_of(group), str(len(group.runs)), trials, format_seconds(sum(seconds) if seconds else None)]
        cells += [", ".join(str(member.path) for member in group.runs)]
        body += f"<tr>{''.join(f'<td>{escape(cell, 400)}</td>' for cell in cells)}</tr>"
    table = f'<div class="scroll"><table class="overview"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    note = "n: runs that differ in their seed alone. The result is their mean (lowest to highest), the time that of all n together."
    best = _best_search(groups)
    return table + (paragraph(note) if any(len(group.runs) > 1 for group in groups) else "") + (show_next(best) if best else "")


def data_name(run: Run) -> str:
    """Return the data set's name; what a user program reads, nobody knows."""
    return str(run.dataset.get("name", "?" if run.trial_command is None else ""))


def score_of(run: Run) -> float | None:
    """Return the result of a run, as people are told it: a test accuracy of a retraining, else what the best trial or supernet had."""
    if run.is_retraining:
        return as_number(run.retrained.get("plain_test_accuracy", run.retrained.get("test_accuracy")))
    if run.best is not None and run.best.score is not None:
        return as_number(as_object(run.best.score).get("value"))
    if run.best_parameters:
        return as_number(run.best_parameters.get("result"))
    return None if run.best_trial is None or run.best_trial.score is None else run.metric.result(run.best_trial.score)


def _result_of(group: Group) -> str:
    run = group.runs[0]
    values = [value for value in map(score_of, group.runs) if value is not None]
    if not values:
        return run.state
    show = format_accuracy if run.is_retraining else run.metric.format
    text = show(statistics.fmean(values)) + (f" ({show(min(values))} to {show(max(values))})" if len(values) > 1 else "")
    if run.is_retraining:
        return f"test accuracy {text}{', mirrored' if _is_mirrored(run) else ''}"
    name = str(as_object(run.best.score).get("metric", run.metric.name)) if run.best is not None else run.metric.name
    return f"{name} {text}{', mirrored' if run.averages_mirror_images else ''}"


def _is_mirrored(run: Run) -> bool:
    """Return whether the only test accuracy that a retraining noted is averaged over mirror images."""
    return run.averages_mirror_images and "plain_test_accuracy" not in run.retrained


def _best_search(groups: Sequence[Group]) -> Run | None:
    """Return the search of the highest score, where all of them are measured alike; None where nothing can be retrained."""
    runs = [run for group in groups for run in group.runs]
    searches = [run for run in runs if not run.is_retraining and run.best is not None and score_of(run) is not None]
    kinds = {(run.metric.name, data_name(run), str(as_object(run.best.score).get("metric")) if run.best else "") for run in searches}
    if len(kinds) != 1 or any(run.is_retraining for run in runs):
        return None
    return max(searches, key=lambda run: run.metric.sign * (score_of(run) or 0.0))


def _show_result(run: Run) -> str:
    if run.is_retraining:
        return _show_retrained(run)
    best = run.best
    if best is None:
        return _show_best_parameters(run)
    score = as_object(best.score)
    averaged = " (image and mirror image averaged)" if run.averages_mirror_images else ""
    after = f", after {count_of(int(epochs), 'epoch')}" if (epochs := as_number(score.get("epochs"))) is not None else ""
    rows = {
        f"{score.get('metric', 'score')}{averaged}{after}": run.metric.format(as_number(score.get("value"))),
        **_expected(best),
        "trial": best.strategy.get("trial"),
        "parameters": format_count(best.parameters),
        "multiply-adds": format_count(best.flops),
    }
    searched = best.strategy.get("searched")
    return _headline(rows) + _show_settings(run, best.hyperparameters, searched if isinstance(searched, list) else [])


def _expected(best: BestArchitecture) -> dict[str, str]:
    """Return what the network was chosen by, where that is not its score alone."""
    expected = as_number(best.strategy.get("expected_accuracy"))
    return {} if expected is None else {"expected after the training that follows": format_accuracy(expected)}


def _show_retrained(run: Run) -> str:
    result = run.retrained
    if not result:
        return paragraph("There is no retrained.json yet: the test set is scored when the training has ended.")
    rows: dict[str, object] = {**accuracies_on_test_images(run)}
    rows |= {"parameters": format_count(as_number(result.get("parameters"))), "multiply-adds": format_count(as_number(result.get("flops")))}
    return _headline(rows) + _show_settings(run, as_object(result.get("hyperparameters")), [])


def _show_best_parameters(run: Run) -> str:
    """Show what a search has found that wrote no ``best.json``: that of a user program, or one that has not come so far."""
    best, trial = run.best_parameters, run.best_trial
    if not best:
        name = "best_parameters.json" if run.searches_parameters else "best.json"
        found = f"{name}. The best trial so far is {trial.number}, {run.metric.show(trial.score)}." if trial else f"{name} yet."
        return paragraph(f"No {found}")
    mode = best.get("optimize_mode")
    rows = {run.metric.name: run.metric.format(as_number(best.get("result"))), "trial": best.get("trial"), "optimize mode": mode}
    return _headline(rows) + definition_list(as_object(best.get("parameters")))


def _headline(rows: dict[str, object]) -> str:
    """Return the first of ``rows`` large, and the others below it."""
    (name, value), *rest = rows.items()
    return f'<p class="headline"><b>{escape(value, 200)}</b> <span>{escape(name)}</span></p>{definition_list(dict(rest))}'


def _show_settings(run: Run, hyperparameters: dict[str, object], searched: Sequence[object]) -> str:
    """Show what was chosen: the labels of the architecture, and open or folded the hyperparameters, first those that were searched."""
    cells = read_cells(run.architecture)
    rows = {label: value for label, value in run.architecture.items() if not any(label.startswith(f"{kind}/") for kind in cells)}
    chosen = {name: value for name, value in hyperparameters.items() if name in searched}
    others = {name: value for name, value in hyperparameters.items() if name not in chosen}
    words = "the other hyperparameters" if chosen else "hyperparameters"
    folded = f"<details><summary>{words}</summary>{definition_list(others)}</details>" if others else ""
    return definition_list({**rows, **chosen}) + folded


def _cost(run: Run) -> dict[str, object]:
    if run.is_retraining:
        return {"epochs": run.retrained.get("epochs"), "training took": format_seconds(seconds_of(run))}
    rows: dict[str, object] = {"trials": count_trials([run])} if run.trials else {}
    rows |= {"epochs of the supernet": len(run.epochs)} if run.epochs else {}
    took = "trainings took, by the table" if run.looks_up else "search took"
    return rows | {took: format_seconds(seconds_of(run))}
