"""NNI's own service with its web portal, which runs a program for each trial: its manager (node), its tuner, its assessor.

One trial at a time, always: with two at once the service hands results to the wrong trial. The portal listens on every address of the
machine and asks nobody who they are; there is no switch for that in it. ``nni.experiment`` is not used to start it: that would leave the
manager behind when this process is killed, and write to the home folder.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from common.errors import EvaluatorError, RunError
from common.guarded import start_guarded, stop_guarded
from common.trial import Trial
from nni_compat.trial_command import describe_stderr, to_number

EXPERIMENT = "portal"  # NNI's id, and the name of its folder
ENDED = {"SUCCEEDED": "complete", "FAILED": "failed", "EARLY_STOPPED": "pruned", "USER_CANCELED": "pruned", "SYS_CANCELED": "failed"}
SECONDS_TO_START, SECONDS_TO_ANSWER, SECONDS_TO_STOP = 60.0, 30.0, 25.0
SECONDS_TO_OBEY = "15"  # it closes its files and ends its trials
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_FOR_RESULTS = 5.0  # between the end of a trial and its last report
ADDRESS = "127.0.0.1"


class NniService:
    """The service, from the beginning to the end of a ``with`` block; whatever it has started ends with it, or with this process.

    Parameters
    ----------
    folder
        Where it keeps its files; made where it is not there.
    port
        Where its portal listens.
    sign
        1 where higher results are better, -1 where lower ones are; curves and scores are multiplied by it.
    """

    def __init__(self, folder: Path, port: int, sign: int = 1) -> None:
        self.folder, self.port, self._sign = folder.absolute(), port, sign
        self._process: subprocess.Popen[bytes] | None = None
        self._seen: set[str] = set()
        self._outstanding = 0  # trials that have ended, and whose last report is on its way
        # Not through a proxy that the environment may name: the service is on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> NniService:
        node = _find_node()
        home = self.folder / "home"  # where the manager keeps its list of experiments
        home.mkdir(parents=True, exist_ok=True)
        arguments = {"port": self.port, "experiment-id": EXPERIMENT, "action": "create", "experiments-directory": self.folder}
        arguments |= {"log-level": "info", "foreground": "false", "python-interpreter": sys.executable, "mode": "local"}
        flags = [text for name, value in arguments.items() for text in (f"--{name}", str(value))]
        program = [str(node), "--max-old-space-size=4096", str(node.parent / "main.js"), *flags]
        with (self.folder / "service.txt").open("wb") as out:
            self._process = start_guarded(
                "command",
                SECONDS_TO_OBEY,
                f"exec {shlex.join(program)}",
                directory=node.parent,  # the manager finds its pages by it
                environment={**os.environ, "HOME": str(home)},
                stdout=out,
                stderr=out,
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_up(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + SECONDS_TO_START
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(RunError):  # no connection yet; "INITIALIZING" is no JSON
                self._ask("check-status")
                return
            time.sleep(0.1)
        raise RunError(f"NNI's service does not start; for the reason, see service.txt and {EXPERIMENT}/log/ in {self.folder}")

    def begin(self, experiment: dict[str, Any], command: str, directory: Path) -> None:
        """Let it run ``experiment`` (keys of NNI's config.yml, version 2), whose trials run ``command`` in ``directory``."""
        home = f"export HOME={shlex.quote(os.environ['HOME'])}; " if "HOME" in os.environ else ""
        trial = {"trialCommand": home + command, "trialCodeDirectory": str(directory.absolute()), "debug": False}
        service = {"platform": "local", **trial, "maxTrialNumberPerGpu": 1, "reuseMode": False}
        fixed = {"experimentType": "hpo", "trialConcurrency": 1, "useAnnotation": False, "logLevel": "info"}
        content = {**experiment, **fixed, **trial, "experimentWorkingDirectory": str(self.folder), "trainingService": service}
        self._register(experiment)
        self._ask("experiment", content)

    def _register(self, experiment: dict[str, Any]) -> None:
        """Put the experiment into the manager's list, as NNI's launcher would: without it the portal does not load."""
        assert self._process is not None
        entry = {"id": EXPERIMENT, "port": self.port, "startTime": round(time.time() * 1000), "endTime": "N/A", "status": "INITIALIZED"}
        entry |= {"platform": "local", "experimentName": experiment.get("experimentName", ""), "tag": [], "webuiUrl": [], "prefixUrl": None}
        entry |= {"pid": self._process.pid, "logDir": str(self.folder)}
        path = self.folder / "home" / "nni-experiments" / ".experiment"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({EXPERIMENT: entry}), encoding="utf-8")

    def run(self) -> Iterator[Trial]:
        """Yield the trials as they end, until the experiment has ended; raise ``RunError`` with NNI's own word where it fails."""
        assert self._process is not None
        while True:
            if self._process.poll() is not None:
                raise RunError(f"NNI's service ended unexpectedly; for the reason, see {self.folder}/{EXPERIMENT}/log/")
            answer = self._ask("check-status")  # before the trials: at the end of the experiment all of them are then there
            yield from self._ended_trials()
            if answer["status"] == "ERROR":
                reasons = "; ".join(map(str, answer.get("errors") or ["unknown"]))
                raise RunError(f"NNI's service failed: {reasons}; for more, see {self.folder}/{EXPERIMENT}/log/")
            if answer["status"] in ("DONE", "STOPPED") and not self._outstanding:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _ended_trials(self) -> list[Trial]:
        """Return the trials that have ended since the last call, in the order of their numbers."""
        jobs = [job for job in self._ask("trial-jobs") if job.get("status") in ENDED and job["trialJobId"] not in self._seen]
        ready = [job for job in jobs if self._has_all(job)]
        self._outstanding = len(jobs) - len(ready)
        if not ready:
            return []
        metrics = self._ask("metric-data")
        self._seen |= {job["trialJobId"] for job in ready}
        return [self._read(job, metrics) for job in sorted(ready, key=lambda job: int(job.get("sequenceId", 0)))]

    def _has_all(self, job: dict[str, Any]) -> bool:
        """Return whether the final result is there, or will not come any more."""
        late = time.time() - job.get("endTime", 0) / 1000 > SECONDS_FOR_RESULTS
        return late or job["status"] != "SUCCEEDED" or bool(job.get("finalMetricData"))

    def _read(self, job: dict[str, Any], metrics: list[dict[str, Any]]) -> Trial:
        own = [metric for metric in metrics if metric.get("trialJobId") == job["trialJobId"]]
        reports = [_value(metric) for metric in sorted(own, key=lambda metric: metric["sequence"]) if metric["type"] == "PERIODICAL"]
        final = [_value(metric) for metric in job.get("finalMetricData") or ()]
        state, score, error = ENDED[job["status"]], None, None
        stderr = Path(job.get("logPath", "")) / "stderr"
        if state == "complete" and final and final[-1] is not None and math.isfinite(final[-1]):
            score = self._sign * final[-1]
        elif state != "pruned":
            state, error = "failed", f"{job['status']}, {'no usable' if final else 'without a'} final result; {describe_stderr(stderr)}"
        curve = [math.nan if value is None else self._sign * value for value in reports]
        seconds = max(0, job.get("endTime", 0) - job.get("startTime", 0)) / 1000
        sample = json.loads(job["hyperParameters"][-1])["parameters"] if job.get("hyperParameters") else {}
        return Trial(int(job.get("sequenceId", 0)), sample, state, score, curve, seconds, error)

    def _ask(self, path: str, content: Any = None) -> Any:
        """Return its answer; raise ``RunError`` where there is none, or none that can be read."""
        data = None if content is None else json.dumps(content).encode()
        url = f"http://{ADDRESS}:{self.port}/api/v1/nni/{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        try:
            with self._opener.open(request, timeout=SECONDS_TO_ANSWER) as answer:
                return json.loads(answer.read())
        except (OSError, ValueError, HTTPException) as error:
            if isinstance(error, HTTPError):
                error.close()  # it is an open answer, too
            raise RunError(f"NNI's service does not answer to {path}: {error}; for more, see {self.folder}/{EXPERIMENT}/log/") from error

    def stop(self) -> None:
        """End the service, and all that it has started."""
        if self._process is not None:
            stop_guarded(self._process, SECONDS_TO_STOP)


def _find_node() -> Path:
    """Return the node that NNI brings in its wheel; raise ``EvaluatorError`` where it brought none."""
    spec = importlib.util.find_spec("nni_node")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    node = Path(places[0]) / "node" if places else Path("node")
    if not node.is_file():
        raise EvaluatorError(
            "`portal` needs NNI's web service, which this installation of nni lacks: pip install --force-reinstall nni==3.0"
        )
    return node


def _value(metric: dict[str, Any]) -> float | None:
    """Return the number in a report as the service gives it: JSON in JSON."""
    try:
        value = json.loads(metric["data"])
        return to_number(json.loads(value) if isinstance(value, str) else value)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
