"""What a search would do, found out without running it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from common.errors import RecordError, describe_error, unknown_name
from common.reporter import Reporter
from records.report.collect import Run, read_run
from records.run_folder import require_usable_out
from retiarius.plan import make_plan
from retiarius.search_plan import SearchPlan
from retiarius.settings import SearchSettings
from retiarius.table_search import plan_row_search
from retiarius.value_checks import as_reporter

RUNS = Path("runs")
COLOUR_IMAGE = (3, 32, 32)  # of CIFAR-10, and of the digits as we enlarge them


@dataclass(frozen=True)
class Preview:
    """What would run.

    Attributes
    ----------
    space, strategy
        Their names.
    configurations
        How many there are to choose from; None where a range is searched.
    trials
        How many; None of a one-shot search.
    epochs
        Of the supernet, or of each trial.
    measured
        The network of which parameters and multiply-adds are told, in words; empty where none is trained.
    parameters, flops
        Its trainable parameters, and its multiply-adds for one image.
    seconds_per_trial
        Of each trial, where there is a time budget and trials wait and go on: ``trials`` is then about how many begin, and epochs follow.
    seconds_per_epoch
        As earlier runs in ``runs/`` with the same space, preset and data set took; None where there is none.
    """

    space: str
    strategy: str
    configurations: int | None
    trials: int | None
    epochs: int
    measured: str
    parameters: int | None
    flops: int | None
    seconds_per_epoch: float | None
    seconds_per_trial: float | None = None


def preview(space: Any = None, strategy: Any = "tpe", *, reporter: Reporter | None = None, **arguments: Any) -> Preview:
    """Return what ``search`` with these arguments would run; neither images nor a storage are opened.

    Raises
    ------
    InputError
        What ``search`` would refuse before it loads the images.
    """
    unknown = [name for name in arguments if name not in {entry.name for entry in fields(SearchSettings)}]
    if unknown:
        raise RecordError(unknown_name("argument", unknown[0], [entry.name for entry in fields(SearchSettings)]))
    settings = SearchSettings(space=space, strategy=strategy, **arguments)
    require_usable_out(settings.out, resume=settings.resume)
    heard = as_reporter(reporter)
    if settings.space is None:
        return _preview_rows(settings, heard)
    plan = make_plan(settings, heard)
    from spaces.choices import count_exactly

    count = count_exactly({**plan.searched.architecture, **plan.searched.hyperparameters})
    measured, size = _measure(settings, plan, heard)
    return Preview(
        space=settings.space.name,
        strategy=settings.strategy.name,
        configurations=count,
        trials=None if settings.strategy.one_shot else min(plan.trials, plan.trials if count is None else count),
        epochs=plan.epochs,
        measured=measured,
        parameters=size.get("parameters"),
        flops=size.get("flops"),
        seconds_per_epoch=_known_seconds(settings),
        seconds_per_trial=plan.share,
    )


def _preview_rows(settings: SearchSettings, reporter: Reporter) -> Preview:
    """Return what a search of a table's rows would run; there are no networks to measure."""
    plan = plan_row_search(settings, reporter)
    count = plan.configurations
    trials = plan.trials if count is None else min(plan.trials, count)
    return Preview(str(settings.table), settings.strategy.name, count, trials, plan.epochs, "", None, None, None)


def _measure(settings: SearchSettings, plan: SearchPlan, reporter: Reporter) -> tuple[str, dict[str, Any]]:
    """Return the network that stands for all, in words, and its size on images of 32 pixels; nothing where it cannot be measured so."""
    from evaluators.complexity import build_without_data, measure_complexity

    space, default = settings.space, settings.space.default_architecture()
    words = "the default network" if default is not None else "the first network"
    first = {label: mutable.default() for label, mutable in plan.searched.architecture.items()}
    architecture = space.canonical(default if default is not None else first)
    images = getattr(getattr(settings.data, "train", None), "images", None)
    shape = COLOUR_IMAGE if images is None else tuple(images.shape[1:])
    arguments = space.with_side(plan.arguments, shape[1], said=settings.fixed) if shape[1] == shape[2] else plan.arguments
    try:
        network = build_without_data(lambda: space.network(arguments, architecture))
        return words, dict(measure_complexity(network, shape))
    except (RuntimeError, TypeError, ValueError) as error:
        if not space.is_registered:
            reporter.warn(f"{words} of {space.name} does not accept images of {shape[1]}x{shape[2]} pixels: {describe_error(error)[:300]}")
        return words, {}


def _known_seconds(settings: SearchSettings) -> float | None:
    """Return seconds an epoch in the latest run of the same kind."""
    for path in sorted(RUNS.glob("*/config.json"), reverse=True):
        try:
            run = read_run(path.parent)
        except RecordError:
            continue
        seconds = _seconds_per_epoch(run) if _is_alike(run, settings) else None
        if seconds is not None:
            return seconds
    return None


def _is_alike(run: Run, settings: SearchSettings) -> bool:
    same = run.space == settings.space.name and run.identity.get("preset") == settings.preset and not run.is_retraining
    same = same and run.identity.get("evaluator") == settings.evaluator_name
    is_one_shot = bool(run.epochs)
    return same and is_one_shot == settings.strategy.one_shot and settings.dataset in ("auto", str(run.dataset.get("name")))


def _seconds_per_epoch(run: Run) -> float | None:
    epochs = sum(len(trial.curve) for trial in run.trials)
    return sum(trial.seconds for trial in run.trials) / epochs if epochs else None
