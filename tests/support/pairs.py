"""Pairs of numbers of which some are not allowed, and a score that is the higher, the higher they are; nothing is built or trained."""

from __future__ import annotations

import operator
from functools import reduce
from typing import Any

import nni
from nni.mutable import Categorical, ExpressionConstraint, MutableDict
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import BaseModelSpace, SimplifiedModelSpace


@nni.trace
class Nothing(BaseModelSpace):
    """What is built of a sample."""


def pairs(size: int = 6, *, labels: str = "ab", sums: Any = lambda total: total % 2 == 1) -> SimplifiedModelSpace:
    """Two numbers of ``size``, or one for each letter of ``labels``, of which half the pairs are allowed."""
    numbers = {label: Categorical(list(range(size)), label=label) for label in labels}
    total = reduce(operator.add, numbers.values())
    mutables = MutableDict({**numbers, "sums": ExpressionConstraint(sums(total), label="sums")})
    return SimplifiedModelSpace(Nothing(), mutables, FunctionalEvaluator(add))


def add(network: Any) -> None:
    sample = nni.get_current_parameter().sample
    nni.report_final_result(float(sample["a"] * 2 + sample["b"]))
