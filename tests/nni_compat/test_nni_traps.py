"""What of NNI 3.0 is wrong and silent, and that we step around it: each test shows the trap and the way past it."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from image_folders import write_images
from nni.mutable import frozen_context
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import SimplifiedModelSpace
from nni.nas.strategy import DARTS, TPE
from small_spaces import TinySpace, built
from torch import nn

from common.errors import RecordError
from records.best import check_architecture
from spaces.choices import legal_choices
from strategies.engines.in_process import InProcessEngine
from strategies.one_shot.supernet_modules import SummedInput

ROOT = Path(__file__).parents[2]


def wide_is_bad(model: nn.Module) -> float:
    return 0.5


def explored(evaluate: Any = wide_is_bad) -> SimplifiedModelSpace:
    return SimplifiedModelSpace.from_model(TinySpace(), FunctionalEvaluator(evaluate))


def test_nnis_tpe_cannot_search_inputs_and_ours_can() -> None:
    with pytest.raises(Exception, match=r"(?i)categorical|not supported|unsupported|search space"):
        TPE()(explored(), SequentialExecutionEngine(max_model_count=2))
    engine = InProcessEngine(max_trials=2)
    built("tpe", seed=0, trials=2)(explored(), engine)
    assert len(engine.results) == 2


def test_nni_ranks_nan_first_and_our_engine_fails_it() -> None:
    scores = iter([0.5, math.nan, 0.9])

    def evaluate(model: nn.Module) -> float:
        return next(scores)

    engine = InProcessEngine(max_trials=3)
    strategy = built("random", seed=0, trials=3)
    strategy(explored(evaluate), engine)
    assert [model.metric for model in strategy.list_models()] == [0.9, 0.5]
    assert [result.state for result in engine.results] == ["complete", "failed", "complete"]


def test_nni_freezes_unknown_labels_and_we_refuse_them() -> None:
    sample = {"first": "a", "second": "b", "inputs": [0, 1], "third": "c"}
    assert explored().freeze(sample).sample == sample, "NNI says nothing"
    with pytest.raises(RecordError, match="unknown label 'third'"):
        check_architecture(sample, legal_choices(TinySpace().simplify()))


def test_nnis_mixed_inputs_sum_to_one_where_two_are_kept() -> None:
    space = TinySpace()
    mixed = DARTS().mutate_model(space).inputs
    one = nn.Parameter(next(mixed.parameters()).detach().new_ones(()))
    assert mixed([one, one, one, one]).item() == pytest.approx(1.0), "the frozen network would give 2"
    with frozen_context():
        ours = SummedInput.mutate(TinySpace().inputs, "inputs", {}, {"input_edges": {"inputs": []}, "weighed_nodes": {}})
    assert ours is not None
    assert ours([one, one, one, one]).item() == pytest.approx(4.0), "a node adds up what its edges give"


@pytest.mark.slow
def test_importing_our_strategy_first_leaves_nnis_strategies_whole() -> None:
    program = (
        "import warnings; warnings.simplefilter('ignore'); import strategies.one_shot.darts, nni.nas.strategy as s; print(s.DARTS.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["DARTS"], "not ImportFailedStrategy"


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["darts", "random"])
def test_a_run_is_silent_on_stderr_and_writes_nothing_at_home(tmp_path: Path, strategy: str) -> None:
    home, work, images = tmp_path / "home", tmp_path / "work", write_images(tmp_path / "images", train=40)
    home.mkdir()
    work.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")} | {"HOME": str(home)}
    command = [sys.executable, str(ROOT / "run_experiment.py"), "--space", "darts", "--strategy", strategy, "--dataset", str(images)]
    command += ["--data-dir", str(tmp_path / "data"), "--trials", "1", "--epochs", "1", "--precision", "float32"]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "nni" not in done.stdout.lower()
    assert list(home.rglob("*")) == []
    assert [path.name for path in work.iterdir()] == ["runs"]
