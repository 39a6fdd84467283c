"""Optuna's samplers behind NNI's ``Strategy`` interface: they maximise, and they know every kind of NNI mutable."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import optuna
from nni.nas.execution.engine import ExecutionEngine
from nni.nas.execution.event import ModelEventType, TrainingEndEvent
from nni.nas.space import ExecutableModelSpace, ModelStatus
from nni.nas.strategy.base import Strategy
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState, create_trial

from common.trial import Trial as EndedTrial
from common.trial import sample_key
from strategies.checkpoint import as_plain, generator_state, restore_generator
from strategies.domain import MAX_LISTED, Domain
from strategies.engines.recording import ContinuedEvent, RejectedEvent
from strategies.optuna.encoders import SampleEncoder, Usual, draw_value
from strategies.optuna.shared_study import MEMBER, SharedStudy
from strategies.optuna.study_state import add_described, describe_study

MAX_MOVES = 100  # away from a sample that is known
MAX_FORBIDDEN = 10  # proposals in a row that a constraint forbids, after which a sample that is allowed is looked for
logger = logging.getLogger("retiarius.strategies")


class OptunaStrategy(Strategy):
    """Asks an Optuna sampler for samples and tells it their scores, higher is better.

    What the engine already holds when the search starts (say, the default configuration) is told to the sampler first. A failed trial is
    told as failed: samplers leave it out. A pruned trial is told as pruned, with its curve, which TPE ranks behind the completed ones and
    before those that were pruned earlier. A sample that the engine rejects is told as pruned with a violated constraint: behind all others,
    the least violating first, so that TPE learns to stay inside. One that the space's constraints forbid, which no engine gets to see, is
    told as failed: told as pruned, it would use up TPE's random start, and widen what TPE takes for good, by something that has no score.
    None of these counts as a low score. The search ends where no sample is left that is allowed.

    Parameters
    ----------
    sampler
        Makes one of Optuna's of a seed.
    seed
        Of the sampler, and of what draws a new sample near one that the sampler repeats, of which it would learn nothing.
    costs
        Further objectives, lower is better: names of facts that the engine has of every trial (``InProcessEngine.facts_of``).
    shared
        A study in which other processes take part; ``None``: one in memory. It needs one of our engines, whose record puts it in order
        after an interruption.
    usual
        Tells of a sample the usual values of numbers, near which they are looked for (``SampleEncoder``); ``None``: in all of their ranges.
    """

    def __init__(
        self,
        sampler: Callable[[int], optuna.samplers.BaseSampler],
        *,
        seed: int,
        costs: Sequence[str] = (),
        shared: SharedStudy | None = None,
        usual: Usual | None = None,
    ) -> None:
        super().__init__()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._directions = [StudyDirection.MAXIMIZE] + [StudyDirection.MINIMIZE] * len(costs)
        self._make_sampler, self._shared = sampler, shared
        self._study = self._new_study(seed) if shared is None else shared.open(self._directions, sampler(seed))
        self._costs = tuple(costs)
        self._usual = usual
        self._encoder = SampleEncoder({})
        self._running: dict[int, Trial] = {}
        self._asked: set[str] = set()
        self._noticed: set[int] = set()  # numbers of trials of other processes whose samples are in `_asked`
        self._told: set[str] = set()  # samples that were not asked for, and that the study knows
        self._explore = np.random.RandomState(seed)
        self._again: list[dict[str, Any]] = []  # what was running when this search was cut off

    def _new_study(self, seed: int) -> optuna.Study:
        return optuna.create_study(directions=self._directions, sampler=self._make_sampler(seed))

    @property
    def study(self) -> optuna.Study:
        """The Optuna study of this search."""
        return self._study

    def extra_repr(self) -> str:
        return f"sampler={type(self._study.sampler).__name__}"

    def _initialize(self, model_space: ExecutableModelSpace, engine: ExecutionEngine) -> ExecutableModelSpace:
        self._domain = Domain(model_space)
        self._encoder = SampleEncoder(self._domain.mutables, self._usual)
        engine.register_model_event_callback(ModelEventType.TrainingEnd, self._on_end)
        if self._shared is not None:
            with self._shared.reachable():
                self._join(self._shared, engine)
        for model in engine.list_models():
            self._learn_of_end(model, model.status)
        return model_space

    def _join(self, shared: SharedStudy, engine: Any) -> None:
        """Bring the study and the record of this process into line: either may have been cut off, or lost, before the other."""
        shared.check(self._study, self._encoder.distributions)
        for trial in self._study.get_trials(deepcopy=False):
            if not shared.owns(trial):
                continue
            sample = self._encoder.decode(trial.params) if trial.params.keys() >= self._encoder.distributions.keys() else None
            result = engine.result_of(sample) if sample is not None else None
            state = trial.state
            if not state.is_finished():
                if sample is not None and result is None:
                    self._again.append(trial.params)
                values = None if result is None or result.score is None else self._values_of(result)
                state = TrialState.FAIL if values is None else TrialState.COMPLETE
                self._study.tell(trial.number, values, state=state)
            if result is not None and state != TrialState.FAIL:
                self._told.add(sample_key(result.sample))
        for result in engine.results:
            if result.score is not None:
                self._learn(result.sample, self._values_of(result))
            elif result.state == "pruned":
                self._learn(result.sample, None, result.curve)

    def _learn_of_end(self, model: ExecutableModelSpace, status: ModelStatus) -> None:
        """Tell the study of a model that was submitted before the search, and that is through; one that failed is left out."""
        if status == ModelStatus.Trained:
            self._learn(model.sample, self._values(model))
        elif status == ModelStatus.Interrupted:
            self._learn(model.sample, None, list(model.metrics.intermediates))

    def _learn(self, sample: Any, values: list[float] | None, curve: Sequence[float] = ()) -> None:
        """Tell the study of a trial that it has not asked for; one without ``values`` was pruned, after ``curve``."""
        key = sample_key(self._domain.chosen(sample))
        if key in self._told:
            return
        self._told.add(key)
        parameters = self._encoder.encode(sample)
        if self._costs:  # one that is added, and was not begun, would belong to no generation
            self._study.tell(self._begin(parameters, self._encoder.distributions), values)
            return
        signed = {} if self._shared is None else {MEMBER: self._shared.member}
        reports = dict(enumerate(curve, start=1))
        state = TrialState.PRUNED if values is None else TrialState.COMPLETE
        told: dict[str, Any] = {"state": state, "values": values, "intermediate_values": reports, "user_attrs": signed}
        self._study.add_trial(create_trial(params=parameters, distributions=self._encoder.distributions, **told))

    def _values(self, model: ExecutableModelSpace) -> list[float]:
        """Return the score and the costs of a trained model."""
        if not self._costs:
            return [model.metric]
        engine: Any = self.engine
        return self._with_costs(model.metric, engine.facts_of(model.sample))

    def _values_of(self, result: EndedTrial) -> list[float]:
        assert result.score is not None
        return self._with_costs(result.score, result.facts)

    def _with_costs(self, score: float, facts: Mapping[str, Any]) -> list[float]:
        return [score, *(float(facts[name]) for name in self._costs)]

    def _run(self) -> None:
        with nullcontext() if self._shared is None else self._shared.reachable():
            distributions = self._encoder.distributions
            while self.wait_for_resource():
                trial = self._ask(distributions)
                if trial is None:
                    logger.info("the search ends: the space has no sample left")
                    break
                model = self.model_space.freeze(self._encoder.decode(trial.params))
                self._running[id(model)] = trial
                self.engine.submit_models(model)
            self.engine.wait_models()

    def _ask(self, distributions: dict[str, BaseDistribution]) -> Trial | None:
        """Return a trial of the sampler's next sample; where it repeats itself, of a new one beside that; ``None`` where there is none."""
        if self._shared is not None:
            self._notice_others(distributions)
        trial = self._begin(self._again.pop(0), distributions) if self._again else self._propose_allowed(distributions)
        sample = self._encoder.decode(trial.params)
        if sample_key(sample) in self._asked or not self._domain.allows(sample):
            moved = self._move_away(trial.params, distributions)
            self._study.tell(trial, state=TrialState.FAIL)
            if moved is None:
                return None
            trial = self._begin(moved, distributions)
        self._asked.add(sample_key(self._encoder.decode(trial.params)))
        return trial

    def _propose_allowed(self, distributions: Mapping[str, BaseDistribution]) -> Trial:
        """Return the sampler's next proposal that is allowed; one that is not where too many in a row are not."""
        for _ in range(MAX_FORBIDDEN):
            trial = self._propose(distributions)
            if self._domain.allows(self._encoder.decode(trial.params)):
                break
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            trial = self._propose(distributions)
        return trial

    def _propose(self, distributions: Mapping[str, BaseDistribution]) -> Trial:
        return self._study.ask(dict(distributions)) if self._shared is None else self._shared.ask(self._study, distributions)

    def _begin(self, parameters: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> Trial:
        """Return a trial of these parameters, which begins."""
        if self._shared is not None:
            trial = self._shared.begin(self._study, parameters, distributions)
        else:
            self._study.enqueue_trial(dict(parameters))
            trial = self._study.ask(dict(distributions))
        if self._costs:
            _ = trial.relative_params  # NSGA-II counts a trial among a generation, and so among the parents, when it is asked for these
        return trial

    def _notice_others(self, distributions: Mapping[str, BaseDistribution]) -> None:
        """Count what any process tries or has tried as asked for; what failed or was cut off may be tried once more."""
        for trial in self._study.get_trials(deepcopy=False, states=[state for state in TrialState if state != TrialState.FAIL]):
            if trial.number not in self._noticed and trial.params.keys() >= distributions.keys():
                self._noticed.add(trial.number)
                self._asked.add(sample_key(self._encoder.decode(trial.params)))

    def _move_away(self, parameters: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> dict[str, Any] | None:
        """Return ``parameters`` with one after another drawn anew until they are a new sample, or until patience ends.

        They are a random one then where the space is small or has constraints. ``None``: all were tried, or none that is allowed is found.
        """
        moved, names = dict(parameters), list(distributions)
        for _ in range(MAX_MOVES if names else 0):
            name = names[self._explore.randint(len(names))]
            moved[name] = draw_value(distributions[name], self._explore)
            sample = self._encoder.decode(moved)
            if sample_key(sample) not in self._asked and self._domain.allows(sample):
                return moved
        if not self._domain.is_constrained and self._domain.count > MAX_LISTED:
            return moved
        drawn = self._domain.draw(self._explore, self._asked)
        return None if drawn is None else self._encoder.encode(drawn)

    def _on_end(self, event: TrainingEndEvent) -> None:
        trial = self._running.pop(id(event.model), None)
        if trial is None:
            if isinstance(event, ContinuedEvent):  # its score so far stays beside the new one, which is higher if it learns
                self._told.discard(sample_key(self._domain.chosen(event.model.sample or {})))
            self._learn_of_end(event.model, event.status)
            return
        if event.status == ModelStatus.Trained:
            self._study.tell(trial, self._values(event.model))
        elif isinstance(event, RejectedEvent):
            trial.set_constraint("allowed", event.rejection.excess)
            self._study.tell(trial, state=TrialState.PRUNED)
        elif event.status == ModelStatus.Interrupted:
            for epoch, score in enumerate(event.model.metrics.intermediates, start=1):
                trial.report(score, epoch)
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, state=TrialState.FAIL)

    def _cleanup(self) -> None:
        self.engine.unregister_model_event_callback(ModelEventType.TrainingEnd, self._on_end)

    def state_dict(self) -> dict[str, Any]:
        """Return what a later search needs to go on, as plain data; of a shared study, which has the rest, where the generator is."""
        state: dict[str, Any] = {"random": generator_state(self._explore)}
        if self._shared is None:
            running = [dict(trial.params) for trial in self._running.values()]
            known = (self._asked | self._told) - {sample_key(self._encoder.decode(parameters)) for parameters in running}
            state |= {"study": describe_study(self._study), "known": sorted(known), "again": running}
        return dict(as_plain(state))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where ``state_dict`` was given: what was tried is known, and what was running is tried again."""
        restore_generator(self._explore, state_dict["random"])
        if self._shared is not None:
            return
        self._study = self._new_study(int(self._explore.randint(2**31)))  # a sampler that draws nothing that it has drawn before
        add_described(self._study, state_dict["study"])
        self._asked, self._told = set(state_dict["known"]), set(state_dict["known"])
        self._again = [dict(parameters) for parameters in state_dict["again"]]
        for model in self._engine.list_models() if self._engine is not None else ():  # if the search has begun without it
            self._learn_of_end(model, model.status)
