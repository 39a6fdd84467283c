"""Choices as a table has them: ranges are the numbers of their column, and numbers have an order."""

from __future__ import annotations

import pytest
from nni.mutable import Categorical, CategoricalMultiple

from common.errors import SpaceError
from nni_compat.search_space import make_mutable
from spaces.ordered_choices import as_looked_up, with_order


def test_numbers_have_an_order_and_names_have_none() -> None:
    mutables = {
        "three": Categorical([4, 1, 2.5], label="three"),
        "two": Categorical([1, 2], label="two"),
        "names": Categorical(["a", "b", "c"], label="names"),
        "mixed": Categorical([None, 1, 2], label="mixed"),
        "switches": Categorical([True, False, 3], label="switches"),
        "several": CategoricalMultiple([1, 2, 3], n_chosen=2, label="several"),
    }
    found = as_looked_up(mutables, lambda label: [])
    assert [label for label, mutable in found.items() if getattr(mutable, "ordered", False)] == ["three"]
    assert not hasattr(mutables["three"], "ordered"), "what was handed over stays as it was"
    assert {label: type(mutable) for label, mutable in found.items()} == {label: type(mutable) for label, mutable in mutables.items()}


def test_ranges_are_what_stands_in_their_column() -> None:
    mutables = {"lr": make_mutable("lr", "loguniform", [0.001, 0.1]), "a/n": make_mutable("a/n", "randint", [1, 9])}
    found = as_looked_up(mutables, {"lr": [0.1, 0.5, 0.001, 0.01], "a/n": [8.0, 9.0, 2.0, 2.5]}.__getitem__)
    assert found["lr"].values == [0.001, 0.01, 0.1]
    assert (found["a/n"].values, found["a/n"].label) == ([2, 8], "a/n")
    assert all(isinstance(value, int) for value in found["a/n"].values)
    with pytest.raises(SpaceError, match=r"no number of its column is in the range of the space, 0\.001 to 0\.1; the column has 0\.5, 7$"):
        as_looked_up({"lr": mutables["lr"]}, lambda label: [7.0, 0.5])


def test_the_places_of_candidates_in_a_list_have_no_order() -> None:
    mutables = {"layer": Categorical([0, 1, 2, 3], label="layer"), "width": Categorical([8, 16, 32], label="width")}
    few = {"layer": Categorical([1, 2, 3], label="layer"), "width": mutables["width"]}
    for searched in (mutables, few):
        found = with_order(searched, known=mutables)
        assert found["layer"] is searched["layer"]
        assert found["width"].ordered and found["width"].values == [8, 16, 32]
    again = with_order(found, known=mutables)
    assert again["width"] is found["width"], "it has its order"
    assert with_order(mutables)["layer"].ordered, "a column of a table is no list of candidates"
