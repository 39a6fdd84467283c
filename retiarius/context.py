"""What search and retraining share: the images, the space at its size, the recipe, the device and the precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from common.errors import SpaceError
from common.libraries import quiet_libraries
from common.reporter import Reporter
from evaluators import find_evaluator
from evaluators.adapter import takes
from records.pareto import DEFAULT_OBJECTIVES, LATENCY
from records.run_folder import RunFolder, stored_identity
from retiarius.no_images import NoImages
from retiarius.presets import image_limit
from retiarius.run_record import keep
from retiarius.settings import RunSettings, SearchSettings

if TYPE_CHECKING:
    import torch
    from torch import nn

    from spaces.adapter import Space
    from spaces.search_subspace import SearchedPart
    from strategies.domain import Domain


def load_libraries(reporter: Reporter) -> None:
    """Import what takes seconds, while a person sees that something happens."""
    quiet_libraries()
    with reporter.waiting("loading PyTorch and NNI"):
        import nni.nas.nn.pytorch  # noqa: F401


class RunContext:
    """The settings of one run made concrete.

    Parameters
    ----------
    settings
        Those of the search or of the retraining.
    space, arguments
        The space, and those of its constructor that the run is to have.
    recipe
        Values of all hyperparameters of a training.
    epochs
        Of the supernet, of each trial, or of the retraining.
    reporter
        Hears which images, which device and which kernels.
    table
        Where scores are looked up; None where networks are trained. Without one the images are loaded.

    Attributes
    ----------
    data
        The images, or the table.
    device, precision
        Of torch; None where nothing is trained.
    arguments
        Those of the space's constructor, the number of classes among them where it takes one.

    Raises
    ------
    DataError, EvaluatorError, SpaceError
        The images cannot be had, or the device or the precision cannot be used.
    """

    def __init__(
        self,
        settings: RunSettings,
        space: Space,
        arguments: Mapping[str, Any],
        recipe: dict[str, Any],
        epochs: int,
        reporter: Reporter,
        table: Any = None,
    ) -> None:
        self.settings, self.space, self.recipe, self.epochs = settings, space, recipe, epochs
        self.reporter, self.table = reporter, table
        self.data: Any = table
        self.device: Any = None
        self.precision: Any = None
        # What the run that is resumed noted of itself.
        self.stored: dict[str, Any] = stored_identity(settings.out) if settings.resume else {}
        if table is None:
            self._prepare_training()
        self.arguments = dict(arguments)
        if self.data.num_classes is not None:
            self.arguments = space.with_classes(self.arguments, self.data.num_classes)
        if table is None and self.image_shape is not None and len(set(self.image_shape[1:])) == 1:
            self.arguments = space.with_side(self.arguments, self.image_shape[1], said=settings.fixed)

    @property
    def _needs_images(self) -> bool:
        """Whether images are to be loaded: not where none were asked for, and the evaluator takes none."""
        settings = self.settings
        if not isinstance(settings, SearchSettings) or settings.data != "auto":
            return True
        if settings.strategy.one_shot:
            return settings.lightning is None
        return takes(find_evaluator(settings.evaluator)[1].load(), "data")

    @property
    def is_supernet(self) -> bool:
        """Whether a supernet is trained."""
        return isinstance(self.settings, SearchSettings) and self.settings.strategy.one_shot

    @property
    def precision_name(self) -> str:
        """The precision as a word for the record."""
        return str(self.precision).removeprefix("torch.")

    def _prepare_training(self) -> None:
        """Load the images, choose where and how exactly to compute."""
        from evaluators.data.dataset import load_dataset
        from evaluators.devices import choose_device, choose_precision

        settings, say, warn = self.settings, self.reporter.say, self.reporter.warn
        self.device = choose_device(settings.device, warn)
        self.precision = choose_precision(self._asked_precision(), self.device, self.space.acceleration.speed_up)
        if not self._needs_images:
            self.data = NoImages()
            say(f"no images are loaded, as the evaluator takes none; {self.device}, {self.precision_name}")
            return
        limit = image_limit(settings.preset, settings.data)
        self.data = load_dataset(settings.data, data_dir=settings.data_dir, seed=settings.seed, limit=limit, announce=say, warn=warn)
        sizes = self.data.describe()
        counts = ", ".join(f"{sizes[part]:,} {part}" for part in ("train", "validation", "test"))
        say(f"{sizes['name']}: {counts} images; {self.device}, {self.precision_name}")
        note = self._kernels_note()
        if note:
            say(note)

    def _kernels_note(self) -> str | None:
        """Return by which kernels the space computes on a CPU, in words; None where that is torch's affair."""
        is_stock = getattr(getattr(self.settings, "strategy", None), "supernet", None) == "stock"
        if self.device.type != "cpu" or is_stock:
            return None
        return self.space.acceleration.kernels_note(self.precision, is_supernet=self.is_supernet)

    def _asked_precision(self) -> str:
        """Return what the precision that was asked for comes to, or ``auto`` where it is to be measured."""
        asked = self.settings.precision
        only = None if self.is_supernet else self.space.acceleration.only_precision(self.device)
        if only is not None:
            return self._only_precision(asked, str(only).removeprefix("torch."))
        if asked != "auto":
            return asked
        if "precision" in self.stored:
            return str(self.stored["precision"])  # a measurement may come out otherwise the second time
        # A supernet is bound by depthwise convolutions and memory on a CPU: bfloat16 gains a fifth, where dense ones gain several times,
        # and costs digits of alphas that differ by little.
        return "float32" if self.is_supernet and self.device.type == "cpu" else "auto"

    def _only_precision(self, asked: str, only: str) -> str:
        """Return ``only``, in which the compiled kernels compute; refuse a run that began in another."""
        before = self.stored.get("precision", only)
        told = (self.stored.get("strategy"), (self.stored.get("space") or {}).get("name"))
        strategy = getattr(getattr(self.settings, "strategy", None), "name", None)
        if before != only and told == (strategy, self.space.name):
            raise SpaceError(f"this run began in {before}, without compiled kernels: set RETIARIUS_KERNELS=torch to resume it")
        if asked not in ("auto", only):
            way = f"for {asked}, set RETIARIUS_KERNELS=torch, which is slower"
            self.reporter.warn(f"`precision={asked}` has no effect: the compiled kernels train these networks in {only}; {way}")
        return only

    @property
    def training(self) -> dict[str, Any]:
        """The arguments that every training takes."""
        return {"data": self.data, "epochs": self.epochs, "seed": self.settings.seed, "device": self.device, "precision": self.precision}

    @property
    def image_shape(self) -> Sequence[int] | None:
        """Channels, height and width; None where there are no images."""
        return None if isinstance(self.data, NoImages) else tuple(self.data.train.images.shape[1:])

    @contextmanager
    def open_folder(self, name: str, **identity: Any) -> Iterator[RunFolder]:
        """Open the run's folder and its log; a resumed run must be the same in all that is told here."""
        from evaluators.training.recipes import values_as_told

        settings = self.settings
        same: dict[str, Any] = {
            **identity,
            "space": {"name": self.space.name, "arguments": self.arguments},
            "dataset": self.data.describe(),
        }
        same |= {"epochs": self.epochs, "preset": settings.preset, "pins": settings.pins, "seed": settings.seed}
        trained = {"recipe": values_as_told(self.recipe, self.stored.get("recipe")), "precision": self.precision_name}
        # With a table nothing is trained; older versions noted these nevertheless.
        same |= trained if self.table is None else {name: self.stored[name] for name in trained if name in self.stored}
        folder = RunFolder.create(settings.out, space=self.space.name, strategy=name, resume=settings.resume, identity=same)
        with keep(folder, settings.describe(), self.reporter.command):
            yield folder

    def build(self, architecture: Mapping[str, Any] | None, **changed: Any) -> nn.Module:
        """Build the network of ``architecture``, or the unfrozen space for None; the first weights are drawn with the run's seed.

        ``changed`` are arguments of the constructor in place of the run's own.
        """
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.settings.seed)
            arguments = {**self.arguments, **changed}
            return self.space.make(arguments) if architecture is None else self.space.network(arguments, architecture)

    def domain(self, searched: SearchedPart) -> Domain:
        """Return what is ``searched`` of the architecture, to draw from: what the space's constraints forbid is never drawn."""
        from nni.nas.space import SimplifiedModelSpace

        from strategies.domain import Domain

        return Domain(SimplifiedModelSpace(self.space.make(self.arguments), searched.architecture | searched.constraints, None))

    def measure(self, network: nn.Module) -> dict[str, Any]:
        """Return parameters and multiply-adds of a network on these images; its latency where the search has it as an objective."""
        from evaluators.complexity import count_parameters, measure_complexity, measure_latency

        if self.image_shape is None:
            return {"parameters": count_parameters(network)}
        size: dict[str, Any] = {**measure_complexity(network, self.image_shape)}
        if isinstance(self.settings, SearchSettings) and self.settings.measures_latency:
            size[LATENCY] = measure_latency(network, self.image_shape, device=self.device, precision=self.precision)
        return size

    @property
    def objectives(self) -> tuple[str, ...]:
        """Those of a strategy that takes several: the accuracy, then what is to be small."""
        asked = self.settings.objectives if isinstance(self.settings, SearchSettings) else None
        return asked or DEFAULT_OBJECTIVES

    @property
    def gpus(self) -> list[int]:
        """The GPUs from whose generators is drawn."""
        from evaluators.devices import gpus_of

        device: torch.device | str = "cpu" if self.device is None else self.device
        return gpus_of(device)
