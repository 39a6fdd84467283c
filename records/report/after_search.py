"""What follows the trials of a search: its best networks compared once more, and the training of what was found."""

from __future__ import annotations

from records.formats import count_of, format_accuracy, format_seconds
from records.report.collect import Run
from records.report.labels import varied_labels
from records.report.text import as_number, paragraph, plain_table, show_value
from records.report.trial_plots import last_value

_MOST_LABELS = 6


def show_finals(run: Run) -> str:
    """Return a table of the networks that were trained once more at full size, the best first; empty where none were."""
    if not run.finals:
        return ""
    metric, before = run.metric, {trial.number: trial for trial in run.trials}
    labels = varied_labels(run.finals)
    heads = ("trial", f"{metric.short} at full size", "in the search", "epochs", "time", "what")
    rows = []
    for final in sorted(run.finals, key=lambda trial: (trial.score is None, -(trial.score or 0.0))):
        searched = before.get(final.number)
        what = ", ".join(f"{label} {show_value(final.sample.get(label))}" for label in labels[:_MOST_LABELS])
        more = f" and {len(labels) - _MOST_LABELS} more" if len(labels) > _MOST_LABELS else ""
        scores = [metric.show(final.score), metric.show(None if searched is None else last_value(searched))]
        told = f"failed: {final.error}" if final.error else what + more
        rows.append([str(final.number), *scores, str(len(final.curve)), format_seconds(as_number(final.seconds)), told])
    return plain_table(heads, rows) + paragraph(
        "Trained as large as a retraining has them, for as many epochs each. The best of them counts."
    )


def show_retraining(run: Run) -> str:
    """Return a line on the training that followed a search, in its folder ``retrain/``; empty where none did."""
    training = run.retraining
    if training is None:
        return ""
    if not training.retrained:
        how = "goes on" if training.state == "running" else "was interrupted"
        return paragraph(f"Its retraining {how}, {count_of(len(training.epochs), 'epoch')} done: {training.path}")
    told = "; ".join(f"{name} {value}" for name, value in accuracies_on_test_images(training).items())
    what = "Retrained" if run.is_retrained else "Another configuration than this one was retrained"
    return paragraph(f"{what}: {told}: {training.path / 'retrained.json'}")


def accuracies_on_test_images(training: Run) -> dict[str, str]:
    """Return by name the test accuracies of a retraining, that of the images as they are first."""
    result = training.retrained
    if "plain_test_accuracy" in result:
        names = {"images as they are": "plain_test_accuracy", "image and mirror image averaged": "mirrored_test_accuracy"}
        return {f"test accuracy, {words}": format_accuracy(as_number(result.get(name))) for words, name in names.items()}
    averaged = " (image and mirror image averaged)" if training.averages_mirror_images else ""
    return {f"test accuracy{averaged}": format_accuracy(as_number(result.get("test_accuracy")))}
