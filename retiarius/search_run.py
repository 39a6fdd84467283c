"""Search a space with a strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.reporter import Reporter
from records.run_folder import require_usable_out
from retiarius.context import RunContext
from retiarius.image_check import fit_to_images
from retiarius.inherited_trials import open_supernet
from retiarius.lookups import Lookups
from retiarius.one_shot import search_one_shot
from retiarius.operation_costs import measured_costs
from retiarius.pacing import Pace
from retiarius.plan import make_plan, search_identity
from retiarius.presets import DEFAULT_PRESET
from retiarius.ray_cluster import Ray
from retiarius.results import SearchResult
from retiarius.screening import images_to_screen, screen_networks
from retiarius.settings import DEFAULT_DATA_DIR, TRAIN, SearchSettings
from retiarius.starting_points import STARTS
from retiarius.table_search import search_table
from retiarius.then_retrain import is_search_over, retrain_found
from retiarius.trial_search import open_study_storage, search_trials
from retiarius.value_checks import as_reporter
from retiarius.warm_start import save_starts
from strategies import Strategy

if TYPE_CHECKING:
    from evaluators.data.dataset import Dataset
    from evaluators.training.recipes import Recipe


def search(
    space: Any = None,
    strategy: str | Strategy = "tpe",
    *,
    data: str | Path | Dataset = "auto",
    evaluator: str | Callable[..., Any] = TRAIN,
    trials: int | None = None,
    epochs: int | None = None,
    preset: str = DEFAULT_PRESET,
    fixed: Mapping[str, Any] | None = None,
    recipe: str | Recipe | Mapping[str, Any] | None = None,
    time_budget: float | None = None,
    then_retrain: float | None = None,
    max_parameters: int | None = None,
    max_multiply_adds: int | None = None,
    start_with: Sequence[str] = (),
    screen: int | None = None,
    objectives: Sequence[str] | None = None,
    search_space: Mapping[str, Any] | None = None,
    optimize_mode: str = "maximize",
    table: str | Path | None = None,
    table_columns: str | Path | None = None,
    supernet_weights: str | Path | None = None,
    workers: int | str | Ray = 1,
    storage: str | None = None,
    study: str | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    data_dir: str | Path = DEFAULT_DATA_DIR,
    out: str | Path | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    reporter: Reporter | None = None,
) -> SearchResult:
    """Search ``space`` with ``strategy`` and keep a record of it in a folder.

    Parameters
    ----------
    space
        What can be chosen: the name of one of ours (``"darts"``, ``"zoo"``, ``"nasbench201"``), ``"package.module:Class"``, or an NNI
        ``ModelSpace``: its class, an instance, or a factory.
    strategy
        How it is chosen: a name, such as ``"tpe"``, or ``"auto"`` for the one that did best in our measurements. Or an object with its
        settings, such as ``TPE(pruner=Median())``, or a strategy object of NNI's, which searches once.
    data
        ``"auto"``, ``"cifar10"``, ``"digits"``, a folder of images, or what ``load_data`` returns.
    evaluator
        How a choice is scored: ``"train"``, ``"table"``, ``"zero_cost"`` (untrained), ``"supernet"`` (with inherited weights), or any
        function ``(network, ...) -> float``, higher is better. A function is given those of ``data``,
        ``epochs``, ``seed``, ``device``, ``precision``, ``report`` and of the hyperparameters that it takes. An evaluator of NNI's
        trains by itself; what is left open in its arguments is searched.
    trials, epochs
        Number of trials, and epochs of each, or of the supernet; the preset says how many otherwise.
    preset
        How large the run is: ``"quick"``, ``"lab"`` or ``"paper"``.
    fixed
        Label to value: choices, hyperparameters and sizes of the space that are set and not searched.
    recipe
        How networks are trained: a name, a ``Recipe``, or values by name; the space's own otherwise.
    time_budget
        Seconds of the search, simulated ones with a table. Trials are then trained for the same seconds, wait on the way, and the best
        third goes on. With a pruner, workers, or an evaluator or strategy for which trials cannot wait, no trial starts after that time.
        A supernet ends.
    then_retrain
        Seconds for which the best network is trained anew after the search, at its full size, as ``retrain`` does. With a time budget the
        search chooses what is to be the best after so long.
    max_parameters, max_multiply_adds
        A larger network is not trained, nor selected from a supernet.
    start_with
        Networks to try first: files, run folders (``"runs/NAME:4"``: its best four), or names. ``"portfolio"`` is what the space says is
        worth a try; a search with a time budget begins with it unless something is named here. ``"default"`` names nothing more.
    screen
        Score so many random networks untrained, and try the best first: half of the trials, at most 10.
    objectives
        For ``NSGA2``: the accuracy, and what else is to be small.
    search_space
        The content of NNI's ``search_space.json``: what it names is searched, in its ranges, and all else keeps its default. Of a space
        without defaults all choices have to be named, or fixed. With a ``table`` and no ``space``, its parameters are what is searched.
    optimize_mode
        ``"maximize"``, or ``"minimize"`` where a table or an evaluator of your own gives losses.
    table, table_columns
        A CSV file of results, in which trials are looked up, and a JSON file that says what its columns mean.
    supernet_weights
        The folder of a one-shot search of this space, by whose supernet's weights each network is scored; nothing is trained.
    workers
        Trainings side by side, each in a process of its own; ``"auto"``: as many as there are CPUs. A ``Ray`` says on which cluster.
    storage, study
        A database in which several processes search together, and the name of their study.
    seed
        Of every random draw but those of NNI's strategies and evaluators, which have seeds of their own.
    device, precision
        Where and how exactly to compute.
    data_dir
        Where data sets lie.
    out
        The run's folder; ``runs/<time>-<space>-<strategy>`` otherwise.
    resume
        Resume the run in ``out``. A larger number of ``trials`` extends a search by trials that has ended.
    tensorboard
        Write scalars for TensorBoard into the run's folder.
    reporter
        Hears what happens; nobody does otherwise.

    Returns
    -------
    SearchResult
        What was found, and every trial or epoch.

    Raises
    ------
    InputError
        What was asked for cannot be done: one line that says what would be right.
    SearchFailed
        The search ran, and nothing came of it.
    KeyboardInterrupt
        On Ctrl-C. What was finished is kept; the message says how to resume.
    """
    asked: dict[str, Any] = {
        "space": space,
        "strategy": strategy,
        "data": data,
        "evaluator": evaluator,
        "trials": trials,
        "epochs": epochs,
        "preset": preset,
        "fixed": fixed,
        "recipe": recipe,
        "time_budget": time_budget,
        "then_retrain": then_retrain,
        "max_parameters": max_parameters,
        "max_multiply_adds": max_multiply_adds,
        "start_with": start_with,
        "screen": screen,
        "objectives": objectives,
        "search_space": search_space,
        "optimize_mode": optimize_mode,
        "table": table,
        "table_columns": table_columns,
        "supernet_weights": supernet_weights,
        "workers": workers,
        "storage": storage,
        "study": study,
        "seed": seed,
        "device": device,
        "precision": precision,
        "data_dir": data_dir,
        "out": out,
        "resume": resume,
        "tensorboard": tensorboard,
    }
    return run_search(SearchSettings(**asked), as_reporter(reporter))  # which turns texts into paths, and names into what they name


def run_search(settings: SearchSettings, reporter: Reporter) -> SearchResult:
    """Search as ``settings`` say; see ``search``."""
    if settings.space is None:
        return search_table(settings, reporter)
    require_usable_out(settings.out, resume=settings.resume)  # before the images are loaded, which takes long
    is_over = is_search_over(settings)
    plan = make_plan(settings, reporter)
    with open_study_storage(settings.storage, settings.strategy) as storage:  # likewise: it may not be there
        context = RunContext(settings, settings.space, plan.arguments, plan.recipe, plan.epochs, reporter, plan.table)
        fit_to_images(context, settings, plan)
        data = images_to_screen(context, settings)
        pace = None if plan.share is None or is_over else Pace(context, settings, plan)
        share = plan.share if pace is None else pace.share
        plan = replace(plan, share=share, supernet=open_supernet(context, settings), costs=measured_costs(context, settings))
        with context.open_folder(settings.strategy.name, **search_identity(context, settings, plan)) as folder:
            if is_over:
                reporter.say("the search has ended, and the training after it is resumed")
            elif settings.strategy.one_shot:
                search_one_shot(context, settings, plan, folder)
            else:
                save_starts(folder.path / STARTS, settings.start_with, plan.starts)
                plan = screen_networks(context, settings, plan, folder, data)
                search_trials(context, settings, plan, folder, storage, pace)
    in_memory = None if isinstance(settings.data, str) else settings.data
    found = SearchResult(folder.path, settings.space, in_memory, None if plan.table is None else Lookups(plan.table, ()))
    if settings.then_retrain is not None:
        retrain_found(found, settings, reporter)
    return found
