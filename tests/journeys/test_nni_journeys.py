"""NNI's files as a student brings them: a whole search by their program, and by trainings of ours, on the digits."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from few_digits import use_few_digits
from program import Program
from trial_scripts import STUDENT, wait_until_gone, write_script

from evaluators import EVALUATORS, EvaluatorEntry
from records.formats import format_number
from records.trial_keeper import TrialKeeper
from records.trials import TrialLog
from run_experiment import main

pytestmark = pytest.mark.usefixtures("own_folder")
# The student's space and the course's own (its grad_clip as it would be right), of the lab.
STUDENT_SPACE: dict[str, Any] = {
    "initial_lr": {"_type": "uniform", "_value": [1e-4, 0.1]},
    "weight_decay": {"_type": "uniform", "_value": [1e-6, 1e-3]},
    "batch_size": {"_type": "choice", "_value": [128]},
    "epochs": {"_type": "choice", "_value": [1]},
    "optimizer": {"_type": "choice", "_value": ["adam", "rmsprop", "sgd"]},
    "model": {"_type": "choice", "_value": ["squeezenet1_1"]},
    "grad_clip": {"_type": "uniform", "_value": [0, 5]},
}
COURSE_SPACE = {
    **STUDENT_SPACE,
    "initial_lr": {"_type": "loguniform", "_value": [1e-4, 0.1]},
    "cutout": {"_type": "choice", "_value": [0, 8, 16]},
    "batch_size": {"_type": "choice", "_value": [64, 128, 256]},
    "epochs": {"_type": "choice", "_value": [1, 2]},
    "model": {"_type": "choice", "_value": ["squeezenet1_1", "shufflenet_v2_x1_0"]},
}
V2 = """
searchSpaceFile: search_space.json
trialCommand: {command}
trialCodeDirectory: .
trialConcurrency: 2
maxTrialNumber: {trials}
tuner: {{name: TPE, classArgs: {{optimize_mode: {mode}}}}}
assessor: {{name: Medianstop, classArgs: {{optimize_mode: {mode}}}}}
trainingService: {{platform: local}}
"""
V1 = """
trialConcurrency: 2
maxTrialNum: {trials}
trainingServicePlatform: local
searchSpacePath: search_space.json
useAnnotation: false
tuner: {{builtinTunerName: TPE, classArgs: {{optimize_mode: {mode}}}}}
trial: {{command: {command}, codeDir: ., gpuNum: 0}}
"""
FUNCTION = 'time.sleep(random.random() / 5); send("PERIODICAL", parameters["initial_lr"]); send("FINAL", parameters["initial_lr"])'


def bring(text: str, space: Any = STUDENT_SPACE, *, command: str = "python -S main.py", trials: int = 4, mode: str = "maximize") -> None:
    folder = Path("lab")
    folder.mkdir(exist_ok=True)
    (folder / "search_space.json").write_text(json.dumps(space))
    (folder / "config.yml").write_text(text.format(command=command, trials=trials, mode=mode))


def run(*arguments: str) -> int:
    return main(["--config", "lab/config.yml", *arguments])


@pytest.mark.parametrize(("text", "mode"), [(V2, "maximize"), (V1, "minimize")])
def test_a_program_is_searched_two_at_a_time(
    text: str, mode: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(text, mode=mode)
    write_script(Path("lab"), FUNCTION)
    shown: list[int] = []
    monkeypatch.setattr(TrialKeeper, "note_epoch", lambda self, number, score: shown.append(number))
    assert run("--out", "run") == 0
    assert shown
    assert set(shown) == {1}, "each reports once"
    trials = TrialLog(Path("run/trials.jsonl")).read()
    sign = 1 if mode == "maximize" else -1
    assert sorted(trial.number for trial in trials) == [0, 1, 2, 3]
    for trial in trials:
        content = json.loads(Path(f"run/trials/{trial.number}/parameter.cfg").read_text())
        assert content["parameters"] == trial.hyperparameters
        if trial.state == "complete":
            assert trial.score == sign * trial.hyperparameters["initial_lr"]
    best = json.loads(Path("run/best_parameters.json").read_text())
    results = [abs(trial.score) for trial in trials if trial.score is not None]
    assert best["result"] == (max(results) if mode == "maximize" else min(results)), "as the program reported it"
    assert best["parameters"]["initial_lr"] == best["result"]
    assert f"best {format_number(best['result'])}" in capsys.readouterr().out
    config = json.loads(Path("run/config.json").read_text())
    assert config["identity"]["search_space"] == STUDENT_SPACE
    lines = Path("run/trials.jsonl").read_text()
    assert run("--out", "run", "--resume") == 0
    assert Path("run/trials.jsonl").read_text() == lines, "nothing is run again"


@pytest.mark.slow
def test_a_students_main_runs_unchanged() -> None:
    bring(V2, trials=2, command="python main.py")
    write_script(Path("lab"), STUDENT, protocol=False)
    assert run("--out", "run") == 0
    for trial in TrialLog(Path("run/trials.jsonl")).read():
        lr = trial.hyperparameters["initial_lr"]
        assert (trial.state, trial.score, trial.curve) == ("complete", lr, [lr, 2 * lr])


def test_all_trials_fail(capsys: pytest.CaptureFixture[str]) -> None:
    bring(V2, trials=2)
    write_script(Path("lab"), "raise KeyError('lr')")
    assert run("--out", "run") == 1
    assert "KeyError: 'lr'" in capsys.readouterr().err
    assert [trial.state for trial in TrialLog(Path("run/trials.jsonl")).read()] == ["failed", "failed"]


@pytest.mark.parametrize(
    ("space", "arguments", "message"),
    [
        ({"grad_clip": {"_type": "loguniform", "_value": [0.0, 5.0]}}, [], "grad_clip: loguniform [0.0, 5.0]: the logarithm of 0"),
        (STUDENT_SPACE, [], "needs lab/main.py, which does not exist"),
        (STUDENT_SPACE, ["--strategy", "darts"], "darts needs a model space; with"),
        (
            STUDENT_SPACE,
            ["--space", "darts", "--strategy", "darts", "--pruner", "none"],
            "an NNI search space needs a multi-trial strategy, such as tpe or evolution",
        ),
        ({"model": {"_type": "choice", "_value": ["resnet19"]}}, ["--space", "zoo"], "model: 'resnet19' is not one of resnet18"),
        ({"batch_size": {"_type": "uniform", "_value": [32, 256]}}, ["--space", "zoo"], "is not a whole number"),
        ({"initial_lr": {"_type": "uniform", "_value": [0, 1]}}, ["--space", "zoo"], "initial_lr: 0 is out of range"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(
    space: Any, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bring(V2.replace("trialCodeDirectory: .\n", ""), space)
    assert run(*arguments, "--out", "run") == 2
    assert message in capsys.readouterr().err
    assert not Path("run").exists()


def test_the_files_choose_in_a_space_of_ours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    entry = EvaluatorEntry("fake_evaluators:score_by_rate_and_check", "none")
    monkeypatch.setitem(EVALUATORS, "train", entry)
    bring(V1, {**STUDENT_SPACE, "epochs": {"_type": "randint", "_value": [1, 4]}}, trials=3)
    flags = ["--space", "zoo", "--workers", "1", "--dataset", "digits", "--device", "cpu", "--precision", "float32", "--out", "run"]
    assert run(*flags) == 0
    printed = capsys.readouterr()
    assert "the trial command is not run" in printed.err
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert [trial.state for trial in trials] == ["complete"] * 3
    for trial in trials:
        assert trial.architecture == {"backbone": "squeezenet1_1", "stem": "own", "width": 64, "depth": 2}
        assert trial.score == trial.hyperparameters["initial_lr"] == pytest.approx(trial.curve[-1])
        assert len(trial.curve) == trial.hyperparameters["epochs"]
    best = json.loads(Path("run/best.json").read_text())
    winner = max(trials, key=lambda trial: trial.score or 0.0)
    assert best["score"]["epochs"] == winner.hyperparameters["epochs"]
    assert best["hyperparameters"] == {name: value for name, value in winner.hyperparameters.items() if name != "epochs"}
    lines = Path("run/trials.jsonl").read_text()
    assert run(*flags, "--resume") == 0
    assert Path("run/trials.jsonl").read_text() == lines


@pytest.mark.slow
@pytest.mark.parametrize(("text", "space"), [(V2, STUDENT_SPACE), (V1, COURSE_SPACE)])
def test_the_files_drive_trainings_of_ours(text: str, space: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    use_few_digits(monkeypatch)
    bring(text, space, trials=2)
    small = ["--dataset", "digits", "--device", "cpu", "--precision", "float32"]
    assert run("--space", "zoo", *small, "--out", "run") == 0
    trials = TrialLog(Path("run/trials.jsonl")).read()
    assert len(trials) == 2
    for trial in trials:
        assert trial.architecture["backbone"] in space["model"]["_value"]
        assert trial.architecture["stem"] == "own", "what the file does not name is at its default"
        assert 1e-4 <= trial.hyperparameters["initial_lr"] <= 0.1
        assert len(trial.curve) == trial.hyperparameters.get("epochs", 1)
    assert run("--space", "zoo", *small, "--out", "run", "--resume") == 0
    assert len(TrialLog(Path("run/trials.jsonl")).read()) == 2
    best = json.loads(Path("run/best.json").read_text())
    assert best["score"]["epochs"] in (1, 2)
    assert main(["--retrain", "run/best.json", *small, "--epochs", "1", "--out", "retrained"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_search_leaves_no_trial_and_goes_on(how: signal.Signals) -> None:
    bring(V2, trials=3)
    hang = 'open(folder + "/pid", "w").write(str(os.getpid()))\nif not os.path.exists("go"): time.sleep(600)\n'
    write_script(Path("lab"), hang + FUNCTION)
    paths = [Path(f"run/trials/{number}/pid") for number in (0, 1)]
    with Program("--config", "lab/config.yml", "--out", "run") as search:
        search.wait_until(lambda: all(path.exists() and path.read_text() for path in paths))
        search.send_signal(how)
        _, errors = search.communicate(timeout=60)
    assert wait_until_gone([int(path.read_text()) for path in paths])
    if how != signal.SIGKILL:
        assert search.returncode == 130
        assert "the same command with --out run --resume" in errors
    Path("lab/go").touch()
    assert run("--out", "run", "--resume") == 0
    assert sorted(trial.number for trial in TrialLog(Path("run/trials.jsonl")).read()) == [0, 1, 2]


@pytest.mark.slow
def test_a_member_of_a_shared_study_that_goes_on_prunes_by_its_own_earlier_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their sampler does not propose those again, from which the pruner would hear of them."""
    monkeypatch.chdir(tmp_path)
    Path("search_space.json").write_text(json.dumps({"initial_lr": {"_type": "uniform", "_value": [0.0, 0.1]}}))
    score = '0.1 if os.path.exists("poor") else 0.9'
    write_script(tmp_path, f'for epoch in range(8): send("PERIODICAL", {score}); time.sleep(0.05)\nsend("FINAL", {score})')
    search = ["--search-space", "search_space.json", "--trial-command", "python main.py", "--strategy", "tpe", "--pruner", "median"]
    search += ["--storage", "sqlite:///study.db", "--trials", "6", "--out", "run"]
    note = TrialKeeper.note

    def interrupt(self: TrialKeeper, result: Any) -> None:
        note(self, result)
        if len(self.trials) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrialKeeper, "note", interrupt)
    assert main(search) == 130
    monkeypatch.setattr(TrialKeeper, "note", note)
    Path("poor").touch()
    assert main([*search, "--resume"]) == 0
    statuses = [json.loads(line)["status"] for line in Path("run/trials.jsonl").read_text().splitlines()]
    assert statuses == [*["complete"] * 5, "pruned"]
