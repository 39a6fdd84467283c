"""Records: what the files have, what is refused, and that the pages say what the records say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmark_program import run_benchmark

from benchmarks import goals, record, results_page
from benchmarks.record import RecordFault, append_run, check, last_line, make_run, read_record

PROJECT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in record.RECORDS.glob("*.json"))
UNITS = {"seconds": "s"}


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of records, empty."""
    monkeypatch.setattr(record, "RECORDS", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_every_record_has_all_fields(name: str) -> None:
    told = read_record(name)
    assert told["runs"]
    for run in told["runs"]:
        assert run["command"].startswith("python ") or run["command"].startswith("make ")


def test_a_run_is_added_to_its_record(records: Path) -> None:
    for seconds in (1.5, 2.5):
        append_run("walk", make_run("python walk.py", {"seconds": [seconds], "name": "a dog", "far": True}, [0]), "A walk", UNITS)
    told = read_record("walk")
    assert [run["values"]["seconds"] for run in told["runs"]] == [[1.5], [2.5]]
    assert told["runs"][0].keys() >= record.RUN_FIELDS.keys()
    assert '"seconds": [2.5]' in (records / "walk.json").read_text(), "a list of numbers is one line"


@pytest.mark.parametrize("field", sorted(record.RUN_FIELDS))
def test_a_run_without_a_field_is_refused(records: Path, field: str) -> None:
    run = make_run("python walk.py", {"seconds": 1}, [])
    del run[field]
    with pytest.raises(RecordFault, match=f"walk, run 0: {field} is no "):
        append_run("walk", run, "A walk", UNITS)
    assert not list(records.iterdir())


def test_what_is_wrong_with_a_record_is_said(records: Path) -> None:
    run = make_run("python walk.py", {"nested": {"miles": [1, 2]}, "seconds": 3}, [])
    with pytest.raises(RecordFault, match=r"walk, run 0: no unit of miles$"):
        append_run("walk", run, "A walk", UNITS)
    with pytest.raises(RecordFault, match="walk: a new record needs a title"):
        append_run("walk", run, units=UNITS)
    with pytest.raises(RecordFault, match="source is 'heard'"):
        check("walk", {"title": "A walk", "units": {**UNITS, "miles": "miles"}, "runs": [{**run, "source": "heard"}]})


def test_the_last_line_of_a_benchmark_is_its_result(capfd: pytest.CaptureFixture[str]) -> None:
    assert last_line([sys.executable, "-c", "print('at work'); print('{\"seconds\": 1}')"]) == {"seconds": 1}
    assert capfd.readouterr().out.startswith("at work\n")
    for code, reason in (("print(3)", "no JSON object"), ("print('{')", "no JSON object"), ("raise SystemExit(4)", "exit status 4")):
        with pytest.raises(RecordFault, match=reason):
            last_line([sys.executable, "-c", code])


def test_the_pages_say_what_the_records_say() -> None:
    for path, text in results_page.pages(results_page.read_records()).items():
        assert path.read_text(encoding="utf-8") == text, "write it anew: python benchmarks/results_page.py"


def test_a_page_without_marks_stays_as_it_is() -> None:
    assert results_page.with_table("A page.\n", "| a |") == "A page.\n"
    marked = f"Before.\n{results_page.BEGIN}\nold\n{results_page.END}\nAfter.\n"
    written = results_page.with_table(marked, "| new |")
    assert written == f"Before.\n{results_page.BEGIN}\n\n| new |\n\n{results_page.END}\nAfter.\n"
    assert results_page.with_table(written, "| new |") == written


def test_a_wide_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="a cell of 81 characters"):
        results_page.make_table(["head"], [["x" * 81]])


def run_on(units: list[str], **values: Any) -> dict[str, Any]:
    return {"machine": {"units": units}, "values": values}


def test_a_training_without_a_plain_accuracy_is_no_row() -> None:
    told: dict[str, Any] = {network[0]: {"runs": []} for network in results_page.NETWORKS}
    told["small-network"]["runs"] = [
        run_on(["avx2"], epochs=4, test_accuracy=[0.87, 0.89], test_accuracy_mirrored=[0.88, 0.9], seconds=[200, 180], parameters=[1000]),
        run_on(["avx2", "amx_bf16"], epochs=4, test_accuracy_mirrored=[0.88], seconds_mean=60),
        run_on(["avx2"], epochs=3, test_accuracy_mirrored=[0.88], seconds=[100]),
    ]
    told["small-network"]["runs"].append({**run_on(["avx2"], epochs=4, seconds=[900]), "shared": True})
    assert results_page.accuracy_rows(told) == [["convnet32, width 32, 4 epochs", "88.00% ± 1.41", "89.00% ± 1.41", "2", "seeds", "1,000"]]
    assert results_page.time_rows(told) == [["convnet32, width 32, 4 epochs", "87.00%", "88.00%", "200 s to 60 s", "AMX, AVX2"]]


def test_a_goal_is_met_where_every_machine_meets_it() -> None:
    told = {"step": {"runs": [run_on(["avx2"], ratio=4.5), run_on(["avx2", "amx_bf16"], ratio=[6, 7])]}}
    goal = {"goal": "{limit} times", "limit": 5, "record": "step", "value": "ratio"}
    assert goals.judge(told, goal) == ("5 times", "4.5 to 7", "not on AVX2")
    assert goals.judge(told, {**goal, "limit": 4})[2] == "yes"
    assert goals.judge(told, {**goal, "limit": 8})[2] == "no"
    assert goals.judge(told, {**goal, "record": "other"}) == ("5 times", "-", "open: not on record")
    assert goals.judge(told, {**goal, "lower": True})[1] == "7 to 4.5", "least favourable first"


def test_a_time_to_an_accuracy_is_of_the_shortest_training_that_reaches_it_with_every_seed() -> None:
    runs = [
        run_on(["avx2"], epochs=3, test_accuracy=[0.86, 0.88], seconds=[100, 110]),
        run_on(["avx2"], epochs=4, test_accuracy=[0.88, 0.89], seconds=[150, 160]),
        run_on(["avx2"], epochs=8, test_accuracy=[0.91], seconds=[300]),
        run_on(["avx2", "amx_bf16"], epochs=4, seconds_mean=60),
    ]
    goal = {"goal": "87% within {limit} s", "limit": 155, "record": "net", "accuracy": 0.87}
    assert goals.judge({"net": {"runs": runs}}, goal) == ("87% within 155 s", "160 to 60", "not on AVX2")


def test_seeds_of_several_runs_are_put_together() -> None:
    def run(**at: list[float]) -> dict[str, Any]:
        strategies = {"bo": at} if at else {}
        return {"values": {name: {"optimum": 95.0, "strategies": strategies} for name in ("cifar10", "cifar100")}}

    runs = [run(at_6000_s=[90.0, 92.0], at_12000_s=[93.0, 94.0]), run(at_2000_s=[80.0, 81.0], at_12000_s=[94.0])]
    bo, best = results_page.quality_rows({"nasbench201": {"runs": runs, "published": {}}})
    assert bo == ["bo", *["80.50 ± 0.71", "91.00 ± 1.41", "93.67 ± 0.58"] * 2, "-", "2 to 3"]
    assert best[0] == "the best there is" and best[1:7] == ["95.00"] * 6


def test_a_goal_for_every_seed_holds_on_a_shared_machine() -> None:
    told = {"table": {"runs": [{**run_on(["avx2"], at=[94.37, 94.22]), "shared": True}]}}
    goal = {"goal": "every {limit}", "limit": 94.37, "record": "table", "value": "at"}
    assert goals.judge(told, goal)[2] == "open: not on record"
    assert goals.judge(told, {**goal, "every": True}) == ("every 94.37", "94.22 to 94.37", "no")


def test_goals_are_of_records_that_are_there() -> None:
    told = results_page.read_records()
    for goal in json.loads(goals.GOALS.read_text()):
        assert goal["record"] in told, goal
        assert ("accuracy" in goal) != ("value" in goal)


@pytest.mark.slow
def test_a_benchmark_is_run_and_its_line_is_kept(tmp_path: Path) -> None:
    done = run_benchmark("record", "--help")
    assert done.returncode == 0 and "--title" in done.stdout
    done = run_benchmark("record", "walk", "--", "python", "-c", "print(1)")
    assert (done.returncode, done.stderr) == (2, "error: the last line is no JSON object: " + f"{sys.executable} -c 'print(1)'\n")
