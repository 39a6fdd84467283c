"""Architectures that can be trained: what a search found, what a file holds, what has a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import RecordError, SpaceError, closest, unknown_name
from common.text import show
from evaluators.names import DATASETS
from records.best import BestArchitecture, load_best, save_best
from records.run_folder import read_config
from retiarius.presets import PRESETS
from retiarius.settings import DEFAULT_DATA_DIR
from retiarius.value_checks import as_mapping
from spaces import SPACES
from spaces.adapter import Space, find_space
from spaces.named import NAMES, check_choices

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """One architecture of a search space, with what is known of it.

    Attributes
    ----------
    record
        What ``best.json`` says.
    name
        The file it was read from, or the name it has.
    space
        The space it belongs to, where that was handed over; None for a registered one, which is found by its name.
    preset, data, data_dir
        The preset and the data set of the search that found it; None where that is not known.
    """

    record: BestArchitecture
    name: str = "best.json"
    space: Space | None = None
    preset: str | None = None
    data: Any = None
    data_dir: Path = DEFAULT_DATA_DIR

    def __repr__(self) -> str:
        found = "" if self.score is None else f", {self.metric} {self.score:.4g}"
        return f"Architecture({self.record.space_name}: {show(self.choices)}{found})"

    @property
    def score(self) -> float | None:
        """The score it was found with, such as a validation accuracy in [0, 1]; None where nothing was measured."""
        return None if self.record.score is None else float(self.record.score["value"])

    @property
    def metric(self) -> str | None:
        """What the score is."""
        return None if self.record.score is None else str(self.record.score["metric"])

    @property
    def choices(self) -> dict[str, Any]:
        """Label to choice, or to a list of choices."""
        return dict(self.record.architecture)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Hyperparameters of its training, name to value."""
        return dict(self.record.hyperparameters)

    @property
    def parameters(self) -> int | None:
        """Number of trainable parameters."""
        return self.record.parameters

    @property
    def flops(self) -> int | None:
        """Multiply-adds of one forward pass of one image."""
        return self.record.flops

    @property
    def description(self) -> dict[str, str]:
        """The architecture in words, text by name."""
        words: dict[str, str] = self.find_space().describe(self.record.architecture)
        return words

    def find_space(self) -> Space:
        """Return the space it belongs to.

        Raises
        ------
        SpaceError
            It is neither registered nor handed over; the message says what to type.
        """
        return self.space if self.space is not None else registered_space(self.record.space_name, self.name)

    def network(self) -> nn.Module:
        """Build the network, its weights untrained: at the size it was found with, or at the space's own where it only has a name.

        Returns
        -------
        torch.nn.Module
            Maps images [N, 3, H, W] to logits [N, number of classes].

        Raises
        ------
        SpaceError
            The space is neither registered nor handed over.
        """
        return self.find_space().network(self.record.space_arguments, self.record.architecture)

    def save(self, path: str | Path) -> Path:
        """Write it as a ``best.json`` that ``load_architecture`` and ``--retrain`` read, and return the path.

        Raises
        ------
        OSError
            The file cannot be written; one that was there stays.
        """
        fields = {**vars(self.record)}
        del fields["created"]
        save_best(Path(path), **fields)
        return Path(path)


def load_architecture(name: str | Path, *, space: Any = None, fixed: Mapping[str, Any] | None = None) -> Architecture:
    """Load what a search found, or what has a name.

    Parameters
    ----------
    name
        A ``best.json``, a published genotype such as ``DARTS_V2``, or a backbone of the zoo such as ``resnet18``.
    space
        The model space of the file, where that is not one of ours: a class, an instance, a factory or ``"package.module:Class"``.
        Reading the file imports nothing.
    fixed
        Choices to fix beside the backbone, such as ``{"stem": "small"}``.

    Raises
    ------
    RecordError
        There is no such file, or it is damaged; or what is fixed is no choice that the name leaves, or an illegal one.
    """
    choices = as_mapping("fixed", fixed)
    loaded = load_with(name, choices)
    check_choices(str(name), choices)
    return with_space(loaded, space)


def load_with(name: Any, fixed: Mapping[str, Any] | None) -> Architecture:
    """Return what ``load_architecture`` does; those values of ``fixed`` that are no choices of the name are left alone."""
    if not isinstance(name, str | Path):
        raise RecordError(f"{show(name)} is not an architecture; give found.best, the path of a best.json, or a name such as 'DARTS_V2'")
    return _with_origin(read_architecture(str(name), fixed), str(name))


def with_space(architecture: Architecture, space: Any) -> Architecture:
    """Return ``architecture`` with the space that was handed over for it; as it is where none was.

    Raises
    ------
    SpaceError
        It is a network of another space.
    """
    if space is None:
        return architecture
    given, told = find_space(space), architecture.record.space_name
    # What a script or a notebook defines is known there as __main__, and elsewhere by its module.
    is_same = given.name == told or (
        "__main__" in (given.name.partition(":")[0], told.partition(":")[0]) and (given.name.partition(":")[2] == told.partition(":")[2])
    )
    if not is_same:
        raise SpaceError(f"{architecture.name}: this is a network of {show(told)}, not of {given.name}")
    return replace(architecture, space=given)


def registered_space(name: str, where: str) -> Space:
    """Return the registered space called ``name``, which the file ``where`` says; nothing is imported by the word of a file.

    Raises
    ------
    SpaceError
        It is none of those; the message says what to type.
    """
    if name in SPACES:
        return find_space(name)
    if ":" not in name:
        raise SpaceError(f"{where}: {unknown_name('space', name, SPACES)}")
    raise SpaceError(f"{where}: its space {show(name)} is imported only if you name it: set `space` to its class, or to MODULE:CLASS")


def read_architecture(name: str, fixed: Mapping[str, Any] | None = None, argument: str = "") -> BestArchitecture:
    """Return what ``name`` says: a best.json, a published genotype, or a backbone whose other choices ``fixed`` may make.

    Raises
    ------
    RecordError
        There is no such file, or it is damaged; the message begins with ``argument``.
    """
    if name in NAMES:
        from spaces.named import named_architecture

        space, architecture = named_architecture(name, fixed or {})
        unknown: dict[str, Any] = {"score": None, "seed": None, "parameters": None, "flops": None, "created": ""}
        return BestArchitecture(space, {}, architecture, hyperparameters={}, dataset={}, strategy={}, versions={}, **unknown)
    try:
        is_there, is_folder = Path(name).exists(), Path(name).is_dir()
    except (OSError, ValueError):  # too long for a path, or a NUL in it
        is_there = is_folder = False
    if not is_there:
        shown = name if name.isprintable() and len(name) < 200 else show(name)
        near = closest(name, NAMES, 3)
        hint = f"did you mean {', '.join(near)}?" if near else "known names are, for example, DARTS_V2 and resnet18"
        raise RecordError(f"{argument}{shown}: no such file, and no network of that name ({hint})")
    if is_folder:
        raise RecordError(f"{argument}{name} is a folder; name the file in it: {Path(name) / 'best.json'}")
    return load_best(Path(name))


def _with_origin(record: BestArchitecture, name: str) -> Architecture:
    """Return the architecture with the preset and the data set of the run that found it, as far as its folder or the file says so."""
    told = str(record.dataset.get("name"))
    known = told if told in DATASETS and "rows" not in record.dataset else None  # the images of a table may not be here
    settings = _settings_beside(Path(name))
    preset, dataset, data_dir = settings.get("preset"), settings.get("dataset"), settings.get("data_dir")
    was_typed = isinstance(dataset, str) and dataset != "auto" and settings.get("table") is None
    return Architecture(
        record,
        name,
        preset=preset if preset in PRESETS else None,
        data=dataset if was_typed else known,
        data_dir=Path(data_dir) if isinstance(data_dir, str) and data_dir else DEFAULT_DATA_DIR,
    )


def _settings_beside(best: Path) -> dict[str, Any]:
    """Return the settings of the run in whose folder the file ``best`` lies; nothing where it lies in none."""
    if best.name != "best.json" or not (best.parent / "config.json").is_file():
        return {}
    try:
        settings = read_config(best.parent).get("settings")
    except RecordError:
        return {}
    return settings if isinstance(settings, dict) else {}
