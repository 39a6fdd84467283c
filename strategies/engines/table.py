"""An execution engine for trials that are looked up, not run: no network is built, and the clock is a simulated one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nni.nas.execution.event import IntermediateMetricEvent, TrainingEndEvent
from nni.nas.space import ExecutableModelSpace, ModelStatus

from common.errors import InputError
from common.trial import Sample
from strategies.engines.in_process import InProcessEngine


class TableEngine(InProcessEngine):
    """Answers each trial by ``look_up`` and charges its seconds to a simulated clock.

    A trial that does not fit into what is left of the budget ends the search and is not recorded: the protocol of NAS-Bench-201 (Dong and
    Yang, ICLR 2020). A sample that was answered before costs nothing, and one that a pruner stops costs what it took until then. A sample
    that has no row, for which ``look_up`` or ``facts`` raise an ``InputError``, is a failed trial that costs nothing; what else they
    raise ends the search.

    Parameters
    ----------
    look_up
        Sample -> [(score, seconds), ...], one for each step of the trial; the last score is the trial's.
    facts
        Sample -> what else is known of it, for ``Trial.facts``.
    simulated_seconds
        The budget; ``None``: no limit.
    options
        Those of ``InProcessEngine``; ``time_budget`` there is real time.
    """

    def __init__(
        self,
        *,
        look_up: Callable[[Sample], Sequence[tuple[float, float]]],
        facts: Callable[[Sample], dict[str, Any]] | None = None,
        simulated_seconds: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._look_up, self._facts, self._budget = look_up, facts, simulated_seconds
        self.clock = sum(result.seconds for result in self._known.values())
        self._is_over = False

    def _run(self, model: ExecutableModelSpace) -> None:
        assert model.sample is not None
        try:
            steps = self._look_up(model.sample)
            facts = self._facts(model.sample) if self._facts is not None else {}
        except InputError as error:
            self._record(model, self._make_trial(self._next_number(), model.sample, state="failed", error=str(error)))
            return
        curve: list[float] = []
        seconds, state = 0.0, "complete"
        judged = self._pruning.begin() if self._pruning is not None else None
        for score, cost in steps:
            seconds += cost
            if self._budget is not None and self.clock + seconds > self._budget:
                self._is_over = True
                self.dispatch_model_event(TrainingEndEvent(model, ModelStatus.Interrupted))
                return
            curve.append(score)
            self.dispatch_model_event(IntermediateMetricEvent(model, score))
            if judged is not None and judged.stops(score):
                state = "pruned"
                break
        self.clock += seconds
        final = curve[-1] if state == "complete" else None
        if judged is not None:
            judged.end(state, final)
        told: dict[str, Any] = {"state": state, "score": final, "curve": curve, "seconds": seconds, "facts": facts}
        self._record(model, self._make_trial(self._next_number(), model.sample, **told))

    @property
    def out_of_time(self) -> bool:
        return self._is_over or super().out_of_time
