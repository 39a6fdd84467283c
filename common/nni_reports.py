"""Where ``nni.report_intermediate_result`` and ``nni.report_final_result`` lead while a trial runs in this process. Imports NNI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import nni
from nni.runtime.trial_command_channel import TrialCommandChannel, get_default_trial_command_channel, set_default_trial_command_channel


class _Channel(TrialCommandChannel):
    def __init__(self, parameters: Any, report: Callable[[Any], None], finals: list[Any]) -> None:
        self._parameters, self._report, self._finals = parameters, report, finals

    def receive_parameter(self) -> Any:
        return {"parameter_id": 0, "parameters": self._parameters}

    def send_metric(self, type: str, parameter_id: int | None, trial_job_id: str, sequence: int, value: Any) -> None:
        if type == "FINAL":
            self._finals.append(value)
        else:
            self._report(value)


@contextmanager
def nni_reports_to(report: Callable[[Any], None], parameters: Any = None) -> Iterator[list[Any]]:
    """Lead NNI's reports to ``report`` while the ``with`` block lasts; yield the list that final results are added to.

    Parameters
    ----------
    report
        Called with each intermediate result, in their order. What it raises comes out of NNI's function.
    parameters
        What ``nni.get_next_parameter`` gives.
    """
    finals: list[Any] = []
    previous = get_default_trial_command_channel()
    set_default_trial_command_channel(_Channel(parameters, report, finals))
    try:
        nni.get_next_parameter()  # NNI takes no report before it
        yield finals
    finally:
        set_default_trial_command_channel(previous)
