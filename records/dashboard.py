"""Optuna's dashboard on the trials of a run, on this machine alone, following the run while it goes on.

The dashboard wants a study of Optuna's. The run's own record stays the only one: a study in memory is made of ``trials.jsonl``, anew
whenever that has changed, so that nothing one does in the dashboard touches the run.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
import warnings
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from common.errors import RecordError
from common.requirements import LOOPBACK, check_port, require_package
from common.trial import Trial
from records.pareto import OBJECTIVES
from records.report.collect import Run, read_run
from records.report.labels import Scale, varied_labels
from records.report.text import as_number, clean, show_value

SECONDS_BETWEEN_LOOKS = 1.0
WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]


def open_dashboard(folder: Path, port: int, say: Callable[[str], None]) -> None:
    """Serve the dashboard on the run in ``folder`` until Ctrl-C; ``say`` is told its address when it can be opened.

    Raises
    ------
    RecordError
        optuna-dashboard is not installed, ``folder`` holds no search by trials, or ``port`` is taken.
    """
    require_package("optuna_dashboard", "optuna-dashboard", "dashboard")
    run = read_run(folder)
    if run.is_retraining or run.epochs:
        raise RecordError(f"{folder}: this run has no trials for a dashboard; write a report instead: `report={folder}`")
    check_port(port, LOOPBACK)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # not a line for each study
    with _Server((LOOPBACK, port), _QuietHandler) as server:
        server.set_app(_only_here(make_app(run), port))
        stop = threading.Event()
        follower = threading.Thread(target=_follow, args=(folder, server, port, stop), daemon=True)
        follower.start()
        say(f"Optuna's dashboard on {folder}: http://{LOOPBACK}:{port}/dashboard/ (this machine only; follows the run; Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("the dashboard has ended; the run is unchanged")
        finally:
            stop.set()
            follower.join()


def make_app(run: Run) -> WSGIApplication:
    """Return the dashboard's web application on the trials of ``run``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Optuna calls experimental: nothing that a person here could do about
        from optuna_dashboard import wsgi

        app: WSGIApplication = wsgi(make_storage(run))
    return app


def make_storage(run: Run) -> Any:
    """Return Optuna's storage in memory with one study: the trials of ``run`` by number, those that are still to end as running.

    Ranges are those of the values that were tried: a run records trials, not where they were drawn from.
    """
    import optuna

    names = [name for name in run.identity.get("objectives") or () if name in OBJECTIVES]
    several = len(names) > 1
    higher = [OBJECTIVES[name][0] for name in names] if several else [run.metric.sign > 0]
    storage = optuna.storages.InMemoryStorage()
    direction = optuna.study.StudyDirection
    name = clean(str(run.path))
    storage.create_new_study([direction.MAXIMIZE if better else direction.MINIMIZE for better in higher], name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.load_study(study_name=name, storage=storage)
        study.set_metric_names(names if several else [run.metric.name])
    scales = {label: Scale.of([trial.sample.get(label) for trial in run.trials]) for label in varied_labels(run.trials)}
    by_number = {trial.number: trial for trial in run.trials}
    for number in range(max(by_number, default=-1) + 1):
        trial = by_number.get(number)
        study.add_trial(_unfinished() if trial is None else _frozen(trial, scales, names if several else [], run.metric.sign))
    return storage


def _unfinished() -> Any:
    import optuna

    return optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)


def _frozen(trial: Trial, scales: dict[str, Scale], objectives: list[str], sign: int) -> Any:
    import optuna

    states = optuna.trial.TrialState
    state = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[trial.state]
    found = [OBJECTIVES[name][1](trial) for name in objectives] or [None if trial.score is None else sign * trial.score]
    values = [number for value in found if (number := as_number(value)) is not None]
    if state == states.COMPLETE and len(values) < len(found):  # a size that was not measured: no point among several objectives
        state = states.FAIL
    parameters, distributions = {}, {}
    for label, value in trial.sample.items():
        if label in scales:
            parameters[label], distributions[label] = _parameter(value, scales[label])
    facts = {
        "seconds": round(trial.seconds, 1),
        "parameters": trial.parameters,
        "multiply-adds": trial.flops,
        "latency (ms)": trial.latency,
        "error": trial.error,
    }
    frozen = optuna.trial.create_trial(
        state=state,
        values=values if state == states.COMPLETE else None,
        params=parameters,
        distributions=distributions,
        intermediate_values={} if objectives else {epoch: sign * value for epoch, value in enumerate(trial.curve, start=1)},
        user_attrs={name: value for name, value in facts.items() if value is not None},
    )
    with contextlib.suppress(ValueError, OverflowError):  # a record that says no time
        frozen.datetime_complete = datetime.fromisoformat(trial.finished).astimezone().replace(tzinfo=None)  # as Optuna has them
        frozen.datetime_start = frozen.datetime_complete - timedelta(seconds=trial.seconds)
    return frozen


def _parameter(value: Any, scale: Scale) -> tuple[Any, Any]:
    """Return a value as Optuna has it, and the range or the choices that it is one of."""
    import optuna

    if scale.kind == "category":
        return show_value(value), optuna.distributions.CategoricalDistribution(scale.categories)
    is_log = scale.kind == "log"
    return float(value), optuna.distributions.FloatDistribution(scale.low, scale.high, log=is_log)


def _follow(folder: Path, server: WSGIServer, port: int, stop: threading.Event) -> None:
    """Give ``server`` a new study whenever the record of trials has changed."""
    path, seen = folder / "trials.jsonl", None
    while not stop.wait(SECONDS_BETWEEN_LOOKS):
        try:
            size = path.stat().st_size
            if size != seen:
                server.set_app(_only_here(make_app(read_run(folder)), port))
                seen = size
        except (RecordError, OSError):  # the folder was taken away, or has no trial yet: what was seen is still shown
            continue


def _only_here(app: WSGIApplication, port: int) -> WSGIApplication:
    """``app`` for this address alone: the page of another site whose name was made to lead here gets nothing."""
    names = {f"{host}:{port}" for host in (LOOPBACK, "localhost")}

    def guarded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("HTTP_HOST") not in names:
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"this dashboard answers on the machine that runs it\n"]
        return app(environ, start_response)

    return guarded


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    """Answers requests without a line for each on the screen."""

    def log_message(self, format: str, *arguments: Any) -> None:
        pass
