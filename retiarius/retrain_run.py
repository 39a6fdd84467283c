"""Retrain one architecture alone, and score the test set once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import EvaluatorError, RecordError, SpaceError
from common.files import write_json_atomically
from common.reporter import Reporter
from records.best import check_architecture
from records.formats import format_count
from records.provenance import collect_versions
from records.run_folder import RunFolder, require_usable_out
from records.scalars import open_scalars
from records.training_keeper import TrainingKeeper
from retiarius.architectures import Architecture, load_architecture
from retiarius.checks import check_names
from retiarius.context import RunContext, load_libraries
from retiarius.presets import DEFAULT_PRESET, PRESETS
from retiarius.recipe_values import recipe_values_of
from retiarius.results import RetrainResult
from retiarius.settings import DEFAULT_DATA_DIR, RetrainSettings

if TYPE_CHECKING:
    from evaluators.data.dataset import Dataset
    from evaluators.training.recipes import Recipe
    from spaces.adapter import Space


def retrain(
    architecture: Architecture | str | Path,
    *,
    data: str | Path | Dataset | None = None,
    epochs: int | None = None,
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
        What a search found (``found.best``), a ``best.json``, a genotype such as ``"DARTS_V2"``, or a backbone such as ``"resnet18"``.
    data
        ``"auto"``, ``"cifar10"``, ``"digits"``, a folder of images, or what ``load_data`` returns; that of the search otherwise.
    epochs
        How long; the preset says otherwise.
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
    load = partial(load_architecture, space=space, fixed=fixed)
    chosen = architecture if isinstance(architecture, Architecture) else load(architecture)
    settings = RetrainSettings(
        retrain=chosen.name,
        data=data if data is not None else chosen.data or "auto",
        data_dir=Path(data_dir) if data_dir is not None else chosen.data_dir,
        epochs=epochs,
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
    reporter = reporter or Reporter()
    taken = _taken_from_search(chosen, settings, preset, data)
    if taken:
        reporter.say(f"as in the search that found {chosen.name}: {', '.join(taken)}")
    return run_retrain(chosen, settings, reporter)


def _taken_from_search(chosen: Architecture, settings: RetrainSettings, preset: str | None, data: Any) -> list[str]:
    """Return what the search says and nobody else did, as flags."""
    taken = []
    if preset is None and chosen.preset not in (None, DEFAULT_PRESET):
        taken.append(f"--preset {settings.preset}")
    if data is None and chosen.data is not None:
        taken.append(f"--dataset {settings.dataset}")
        if settings.data_dir != DEFAULT_DATA_DIR:
            taken.append(f"--data-dir {settings.data_dir}")
    return taken


def run_retrain(chosen: Architecture, settings: RetrainSettings, reporter: Reporter) -> RetrainResult:
    """Retrain as ``settings`` say; see ``retrain``."""
    require_usable_out(settings.out, resume=settings.resume)
    check_names(settings)
    space = chosen.find_space()
    arguments = _arguments_of(chosen, space, settings)
    _check_architecture_early(chosen, space, arguments, settings)
    load_libraries(reporter)
    _check_architecture(chosen, space)
    recipe = _recipe_of(chosen, space, settings, reporter)
    epochs = settings.epochs or PRESETS[settings.preset].retrain_epochs
    context = RunContext(settings, space, arguments, asdict(recipe), epochs, reporter)
    network = context.build(chosen.record.architecture)
    size = _measure(context, network, chosen, recipe)
    with (
        context.open_folder("retrain", architecture=chosen.record.architecture) as folder,
        open_scalars(folder.path, wanted=settings.tensorboard) as scalars,
    ):
        result = _train(context, network, recipe, folder, scalars)
        document = {**result, **size, "epochs": epochs, "hyperparameters": asdict(recipe), "architecture": chosen.record.architecture}
        document |= {"space": {"name": space.name, "arguments": context.arguments}, "dataset": context.data.describe()}
        document |= {"seed": settings.seed, "precision": context.precision_name, "versions": collect_versions()}
        document["normalization"] = {"mean": list(context.data.mean), "std": list(context.data.std)}
        document["classes"] = list(context.data.classes)
        write_json_atomically(folder.path / "retrained.json", document)
    return RetrainResult(folder.path, space)


def _arguments_of(chosen: Architecture, space: Space, settings: RetrainSettings) -> dict[str, Any]:
    """Return those of the space's constructor: the file's, held to their ranges, then those of the preset and of ``settings.fixed``."""
    try:
        space.check_arguments(chosen.record.space_arguments)
    except SpaceError as error:
        raise SpaceError(f"{chosen.name}: {error}") from None
    return {**chosen.record.space_arguments, **space.sized_arguments(settings.preset, "retrain", settings.fixed)}


def _check_architecture_early(chosen: Architecture, space: Space, arguments: Mapping[str, Any], settings: RetrainSettings) -> None:
    """Refuse wrong values before the heavy imports, as far as they are known by then."""
    from evaluators.training.recipes import HYPERPARAMETERS, check_hyperparameter

    for label, value in settings.fixed.items():
        if label in HYPERPARAMETERS:
            check_hyperparameter(label, value)
    _check_recipe_of_file(chosen, space)
    if space.answers_at_once:
        _refuse_illegal(chosen, space.choices(chosen.record.space_arguments))
        _check_fixed(chosen, space, settings)


def _check_architecture(chosen: Architecture, space: Space) -> None:
    """Refuse an architecture that the space does not hold."""
    from spaces.choices import legal_choices

    try:
        choices = legal_choices(space.make(chosen.record.space_arguments).simplify())
    except SpaceError as error:
        raise RecordError(f"{chosen.name}: {error}") from None
    _refuse_illegal(chosen, choices)


def _refuse_illegal(chosen: Architecture, choices: Mapping[str, Any]) -> None:
    try:
        check_architecture(chosen.record.architecture, choices)
    except RecordError as error:
        raise RecordError(f"{chosen.name}: {error}") from None


def _check_fixed(chosen: Architecture, space: Space, settings: RetrainSettings) -> None:
    """Refuse ``settings.fixed`` of what cannot be set in a retraining."""
    from evaluators.training.recipes import HYPERPARAMETERS
    from spaces.named import choices_left

    architecture, name = chosen.record.architecture, chosen.name
    can_be_set, left = (*space.settable("retrain"), *HYPERPARAMETERS), choices_left(name)
    for label, value in settings.fixed.items():
        if label not in can_be_set and (label not in architecture or architecture[label] != value):
            raise RecordError(f"--set {label}: retraining keeps the architecture; what can be set: {', '.join([*left, *can_be_set])}")
    read = space.canonical(architecture)
    for label in settings.fixed:
        if label in read and read[label] != architecture[label]:
            raise RecordError(f"--set {label}: {name} has nothing that this would change: leave it out")


def _check_recipe_of_file(chosen: Architecture, space: Space) -> dict[str, Any]:
    """Return the hyperparameters that a training knows among the file's; refuse illegal ones."""
    from evaluators.training.recipes import HYPERPARAMETERS, complete_recipe, make_recipe

    known = {label: value for label, value in chosen.record.hyperparameters.items() if label in HYPERPARAMETERS}
    try:
        make_recipe(known)  # what is wrong in the file, before what is set beside it
        complete_recipe(known, where=chosen.name)
    except EvaluatorError as error:
        text = str(error)
        raise EvaluatorError(text if text.startswith(chosen.name) else f"{chosen.name}: {text}") from None
    return known


def _recipe_of(chosen: Architecture, space: Space, settings: RetrainSettings, reporter: Reporter) -> Recipe:
    """Return the recipe of the retraining."""
    from evaluators.training.recipes import HYPERPARAMETERS, make_recipe, override

    _check_fixed(chosen, space, settings)
    own = [label for label in chosen.record.hyperparameters if label in space.hyperparameters() and label not in HYPERPARAMETERS]
    if own:
        reporter.warn(f"a retraining has no {', '.join(own)}, which {chosen.name} has for an evaluator of its own: left out")
    stored = {label: value for label, value in chosen.record.hyperparameters.items() if label not in own}
    try:
        make_recipe(stored)
    except EvaluatorError as error:
        raise EvaluatorError(f"{chosen.name}: {error}") from None
    usual = space.recipe_for(settings.preset)
    values = recipe_values_of(settings.recipe, usual) if settings.recipe is not None else stored or recipe_values_of(None, usual)
    return make_recipe(override(values, settings.fixed))


def _measure(context: RunContext, network: Any, chosen: Architecture, recipe: Recipe) -> dict[str, Any]:
    """Return parameters and multiply-adds of the network, and say them, with what of the recipe has no effect on it."""
    from evaluators.training.loop import idle_settings

    for line in idle_settings(network, recipe):
        context.reporter.warn(line)
    try:
        size = context.measure(network)
    except RuntimeError as error:
        height, width = context.image_shape[1:]
        reason = str(error).splitlines()[0]
        raise SpaceError(f"{chosen.name} takes no images of {height}x{width} pixels: {reason}") from error
    words = ", ".join(f"{name} {value}" for name, value in context.arguments.items())
    counts = f"{format_count(size['parameters'])} parameters, {format_count(size['flops'])} multiply-adds"
    said_by = f"--preset {context.settings.preset}{' and --set' if context.settings.fixed.keys() & context.arguments.keys() else ''}"
    context.reporter.say(f"{context.space.name} at the size of {said_by} ({words}): {counts}")
    return size


def _train(context: RunContext, network: Any, recipe: Recipe, folder: RunFolder, scalars: Any) -> dict[str, Any]:
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
            on_epoch=keeper.note,
        )
    scalars.note(context.epochs, {"test accuracy": result["test_accuracy"]})
    return result
