"""A strategy object of NNI's own, or of anyone's after NNI's interface, in the place of one of ours."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from common.errors import StrategyError
from strategies.context import SearchContext
from strategies.strategy import Strategy, TrialStrategy


def wrap_nni_strategy(what: Any) -> Strategy | None:
    """Return ``what``, where it is an NNI ``Strategy``, as one of ours; ``None`` where it is none. NNI is not imported for that."""
    base, one_shot = sys.modules.get("nni.nas.strategy.base"), sys.modules.get("nni.nas.oneshot.pytorch.strategy")
    if base is None or not isinstance(what, base.Strategy):
        return None
    return NniOneShot(nni=what) if one_shot is not None and isinstance(what, one_shot.OneShotStrategy) else NniTrials(nni=what)


def _name_of(nni: Any) -> str:
    return f"nni-{type(nni).__name__.lower()}"


def _told(nni: Any) -> str:
    """Return the class of an object of NNI's and those of its settings that are plain values, in words."""
    settings = {name: value for name, value in vars(nni).items() if not name.startswith("_")}
    plain = {name: value for name, value in settings.items() if isinstance(value, str | bool | int | float | tuple)}
    return f"{type(nni).__name__}({', '.join(f'{name}={value!r}' for name, value in sorted(plain.items()))})"


def _require_unused(nni: Any) -> None:
    """Raise ``StrategyError`` where an object of NNI's, which is good for one search, has had it."""
    if getattr(getattr(nni, "_status", None), "value", "empty") != "empty":
        raise StrategyError(f"this {type(nni).__name__} of NNI has been used already: make a new one for each search")


@dataclass(frozen=True, kw_only=True)
class NniTrials(TrialStrategy):
    """A multi-trial strategy of NNI's, such as ``nni.nas.strategy.RegularizedEvolution()``.

    Parameters
    ----------
    nni
        The object. It has a seed of its own, or none; the search's seed does not reach it.
    """

    nni: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "name", _name_of(self.nni))
        _require_unused(self.nni)

    def settings(self) -> dict[str, Any]:
        return {"--strategy": _told(self.nni), **({} if self.pruner is None else {"--pruner": self.pruner.name})}

    def build(self, context: SearchContext) -> Any:
        tuner: Any = getattr(self.nni, "tuner", None)
        if hasattr(tuner, "optimize_mode"):
            from nni.common.hpo_utils import OptimizeMode

            tuner.optimize_mode = OptimizeMode.Maximize  # NNI's TPE looks for the lowest score, where all else of NAS takes the highest
        return self.nni


@dataclass(frozen=True, kw_only=True)
class NniOneShot(Strategy):
    """A one-shot strategy of NNI's, such as ``nni.nas.strategy.GumbelDARTS()``.

    Parameters
    ----------
    nni
        The object.
    """

    one_shot = True
    nni: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _name_of(self.nni))
        _require_unused(self.nni)

    def settings(self) -> dict[str, Any]:
        return {"--strategy": _told(self.nni)}

    def build(self, context: SearchContext) -> Any:
        from strategies.one_shot.nni_one_shot import WatchedOneShot

        return WatchedOneShot(self.nni, context)
