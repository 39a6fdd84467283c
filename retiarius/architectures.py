"""Architectures that can be trained: what a search found, what a file holds, what has a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import RecordError, SpaceError
from records.best import BestArchitecture, load_best, save_best
from records.run_folder import read_config
from retiarius.settings import DEFAULT_DATA_DIR
from spaces.named import NAMES

if TYPE_CHECKING:
    from torch import nn

    from spaces.adapter import Space


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
        if self.space is not None:
            return self.space
        from spaces import SPACES
        from spaces.adapter import find_space

        if self.record.space_name in SPACES:
            return find_space(self.record.space_name)
        from common.text import show

        name = self.record.space_name
        if ":" not in name:
            from common.errors import unknown_name

            raise SpaceError(f"{self.name}: {unknown_name('space', name, SPACES)}")
        raise SpaceError(f"{self.name}: its space {show(name)} is imported only where you name it: --space MODULE:CLASS, or space=CLASS")

    def network(self) -> nn.Module:
        """Build the network at the size it was found with, its weights untrained."""
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
        Of a backbone's other choices those that are made, such as ``{"stem": "small"}``.

    Raises
    ------
    RecordError
        There is no such file, or it is damaged.
    """
    record = read_architecture(str(name), fixed)
    found: Any = None
    if space is not None:
        from spaces.adapter import find_space

        found = find_space(space)
        if found.name != record.space_name:
            raise SpaceError(f"{name}: this is a network of {record.space_name}, not of {found.name}")
    return replace(_with_origin(record, str(name)), space=found)


def read_architecture(name: str, fixed: Mapping[str, Any] | None = None, flag: str = "--retrain") -> BestArchitecture:
    """Return what ``name`` says: a best.json, a published genotype, or a backbone whose other choices ``fixed`` may make.

    Raises
    ------
    RecordError
        There is no such file, or it is damaged; the message names ``flag``.
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
        from common.text import show

        shown = name if name.isprintable() and len(name) < 200 else show(name)
        raise RecordError(f"{flag} {shown}: no such file, and no network of that name ({', '.join(NAMES)})")
    if is_folder:
        raise RecordError(f"{flag} {name}: this is a folder; name the file in it: {Path(name) / 'best.json'}")
    return load_best(Path(name))


def _with_origin(record: BestArchitecture, name: str) -> Architecture:
    """Return the architecture with the preset and the data set of the run that found it, as far as its folder or the file says so."""
    from evaluators.names import DATASETS

    told = str(record.dataset.get("name"))
    known = told if told in DATASETS else None
    if not (Path(name).name == "best.json" and (Path(name).parent / "config.json").is_file()):
        return Architecture(record, name, data=known)
    try:
        settings = read_config(Path(name).parent).get("settings")
    except RecordError:
        return Architecture(record, name, data=known)
    settings = settings if isinstance(settings, dict) else {}
    preset, dataset, data_dir = settings.get("preset"), settings.get("dataset"), settings.get("data_dir")
    from retiarius.presets import PRESETS

    return Architecture(
        record,
        name,
        preset=preset if preset in PRESETS else None,
        data=known or (dataset if isinstance(dataset, str) and settings.get("table") is None else None),
        data_dir=Path(data_dir) if isinstance(data_dir, str) and data_dir else DEFAULT_DATA_DIR,
    )
