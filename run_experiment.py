"""Find a better network for small images than the one you were given, and train what was found.

python run_experiment.py --space darts --strategy darts        # search one-shot, write best.json
python run_experiment.py --space zoo --strategy tpe            # search by trials
python run_experiment.py --config config.yml                   # NNI's files: search by running one's own program
python run_experiment.py --retrain runs/NAME/best.json         # train the found architecture anew, score the test set once
python run_experiment.py --report runs/NAME                    # one HTML file about what happened in a run, or in several
python run_experiment.py --dashboard runs/NAME                 # the trials of a run in Optuna's dashboard, also while it goes on
python run_experiment.py --list                                # spaces, strategies, data sets, and which fit together
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from common.errors import EvaluatorError, RecordError, SearchFailed, SpaceError, StrategyError, TrainingDiverged
from common.files import write_json_atomically
from common.libraries import quiet_libraries
from evaluators import EVALUATORS, evaluator_entry, open_table
from records.best import BestArchitecture, check_architecture, load_best
from records.epoch_keeper import EpochKeeper
from records.formats import format_accuracy, format_count
from records.parameter_record import open_command_search
from records.pareto import DEFAULT_OBJECTIVES, LATENCY, save_pareto
from records.provenance import collect_versions
from records.report import write_report
from records.run_folder import RunFolder, require_usable_out, stored_identity
from records.scalars import open_scalars
from records.study_note import note_study
from records.training_keeper import TrainingKeeper
from retiarius.best_record import FoundRecord
from retiarius.cli.command_line import LAB_OPTIONS
from retiarius.cli.exit_status import end_on_sigterm, explain
from retiarius.cli.listing import show_list
from retiarius.cli.screen import Screen
from retiarius.cli.settings import Settings, parse_settings
from retiarius.cli.summary import show_found, show_retrained
from retiarius.flag_checks import check_flags, check_order, check_takes_commands
from retiarius.presets import PRESETS
from retiarius.run_lock import hold
from retiarius.warm_start import load_starts, save_starts, stored_starts
from spaces import SPACES, build_network, make_space, settable_arguments, sized_arguments, space_entry
from strategies import PRUNERS, STRATEGIES, check_pair, check_storage, pruner_entry, strategy_entry

INPUT_ERRORS = (EvaluatorError, RecordError, SpaceError, StrategyError)
RUN_ERRORS = (SearchFailed, TrainingDiverged)
STARTS = "starts.json"  # in the folder of a run that began with --start-with


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks for. Exit status: 0 done, 2 bad usage or input, 1 the run failed, 130 interrupted."""
    screen = Screen()
    try:
        with end_on_sigterm():
            dispatch(sys.argv[1:] if argv is None else argv, screen)
        return 0
    except (Exception, KeyboardInterrupt) as error:
        status, line = explain(error, INPUT_ERRORS, RUN_ERRORS)
        screen.error(line)
        return status


def dispatch(argv: Sequence[str], screen: Screen) -> None:
    """Do what ``argv`` asks for; raises what ``main`` explains."""
    settings = parse_settings(argv, (__doc__ or "").split("\n")[0])
    for note in settings.notes:
        screen.warn(note)
    if settings.list:
        show_list(screen, spaces=SPACES, strategies=STRATEGIES, evaluators=EVALUATORS, pruners=PRUNERS)
    elif settings.report:
        report(settings, screen)
    elif settings.dashboard is not None:
        from records.dashboard import open_dashboard

        open_dashboard(settings.dashboard, settings.port, screen.say)
    elif settings.retrain is not None:
        retrain(settings, screen)
    elif settings.portal:
        search_under_portal(settings, screen)
    elif settings.trial_command is not None:
        with open_study_storage(settings) as storage:
            search_by_command(settings, screen, storage)
    else:
        search(settings, screen)


def report(settings: Settings, screen: Screen) -> None:
    """Write one HTML file about the runs."""
    path, notes = write_report(settings.report, settings.out)
    for note in notes:
        screen.warn(note)
    screen.say(f"written to {path}")


def load_libraries(screen: Screen) -> None:
    """Import what takes seconds, while a person sees that something goes on."""
    quiet_libraries()
    with screen.waiting("loading PyTorch and NNI"):
        import nni.nas.nn.pytorch  # noqa: F401


# --- the experiment: settings made concrete ------------------------------------------------------------------------------------------


@dataclass
class Experiment:
    """What search and retraining share: the data, the space, the hyperparameters, where to compute.

    Scores come from ``table`` where there is one, else from trainings on the images, which are loaded; ``data`` is the one or the other.
    """

    settings: Settings
    screen: Screen
    space_name: str
    space_arguments: dict[str, Any]
    recipe: dict[str, Any]
    epochs: int
    table: Any = None

    def __post_init__(self) -> None:
        self.data: Any = self.table
        self.device: Any = None
        self.precision: Any = None
        # What the run that is gone on with noted of itself.
        self.stored = stored_identity(self.settings.out) if self.settings.resume else {}
        self.space_class = space_entry(self.space_name).load()
        if self.table is None:
            self._prepare_training()
        if (
            self.device is not None
            and self.device.type == "cpu"
            and self.settings.supernet != "stock"
            and hasattr(self.space_class, "kernels_note")
        ):
            note = self.space_class.kernels_note(self.precision, is_supernet=self._is_supernet)
            if note:
                self.screen.say(note)
        if self.data.num_classes is not None:
            self.space_arguments = {**self.space_arguments, "num_classes": self.data.num_classes}
        self.precision_name = str(self.precision).removeprefix("torch.")

    @property
    def _is_supernet(self) -> bool:
        return self.settings.strategy is not None and strategy_entry(self.settings.strategy).one_shot

    def _prepare_training(self) -> None:
        """Load the images, choose where and how exactly to compute."""
        from evaluators.data.dataset import load_dataset
        from evaluators.devices import choose_device, choose_precision

        settings, say, warn = self.settings, self.screen.say, self.screen.warn
        self.device = choose_device(settings.device, warn)
        self.precision = choose_precision(self._asked_precision(), self.device, getattr(self.space_class, "speed_up", None))
        limit = PRESETS[settings.preset].images
        self.data = load_dataset(settings.dataset, data_dir=settings.data_dir, seed=settings.seed, limit=limit, announce=say, warn=warn)
        sizes = self.data.describe()
        counts = ", ".join(f"{sizes[part]:,} {part}" for part in ("train", "validation", "test"))
        say(f"{sizes['name']}: {counts} images; {self.device}, {str(self.precision).removeprefix('torch.')}")

    def _asked_precision(self) -> str:
        """What ``--precision`` comes to, or ``auto`` where it is to be measured."""
        from evaluators.devices import check_precision

        asked = self.settings.precision
        check_precision(asked)
        offers_one = not self._is_supernet and hasattr(self.space_class, "only_precision")
        only = self.space_class.only_precision(self.device) if offers_one else None
        if only is not None:
            precision = str(only).removeprefix("torch.")
            before = self.stored.get("precision", precision)
            told = (self.stored.get("strategy"), (self.stored.get("space") or {}).get("name"))
            if before != precision and told == (self.settings.strategy, self.space_name):
                raise SpaceError(f"this run began in {before}, without compiled kernels: RETIARIUS_KERNELS=torch goes on with it")
            if asked not in ("auto", precision):
                way = f"RETIARIUS_KERNELS=torch computes without them, more slowly, in {asked}"
                self.screen.warn(f"--precision {asked} has no effect: the compiled kernels train these networks in {precision}; {way}")
            return precision
        if asked != "auto":
            return asked
        if "precision" in self.stored:
            return str(self.stored["precision"])  # a measurement may come out otherwise the second time
        # A supernet is bound by depthwise convolutions and memory on a CPU: bfloat16 gains a fifth, where dense ones gain several times,
        # and costs digits of alphas that differ by little.
        return "float32" if self._is_supernet and self.device.type == "cpu" else "auto"

    @property
    def training(self) -> dict[str, Any]:
        """The arguments that every training takes."""
        return {"data": self.data, "epochs": self.epochs, "seed": self.settings.seed, "device": self.device, "precision": self.precision}

    @property
    def image_shape(self) -> Sequence[int]:
        """Channels, height and width."""
        return self.data.train.images.shape[1:]

    @contextmanager
    def open_folder(self, name: str, **identity: Any) -> Iterator[RunFolder]:
        """The run's folder and its log; a resumed run must be the same in all that is told here."""
        from evaluators.training.recipes import values_as_told

        settings = self.settings
        same: dict[str, Any] = {
            **identity,
            "space": {"name": self.space_name, "arguments": self.space_arguments},
            "dataset": self.data.describe(),
        }
        same |= {"epochs": self.epochs, "preset": settings.preset, "pins": settings.pins, "seed": settings.seed}
        trained = {"recipe": values_as_told(self.recipe, self.stored.get("recipe")), "precision": self.precision_name}
        # With a table nothing is trained; older versions noted these nevertheless.
        same |= trained if self.table is None else {name: self.stored[name] for name in trained if name in self.stored}
        folder = RunFolder.create(settings.out, space=self.space_name, strategy=name, resume=settings.resume, identity=same)
        with hold(folder, settings):
            yield folder

    def build(self, architecture: Mapping[str, Any] | None) -> Any:
        """The network of ``architecture``, or the unfrozen space for ``None``; the first weights drawn with the run's seed."""
        import torch
        from nni.nas.space import model_context

        with torch.random.fork_rng(devices=[]), nullcontext() if architecture is None else model_context(dict(architecture)):
            torch.default_generator.manual_seed(self.settings.seed)
            return make_space(self.space_class, self.space_arguments)

    @property
    def objectives(self) -> tuple[str, ...]:
        """Those of a strategy that takes several: the accuracy, then what is to be small."""
        return self.settings.objectives or DEFAULT_OBJECTIVES

    @property
    def reports(self) -> Sequence[int]:
        """The epochs after which a trial has a score; one that is looked up and not pruned has only the last."""
        if self.table is None:
            return range(1, self.epochs + 1)
        least = self.epochs if self.settings.pruner == Settings.pruner else 0
        return [epochs for epochs in self.table.fidelities if least <= epochs <= self.epochs]

    def make_engine(self, labels: Sequence[str], fixed: Mapping[str, Any], **options: Any) -> Any:
        """Where trials run: in this process, in others, or nowhere, where their results are looked up.

        ``labels`` are those of the architecture; ``fixed`` are the hyperparameters that are not searched.
        """
        from evaluators.complexity import build_without_data, count_multiply_adds, count_parameters
        from evaluators.devices import gpus_of
        from strategies.engines.in_process import InProcessEngine
        from strategies.engines.table import TableEngine
        from strategies.limits import Limit, SizeLimits

        table, settings = self.table, self.settings
        if table is None:
            measures: tuple[Any, Any] = (count_parameters, lambda network: count_multiply_adds(network, self.image_shape))
        else:
            measures = (partial(table.size, "parameters"), partial(table.size, "flops"))
        limits = [
            Limit("--max-params", settings.max_params, "parameters", measures[0]),
            Limit("--max-flops", settings.max_flops, "multiply-adds", measures[1]),
        ]
        if table is None:
            reject = SizeLimits(limits, labels, lambda sample: build_without_data(lambda: self.build(sample)))
            options |= {"time_budget": settings.time_budget, "reject": reject}
            if settings.workers > 1:
                return self._make_parallel_engine(labels, fixed, **options)
            return InProcessEngine(describe=self.measure, seed=settings.seed, gpus=gpus_of(self.device), **options)
        reject = SizeLimits(limits, table.labels, dict)
        look_up = partial(table.steps, fidelities=self.reports)
        return TableEngine(
            look_up=look_up, facts=table.facts, simulated_seconds=settings.time_budget, reject=reject, seed=settings.seed, **options
        )

    def _make_parallel_engine(self, labels: Sequence[str], fixed: Mapping[str, Any], **options: Any) -> Any:
        import torch

        from evaluators.complexity import measure_complexity
        from evaluators.data.shared import SharedDataset
        from evaluators.trial_run import TrialRun
        from strategies.engines.concurrent import ConcurrentEngine
        from strategies.engines.pool import WorkerPool

        workers = min(self.settings.workers, options["max_trials"] or self.settings.workers)
        run = TrialRun(
            build=partial(build_network, self.space_class, self.space_arguments),
            evaluate=evaluator_entry(self.settings.evaluator).load(),
            measure=partial(measure_complexity, image_shape=tuple(self.image_shape)),
            labels=tuple(labels),
            training={**self.training, **fixed, "data": SharedDataset(self.data)},
            seed=self.settings.seed,
        )
        pool = WorkerPool(workers, run, threads=max(1, torch.get_num_threads() // workers))
        return ConcurrentEngine(pool.start, concurrency=workers, close=pool.close, **options)

    def measure(self, network: Any) -> dict[str, Any]:
        """Parameters and multiply-adds of a network on these images; its latency where the search has it as an objective."""
        from evaluators.complexity import measure_complexity, measure_latency

        size: dict[str, Any] = {**measure_complexity(network, self.image_shape)}
        if LATENCY in (self.settings.objectives or ()):
            size[LATENCY] = measure_latency(network, self.image_shape, device=self.device, precision=self.precision)
        return size

    def record_in(self, folder: RunFolder) -> FoundRecord:
        """What writes ``best.json`` there."""
        origin = {"space_name": self.space_name, "space_arguments": self.space_arguments, "dataset": self.data.describe()}
        return FoundRecord(folder, self.settings, **origin)


@contextmanager
def open_study_storage(settings: Settings) -> Iterator[Any]:
    """The storage that ``--storage`` names, ``None`` where it names none."""
    if settings.storage is None:
        yield None
        return
    check_storage(settings.strategy or "")
    from strategies.optuna.shared_study import open_storage

    with open_storage(settings.storage) as storage:
        yield storage


def join_study(storage: Any, folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """What a strategy takes for the study in ``storage`` in which this run takes part; nothing where there is no storage."""
    if storage is None:
        return {}
    from strategies.optuna.shared_study import SharedStudy, name_study

    usual = name_study(settings.space or "command", settings.strategy or "", folder.identity)
    return {"shared": SharedStudy(storage, *note_study(folder.path / "study.json", settings.storage or "", settings.study, usual))}


# --- search --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SearchPlan:
    """What a search is to do, checked as far as that goes without the images.

    Attributes:
        arguments: those of the space.
        recipe: values of all hyperparameters, those that are set on the command line among them.
        searched: what of the space and of the hyperparameters is searched (a ``SearchedPart``).
        chosen: what NNI's file says is searched (a ``ChosenSpace``); the rest of the space is then at its default. ``None`` without one.
        epochs, trials: of a trial, and how many; those of the supernet, and 1.
        table: where scores are looked up; ``None`` where networks are trained.
        starts: with what the search begins, samples by name.
    """

    arguments: dict[str, Any]
    recipe: dict[str, Any]
    searched: Any
    chosen: Any
    epochs: int
    trials: int
    table: Any
    starts: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def search(settings: Settings, screen: Screen) -> None:
    """Search a space with a strategy and write ``best.json``."""
    assert settings.space is not None and settings.strategy is not None
    require_usable_out(settings.out, resume=settings.resume)  # before the images are loaded, which takes long
    strategy, plan = strategy_entry(settings.strategy), plan_search(settings, screen)
    with open_study_storage(settings) as storage:  # before the images are loaded, which takes long: it may not be there
        experiment = Experiment(settings, screen, settings.space, plan.arguments, plan.recipe, plan.epochs, plan.table)
        with experiment.open_folder(settings.strategy, **search_identity(experiment, plan)) as folder:
            if strategy.one_shot:
                search_one_shot(experiment, folder)
                words = {}
            else:
                save_starts(folder.path / STARTS, settings.start_with, plan.starts)
                words = search_trials(experiment, folder, plan, join_study(storage, folder, settings))
            show_best(load_best(folder.best_path), folder, experiment, words)


def show_best(best: BestArchitecture, folder: RunFolder, experiment: Experiment, known: Mapping[str, str]) -> None:
    """The closing table of a search, in which ``known`` is told besides, and what to type next."""
    words = {**experiment.space_class.describe(best.architecture), **known}
    # A space of one's own is known to the script that has brought it along, and to no other.
    program = "run_experiment.py" if space_entry(best.space_name).target.startswith("spaces.") else sys.argv[0]
    told: dict[str, Any] = {"dataset": experiment.data.name, "words": words, "program": program}
    show_found(experiment.screen, experiment.settings, best, folder.best_path, **told)


def search_identity(experiment: Experiment, plan: SearchPlan) -> dict[str, Any]:
    """What a resumed search must have in common with the first, beside what every run must."""
    settings = experiment.settings
    same: dict[str, Any] = {"strategy": settings.strategy, "evaluator": settings.evaluator, "trials": plan.trials}
    same |= settings.trial_flags | settings.one_shot_flags
    if plan.chosen is not None:
        same |= {"search_space": settings.search_space, "start_step": settings.start_step}
    if settings.start_with:  # the networks, not where they lay
        told = json.dumps(list(plan.starts.values()), sort_keys=True)
        same["--start-with"] = f"{len(plan.starts)} networks, {hashlib.sha256(told.encode()).hexdigest()[:8]}"
    if strategy_entry(settings.strategy or "").several_objectives:
        same["objectives"] = experiment.objectives
    if LATENCY in experiment.objectives:
        same["device"] = str(experiment.device)
    return same


def plan_search(settings: Settings, screen: Screen) -> SearchPlan:
    """Settings, preset, NNI's file and table made into a plan; what does not fit is refused."""
    entry, strategy, preset = space_entry(settings.space or ""), strategy_entry(settings.strategy or ""), PRESETS[settings.preset]
    check_pair(settings.strategy or "", settings.space or "", {name: other.offers for name, other in SPACES.items()})
    pruner_entry(settings.pruner)
    table = open_table(settings.evaluator, settings.table, settings.table_columns, settings.dataset)
    check_flags(settings.strategy or "", looks_up=table is not None, **settings.search_flags)
    load_libraries(screen)
    from evaluators.data.dataset import require_dataset
    from evaluators.devices import check_precision, choose_device
    from evaluators.training.recipes import check_hyperparameter, override, recipe_values, supernet_values
    from retiarius.nni_choice import choose_from
    from spaces.choices import legal_choices
    from spaces.search_subspace import searched_part

    values = recipe_values(settings.recipe or ("darts_search" if strategy.one_shot else entry.recipe_for(settings.preset)))
    recipe = override(supernet_values(values) if strategy.one_shot else values, settings.pins)
    check_order(settings.order, recipe["optimizer"])
    space_class = entry.load()
    if settings.cost_weight and not (hasattr(space_class, "operation_costs") and hasattr(space_class, "input_edges")):
        raise SpaceError(f"--cost-weight: {settings.space} does not say what its operations cost (operation_costs() and input_edges())")
    settable = settable_arguments(space_class, "search")
    if table is not None:
        if sizes := [label for label in settings.pins if label in settable]:
            raise SpaceError(f"a table is of networks as they were published: leave out --set {', '.join(sizes)}")
        if idle := [label for label in settings.pins if label in recipe]:
            why = "nothing is trained where a table answers, and what it has a column of is searched"
            raise SpaceError(f"{why}: leave out --set {', '.join(idle)}")
    arguments = {} if table is not None else sized_arguments(space_class, settings.preset, "search", settings.pins)
    mutables = make_space(space_class, arguments).simplify()
    choices = legal_choices(mutables)
    own = own_hyperparameters(space_class, settings, recipe)
    check_pins(settings, choices, others=[*settable, *recipe, *own])
    recipe |= {label: settings.pins[label] for label in own if label in settings.pins}
    chosen, epochs = None, settings.epochs
    if settings.search_space is not None:
        names: dict[str, Any] = {"rename": LAB_OPTIONS, "choices": choices, "hyperparameters": recipe}
        chosen = choose_from(settings.search_space, **names, check=check_hyperparameter, epochs=settings.epochs)
        epochs = chosen.epochs
    # Strategies size their first, random part by the number of trials: another number would be another search.
    trials = 1 if strategy.one_shot else settings.trials or preset.trials
    if table is None:
        require_dataset(settings.dataset)
        choose_device(settings.device)
        check_precision(settings.precision)
    else:
        epochs, trials = plan_lookups(settings, screen, table, choices, trials)
    epochs = epochs or (preset.search_epochs if strategy.one_shot else preset.trial_epochs)
    cut: dict[str, Any] = {"preset": settings.preset, "pins": settings.pins, "chosen": chosen}
    cut |= {"keeps_architecture": strategy.fixes_architecture, "known": None if table is None else table.labels}
    searched = searched_part(settings.space or "", space_class, mutables, **cut)
    trained_by = (*recipe, "epochs")
    if settings.evaluator == Settings.evaluator and (unknown := [label for label in searched.hyperparameters if label not in trained_by]):
        raise SpaceError(f"{settings.space}: no training has a hyperparameter {unknown[0]!r}; known: {', '.join(recipe)}")
    plan = SearchPlan(arguments, recipe, searched, chosen, epochs, trials, table)
    return replace(plan, starts={} if strategy.one_shot else starting_points(settings, screen, plan, choices))


def own_hyperparameters(space_class: Any, settings: Settings, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What the space brings for an evaluator of one's own, as mutables by label; refuses ``--set`` of what those cannot have."""
    from spaces.choices import takes

    if settings.evaluator == Settings.evaluator or evaluator_entry(settings.evaluator).looks_up:
        return {}
    own = {label: mutable for label, mutable in space_class.hyperparameters().items() if label not in (*recipe, "epochs")}
    for label, mutable in own.items():
        if label in settings.pins and not takes(mutable, settings.pins[label]):
            raise SpaceError(f"--set {label}: {settings.pins[label]!r} is none of what {settings.space} has for it: {mutable}")
    return own


def check_pins(settings: Settings, choices: Mapping[str, Any], others: Sequence[str]) -> None:
    """Refuse labels of ``--set`` that nobody knows, illegal choices and alphas, and what a supernet has no use for.

    ``others`` are the labels beside ``choices`` and the alphas'; their values are checked elsewhere.
    """
    from common.errors import require_labels
    from evaluators.training.recipes import check_supernet_values
    from strategies.one_shot.search_epoch import ALPHA_SETTINGS, AlphaOptimizer

    is_one_shot = strategy_entry(settings.strategy or "").one_shot
    require_labels(settings.pins, [*choices, *others, *(ALPHA_SETTINGS if is_one_shot else ())])
    pinned = {label: value for label, value in settings.pins.items() if label in choices}
    check_architecture(pinned, {label: choices[label] for label in pinned})
    if is_one_shot and pinned:
        raise StrategyError(f"{settings.strategy} trains all choices at once, so none can be fixed: leave out --set {', '.join(pinned)}")
    AlphaOptimizer.of(settings.pins)
    if is_one_shot:
        check_supernet_values(settings.pins)


def starting_points(settings: Settings, screen: Screen, plan: SearchPlan, choices: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """With what the search begins, no two the same: samples by name, the default configuration first, then what ``--start-with`` names.

    ``choices`` are all those of the space, of which ``plan`` may have left out some.
    """
    if settings.resume and settings.out is not None:
        stored = stored_starts(settings.out / STARTS, settings.start_with)
        if stored is not None:
            return stored
    from spaces.choices import legal_choices
    from spaces.named import NAMES

    searched, recipe = plan.searched, {**plan.recipe, "epochs": plan.epochs}

    def fit(name: str, best: BestArchitecture) -> BestArchitecture:
        """It as this search has it; refuses one that it does not hold."""
        if best.space_name != settings.space:
            raise RecordError(f"--start-with {name}: this is a network of {best.space_name}, and {settings.space} is searched")
        try:
            check_architecture(best.architecture, choices)
            fitted = searched.fit(best.architecture)
            check_architecture(fitted, legal_choices(searched.architecture))
        except RecordError as error:
            cut = f"not among what --preset {settings.preset}, --set and {settings.strategy} leave to be searched"
            raise RecordError(f"--start-with {name}: {cut}: {error}") from None
        return replace(best, architecture=fitted)

    def sample_of(best: BestArchitecture) -> dict[str, Any]:
        return searched.sample(best.architecture, recipe, best.hyperparameters)

    points: dict[str, dict[str, Any]] = {}
    default = space_entry(settings.space or "").load().default_architecture()
    if default is not None and plan.chosen is None:
        # No such search ends worse than what its person began with.
        if outside := searched.outside(default):
            screen.warn(f"the search begins without the default configuration: not among what is searched: {', '.join(outside)}")
        else:
            points["the default configuration"] = searched.sample(default, recipe, {})
    load = partial(load_architecture, pins=settings.pins, flag="--start-with")
    for name, best in load_starts(settings.start_with, NAMES, load, fit, lambda best: searched.meaning(sample_of(best))):
        if outside := searched.outside(best.hyperparameters):
            screen.warn(f"--start-with {name}: not among what is searched, so that the recipe's is taken: {', '.join(outside)}")
        points[name] = sample_of(best)
    points = searched.without_repeats(points)
    is_an_estimate = plan.table is not None and settings.trials is None
    if len(points) > plan.trials and not is_an_estimate:
        raise StrategyError(f"the search begins with {len(points)} trials, {', '.join(points)}: more --trials than {plan.trials}")
    return points


def plan_lookups(settings: Settings, screen: Screen, table: Any, choices: Mapping[str, Any], trials: int) -> tuple[int, int]:
    """Epochs and number of trials of a search in ``table``; refuses a table that lacks what the search needs."""
    costs = (settings.objectives or DEFAULT_OBJECTIVES)[1:] if strategy_entry(settings.strategy or "").several_objectives else ()
    limits = {"parameters": settings.max_params, "flops": settings.max_flops}
    hyperparameters = space_entry(settings.space or "").load().hyperparameters()
    table.check_labels([*choices, *(label for label in hyperparameters if label not in settings.pins and label in table.labels)])
    table.check_sizes([*costs, *(name for name, limit in limits.items() if limit is not None)])
    epochs = table.check_epochs(settings.epochs or table.fidelities[0])
    if settings.trials is None and settings.time_budget is not None:
        trials = table.trials_within(settings.time_budget, epochs)
    size = f"{len(table):,} rows of {settings.table}, {epochs} epochs a trial"
    screen.say(f"{table.name}: {size}; time is the table's, in seconds of training")
    return epochs, trials


def search_one_shot(experiment: Experiment, folder: RunFolder) -> None:
    """Train a supernet and read the architecture off it."""
    import torch
    from nni.nas.execution import SequentialExecutionEngine
    from nni.nas.space import RawFormatModelSpace

    from evaluators.devices import gpus_of
    from evaluators.training.recipes import make_recipe, recipe_values
    from evaluators.training.supernet import finished_epochs, make_supernet_evaluator
    from strategies.one_shot.search_epoch import AlphaOptimizer

    settings, recipe = experiment.settings, make_recipe(experiment.recipe)
    alpha_optimizer = AlphaOptimizer.of(settings.pins)
    budget = settings.time_budget
    evaluator = make_supernet_evaluator(**experiment.training, recipe=recipe, checkpoints=folder.checkpoints_path, time_budget=budget)
    with open_scalars(folder.path, wanted=settings.tensorboard) as scalars:
        keeper = EpochKeeper(
            folder.path / "epochs.jsonl",
            experiment.screen,
            scalars,
            epochs=experiment.epochs,
            steps=len(evaluator.train_dataloaders),
            finished=finished_epochs(folder.checkpoints_path),
            describe=experiment.space_class.describe,
        )
        strategy: Any = strategy_entry(settings.strategy or "").load()(
            seed=settings.seed,
            trials=1,
            alpha_optimizer=alpha_optimizer,
            gradient_clip_val=recipe.grad_clip or None,
            on_step=keeper.note_step,
            on_epoch=lambda epoch: keeper.note(epoch, strategy.guard.warning(epoch.number)),
            **{flag.removeprefix("--").replace("-", "_"): value for flag, value in settings.one_shot_flags.items()},
        )
        with keeper.shown(), torch.random.fork_rng(devices=gpus_of(experiment.device)):
            torch.manual_seed(settings.seed)
            strategy(RawFormatModelSpace(experiment.build(None), evaluator), SequentialExecutionEngine())
    epoch = strategy.result()
    architecture = experiment.space_class.canonical(epoch.sample)
    # What is found is trained alone by the recipe that suits the space; the settings of this run were the supernet's.
    hyperparameters = recipe_values(space_entry(experiment.space_name).recipe_for(settings.preset))
    score = ("supernet validation accuracy", epoch.validation_accuracy, epoch.number)
    size = experiment.measure(experiment.build(architecture))
    told = {"order": strategy.order, "cost_weight": settings.cost_weight or 0.0, "collapse_guard": strategy.guard.describe()}
    told |= asdict(alpha_optimizer)
    experiment.record_in(folder).save(architecture, hyperparameters, score, size, supernet=experiment.recipe, **told)


def search_trials(experiment: Experiment, folder: RunFolder, plan: SearchPlan, shared: Mapping[str, Any]) -> dict[str, str]:
    """Run trials until the strategy or the budget ends; ``best.json`` follows the best one. What else is known of it, in words.

    ``shared`` is what ``join_study`` gives.
    """
    from nni.nas.space import SimplifiedModelSpace

    from spaces.choices import count_configurations
    from strategies.engines.recording import TrialResult
    from strategies.first_trials import begin_with
    from strategies.optuna.pruning import make_pruning, why_idle
    from strategies.search_summary import describe_outcome

    settings, space_class, strategy = experiment.settings, experiment.space_class, strategy_entry(experiment.settings.strategy or "")
    space = make_space(space_class, experiment.space_arguments)
    architecture, searched = plan.searched.architecture, plan.searched.hyperparameters
    fixed = {label: value for label, value in experiment.recipe.items() if label not in searched}
    explored = SimplifiedModelSpace(space, architecture, make_trial_evaluator(experiment, searched, fixed))
    total = min(plan.trials, count_configurations(explored.simplify()))  # a small space may hold fewer
    # With a table the budget alone may end a search; the number of trials is then an estimate.
    max_trials = None if experiment.table is not None and settings.trials is None and settings.time_budget else total
    reports = len(experiment.reports)
    if idle := why_idle(settings.pruner, scores=reports, trials=total, start_step=settings.start_step):
        experiment.screen.warn(idle)
    keeper = experiment.record_in(folder).keep_trials(
        experiment.screen,
        architecture=architecture,
        recipe=experiment.recipe,
        epochs=experiment.epochs,
        looked_up=experiment.table is not None,
        canonical=space_class.canonical,
        labels_with_effect=plan.searched.labels_with_effect,
    )
    canonical = plan.searched.canonical
    with (
        keeper.shown(max_trials, settings.strategy or ""),
        experiment.make_engine(
            list(architecture),
            fixed,
            max_trials=max_trials,
            canonical=canonical,
            known=[TrialResult(**{**fields, "sample": canonical(fields["sample"])}) for fields in keeper.recorded(searched)],
            pruning=make_pruning(settings.pruner, epochs=reports, start_step=settings.start_step),
            replays_at_once=bool(shared),
            on_result=keeper.note,
            on_epoch=keeper.note_epoch,
        ) as engine,
    ):
        for line in begin_with(plan.starts, explored, engine):
            experiment.screen.warn(line)
        more = strategy.options(
            open_trials=settings.workers,
            canonical=canonical,
            shared=shared,
            costs=experiment.objectives[1:],
            features=getattr(space_class, "surrogate_features", None),
            described=list(architecture),
        )
        strategy.load()(seed=settings.seed, trials=total, **more)(explored, engine)
        engine.wait_models()
    if strategy.several_objectives:
        origin = {"name": experiment.space_name, "arguments": experiment.space_arguments}
        count = save_pareto(folder.path / "pareto.json", keeper.trials, experiment.objectives, space=origin)
        are = "trial is" if count == 1 else "trials are"
        experiment.screen.say(f"{count} {are} best in {' against '.join(experiment.objectives)}: {folder.path / 'pareto.json'}")
    for line in describe_outcome(engine, settings.pruner):
        experiment.screen.say(line)
    if experiment.table is None or keeper.best is None:
        return {}
    # As it was looked up: best.json has the architecture that stands for all that build the same network, which may be another row.
    test_accuracy = experiment.table.test_accuracy({**keeper.best.hyperparameters, **keeper.best.architecture})
    return {"test accuracy by the table": format_accuracy(test_accuracy)}


def make_trial_evaluator(experiment: Experiment, searched: Mapping[str, Any], fixed: Mapping[str, Any]) -> Any:
    """NNI's evaluator of one trial: a training, or a row of the table."""
    import nni
    from nni.nas.evaluator import FunctionalEvaluator

    if experiment.table is not None:
        return FunctionalEvaluator(experiment.table.find, **searched)
    training = {**experiment.training, **fixed, **searched}  # the epochs may be searched, too
    return FunctionalEvaluator(evaluator_entry(experiment.settings.evaluator).load(), report=nni.report_intermediate_result, **training)


def search_by_command(settings: Settings, screen: Screen, storage: Any) -> None:
    """Search NNI's search space by running a program for each trial, as NNI would, and write ``best_parameters.json``."""
    strategy = strategy_entry(settings.strategy or "")
    check_takes_commands(settings.strategy or "")
    pruner_entry(settings.pruner)
    load_libraries(screen)
    from nni.nas.space import SimplifiedModelSpace

    from nni_compat.search_space import parse_search_space
    from nni_compat.trial_command import TrialCommand, check_command
    from nni_compat.trial_program import TrialProgram
    from spaces.choices import count_configurations
    from strategies.engines.concurrent import ConcurrentEngine
    from strategies.engines.recording import TrialResult
    from strategies.optuna.pruning import make_pruning, why_idle
    from strategies.search_summary import describe_outcome

    space = parse_search_space(settings.search_space).pin(settings.pins)
    total = min(settings.trials or PRESETS[settings.preset].trials, count_configurations(space.mutables))
    pruning = make_pruning(settings.pruner, epochs=settings.epochs, start_step=settings.start_step)
    check_command(settings.trial_command or "", settings.code_dir)
    folder, best = open_command_search(settings, total, space.parameters)
    program = TrialCommand(settings.trial_command or "", settings.code_dir, folder.path / "trials", best.metric.sign, settings.trial_time)
    if idle := why_idle(settings.pruner, scores=settings.epochs, trials=total, start_step=settings.start_step):
        screen.warn(idle)
    screen.say(f"each trial runs {program.command!r} in {program.directory.absolute()}, {settings.concurrency} at a time")

    with hold(folder, settings):
        keeper = best.keep_trials(folder, settings, screen)
        known = [TrialResult(**fields) for fields in keeper.recorded(space.mutables)]
        shared = join_study(storage, folder, settings)
        budget: dict[str, Any] = {"max_trials": total, "time_budget": settings.time_budget}
        with (
            keeper.shown(total, settings.strategy or ""),
            ConcurrentEngine(
                lambda number, sample: program.start(number, space.parameters(sample)),
                concurrency=settings.concurrency,
                canonical=space.canonical,
                known=known,
                pruning=pruning,
                replays_at_once=bool(shared),
                on_result=keeper.note,
                on_epoch=keeper.note_epoch,
                **budget,
            ) as engine,
        ):
            more = strategy.options(open_trials=settings.concurrency, canonical=space.canonical, shared=shared)
            strategy.load()(seed=settings.seed, trials=total, **more)(SimplifiedModelSpace(TrialProgram(), space.mutables, None), engine)
            engine.wait_models()
        for line in describe_outcome(engine, settings.pruner):
            screen.say(line)
        best.show(keeper, settings.strategy or "", screen)


def search_under_portal(settings: Settings, screen: Screen) -> None:
    """Search NNI's search space by NNI's own service, whose portal shows it, and write ``best_parameters.json``."""
    from common.requirements import check_port
    from nni_compat.experiment import make_experiment
    from nni_compat.service import NniService
    from nni_compat.trial_command import check_command

    trials = settings.trials or PRESETS[settings.preset].trials
    experiment = make_experiment(settings, trials)
    quiet_libraries()
    from nni_compat.search_space import parse_search_space

    parse_search_space(settings.search_space)  # what is wrong with it is said here, not somewhere in a log
    check_port(settings.port, "")
    check_command(settings.trial_command or "", settings.code_dir)
    folder, best = open_command_search(settings, trials, dict)
    with hold(folder, settings):
        keeper = best.keep_trials(folder, settings, screen)
        with NniService(folder.path / "nni", settings.port, best.metric.sign) as service:
            screen.warn(f"NNI's portal listens on every address of this machine, without a login: http://127.0.0.1:{settings.port}")
            service.begin(experiment, settings.trial_command or "", settings.code_dir)
            with keeper.shown(trials, settings.strategy or ""):
                for trial in service.run():
                    keeper.note(trial)
            if keeper.best is None:
                raise SearchFailed("no trial was completed; trials.jsonl in the run's folder has why")
            best.show(keeper, settings.strategy or "", screen)
            if sys.stdin.isatty():
                screen.say("the portal stays open for you to look at; Enter ends it")
                with suppress(KeyboardInterrupt):
                    sys.stdin.readline()


# --- retraining ----------------------------------------------------------------------------------------------------------------------


def retrain(settings: Settings, screen: Screen) -> None:
    """Train a found or a published architecture anew, score the test set once, write ``retrained.json`` and the weights."""
    require_usable_out(settings.out, resume=settings.resume)
    load_libraries(screen)
    from evaluators.training.loop import idle_settings
    from evaluators.training.loop import retrain as train_anew

    best = load_architecture(settings.retrain or "", settings.pins)
    recipe, preset = retraining_recipe(best, settings, screen), PRESETS[settings.preset]
    sizes = sized_arguments(space_entry(best.space_name).load(), settings.preset, "retrain", settings.pins)
    arguments = {**best.space_arguments, **sizes}
    experiment = Experiment(settings, screen, best.space_name, arguments, asdict(recipe), settings.epochs or preset.retrain_epochs)
    network = experiment.build(best.architecture)
    for line in idle_settings(network, recipe):
        screen.warn(line)
    try:
        size = experiment.measure(network)
    except RuntimeError as error:
        height, width = experiment.image_shape[1:]
        reason = str(error).splitlines()[0]
        raise SpaceError(f"{settings.retrain} takes no images of {height}x{width} pixels: {reason}") from error
    words = ", ".join(f"{name} {value}" for name, value in experiment.space_arguments.items())
    counts = f"{format_count(size['parameters'])} parameters, {format_count(size['flops'])} multiply-adds"
    said_by = f"--preset {settings.preset}{' and --set' if settings.pins.keys() & arguments.keys() else ''}"
    screen.say(f"{best.space_name} at the size of {said_by} ({words}): {counts}")
    with (
        experiment.open_folder("retrain", architecture=best.architecture) as folder,
        open_scalars(folder.path, wanted=settings.tensorboard) as scalars,
    ):
        checkpoint = folder.checkpoints_path / "retrain.ckpt"
        keeper = TrainingKeeper(folder.path / "epochs.jsonl", screen, scalars, experiment.epochs, goes_on=checkpoint.exists())
        with keeper.shown():
            result = train_anew(
                network,
                **experiment.training,
                recipe=recipe,
                checkpoint=checkpoint,
                weights=folder.path / "weights.safetensors",
                on_epoch=keeper.note,
            )
        scalars.note(experiment.epochs, {"test accuracy": result["test_accuracy"]})
        document = {**result, **size, "epochs": experiment.epochs, "hyperparameters": asdict(recipe), "architecture": best.architecture}
        document |= {"space": {"name": best.space_name, "arguments": experiment.space_arguments}, "dataset": experiment.data.describe()}
        document |= {"seed": settings.seed, "precision": experiment.precision_name, "versions": collect_versions()}
        path = folder.path / "retrained.json"
        write_json_atomically(path, document)
        show_retrained(screen, document, path)


def retraining_recipe(best: BestArchitecture, settings: Settings, screen: Screen) -> Any:
    """The recipe by which ``best`` is trained anew; refuses an illegal architecture, and ``--set`` of what cannot be set then."""
    from evaluators.training.recipes import HYPERPARAMETERS, make_recipe, override, recipe_values
    from spaces.choices import legal_choices
    from spaces.named import choices_left

    entry = space_entry(best.space_name)
    try:
        check_architecture(best.architecture, legal_choices(make_space(entry.load(), best.space_arguments).simplify()))
    except (RecordError, SpaceError) as error:
        raise RecordError(f"{settings.retrain}: {error}") from None
    can_be_set, left = (*settable_arguments(entry.load(), "retrain"), *HYPERPARAMETERS), choices_left(settings.retrain or "")
    for label, value in settings.pins.items():
        if label not in can_be_set and (label not in best.architecture or best.architecture[label] != value):
            raise RecordError(f"--set {label}: retraining keeps the architecture; what can be set: {', '.join([*left, *can_be_set])}")
    read = entry.load().canonical(best.architecture)
    for label in settings.pins:
        if label in read and read[label] != best.architecture[label]:
            raise RecordError(f"--set {label}: {settings.retrain} has nothing that this would change: leave it out")
    own = [label for label in best.hyperparameters if label in entry.load().hyperparameters() and label not in HYPERPARAMETERS]
    if own:
        screen.warn(f"a training anew has no {', '.join(own)}, which {settings.retrain} has for an evaluator of its own: left out")
    found = {label: value for label, value in best.hyperparameters.items() if label not in own}
    try:
        make_recipe(found)  # what is wrong in the file, before what is set beside it
    except EvaluatorError as error:
        raise EvaluatorError(f"{settings.retrain}: {error}") from None
    values = recipe_values(settings.recipe) if settings.recipe else found or recipe_values(entry.recipe_for(settings.preset))
    return make_recipe(override(values, settings.pins))


def load_architecture(name: str, pins: Mapping[str, Any], flag: str = "--retrain") -> BestArchitecture:
    """What ``flag`` names: a best.json, a published genotype, or a backbone of the zoo, whose other choices ``pins`` may make."""
    from spaces.named import NAMES, named_architecture

    if name in NAMES:
        space, architecture = named_architecture(name, pins)
        unknown: dict[str, Any] = {"score": None, "seed": None, "parameters": None, "flops": None, "created": ""}
        return BestArchitecture(space, {}, architecture, hyperparameters={}, dataset={}, strategy={}, versions={}, **unknown)
    if not Path(name).exists():
        raise RecordError(f"{flag} {name}: no such file, and no network of that name ({', '.join(NAMES)})")
    if Path(name).is_dir():
        raise RecordError(f"{flag} {name}: this is a folder; name the file in it: {Path(name) / 'best.json'}")
    return load_best(Path(name))


if __name__ == "__main__":
    sys.exit(main())
if __name__ == "__mp_main__":  # a worker of --workers, which reads this file before all else
    quiet_libraries()
