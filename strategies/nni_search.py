"""NNI's own multi-trial strategies, sized to the number of trials at hand."""

from __future__ import annotations

from nni.nas.execution.engine import ExecutionEngine
from nni.nas.execution.event import TrainingEndEvent
from nni.nas.space import ExecutableModelSpace, ModelStatus
from nni.nas.strategy import GridSearch, Random, RegularizedEvolution
from nni.nas.strategy.evolution import Individual

from strategies.engines.recording import ContinuedEvent


def random_search(*, seed: int) -> Random:
    """Return uniform random search without repetition."""
    return Random(seed=seed)


def grid_search(*, seed: int) -> GridSearch:
    """Return grid search in random order within blocks of 1,024 points; numerical ranges are halved again and again."""
    return GridSearch(shuffle=True, seed=seed)


class Evolution(RegularizedEvolution):
    """NNI's regularized evolution, mended in two places, and deaf to trials that go on after a pause.

    NNI's takes the best of an empty population where more trials run at once than it has members, and does not hear of what the engine
    holds when the search starts (say, the default configuration), which is of the first population here.
    """

    def _initialize(self, model_space: ExecutableModelSpace, engine: ExecutionEngine) -> ExecutableModelSpace:
        models = [] if self._population else engine.list_models()  # a state that was loaded has a population already
        self._running_models += [model for model in models if model.status == ModelStatus.Training]
        trained = [Individual(model.sample, model.metric) for model in models if model.sample is not None and model.metric is not None]
        # As many of the best as it has room for; the oldest, which die first, are the worst of them.
        self._population.extend(sorted(trained, key=lambda individual: individual.y)[-self.population_size :])
        return super()._initialize(model_space, engine)

    def _training_end_callback(self, event: TrainingEndEvent) -> None:
        if not isinstance(event, ContinuedEvent):  # it is of the population already, or has died
            super()._training_end_callback(event)

    def new_individual(self) -> ExecutableModelSpace:
        """Return a mutated one of the best, or a random one as long as no trial has been completed."""
        return super().new_individual() if self._population else self.random()


def evolution(*, seed: int, trials: int) -> Evolution:
    """Return regularized (aging) evolution, Real et al. 2019 (arXiv 1802.01548), Algorithm 1.

    A third of the trials make the first population (3 to 50; NNI's default of 100 would leave a short search random throughout), and a
    quarter of the population takes part in each tournament.
    """
    population = max(3, min(50, trials // 3))
    return Evolution(population_size=population, sample_size=max(2, population // 4), mutation_prob=0.1, seed=seed)
