"""What a retraining was asked for, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import RecordError
from retiarius.settings import RunSettings
from retiarius.value_checks import check_seconds


@dataclass(frozen=True)
class RetrainSettings(RunSettings):
    """What a retraining is told beside what every run is.

    Attributes
    ----------
    retrain
        The file or the name of the network, as a word for the record.
    time_budget
        Seconds of the training, by which its number of epochs follows; None: the epochs are given.
    """

    retrain: str = ""
    time_budget: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_seconds(time_budget=self.time_budget)
        if self.time_budget is not None and self.epochs is not None:
            raise RecordError("`time_budget` and `epochs` both say how long a retraining is: leave one out")
