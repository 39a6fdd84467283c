"""What the search of a user program was asked for, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from common.passwords import hide_passwords
from retiarius.presets import DEFAULT_PRESET
from retiarius.ray_cluster import Ray, workers_flag
from retiarius.settings import PrunerSettings
from retiarius.value_checks import check_counts, check_mode, check_preset, check_seconds, check_seed, check_study, check_texts
from strategies import Strategy


@dataclass(frozen=True)
class CommandSettings(PrunerSettings):
    """What the search of a user program was asked for; see ``search_command``."""

    trial_command: str
    search_space: Mapping[str, Any]
    strategy: Strategy
    trials: int | None = None
    epochs: int | None = None
    preset: str = DEFAULT_PRESET
    fixed: Mapping[str, Any] = field(default_factory=dict)
    time_budget: float | None = None
    trial_time: float | None = None
    concurrency: int | Ray = 1
    optimize_mode: str = "maximize"
    code_dir: Path = Path()
    storage: str | None = None
    study: str | None = None
    seed: int = 0
    out: Path | None = None
    resume: bool = False
    tensorboard: bool = False
    portal: bool = False
    port: int | None = None
    experiment: str | None = None
    tuner_arguments: Mapping[str, Any] = field(default_factory=dict)
    assessor_arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_preset(self.preset)
        check_seed(self.seed)
        check_counts(trials=self.trials, epochs=self.epochs, concurrency=1 if isinstance(self.concurrency, Ray) else self.concurrency)
        check_seconds(time_budget=self.time_budget, trial_time=self.trial_time)
        check_texts(trial_command=self.trial_command, storage=self.storage, study=self.study)
        check_study(self.storage, self.study)
        check_mode(self.optimize_mode)

    def describe(self) -> dict[str, Any]:
        """Return what was asked for as plain data, for ``config.json``, without the password of a storage."""
        told = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "fixed"}
        words = {**told, "strategy": self.strategy.name, "pins": dict(self.fixed)}
        words |= {"pruner": self.pruner_name, "start_step": self.start_step}
        words["concurrency"] = asdict(self.concurrency) if isinstance(self.concurrency, Ray) else self.concurrency
        return {**words, "storage": None if self.storage is None else hide_passwords(self.storage)}

    def identity(self, trials: int) -> dict[str, Any]:
        """Return what a resumed search must have in common with the first."""
        names = ("search_space", "trial_command", "code_dir", "optimize_mode", "trial_time", "seed", "epochs", "start_step")
        same = {"strategy": self.strategy.name, **{name: getattr(self, name) for name in names}, "pins": dict(self.fixed), "trials": trials}
        same["concurrency"] = workers_flag(self.concurrency) or 1
        flags = {"--pruner": None if self.pruner is None else self.pruner_name, "--study": self.study}
        flags["--storage"] = None if self.storage is None else hide_passwords(self.storage)
        return same | {flag: value for flag, value in flags.items() if value is not None} | ({"portal": True} if self.portal else {})
