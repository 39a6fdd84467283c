"""docs/faq.md: every question has the issue in which it was asked, and what it says of code is so."""

from __future__ import annotations

import re

import pytest

from common.errors import RecordError
from docs.scripts.pages import ROOT
from nni_compat.search_space import ARGUMENTS, parse_search_space
from records.best import check_architecture
from spaces.darts.vocabulary import vocabulary

FAQ = (ROOT / "docs/faq.md").read_text(encoding="utf-8")
ISSUE = r"\[(?:NNI|Optuna|NASLib) #(\d+)\]\(https://github\.com/(?:microsoft/nni|optuna/optuna|automl/NASLib)/issues/(\d+)\)"


def test_twenty_questions_were_asked_somewhere() -> None:
    questions = FAQ.split("\n### ")[1:]
    assert len(questions) == 20
    for question in questions:
        assert question.partition("\n")[0].endswith("?")
        issues = re.findall(ISSUE, question)
        assert issues and all(shown == linked for shown, linked in issues), question


def test_the_types_of_a_search_space_are_all() -> None:
    (answer,) = [part for part in FAQ.split("\n### ") if part.startswith("Which types may search_space.json")]
    assert set(re.findall(r"`(\w+)`", answer)) == set(ARGUMENTS)
    (number,) = parse_search_space({"x": {"_type": "quniform", "_value": [0.2, 0.8, 0.3]}}).mutables.values()
    assert {round(number.qclip(value / 100), 9) for value in range(20, 81)} == {0.3, 0.6, 0.8}


def test_a_wrong_label_is_told_as_is_shown() -> None:
    choices = vocabulary({})
    with pytest.raises(RecordError) as error:
        check_architecture({"nomal/edge_0_2": "skip_connect"}, choices)
    assert f"broken.json: {error.value}" in FAQ
