"""Write docs/results.md, and the tables in README.md and README.zh-CN.md, from the records in benchmarks/records/.

    python benchmarks/results_page.py            # write the pages
    python benchmarks/results_page.py --check    # exit status 1 where a page says something else than the records

No figure is typed here: each comes from a record, and a row whose accuracy on images as they are is in none is left out. Of machines the
least favourable comes first. Times of runs beside which other work kept the machine busy (``shared``) are not shown.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.goals import Records, as_list, goal_rows, kind_of, look_up, seconds_of
from benchmarks.record import RECORDS, read_record
from common.files import write_text_atomically

PAGE, READMES = ROOT / "docs" / "results.md", (ROOT / "README.md", ROOT / "README.zh-CN.md")
BEGIN, END = "<!-- results: written by benchmarks/results_page.py -->", "<!-- end of results -->"
WIDEST = 80  # characters of a cell
# A training: the record, the row in it or the number of epochs, in words, in Chinese, and what to type.
Network = tuple[str, "str | int", str, str, str]
NETWORKS: tuple[Network, ...] = (
    ("lab-table", "as given", "resnet18, the lab's recipe, 30 epochs", "resnet18，实验课的配方，30 个 epoch", "as given"),
    ("lab-table", "by hand", "resnet18, its recipe mended by hand, 30 epochs", "resnet18，手动改进配方，30 个 epoch", "by hand"),
    (
        "lab-table",
        "finer light NAS",
        "cell by one-shot DARTS, 30 epochs (the best of four such cells)",
        "one-shot DARTS 找到的单元，30 个 epoch（四个单元中最好的）",
        "finer light NAS",
    ),
    ("small-network", 2, "convnet32, width 32, 2 epochs", "convnet32，宽度 32，2 个 epoch", "--set width=32 --epochs 2"),
    ("small-network", 3, "convnet32, width 32, 3 epochs", "convnet32，宽度 32，3 个 epoch", "--set width=32 --epochs 3"),
    ("small-network", 4, "convnet32, width 32, 4 epochs", "convnet32，宽度 32，4 个 epoch", "--set width=32 --epochs 4"),
    (
        "large-network",
        16,
        "convnet32, width 64, depth 3, 16 epochs",
        "convnet32，宽度 64，深度 3，16 个 epoch",
        "--set width=64 --set depth=3 --epochs 16",
    ),
    ("timed-search", "default", "resnet18, trained for 20 min on one core", "resnet18，单核训练 20 分钟", "--time-budget 20m"),
    ("timed-search", "default for two hours", "the same for 120 min", "同上，训练 120 分钟", "--time-budget 120m"),
    (
        "timed-search",
        "found",
        "what 20 min of search find, trained for 20 min on one core",
        "搜索 20 分钟的结果，单核训练 20 分钟",
        "--space zoo --strategy tpe --preset lab --time-budget 20m --then-retrain 20m",
    ),
    (
        "timed-search",
        "found in an hour by scores",
        "the same for 60 min each, before searches looked ahead",
        "各 60 分钟，搜索尚未考虑后续训练",
        "--time-budget 60m, then --retrain --time-budget 60m",
    ),
    (
        "timed-search",
        "found in an hour",
        "what 60 min of search find, trained for 60 min on one core",
        "搜索 60 分钟的结果，单核训练 60 分钟",
        "--space zoo --strategy tpe --preset lab --time-budget 60m --then-retrain 60m",
    ),
)
IN_README = ("as given", "by hand", "finer light NAS", 4, 16, "found in an hour")
RACES = (  # what, the record, the path of the ratio, its unit
    ("DARTS search step, float32", "NNI 3.0", "search-step", "float32.ratio"),
    ("DARTS search step, bfloat16", "NNI 3.0", "search-step", "bfloat16.ratio"),
    ("the same step, small, float32", "NNI 3.0", "search-step-quick", "float32.ratio"),
    ("the same step, small, bfloat16", "NNI 3.0", "search-step-quick", "bfloat16.ratio"),
    ("memory of a search step, float32 (NNI's by ours)", "NNI 3.0", "search-step", "float32.memory_ratio"),
    ("training DARTS_V2", "the DARTS authors' code", "darts-v2-training", "ratio"),
    ("training resnet18, own stem", "the lab's loop", "training-speed", "images_per_second.resnet18_own_stem.ratio"),
    ("training resnet18, small stem", "the lab's loop", "training-speed", "images_per_second.resnet18_small_stem.ratio"),
    ("training convnet32", "the lab's loop", "training-speed", "images_per_second.convnet32.ratio"),
)
BUDGETS = (2_000, 6_000, 12_000)


def make_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; ``ValueError`` where a cell is too wide for a screen."""
    lines = [heads, ["---"] * len(heads), *rows]
    for cell in (cell for line in lines for cell in line):
        if len(cell) > WIDEST:
            raise ValueError(f"a cell of {len(cell)} characters, more than {WIDEST}: {cell}")
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(accuracies: Sequence[float]) -> str:
    """Mean and standard deviation of shares, in percent; a dash for none."""
    return mean_and_spread([100 * accuracy for accuracy in accuracies], "%")


def mean_and_spread(values: Sequence[float], unit: str = "") -> str:
    """Mean and standard deviation; of one value itself, a dash for none."""
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{unit}{spread}"


def minutes(seconds: Sequence[float]) -> str:
    """A span of time, the longest first; a dash for none."""
    if not seconds:
        return "-"
    show: Callable[[float], str] = (lambda s: f"{s:.0f} s") if max(seconds) < 300 else (lambda s: f"{s / 60:.0f} min")
    first, last = show(max(seconds)), show(min(seconds))
    return first if first == last else f"{first} to {last}"


def span(ratios: Sequence[float]) -> str:
    """Least favourable first."""
    first, last = f"{min(ratios):.3g}", f"{max(ratios):.3g}"
    return first if first == last else f"{first} to {last}"


def runs_of(records: Records, network: Network) -> list[Mapping[str, Any]]:
    """The runs of a training, one that was measured anew in place of an older one where both have the seed."""
    record, key = network[:2]
    return [run for run in records[record]["runs"] if key in (run.get("row"), run["values"].get("epochs"))]


def gather(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Plain and mirrored accuracies of the trainings that have plain ones, and the seconds of all on an undisturbed machine."""
    whole = [run for run in runs if run["values"].get("test_accuracy")]
    quiet = [run for run in runs if not run.get("shared")]
    return {
        "plain": [one for run in whole for one in run["values"]["test_accuracy"]],
        "mirrored": [one for run in whole for one in run["values"].get("test_accuracy_mirrored", [])],
        "seconds": [one for run in quiet for one in seconds_of(run)],
        "kinds": sorted({kind_of(run) for run in quiet}),
    }


def accuracy_rows(records: Records) -> list[list[str]]:
    rows = []
    for network in NETWORKS:
        runs = runs_of(records, network)
        told = gather(runs)
        if told["plain"]:
            sizes = sorted({size for run in runs for size in as_list(run["values"].get("parameters"))})
            size = f"{sizes[0]:,}" if sizes else "-"
            count = len(told["plain"])
            machines = {kind_of(run) for run in runs if run["values"].get("test_accuracy")}
            over = "-" if count == 1 else "seeds" if len(machines) == 1 else "seeds, machines"
            rows.append([network[2], percent(told["plain"]), percent(told["mirrored"]), str(count), over, size])
    return rows


def time_rows(records: Records) -> list[list[str]]:
    rows = []
    for network in NETWORKS:
        told = gather(runs_of(records, network))
        if told["plain"] and told["seconds"]:
            worst = [f"{100 * min(values):.2f}%" if values else "-" for values in (told["plain"], told["mirrored"])]
            rows.append((max(told["seconds"]), [network[2], *worst, minutes(told["seconds"]), ", ".join(told["kinds"])]))
    return [row for _, row in sorted(rows)]


def speed_rows(records: Records) -> list[list[str]]:
    rows = []
    for what, peer, record, path in RACES:
        found = [(kind_of(run), look_up(run["values"], path)) for run in records[record]["runs"] if not run.get("shared")]
        ratios = {kind: value for kind, value in found if value is not None}
        values = [value for _, value in found if value is not None]
        if values:
            rows.append([what, peer, span(values), str(len(values)), ", ".join(sorted(ratios))])
    return rows


def quality_rows(records: Records) -> list[list[str]]:
    """A strategy a row; the seeds of several runs, which are different ones, are put together."""
    record = records["nasbench201"]
    runs = [run["values"] for run in record["runs"]]
    rows = []
    for name in dict.fromkeys(name for values in runs for name in values["cifar10"]["strategies"]):
        cells, seeds = [], set()
        for dataset, budget in itertools.product(("cifar10", "cifar100"), BUDGETS):
            path = f"{dataset}.strategies.{name}.at_{budget}_s"
            values = [value for told in runs for value in as_list(look_up(told, path))]
            cells.append(mean_and_spread(values))
            seeds |= {len(values)} - {0}
        count = f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else str(*seeds)
        rows.append([name, *cells, record["published"].get(name, "-"), count])
    best = [f"{runs[-1][dataset]['optimum']:.2f}" for dataset in ("cifar10", "cifar100") for _ in BUDGETS]
    return [*rows, ["the best there is", *best, "-", "-"]]


def one_shot_rows(records: Records) -> list[list[str]]:
    """A method of one-shot search and a length of it a row, the best first, and what a draw finds."""
    record = records["one-shot-quality"]
    found: dict[tuple[str, int], list[float]] = {}
    for values in (run["values"] for run in record["runs"]):
        for name, told in values["methods"].items():
            found.setdefault((name, values["size"]["epochs"]), []).extend(told["test_accuracy"])
    rows = []
    for (name, epochs), accuracies in sorted(found.items(), key=lambda row: -statistics.mean(row[1])):
        shown = [mean_and_spread(accuracies), f"{min(accuracies):.2f}", str(len(accuracies))]
        rows.append([name, str(epochs), *shown, record["published"].get(name, "-")])
    draw = record["runs"][-1]["values"]["all_cells"]
    return [*rows, ["a draw", "-", f"{draw['mean']:.2f} ± {draw['std']:.2f}", "-", "-", "-"]]


def write_page(records: Records) -> str:
    """The whole of docs/results.md."""
    budgets = [f"{name}, {budget:,} s" for name in ("CIFAR-10", "CIFAR-100") for budget in BUDGETS]
    tables = [
        make_table(["training", "test accuracy", "mirrored", "n", "± over", "parameters"], accuracy_rows(records)),
        make_table(["training", "worst seed", "mirrored", "time", "measured on"], time_rows(records)),
        make_table(["what", "against", "times as fast", "n", "measured on"], speed_rows(records)),
        make_table(["strategy", *budgets, "published", "seeds"], quality_rows(records)),
        make_table(["method", "epochs", "test accuracy", "worst seed", "seeds", "published"], one_shot_rows(records)),
        make_table(["goal", "measured", "met"], goal_rows(records)),
    ]
    search = minutes([run["values"]["search_seconds"] for run in records["lab-table"]["runs"] if run["row"] == "longer NAS"])
    return TEXT.format(*tables, search=search)


def readme_table(records: Records, chinese: bool) -> str:
    heads = ["method", "test accuracy", "mirrored", "n", "training", "command"]
    if chinese:
        heads = ["方法", "测试准确率", "镜像平均", "次数", "训练用时", "命令"]
    rows = []
    for network in NETWORKS:
        told = gather(runs_of(records, network))
        if network[1] in IN_README and told["plain"]:
            time = minutes(told["seconds"]).replace(" to ", " 至 ") if chinese else minutes(told["seconds"])
            typed = network[4] if network[4].startswith("--space") else f"--retrain convnet32 --preset lab {network[4]}"
            lab = f'`python benchmarks/lab_table.py --rows "{network[4]}"`'
            command = f"`{typed}`" if network[4].startswith("--") else lab
            rows.append(
                [network[3 if chinese else 2], percent(told["plain"]), percent(told["mirrored"]), str(len(told["plain"])), time, command]
            )
    return make_table(heads, rows)


def with_table(text: str, table: str) -> str:
    """A page with ``table`` between its marks; the page as it is where it has none."""
    if BEGIN not in text or END not in text:
        return text
    return f"{text.partition(BEGIN)[0]}{BEGIN}\n\n{table}\n\n{END}{text.partition(END)[2]}"


def read_records() -> dict[str, Any]:
    return {path.stem: read_record(path.stem) for path in sorted(RECORDS.glob("*.json"))}


def pages(records: Records) -> dict[Path, str]:
    """What each page should say."""
    told = {PAGE: write_page(records)}
    for path in READMES:
        told[path] = with_table(path.read_text(encoding="utf-8"), readme_table(records, chinese=".zh-" in path.name))
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 where a page differs from the records")
    arguments = parser.parse_args()
    stale = [path for path, text in pages(read_records()).items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if arguments.check:
        sys.exit(f"error: not as the records say: {', '.join(path.name for path in stale)}" if stale else 0)
    for path in stale:
        write_text_atomically(path, pages(read_records())[path])
        print(f"written to {path.relative_to(ROOT)}")


TEXT = (ROOT / "benchmarks" / "results_page.md.in").read_text(encoding="utf-8")

if __name__ == "__main__":
    main()
