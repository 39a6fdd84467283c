"""The page: one HTML file that needs nothing else, and that asks for nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from records.formats import count_of, format_accuracy, format_count, format_seconds
from records.report.cells import draw_cell, read_cells
from records.report.collect import Run
from records.report.commands import command_again, next_command
from records.report.importance import EVALUATOR, measure_importance
from records.report.lab_table import as_html, as_markdown, fill
from records.report.text import as_number, as_object, definition_list, escape, paragraph
from records.report.training_plots import plot_alphas, plot_epochs, show_probabilities
from records.report.trial_plots import MEASURED_LATENCY, SIZES, plot_curves, plot_history, plot_parallel, plot_pareto, show_importance
from records.report.trials_table import show_front, show_trials

_FOLDER = Path(__file__).parent
_LONGEST_COMMAND = 6000
_STATES = {
    "running": "still running: this is how far it was when the report was made",
    "finished": "finished",
    "failed": "failed: no trial was completed",
    "unfinished": "not finished: it was interrupted, or it failed",
}


def make_page(runs: Sequence[Run]) -> str:
    """Return the HTML of the report of ``runs``."""
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    # No network, and no script but ours: whatever a file's string might still do, the browser refuses.
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    title = runs[0].path.name or "run" if len(runs) == 1 else f"{len(runs)} runs"
    made = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"
    table = _show_lab_table(runs) if len(runs) > 1 else ""
    body = "".join(_show_run(run, f"run{index}") for index, run in enumerate(runs))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)} - retiarius</title>\n<style>{style}</style>\n</head>\n<body>\n'
        f"<header><h1>{escape(title)}</h1>{paragraph(f'report of retiarius, made {made}')}</header>\n"
        f"<main>{table}{body}</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _section(heading: str, *parts: str) -> str:
    return f"<section><h3>{escape(heading)}</h3>{''.join(parts)}</section>"


def _show_lab_table(runs: Sequence[Run]) -> str:
    rows = fill(runs)
    parts = []
    for language, heading in (("en", "The lab's table"), ("zh", "实验记录表")):
        markdown = escape_block(as_markdown(rows, language))
        parts.append(f'<h3 lang="{language}">{heading}</h3><div class="scroll">{as_html(rows, language)}</div>')
        parts.append(f'<details class="markdown"><summary>Markdown</summary><pre>{markdown}</pre></details>')
    note = paragraph("Which run belongs to which row is guessed from its config.json; the last column says by what.")
    return f'<article id="lab-table">{"".join(parts)}{note}</article>'


def escape_block(text: str) -> str:
    """Return text of several lines, line by line."""
    return "\n".join(escape(line, 20_000) for line in text.split("\n"))


def _show_run(run: Run, name: str) -> str:
    what = f"retraining: {run.settings.get('retrain')}" if run.is_retraining else f"{run.space} by {run.strategy}"
    state = f'<p class="state {run.state}">{escape(_STATES[run.state])}</p>'
    notes = "".join(paragraph(note, "warning") for note in run.notes)
    head = f"<h2>{escape(what)} <small>{escape(_data_name(run))}</small></h2>{paragraph(str(run.path))}{state}{notes}"
    sections = [_show_result(run), _show_cells(run)]
    if run.trials:
        sections.append(_show_search(run, name))
    if run.is_retraining and (run.retrained or run.epochs):
        sections.append(_show_retraining(run, name))
    elif run.epochs:
        sections.append(_show_supernet(run, name))
    log = run.log if run.state != "finished" else []
    if log:
        sections.append(_section("The end of log.txt", f"<pre>{escape_block(chr(10).join(log))}</pre>"))
    sections.append(_show_provenance(run))
    return f'<article id="{name}">{head}{"".join(sections)}</article>'


def _data_name(run: Run) -> object:
    """Return the data set's name; what a user program reads, nobody knows."""
    return run.dataset.get("name", "?" if run.trial_command is None else "")


def _show_result(run: Run) -> str:
    averaged = " (image and mirror image averaged)" if run.averages_mirror_images else ""
    if run.is_retraining:
        result = run.retrained
        if not result:
            return _section("Result", paragraph("There is no retrained.json yet: the test set is scored when the training has ended."))
        rows: dict[str, object] = {
            "test accuracy": format_accuracy(as_number(result.get("test_accuracy"))) + averaged,
            "epochs": result.get("epochs"),
            "parameters": format_count(as_number(result.get("parameters"))),
            "multiply-adds": format_count(as_number(result.get("flops"))),
            "training took": format_seconds(as_number(result.get("seconds"))),
        }
        return _section("Result", definition_list(rows), _show_settings(run, as_object(result.get("hyperparameters"))))
    best = run.best
    if best is None:
        return _section("Best configuration", _show_best_parameters(run))
    score = as_object(best.score)
    rows = {
        str(score.get("metric", "score")): run.metric.format(as_number(score.get("value"))) + averaged,
        "after epochs": score.get("epochs"),
        "trial": best.strategy.get("trial"),
        "parameters": format_count(best.parameters),
        "multiply-adds": format_count(best.flops),
    }
    return _section("Best configuration", definition_list(rows), _show_settings(run, best.hyperparameters))


def _show_best_parameters(run: Run) -> str:
    """Show what a search has found that wrote no ``best.json``: that of a user program, or one that has not come so far."""
    best, trial = run.best_parameters, run.best_trial
    if not best:
        name = "best_parameters.json" if run.searches_parameters else "best.json"
        found = f"{name}. The best trial so far is {trial.number}, {run.metric.show(trial.score)}." if trial else f"{name} yet."
        return paragraph(f"No {found}")
    rows = {run.metric.name: run.metric.format(as_number(best.get("result"))), "trial": best.get("trial")}
    parameters = definition_list(as_object(best.get("parameters")))
    return definition_list({**rows, "optimize mode": best.get("optimize_mode")}) + parameters


def _show_settings(run: Run, hyperparameters: dict[str, object]) -> str:
    cells = read_cells(run.architecture)
    rows = {label: value for label, value in run.architecture.items() if not any(label.startswith(f"{kind}/") for kind in cells)}
    return definition_list(rows) + f"<details open><summary>hyperparameters</summary>{definition_list(hyperparameters)}</details>"


def _show_cells(run: Run) -> str:
    cells = read_cells(run.architecture)
    drawn = (f"<figure><figcaption>{escape(kind)}</figcaption>{draw_cell(kind, nodes)}</figure>" for kind, nodes in cells.items())
    return _section("Cells", f'<div class="cells">{"".join(drawn)}</div>') if cells else ""


def _show_search(run: Run, name: str) -> str:
    trials = run.trials
    counts = {status: sum(trial.state == status for trial in trials) for status in ("complete", "pruned", "failed")}
    done = f"{len(trials)} of " if run.planned not in (None, len(trials)) else ""
    words = f"{done}{count_of(run.planned or len(trials), 'trial')}: "
    words += ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    key = '<p class="legend marks-key"><span class="complete">complete</span><span class="pruned">pruned (last value)</span>'
    key += '<span class="failed">failed</span><span class="best">best so far, Pareto front</span></p>'
    importance = measure_importance(run.completed)
    shares = {} if isinstance(importance, str) else importance
    history, curves = plot_history(f"{name}-history", trials, run.metric), plot_curves(f"{name}-curves", trials, run.metric)
    parallel = plot_parallel(f"{name}-parallel", trials, shares, run.metric)
    costs = SIZES if all(trial.latency is None for trial in trials) else (*SIZES, MEASURED_LATENCY)
    charts = [f"<div>{plot_pareto(f'{name}-{cost.attribute}', trials, cost, run.metric)}</div>" for cost in costs]
    return "".join(
        [
            _section("The search over time", paragraph(words), key, f'<div class="pair"><div>{history}</div><div>{curves}</div></div>'),
            _section("Importance", show_importance(importance, EVALUATOR, len(trials) - len(run.completed))),
            _section("Parallel coordinates", f'<div class="wide-chart">{parallel}</div>'),
            _section("Accuracy against cost", f'<div class="pair">{"".join(charts)}</div>') if not run.searches_parameters else "",
            _section("Pareto front (pareto.json)", show_front(run.pareto)) if run.pareto else "",
            _section("All trials", show_trials(trials, run.best_trial, run.metric)),
        ]
    )


def _show_supernet(run: Run, name: str) -> str:
    halves = {"train": "weights' half", "validation": "architecture's half"}
    accuracy = {f"{part}_accuracy": words for part, words in halves.items()}
    loss = {f"{part}_loss": words for part, words in halves.items()}
    left = plot_epochs(f"{name}-supernet-accuracy", run.epochs, accuracy, "accuracy", percent=True)
    right = plot_epochs(f"{name}-supernet-loss", run.epochs, loss, "loss", percent=False)
    return "".join(
        [
            _section("The supernet", f'<div class="pair"><div>{left}</div><div>{right}</div></div>'),
            _section("Entropy and skip connections", plot_alphas(name, run.epochs)),
            _section("Probabilities of the operations (softmax of alpha)", show_probabilities(run.epochs)),
        ]
    )


def _show_retraining(run: Run, name: str) -> str:
    curve = run.retrained.get("curve")
    epochs = [as_object(epoch) for epoch in curve] if isinstance(curve, list) else run.epochs
    left = plot_epochs(f"{name}-accuracy", epochs, {"accuracy": "training accuracy"}, "accuracy", percent=True)
    right = plot_epochs(f"{name}-loss", epochs, {"loss": "training loss"}, "loss", percent=False)
    note = paragraph("On the training images as they are augmented: the test set is scored once, at the end.")
    return _section("Learning curves", f'<div class="pair"><div>{left}</div><div>{right}</div></div>', note)


def _show_provenance(run: Run) -> str:
    config, dataset = run.config, run.dataset
    sizes = ", ".join(f"{dataset[part]} {part}" for part in ("train", "validation", "test") if as_number(dataset.get(part)) is not None)
    rows: dict[str, object] = {
        "begun": config.get("created"),
        "in the folder": config.get("directory"),
        "commit": config.get("commit"),
        "space": as_object(run.identity.get("space")),
        "trial command": run.trial_command,
        "data set": f"{_data_name(run)}{f' ({sizes})' if sizes else ''}" if run.trial_command is None else None,
        **{key: run.identity.get(key) for key in ("preset", "epochs", "seed", "precision")},
        "versions": as_object(config.get("versions")),
    }
    resumed = config.get("resumed")
    again = [f"<p>again, in a new folder:</p><pre>{escape(command_again(run) or '?', _LONGEST_COMMAND)}</pre>"]
    if isinstance(resumed, list) and resumed:
        again.append(paragraph(f"It was resumed {'once' if len(resumed) == 1 else f'{len(resumed)} times'}."))
    follow = next_command(run)
    if follow:
        again.append(f"<p>next:</p><pre>{escape(follow, _LONGEST_COMMAND)}</pre>")
    asked = f"<details><summary>all settings</summary>{definition_list(run.settings)}</details>"
    values = as_object(run.identity.get("recipe"))
    recipe = [f"<details><summary>recipe</summary>{definition_list(values)}</details>"] if values else []
    return _section("What was run", *again, definition_list(rows), asked, *recipe)
