"""Retrain one architecture alone, and score the test set once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import DataError, RecordError, SpaceError
from common.files import write_json_atomically
from common.reporter import Reporter
from common.text import show
from records.formats import format_count
from records.next_command import has_unnamed_images
from records.provenance import collect_versions
from records.run_folder import RunFolder, read_config, require_usable_out
from records.scalars import open_scalars
from records.training_keeper import TrainingKeeper
from retiarius.architectures import Architecture, load_with, with_space
from retiarius.checks import check_names
from retiarius.context import RunContext, load_libraries
from retiarius.image_check import fit_recipe
from retiarius.presets import DEFAULT_PRESET, PRESETS
from retiarius.results import RetrainResult, SearchResult
from retiarius.retrain_checks import arguments_of, check_architecture_of, check_before_imports, recipe_of
from retiarius.retrain_settings import RetrainSettings
from retiarius.settings import DEFAULT_DATA_DIR
from retiarius.value_checks import as_reporter

if TYPE_CHECKING:
    from evaluators.data.dataset import Dataset
    from evaluators.training.recipes import Recipe


def retrain(
    architecture: Architecture | SearchResult | str | Path,
    *,
    data: str | Path | Dataset | None = None,
    epochs: int | None = None,
    time_budget: float | None = None,
    preset: str | None = None,
    recipe: str | Recipe | Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    space: Any = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    data_dir: str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    reporter: Reporter | None = None,
) -> RetrainResult:
    """Train one architecture alone, on the whole training set, and score the test set once.

    Parameters
    ----------
    architecture
        What a search found (``found`` or ``found.best``), a ``best.json``, a genotype such as ``"DARTS_V2"``, or a backbone such as
        ``"resnet18"``.
    data
        ``"auto"``, ``"cifar10"``, ``"digits"``, a folder of images, or what ``load_data`` returns; that of the search otherwise.
    epochs
        How long; the preset says otherwise.
    time_budget
        In place of epochs: seconds, of which as many epochs are made as fit, by a short measurement, at most 300. Where they take
        longer than that said, some are left out.
    preset
        How large: ``"quick"``, ``"lab"`` or ``"paper"``; that of the search otherwise.
    recipe
        How the network is trained: a name, a ``Recipe``, or values by name; the hyperparameters that were found otherwise.
    fixed
        Hyperparameters and sizes of the network, by label, that take the place of the usual ones.
    space
        The model space of a file, where that is not one of ours: a class, an instance, a factory or ``"package.module:Class"``.
    seed
        Of every random draw.
    device, precision
        Where and how exactly to compute.
    data_dir
        Where data sets lie.
    out
        The run's folder; ``runs/<time>-<space>-retrain`` otherwise.
    resume
        Resume the run in ``out``.
    tensorboard
        Write scalars for TensorBoard into the run's folder.
    reporter
        Hears what happens; nobody does otherwise.

    Returns
    -------
    RetrainResult
        Both test accuracies, and the way to the trained network.

    Raises
    ------
    InputError
        What was asked for cannot be done: one line that says what would be right.
    TrainingDiverged
        The loss became infinite.
    """
    if isinstance(architecture, SearchResult):
        architecture = architecture.best
    loaded = architecture if isinstance(architecture, Architecture) else load_with(architecture, fixed)
    chosen = with_space(loaded, space)
    if resume and out is not None:
        chosen = _as_it_began(chosen, Path(out))
    if data is None and chosen.data is None:
        _require_known_images(chosen)
    settings = RetrainSettings(
        retrain=chosen.name,
        data=data if data is not None else chosen.data or "auto",
        data_dir=Path(data_dir) if data_dir is not None else chosen.data_dir,
        epochs=epochs,
        time_budget=time_budget,
        preset=preset or chosen.preset or DEFAULT_PRESET,
        recipe=recipe,
        fixed=dict(fixed or {}),
        seed=seed,
        device=device,
        precision=precision,
        out=None if out is None else Path(out),
        resume=resume,
        tensorboard=tensorboard,
    )
    reporter = as_reporter(reporter)
    taken = _taken_from_search(chosen, settings, preset, data)
    if taken:
        reporter.say(f"as in the search that found {chosen.name}: {', '.join(taken)}")
    return run_retrain(chosen, settings, reporter)


def _require_known_images(chosen: Architecture) -> None:
    """Raise ``DataError`` where the search had images that nobody can find again: a retraining on others would tell nothing."""
    if has_unnamed_images(chosen.record.dataset):
        raise DataError(f"{chosen.name} was found on images that it does not hold, {show(chosen.record.dataset.get('name'))}: set `data`")


def _as_it_began(chosen: Architecture, out: Path) -> Architecture:
    """Return ``chosen`` with the preset and the data set of the run in ``out``, which is resumed: an older run has its own."""
    try:
        told = read_config(out).get("settings")
    except RecordError:  # refused later with a better word
        return chosen
    told = told if isinstance(told, dict) else {}
    preset, data, data_dir = told.get("preset"), told.get("dataset"), told.get("data_dir")
    return replace(
        chosen,
        preset=preset if preset in PRESETS else chosen.preset,
        data=data if isinstance(data, str) else chosen.data,
        data_dir=Path(data_dir) if isinstance(data_dir, str) and data_dir else chosen.data_dir,
    )


def _taken_from_search(chosen: Architecture, settings: RetrainSettings, preset: str | None, data: Any) -> list[str]:
    """Return what the search says and nobody else did, as arguments."""
    taken = []
    if preset is None and chosen.preset not in (None, DEFAULT_PRESET):
        taken.append(f"`preset='{settings.preset}'`")
    if data is None and chosen.data is not None:
        taken.append(f"`data='{settings.dataset}'`")
        if settings.data_dir != DEFAULT_DATA_DIR:
            taken.append(f"`data_dir='{settings.data_dir}'`")
    return taken


def run_retrain(chosen: Architecture, settings: RetrainSettings, reporter: Reporter) -> RetrainResult:
    """Retrain as ``settings`` say; see ``retrain``."""
    require_usable_out(settings.out, resume=settings.resume)
    check_names(settings)
    space = chosen.find_space()
    arguments = arguments_of(chosen, space, settings)
    check_before_imports(chosen, space, settings)
    load_libraries(reporter)
    check_architecture_of(chosen, space)
    recipe = recipe_of(chosen, space, settings, reporter)
    epochs = settings.epochs or PRESETS[settings.preset].retrain_epochs
    context = RunContext(settings, space, arguments, asdict(recipe), epochs, reporter)
    network = context.build(chosen.record.architecture)
    recipe = fit_recipe(context, network, recipe)
    if settings.time_budget is not None:
        context.epochs = _epochs_within(context, settings.time_budget, chosen, recipe)
    size = _measure(context, network, chosen, recipe)
    with (
        context.open_folder("retrain", architecture=chosen.record.architecture) as folder,
        open_scalars(folder.path, wanted=settings.tensorboard) as scalars,
    ):
        result = _train(context, network, recipe, settings.time_budget, folder, scalars)
        document = {
            **result,
            **size,
            "epochs": len(result["curve"]),
            "hyperparameters": asdict(recipe),
            "architecture": chosen.record.architecture,
        }
        document |= {"space": {"name": space.name, "arguments": context.arguments}, "dataset": context.data.describe()}
        document |= {"seed": settings.seed, "precision": context.precision_name, "versions": collect_versions()}
        document["normalization"] = {"mean": list(context.data.mean), "std": list(context.data.std)}
        document["classes"] = list(context.data.classes)
        write_json_atomically(folder.path / "retrained.json", document)
    return RetrainResult(folder.path, space)


def _epochs_within(context: RunContext, seconds: float, chosen: Architecture, recipe: Recipe) -> int:
    """Return how many epochs fit into so many seconds; of a run that is resumed as many as it began with."""
    from evaluators.training.cost import epochs_within

    stored = context.stored.get("epochs")
    if isinstance(stored, int):
        return stored
    where = {"device": context.device, "precision": context.precision}
    epochs = epochs_within(seconds, context.build(chosen.record.architecture), context.data, recipe, **where)
    context.reporter.say(f"about {epochs} epochs fit into `time_budget={seconds:g}`")
    return epochs


def _measure(context: RunContext, network: Any, chosen: Architecture, recipe: Recipe) -> dict[str, Any]:
    """Return parameters and multiply-adds of the network, and say them, with what of the recipe has no effect on it."""
    from evaluators.training.loop import idle_settings

    for line in idle_settings(network, recipe):
        context.reporter.warn(line)
    try:
        size = context.measure(network)
    except RuntimeError as error:
        height, width = (context.image_shape or (0, 0, 0))[1:]
        reason = str(error).splitlines()[0]
        raise SpaceError(f"{chosen.name} does not accept images of {height}x{width} pixels: {reason}") from error
    words = ", ".join(f"{name} {value}" for name, value in context.arguments.items())
    counts = f"{format_count(size['parameters'])} parameters, {format_count(size['flops'])} multiply-adds"
    is_set = bool(context.settings.fixed.keys() & context.arguments.keys())
    said_by = f"`preset='{context.settings.preset}'`{' and `fixed`' if is_set else ''}"
    context.reporter.say(f"{context.space.name} at the size set by {said_by} ({words}): {counts}")
    return size


def _train(context: RunContext, network: Any, recipe: Recipe, seconds: float | None, folder: RunFolder, scalars: Any) -> dict[str, Any]:
    """Train and score; keep epochs, checkpoint and weights in the folder."""
    from evaluators.training.loop import retrain as train

    checkpoint = folder.checkpoints_path / "retrain.ckpt"
    path = folder.path / "epochs.jsonl"
    keeper = TrainingKeeper(path, context.reporter, scalars, context.epochs, goes_on=checkpoint.exists())
    with keeper.shown():
        result: dict[str, Any] = train(
            network,
            **context.training,
            recipe=recipe,
            checkpoint=checkpoint,
            weights=folder.path / "weights.safetensors",
            seconds=seconds,
            on_epoch=keeper.note,
        )
    left_out = context.epochs - len(result["curve"])
    if left_out:
        context.reporter.say(f"{left_out} of {context.epochs} epochs were left out, to keep to `time_budget`")
    scalars.note(context.epochs, {"test accuracy": result["test_accuracy"]})
    return result
