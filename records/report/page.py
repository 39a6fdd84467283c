"""The page: one HTML file that needs nothing else, and that asks for nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from records.report.after_search import show_finals
from records.report.cells import draw_cell, read_cells
from records.report.collect import Run
from records.report.commands import command_again
from records.report.figure import Chart, show
from records.report.findings import LONGEST_COMMAND, data_name, show_finding, show_overview
from records.report.importance import EVALUATOR, measure_importance
from records.report.lab_table import Row, as_html, as_markdown, fill, is_of_the_lab
from records.report.palette import as_css
from records.report.seeds import Group, group_by_seed, plot_epochs_together, plot_searches
from records.report.selection_table import show_selection
from records.report.story import show_story
from records.report.text import as_number, as_object, definition_list, escape, paragraph
from records.report.times import show_moment
from records.report.training_plots import plot_alphas, plot_epochs, show_draws, show_probabilities, tell_events
from records.report.trial_plots import MEASURED_LATENCY, SIZES, plot_curves, plot_history, plot_parallel, plot_pareto, show_importance
from records.report.trials_table import show_front, show_trials

_FOLDER = Path(__file__).parent
_STATES = {
    "running": "still running: this is how far it was when the report was made",
    "finished": "finished",
    "failed": "failed: no trial was completed",
    "unfinished": "not finished: it was interrupted, or it failed",
}


def make_page(runs: Sequence[Run], lab_table: bool | None = None) -> str:
    """Return the HTML of the report of ``runs``.

    Parameters
    ----------
    lab_table
        Whether the lab's table is in it, in English and Chinese; by default where the runs are those of its rows, and in English.
    """
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    # No network, and no script but ours: whatever a file's string might still do, the browser refuses.
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    title = runs[0].path.name or "run" if len(runs) == 1 else f"{len(runs)} runs"
    made = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"
    overview = _show_together(runs) if len(runs) > 1 else ""
    rows = fill(runs) if lab_table or (lab_table is None and len(runs) > 1) else []
    table = _show_lab_table(rows, both=bool(lab_table)) if lab_table or is_of_the_lab(rows) else ""
    body = "".join(_show_run(run, f"run{index}") for index, run in enumerate(runs))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)} - retiarius</title>\n<style>{as_css()}{style}</style>\n</head>\n<body>\n'
        f"<header><h1>{escape(title)}</h1>{paragraph(f'report of retiarius, made {made}')}</header>\n"
        f"<main>{overview}{body}{table}</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _section(heading: str, *parts: str) -> str:
    return f"<section><h3>{escape(heading)}</h3>{''.join(parts)}</section>"


def _show_together(runs: Sequence[Run]) -> str:
    """Show what all runs have found, and their curves with one line for those that differ in their seed alone."""
    groups = group_by_seed(runs)
    parts = [_section("What was found", show_overview(groups))]
    searches = [group for group in groups if group.runs[0].trials]
    kinds = dict.fromkeys((group.runs[0].metric, data_name(group.runs[0])) for group in searches)
    for index, (metric, data) in enumerate(kinds):
        alike = [group for group in searches if (group.runs[0].metric, data_name(group.runs[0])) == (metric, data)]
        charts = [plot_searches(f"together{index}-{over}", alike, over) for over in ("trials", "time")]
        if sum(len(group.runs) for group in alike) > 1:
            parts.append(_section(f"The searches beside one another{f', {data}' if data else ''}", _pair(*charts)))
    parts += _show_epochs_together(groups)
    return f'<article id="together">{"".join(parts)}</article>'


def _show_epochs_together(groups: Sequence[Group]) -> list[str]:
    supernets = [group for group in groups if group.runs[0].epochs and not group.runs[0].is_retraining]
    trained = [group for group in groups if group.runs[0].is_retraining]
    kinds = [(supernets, "validation_accuracy", "validation accuracy of the supernet"), (trained, "accuracy", "training accuracy")]
    charts = [
        plot_epochs_together(f"together-{key}", own, key, what) for own, key, what in kinds if sum(len(group.runs) for group in own) > 1
    ]
    return [_section("Epoch by epoch", _pair(*charts))] if charts else []


def _pair(*charts: Chart | str) -> str:
    return f'<div class="pair">{"".join(f"<div>{show(chart)}</div>" for chart in charts)}</div>'


def _show_lab_table(rows: Sequence[Row], *, both: bool) -> str:
    parts = []
    for language, heading in (("en", "The lab's table"), *((("zh", "实验记录表"),) if both else ())):
        markdown = escape_block(as_markdown(rows, language))
        parts.append(f'<h3 lang="{language}">{heading}</h3><div class="scroll">{as_html(rows, language)}</div>')
        parts.append(f'<details class="markdown"><summary>Markdown</summary><pre>{markdown}</pre></details>')
    note = "Which run belongs to which row is guessed from its config.json; the last column says by what."
    note += "" if both else " --lab-table writes the table in Chinese, too."
    return f'<article id="lab-table">{"".join(parts)}{paragraph(note)}</article>'


def escape_block(text: str) -> str:
    """Return text of several lines, line by line."""
    return "\n".join(escape(line, 20_000) for line in text.split("\n"))


def _show_run(run: Run, name: str) -> str:
    what = f"retraining: {run.settings.get('retrain')}" if run.is_retraining else f"{run.space} by {run.strategy}"
    state = f'<p class="state {run.state}">{escape(_STATES[run.state])}</p>'
    notes = "".join(paragraph(note, "warning") for note in run.notes)
    head = f"<h2>{escape(what)} <small>{escape(data_name(run))}</small></h2>{paragraph(str(run.path))}{state}{notes}"
    sections = [_section("Result" if run.is_retraining else "What was found", show_finding(run)), _show_cells(run)]
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


def _show_cells(run: Run) -> str:
    cells = read_cells(run.architecture)
    drawn = (f"<figure><figcaption>{escape(kind)}</figcaption>{draw_cell(kind, nodes)}</figure>" for kind, nodes in cells.items())
    return _section("Cells", f'<div class="cells">{"".join(drawn)}</div>') if cells else ""


def _show_search(run: Run, name: str) -> str:
    trials = run.trials
    importance = measure_importance(run.completed)
    shares = {} if isinstance(importance, str) else importance
    over_time = _pair(plot_history(f"{name}-history", run), plot_curves(f"{name}-curves", trials, run.metric))
    parallel = show(plot_parallel(f"{name}-parallel", trials, shares, run.metric))
    costs = SIZES if all(trial.latency is None for trial in trials) else (*SIZES, MEASURED_LATENCY)
    fronts = [plot_pareto(f"{name}-{cost.attribute}", trials, cost, run.metric) for cost in costs]
    sections = [_section("The search over time", over_time, show_story(run))]
    if run.finals:
        sections.append(_section("Compared at full size", show_finals(run)))
    if not run.searches_parameters:
        sections.append(_section(f"{run.metric.short.capitalize()} against cost", _pair(*fronts)))
    sections.append(_section("Which labels mattered", show_importance(importance, EVALUATOR, len(trials) - len(run.completed))))
    sections.append(_section("Parallel coordinates", f'<div class="wide-chart">{parallel}</div>'))
    if run.pareto:
        sections.append(_section("Pareto front (pareto.json)", show_front(run.pareto)))
    return "".join([*sections, _section("All trials", show_trials(trials, run.best_trial, run.metric))])


def _show_supernet(run: Run, name: str) -> str:
    halves = {"train": "weights' half", "validation": "architecture's half"}
    accuracy = {f"{part}_accuracy": words for part, words in halves.items()}
    loss = {f"{part}_loss": words for part, words in halves.items()}
    left = plot_epochs(f"{name}-supernet-accuracy", run.epochs, accuracy, "accuracy", percent=True)
    right = plot_epochs(f"{name}-supernet-loss", run.epochs, loss, "loss", percent=False)
    guard = as_object(as_object(run.best.strategy).get("collapse_guard")) if run.best is not None else {}
    return "".join(
        [
            _section("The supernet", _pair(left, right)),
            *([_section("How the architecture was selected", selected)] if (selected := show_selection(run)) else []),
            _section("Entropy and skip connections", plot_alphas(name, run.epochs), tell_events(guard, run.epochs)),
            *([_section("Draws of operations", draws)] if (draws := show_draws(name, run.epochs)) else []),
            _section("Probabilities of the operations", show_probabilities(run.epochs)),
        ]
    )


def _show_retraining(run: Run, name: str) -> str:
    curve = run.retrained.get("curve")
    epochs = [as_object(epoch) for epoch in curve] if isinstance(curve, list) else run.epochs
    left = plot_epochs(f"{name}-accuracy", epochs, {"accuracy": "training accuracy"}, "accuracy", percent=True)
    right = plot_epochs(f"{name}-loss", epochs, {"loss": "training loss"}, "loss", percent=False)
    note = paragraph("On the training images as they are augmented: the test set is scored once, at the end.")
    return _section("Learning curves", _pair(left, right), note)


def _show_provenance(run: Run) -> str:
    config, dataset = run.config, run.dataset
    sizes = ", ".join(f"{dataset[part]} {part}" for part in ("train", "validation", "test") if as_number(dataset.get(part)) is not None)
    rows: dict[str, object] = {
        "begun": show_moment(config.get("created")),
        "in the folder": config.get("directory"),
        "commit": config.get("commit"),
        "space": as_object(run.identity.get("space")),
        "trial command": run.trial_command,
        "data set": f"{data_name(run)}{f' ({sizes})' if sizes else ''}" if run.trial_command is None else None,
        "preset": run.identity.get("preset"),
        "epochs": run.training_epochs,
        **{key: run.identity.get(key) for key in ("seed", "precision")},
        "versions": as_object(config.get("versions")),
    }
    resumed = config.get("resumed")
    command = command_again(run)
    again = [] if command is None else [f"<p>again, in a new folder:</p><pre>{escape(command, LONGEST_COMMAND)}</pre>"]
    if isinstance(resumed, list) and resumed:
        again.append(paragraph(f"It was resumed {'once' if len(resumed) == 1 else f'{len(resumed)} times'}."))
    asked = f"<details><summary>all settings</summary>{definition_list(run.settings)}</details>"
    values = as_object(run.identity.get("recipe"))
    recipe = [f"<details><summary>recipe</summary>{definition_list(values)}</details>"] if values else []
    return _section("What was run", *again, definition_list(rows), asked, *recipe)
