"""Names that a person types are checked without torch, and evaluators are found by name, by module, or as they are."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.errors import DataError, EvaluatorError
from evaluators import EVALUATORS, evaluator_name, find_evaluator
from evaluators.names import DATASETS, PRECISIONS, check_dataset_name, check_device_name, check_precision_name

PROJECT = Path(__file__).parents[2]
LIGHT = ("evaluators", "evaluators.names", "evaluators.adapter", "evaluators.data", "evaluators.training", "evaluators.training.recipes")


def test_names_are_known_without_a_heavy_library() -> None:
    script = f"import {', '.join(LIGHT)}, sys; print(*({{'torch', 'nni', 'numpy', 'torchvision', 'PIL'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:1", "mps", "xpu:0", "hpu"])
def test_devices_that_torch_knows(name: str) -> None:
    check_device_name(name)


@pytest.mark.parametrize("name", ["abacus", "", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cpu\n", "x" * 1_000_000])
def test_other_devices_are_refused(name: str) -> None:
    with pytest.raises(EvaluatorError, match=r"^unknown device '.*; known: auto, cpu, cuda, mps, ") as caught:
        check_device_name(name)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_data_sets_and_precisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DATASETS:
        check_dataset_name(name)
    check_dataset_name(str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    check_dataset_name("~")
    for precision in PRECISIONS:
        check_precision_name(precision)
    with pytest.raises(EvaluatorError, match=r"unknown precision 'float' \(did you mean float32\?\); known: auto, float32, bfloat16"):
        check_precision_name("float")


@pytest.mark.parametrize("name", ["", "cifar-10", "~nobody-of-this-name/x", "a" * 1_000_000, "a\0b", "a\nb"])
def test_a_data_set_that_is_neither_known_nor_there(name: str) -> None:
    with pytest.raises(DataError, match=r"^data set '.* does not exist; expected auto, cifar10, digits, or the path of a folder") as caught:
        check_dataset_name(name)
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


def test_a_file_is_no_data_set() -> None:
    with pytest.raises(DataError, match=r"test_names\.py' is a file; expected auto"):
        check_dataset_name(__file__)


# Evaluators


class Scorer:
    """Scores by size.

    More is better.
    """

    def __call__(self, network: Any) -> float:
        return 1.0


def test_an_evaluator_by_name_is_the_registered_one() -> None:
    for name, entry in EVALUATORS.items():
        assert find_evaluator(name) == (name, entry)
    with pytest.raises(EvaluatorError, match=r"unknown evaluator 'trian' \(did you mean train\?\); known: train, table"):
        find_evaluator("trian")


def test_a_function_that_is_handed_over_needs_no_registration() -> None:
    scorer = Scorer()
    name, entry = find_evaluator(scorer)
    assert name.endswith("test_names:Scorer") and entry.load() is scorer
    assert (entry.summary, entry.looks_up) == ("Scores by size.", False)
    assert evaluator_name(partial(len)) == "builtins:len"
    assert find_evaluator(lambda network: 1.0)[0].endswith(".<locals>.<lambda>")
    assert name not in EVALUATORS
    with pytest.raises(EvaluatorError, match=r"the evaluator is 5; expected a function, or one of train, table"):
        find_evaluator(5)  # type: ignore[arg-type]


def test_an_evaluator_by_module_is_imported() -> None:
    from evaluators.training.loop import train_and_validate

    name, entry = find_evaluator("evaluators.training.loop:train_and_validate")
    assert name == evaluator_name(train_and_validate) == "evaluators.training.loop:train_and_validate"
    assert entry.load() is train_and_validate


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no_such_module:f", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'; expected package.module:function"),
        ("math:no_such_function", "cannot be imported: AttributeError"),
        ("math:pi", "is 3.14159.*, which is not a function"),
        (":f", "cannot be imported: ValueError"),
        ("math:", "cannot be imported: AttributeError"),
        ("x" * 1_000_000 + ":f", "cannot be imported"),
    ],
)
def test_an_evaluator_that_cannot_be_imported_is_refused_in_one_line(target: str, words: str) -> None:
    with pytest.raises(EvaluatorError, match=f"^evaluator '.* {words}") as caught:
        find_evaluator(target)
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)
