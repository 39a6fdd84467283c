"""Find a better network for small images than the one you were given, and train what was found.

    python run_experiment.py --space darts --strategy darts        # search one-shot, write best.json
    python run_experiment.py --space zoo --strategy tpe            # search by trials
    python run_experiment.py --retrain runs/NAME/best.json         # train the found architecture anew, score the test set once
    python run_experiment.py --list                                # spaces, strategies, data sets, and which fit together
"""

from __future__ import annotations

import difflib
import errno
import json
import logging
import shlex
import sys
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluators import EVALUATORS, EvaluatorError, TrainingDiverged
from records import RecordError
from records.best import BestArchitecture, check_architecture, load_best, save_best
from records.files import write_json_atomically
from records.log import log_to
from records.presets import PRESETS
from records.provenance import collect_versions
from records.run_folder import RunFolder
from records.screen import Screen, format_accuracy, format_count, format_seconds
from records.settings import Settings, parse_settings
from records.trials import Trial, TrialLog
from spaces import SPACES, SpaceError, legal_choices, make_space, preset_arguments, preset_choices, space_entry
from strategies import STRATEGIES, StrategyError, check_pair, strategy_entry

BAD_INPUT = (EvaluatorError, RecordError, SpaceError, StrategyError)
OFFERS = {name: entry.offers for name, entry in SPACES.items()}


class Failure(RuntimeError):
    """The run itself failed; the message is one line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks for. Exit status: 0 done, 2 bad usage or input, 1 the run failed, 130 interrupted."""
    screen = Screen()
    quiet_libraries()
    try:
        settings = parse_settings(sys.argv[1:] if argv is None else argv, (__doc__ or "").split("\n")[0])
        for note in settings.notes:
            screen.warn(note)
        if settings.list:
            show_list(screen)
        elif settings.retrain is not None:
            retrain(settings, screen)
        else:
            search(settings, screen)
        return 0
    except BAD_INPUT as error:
        screen.error(str(error))
        return 2
    except (PermissionError, FileNotFoundError, NotADirectoryError) as error:
        screen.error(f"{error.filename}: {error.strerror}; name another folder with --out or --data-dir")
        return 2
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        hint = "; free some space, then go on with --resume" if error.errno == errno.ENOSPC else ""
        screen.error(f"{where}{error.strerror or error}{hint}")
        return 1
    except (Failure, TrainingDiverged, FloatingPointError) as error:
        screen.error(str(error))
        return 1
    except KeyboardInterrupt:
        screen.error("interrupted; what was finished is kept, and --out DIR --resume goes on")
        return 130


def quiet_libraries() -> None:
    """Keep from people what they can do nothing about: NNI on a torch newer than itself, Lightning on how we use it."""
    warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module", category=RuntimeWarning)
    warnings.filterwarnings("ignore", module=r"(pytorch_)?lightning")
    logging.getLogger("nni").setLevel(logging.CRITICAL)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.ERROR)


def show_list(screen: Screen) -> None:
    """What there is, and which strategy fits which space."""
    fits = [[name, *("yes" if entry.needs <= OFFERS[space] else "-" for space in SPACES), entry.summary] for name, entry in STRATEGIES.items()]
    screen.closing_table("Strategies (--strategy), and the spaces they fit", fits, header=["", *SPACES, ""])
    screen.closing_table("Spaces (--space)", [[name, entry.summary] for name, entry in SPACES.items()])
    data_sets = [
        ["auto", "CIFAR-10 where it is in --data-dir or can be downloaded, else digits (the default)"],
        ["cifar10", "CIFAR-10: 50,000 + 10,000 images, 10 classes"],
        ["digits", "scikit-learn's handwritten digits, which come with the installation"],
        ["PATH", "a folder of your own, with train/<class>/ and test/<class>/ images"],
    ]
    screen.closing_table("Data sets (--dataset)", data_sets)
    screen.closing_table("Evaluators (--evaluator)", [[name, entry.summary] for name, entry in EVALUATORS.items()])
    screen.closing_table("Presets (--preset)", [[name, preset.summary] for name, preset in PRESETS.items()])


# --- the experiment: settings made concrete ----------------------------------------------------------------------------------------


@dataclass
class Experiment:
    """What search and retraining share: the data in memory, the space, the hyperparameters, where to compute."""

    settings: Settings
    screen: Screen
    space_name: str
    space_arguments: dict[str, Any]
    recipe: dict[str, Any]
    epochs: int

    def __post_init__(self) -> None:
        from evaluators.data import load_dataset
        from evaluators.devices import choose_device, choose_precision

        settings = self.settings
        self.device = choose_device(settings.device)
        self.precision = choose_precision(settings.precision, self.device)
        limit = PRESETS[settings.preset].images
        self.data = load_dataset(settings.dataset, data_dir=settings.data_dir, seed=settings.seed, limit=limit, announce=self.screen.warn)
        self.space_arguments = {**self.space_arguments, "num_classes": self.data.num_classes}
        self.space_class = space_entry(self.space_name).load()
        sizes = self.data.describe()
        self.screen.say(
            f"{sizes['name']}: {sizes['train']:,} training, {sizes['validation']:,} validation, {sizes['test']:,} test images; "
            f"{self.device}, {self.precision_name}"
        )

    @property
    def precision_name(self) -> str:
        return str(self.precision).removeprefix("torch.")

    @property
    def training(self) -> dict[str, Any]:
        """The arguments that every training takes."""
        return {"data": self.data, "epochs": self.epochs, "seed": self.settings.seed, "device": self.device, "precision": self.precision}

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to be gone on with."""
        return {
            "space": {"name": self.space_name, "arguments": self.space_arguments},
            "dataset": self.data.describe(),
            "epochs": self.epochs,
            "recipe": self.recipe,
            "pins": self.settings.pins,
            "seed": self.settings.seed,
            "device": self.device.type,
            "precision": self.precision_name,
        }

    def build(self, architecture: Mapping[str, Any], **more: Any) -> Any:
        """The network of ``architecture``, its first weights drawn with the run's seed."""
        import torch
        from nni.nas.space import model_context

        with torch.random.fork_rng(), model_context(dict(architecture)):
            torch.manual_seed(self.settings.seed)
            return self.space_class(**self.space_arguments, **more)

    def measure(self, network: Any) -> dict[str, int]:
        """Parameters and multiply-adds of a network on these images."""
        from evaluators.complexity import measure_complexity

        return {**measure_complexity(network, self.data.train.images.shape[1:])}


def recipe_with_pins(values: Mapping[str, Any], pins: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a recipe, those that ``pins`` fixes replaced."""
    from evaluators.recipes import check_hyperparameter

    return {**values, **{label: check_hyperparameter(label, value) for label, value in pins.items() if label in values}}


def choose_mutables(
    mutables: Mapping[str, Any], pins: Mapping[str, Any], narrowed: Mapping[str, list[Any]], hyperparameters: Collection[str]
) -> dict[str, Any]:
    """The mutables as this run searches them: those in ``pins`` reduced to one value, those in ``narrowed`` to a few.

    Raises ``RecordError`` on a pin of an unknown label or to an illegal value.
    """
    from nni.mutable import Categorical, CategoricalMultiple

    choices = legal_choices(mutables)
    pinned = {label: value for label, value in pins.items() if label not in hyperparameters}
    for label in pinned:
        if label not in choices:
            close = difflib.get_close_matches(label, [*choices, *hyperparameters], n=3) or [*choices, *hyperparameters][:8]
            raise RecordError(f"--set {label}: this space has no such label; the closest known ones: {', '.join(close)}")
    check_architecture(pinned, {label: choices[label] for label in pinned})
    result = {label: Categorical(narrowed[label], label=label) if label in narrowed else mutable for label, mutable in mutables.items()}
    for label, value in pinned.items():
        several = choices[label]["kind"] == "several"
        result[label] = CategoricalMultiple(value, n_chosen=len(value), label=label) if several else Categorical([value], label=label)
    return result


def is_fixed(mutable: Any) -> bool:
    """Whether a mutable has one possible value."""
    values = getattr(mutable, "values", None)
    return values is not None and len(values) == (getattr(mutable, "n_chosen", None) or 1)


def data_flags(settings: Settings) -> str:
    """The flags that name the data set again, for the next command."""
    default = Settings()
    flags = [] if settings.dataset == default.dataset else ["--dataset", settings.dataset]
    flags += [] if settings.data_dir == default.data_dir else ["--data-dir", str(settings.data_dir)]
    return "".join(f" {shlex.quote(flag)}" for flag in flags)


# --- search --------------------------------------------------------------------------------------------------------------------------


def search(settings: Settings, screen: Screen) -> None:
    """Search a space with a strategy and write ``best.json``."""
    assert settings.space is not None and settings.strategy is not None
    entry, strategy = space_entry(settings.space), strategy_entry(settings.strategy)
    check_pair(settings.strategy, settings.space, OFFERS)
    if settings.evaluator not in EVALUATORS:
        raise EvaluatorError(f"unknown evaluator {settings.evaluator!r}; known: {', '.join(EVALUATORS)}")
    from evaluators.recipes import recipe_values

    preset = PRESETS[settings.preset]
    recipe = recipe_with_pins(recipe_values(settings.recipe or ("darts_search" if strategy.one_shot else entry.recipe)), settings.pins)
    epochs = settings.epochs or (preset.search_epochs if strategy.one_shot else preset.trial_epochs)
    arguments = preset_arguments(entry.load(), settings.preset, "search")
    choose_mutables(make_space(entry.load(), arguments).simplify(), settings.pins, {}, recipe)  # refuse bad pins before reading the data
    experiment = Experiment(settings, screen, settings.space, arguments, recipe, epochs)
    identity = {**experiment.identity, "strategy": settings.strategy}
    with RunFolder.create(settings.out, space=settings.space, strategy=settings.strategy, resume=settings.resume, identity=identity) as folder:
        folder.write_config({key: str(value) if isinstance(value, Path) else value for key, value in asdict(settings).items()})
        with log_to(folder.log_path):
            (search_one_shot if strategy.one_shot else search_trials)(experiment, folder)
        show_best(load_best(folder.best_path), folder, experiment)


def search_one_shot(experiment: Experiment, folder: RunFolder) -> None:
    """Train a supernet and read the architecture off it."""
    from nni.nas.execution import SequentialExecutionEngine
    from nni.nas.space import RawFormatModelSpace

    from evaluators.one_shot import make_supernet_evaluator
    from evaluators.recipes import make_recipe

    settings, recipe = experiment.settings, make_recipe(experiment.recipe)
    evaluator = make_supernet_evaluator(
        **experiment.training, recipe=recipe, checkpoints=folder.checkpoints_path, time_budget=settings.time_budget
    )
    steps = experiment.epochs * len(evaluator.train_dataloaders)
    epochs_log = folder.path / "epochs.jsonl"
    with experiment.screen.progress(steps, "steps", "supernet") as progress:

        def note_epoch(epoch: Any) -> None:
            with epochs_log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(epoch)) + "\n")
            detail = f"epoch {epoch.number}: loss {epoch.train_loss:.3f}, validation {format_accuracy(epoch.validation_accuracy)}"
            progress.update(0, best=epoch.validation_accuracy, detail=detail)

        strategy = strategy_entry(settings.strategy or "").load()(
            seed=settings.seed, trials=1, gradient_clip_val=recipe.grad_clip or None, on_step=lambda: progress.update(1), on_epoch=note_epoch
        )
        space = make_space(experiment.space_class, experiment.space_arguments)
        strategy(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
    epoch = strategy.result()
    score = {"metric": "supernet validation accuracy", "value": epoch.validation_accuracy, "epochs": epoch.number}
    write_best(experiment, folder, experiment.space_class.canonical(epoch.sample), trained_recipe(experiment), score, supernet=experiment.recipe)


def search_trials(experiment: Experiment, folder: RunFolder) -> None:
    """Run trials until the strategy or the budget ends; ``best.json`` follows the best one."""
    import nni
    from nni.nas.evaluator import FunctionalEvaluator
    from nni.nas.execution import ModelEventType
    from nni.nas.space import SimplifiedModelSpace

    from strategies.engine import InProcessEngine, TrialResult

    settings, screen, space_class = experiment.settings, experiment.screen, experiment.space_class
    strategy = strategy_entry(settings.strategy or "")
    space = make_space(space_class, experiment.space_arguments)
    default = space_class.default_architecture()
    pins = {**(default or {}), **settings.pins} if strategy.fixes_architecture else settings.pins
    mutables = choose_mutables(space.simplify(), pins, preset_choices(space_class, settings.preset), experiment.recipe)
    searched = {label: mutable for label, mutable in space_class.hyperparameters().items() if label not in settings.pins}
    fixed = {label: value for label, value in experiment.recipe.items() if label not in searched}
    evaluate = EVALUATORS[settings.evaluator].load()
    evaluator = FunctionalEvaluator(evaluate, **experiment.training, report=nni.report_intermediate_result, **fixed, **searched)
    explored = SimplifiedModelSpace(space, mutables, evaluator)

    log = TrialLog(folder.trials_path)
    known = [result_of(trial, searched) for trial in log.read()]
    if log.note:
        screen.warn(log.note)
    total = settings.trials or PRESETS[settings.preset].trials
    if all(is_fixed(mutable) for mutable in explored.simplify().values()):
        total = 1  # everything is pinned: one configuration
    best = max((result for result in known if result.score is not None), key=lambda result: result.score, default=None)

    with screen.progress(total, "trials", settings.strategy or "", completed=len(known)) as progress:

        def note(result: TrialResult) -> None:
            nonlocal best
            log.append(trial_of(result, experiment.recipe, mutables))
            if result.error is not None:
                screen.warn(f"trial {result.number} failed: {result.error}")
            if result.score is not None and (best is None or result.score > (best.score or 0.0)):
                best = result
                trial = trial_of(result, experiment.recipe, mutables)
                score = {"metric": "validation accuracy", "value": result.score, "epochs": experiment.epochs}
                write_best(experiment, folder, trial.architecture, trial.hyperparameters, score, trial=trial.number)
            progress.update(1, best=result.score, detail="")

        def note_epoch(event: Any) -> None:
            progress.update(0, detail=f"epoch {len(event.model.metrics.intermediates) + 1}: {format_accuracy(event.metric)}")

        engine = InProcessEngine(
            max_trials=total,
            time_budget=settings.time_budget,
            canonical=lambda sample: {**sample, **space_class.canonical({label: sample[label] for label in mutables})},
            known=known,
            describe=experiment.measure,
            on_result=note,
            seed=settings.seed,
        )
        engine.register_model_event_callback(ModelEventType.IntermediateMetric, note_epoch)
        if default is not None:
            # The default configuration comes first: no search of the zoo ends worse than what its person began with.
            start = {label: mutable.values[0] if is_fixed(mutable) else default[label] for label, mutable in mutables.items()}
            engine.submit_models(explored.freeze({**start, **{label: experiment.recipe[label] for label in searched}}))
        strategy.load()(seed=settings.seed, trials=total)(explored, engine)
    if best is None:
        raise Failure(f"all {len(engine.results)} trials failed; the first: {engine.results[0].error} (see {folder.log_path})")


def trial_of(result: Any, recipe: Mapping[str, Any], architecture: Collection[str]) -> Trial:
    """An engine's result as a record: the sample parted into architecture and hyperparameters, those that were not searched added."""
    return Trial(
        number=result.number,
        status=result.status,
        architecture={label: value for label, value in result.sample.items() if label in architecture},
        hyperparameters={**recipe, **{label: value for label, value in result.sample.items() if label not in architecture}},
        score=result.score,
        curve=result.curve,
        seconds=result.seconds,
        parameters=result.facts.get("parameters"),
        flops=result.facts.get("flops"),
        error=result.error,
    )


def result_of(trial: Trial, searched: Collection[str]) -> Any:
    """The inverse of ``trial_of``, for the engine of a resumed run."""
    from strategies.engine import TrialResult

    sample = {**trial.architecture, **{label: trial.hyperparameters[label] for label in searched}}
    facts = {"parameters": trial.parameters, "flops": trial.flops}
    return TrialResult(trial.number, sample, trial.status, trial.score, trial.curve, trial.seconds, trial.error, facts)


def trained_recipe(experiment: Experiment) -> dict[str, Any]:
    """The recipe with which an architecture that was found one-shot is to be trained alone."""
    from evaluators.recipes import recipe_values

    return recipe_with_pins(recipe_values(space_entry(experiment.space_name).recipe), experiment.settings.pins)


def write_best(
    experiment: Experiment,
    folder: RunFolder,
    architecture: Mapping[str, Any],
    hyperparameters: Mapping[str, Any],
    score: Mapping[str, Any],
    **strategy: Any,
) -> None:
    """Write ``best.json`` of a search."""
    save_best(
        folder.best_path,
        space_name=experiment.space_name,
        space_arguments=experiment.space_arguments,
        architecture=architecture,
        hyperparameters=hyperparameters,
        score=score,
        dataset=experiment.data.describe(),
        strategy={"name": experiment.settings.strategy, **strategy},
        seed=experiment.settings.seed,
        versions=collect_versions(),
        **experiment.measure(experiment.build(architecture)),
    )


def show_best(best: BestArchitecture, folder: RunFolder, experiment: Experiment) -> None:
    """The closing table of a search, and what to type next."""
    settings, screen = experiment.settings, experiment.screen
    assert best.score is not None
    rows: list[list[object]] = [[best.score["metric"], f"{format_accuracy(best.score['value'])} after {best.score['epochs']} epochs"]]
    if best.space_name == "darts":
        from spaces.genotypes import genotype_from_architecture

        genotype = genotype_from_architecture(best.architecture)
        rows += [[kind, "  ".join(f"{operation}({source})" for operation, source in getattr(genotype, kind))] for kind in ("normal", "reduce")]
    else:
        rows += [[label, value] for label, value in best.architecture.items()]
    rows += [[name, format_count(count)] for name, count in (("parameters", best.parameters), ("multiply-adds", best.flops))]
    screen.closing_table(f"Best of {settings.space} by {settings.strategy} on {experiment.data.name}", [*rows, ["written to", folder.best_path]])
    preset = "" if settings.preset == Settings.preset else f" --preset {settings.preset}"
    screen.next_command(f"python run_experiment.py --retrain {shlex.quote(str(folder.best_path))}{preset}{data_flags(settings)}")


# --- retraining ----------------------------------------------------------------------------------------------------------------------


def retrain(settings: Settings, screen: Screen) -> None:
    """Train a found or a published architecture anew, score the test set once, write ``retrained.json`` and the weights."""
    import torch
    from safetensors.torch import save_model

    from evaluators.recipes import make_recipe
    from evaluators.training import retrain as train_anew

    best = load_architecture(settings)
    entry = space_entry(best.space_name)
    check_architecture(best.architecture, legal_choices(make_space(entry.load(), best.space_arguments).simplify()))
    preset = PRESETS[settings.preset]
    recipe = recipe_with_pins(retrain_recipe(best, settings), settings.pins)
    for label in settings.pins:
        if label not in recipe:
            raise RecordError(f"--set {label}: the architecture is fixed when it is retrained; hyperparameters: {', '.join(recipe)}")
    arguments = {**best.space_arguments, **preset_arguments(entry.load(), settings.preset, "retrain")}
    experiment = Experiment(settings, screen, best.space_name, arguments, recipe, settings.epochs or preset.retrain_epochs)
    network = experiment.build(best.architecture)
    size = experiment.measure(network)
    identity = {**experiment.identity, "architecture": best.architecture}
    with RunFolder.create(settings.out, space=best.space_name, strategy="retrain", resume=settings.resume, identity=identity) as folder:
        folder.write_config({key: str(value) if isinstance(value, Path) else value for key, value in asdict(settings).items()})
        screen.say(f"{best.space_name}: {format_count(size['parameters'])} parameters, {format_count(size['flops'])} multiply-adds")
        with log_to(folder.log_path), torch.random.fork_rng(), screen.progress(experiment.epochs, "epochs", "retrain") as progress:
            torch.manual_seed(settings.seed)
            result = train_anew(
                network,
                **experiment.training,
                recipe=make_recipe(recipe),
                checkpoint=folder.checkpoints_path / "retrain.ckpt",
                on_epoch=lambda epoch: progress.update(1, detail=f"loss {epoch.loss:.3f}, training accuracy {format_accuracy(epoch.accuracy)}"),
            )
        document = {**result, **size, "epochs": experiment.epochs, "hyperparameters": recipe, "space": identity["space"]}
        document |= {"architecture": best.architecture, "dataset": experiment.data.describe(), "seed": settings.seed, "versions": collect_versions()}
        save_model(network, str(folder.path / "weights.safetensors"))
        write_json_atomically(folder.path / "retrained.json", document)
    rows = [["test accuracy", format_accuracy(result["test_accuracy"])], ["epochs", experiment.epochs]]
    rows += [["parameters", format_count(size["parameters"])], ["multiply-adds", format_count(size["flops"])]]
    rows += [["seconds of training", format_seconds(result["seconds"])], ["written to", folder.path / "retrained.json"]]
    screen.closing_table(f"Retrained on {experiment.data.name}", rows)


def load_architecture(settings: Settings) -> BestArchitecture:
    """What ``--retrain`` names: a published genotype, or a best.json."""
    name = settings.retrain or ""
    path = Path(name)
    if not path.exists() and path.suffix == "":
        from spaces.genotypes import GENOTYPES, architecture_from_genotype

        if name not in GENOTYPES:
            raise RecordError(f"--retrain {name}: neither a file nor a published genotype ({', '.join(GENOTYPES)})")
        return BestArchitecture("darts", {}, architecture_from_genotype(GENOTYPES[name]), {}, None, {}, {}, settings.seed, None, None, "", {})
    return load_best(path)


def retrain_recipe(best: BestArchitecture, settings: Settings) -> dict[str, Any]:
    """The recipe asked for, else the one that the search recorded, else the one that suits the space."""
    from evaluators.recipes import make_recipe, recipe_values

    if settings.recipe is not None:
        return recipe_values(settings.recipe)
    if best.hyperparameters:
        return asdict(make_recipe(best.hyperparameters))
    return recipe_values(space_entry(best.space_name).recipe)


if __name__ == "__main__":
    sys.exit(main())
