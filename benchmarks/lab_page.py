"""The lab's page: run its steps, keep what they print, and write docs/lab8.md and its Chinese twin from that.

    python benchmarks/lab_page.py --run            # every step that is not in the record yet; an hour on two CPU cores
    python benchmarks/lab_page.py --run --only darts nas
    python benchmarks/lab_page.py                  # write the pages from the record
    python benchmarks/lab_page.py --check          # exit status 1 where a page says something else than the record

A step is a command of the program in a folder under runs/lab8/. Interrupted, it is resumed. What it printed and measured is kept in
benchmarks/records/lab-page.json. Taken out of there, and its folder taken away, it is run again.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.arguments import refuse, resume_flags
from benchmarks.record import RECORDS, RecordFault, append_run, make_run, read_record
from common.files import write_text_atomically
from records.report.cells import draw_alone, read_cells

RECORD, RUNS, SOURCES = "lab-page", Path("runs") / "lab8", ROOT / "benchmarks" / "lab8"
PICTURE = ROOT / "docs" / "pictures" / "lab8-cell.svg"
PAGES = {"lab8.md.in": ROOT / "docs" / "lab8.md", "lab8.zh-CN.md.in": ROOT / "docs" / "lab8.zh-CN.md"}
EPOCHS = 3
DATA = "--preset lab --dataset cifar10"
STEPS = {
    "given": f"--retrain resnet18 --recipe lab --epochs {EPOCHS} {DATA}",
    "hand": f"--retrain resnet18 --recipe lab --epochs {EPOCHS} --set schedule=cosine --set nesterov=true --set label_smoothing=0.1"
    f" --initial_lr 0.05 {DATA}",
    "hpo": f"--config benchmarks/lab8/config.yml --space zoo --trials 6 --epochs 1 {DATA}",
    "hpo-best": f"--retrain runs/lab8/hpo/best.json --epochs {EPOCHS}",
    "program": "--config examples/nni_trial/config.yml",
    "course": "--search-space benchmarks/lab8/course.json",
    "darts": f"--space darts --strategy darts --epochs 1 --set num_cells=5 {DATA}",
    "nas": f"--retrain runs/lab8/darts/best.json --set num_cells=5 --epochs {EPOCHS}",
    "small": f"--retrain convnet32 --set width=32 --epochs {EPOCHS} {DATA}",
    "report": "--report runs/lab8/given runs/lab8/hand runs/lab8/hpo runs/lab8/hpo-best runs/lab8/darts runs/lab8/nas",
}
SEARCHED = "darts"  # whose cell is drawn
REFUSED = "course"  # its file has a mistake, and the program says which
# The rows of the table in both languages, and the step whose network they are about.
ROWS = {
    "given": ("as given", "原始代码"),
    "hand": ("by hand", "手动调参"),
    "hpo-best": ("HPO", "自动调参（HPO）"),
    "nas": ("NAS", "网络架构搜索（NAS）"),
    "small": ("no search: convnet32, width 32", "不搜索，convnet32，宽度 32"),
}
NOT_RUN = ("This step has not been run for this page yet.", "这一步尚未为本页运行。")
UNITS = {
    "test_accuracy": "share of the test images, as they are",
    "test_accuracy_mirrored": "share of the test images, answers to image and mirror image averaged",
    "seconds": "s of training",
    "parameters": "parameters",
    "epochs": "epochs",
    "score": "what the search maximises",
}
KEPT_OF_A_PROGRESS = 4  # lines; longer ones are cut in the middle


def out_of(step: str) -> str:
    """Where a step's run lies, as it is typed."""
    return "lab.html" if step == "report" else str(RUNS / step)


def command_of(step: str) -> str:
    """What one types."""
    return f"python run_experiment.py {STEPS[step]}" + ("" if step == REFUSED else f" --out {out_of(step)}")


def run_step(step: str) -> None:
    """Run a step, and put it into the record."""
    out, log = ROOT / out_of(step), ROOT / RUNS / f"{step}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    done = log.with_suffix(".done")
    if not done.exists():
        command = [sys.executable, *shlex.split(command_of(step))[1:], *resume_flags(out)]
        with log.open("w", encoding="utf-8") as file:
            status = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
        if status != (2 if step == REFUSED else 0):
            raise RecordFault(f"{step}: exit status {status}; see {log}")
        done.touch()
    lines = [line.rstrip().replace(str(ROOT), "/home/me/retiarius") for line in log.read_text(encoding="utf-8").splitlines()]
    run = {"step": step, **make_run(command_of(step), values_of(out), [0], shared=True), "output": lines}
    if step == SEARCHED:
        run["architecture"] = json.loads((out / "best.json").read_text(encoding="utf-8"))["architecture"]
    append_run(RECORD, run, "The steps of the lab's page, as short runs", UNITS)


def values_of(out: Path) -> dict[str, Any]:
    """What a run's folder says of accuracy, time and size."""
    if (out / "retrained.json").exists():
        told = json.loads((out / "retrained.json").read_text(encoding="utf-8"))
        values = {"test_accuracy": told["plain_test_accuracy"], "test_accuracy_mirrored": told["mirrored_test_accuracy"]}
        return {**values, "seconds": round(told["seconds"], 1), "epochs": told["epochs"], "parameters": told["parameters"]}
    if (out / "best.json").exists():
        return {"score": json.loads((out / "best.json").read_text(encoding="utf-8"))["score"]["value"]}
    return {}


def shorten(lines: list[str]) -> list[str]:
    """Cut what a long run says of its progress."""
    kept: list[str] = []
    group: list[str] = []
    for line in [*lines, ""]:
        if group and line.partition(":")[0] == group[0].partition(":")[0]:
            group.append(line)
            continue
        kept += group if len(group) <= KEPT_OF_A_PROGRESS else [group[0], "...", group[-1]]
        group = [line]
    return kept


def show(run: dict[str, Any]) -> str:
    """A step as the page shows it: the command and what it printed."""
    lines = [f"$ {run['command']}", *shorten([line for line in run["output"] if line])]
    return "\n".join(f"    {line}" for line in lines)


def row(names: tuple[str, str], run: dict[str, Any], step: str, *, chinese: bool) -> str:
    """A row of the lab's table."""
    told = run["values"]
    accuracies = [f"{100 * told[name]:.2f}%" for name in ("test_accuracy", "test_accuracy_mirrored")]
    cells = [names[chinese], *accuracies, str(told["epochs"]), f"{told['seconds'] / 60:.1f} min", f"{told['parameters']:,}"]
    return f"| {' | '.join(cells)} | {out_of(step)} |"


def write_page(source: str, runs: dict[str, Any]) -> str:
    """A page, from its source and the record."""
    chinese = ".zh-" in source
    text = (SOURCES / source).read_text(encoding="utf-8").replace("{{epochs}}", str(EPOCHS))
    for step in STEPS:
        shown = show(runs[step]) if step in runs else f"    $ {command_of(step)}\n\n{NOT_RUN[chinese]}"
        text = text.replace("{{" + step + "}}", shown)
    rows = [row(names, runs[step], step, chinese=chinese) for step, names in ROWS.items() if step in runs]
    return text.replace("{{table}}", "\n".join(rows))


def pages(runs: dict[str, Any]) -> dict[Path, str]:
    """What the pages should say."""
    return {page: write_page(source, runs) for source, page in PAGES.items()}


def draw(runs: dict[str, Any]) -> str:
    """The cell that was found, as SVG."""
    return draw_alone("normal", read_cells(runs[SEARCHED]["architecture"])["normal"])


def read_runs() -> dict[str, Any]:
    """The run of each step that is in the record, by its step."""
    runs = read_record(RECORD)["runs"] if (RECORDS / f"{RECORD}.json").exists() else []
    return {run["step"]: run for run in runs if run["command"] == command_of(run["step"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run the steps that are not in the record")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), help="these steps")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 where a page differs from the record")
    arguments = parser.parse_args()
    with refuse(RecordFault):
        if arguments.run:
            for step in arguments.only:
                if step not in read_runs():
                    print(command_of(step), flush=True)
                    run_step(step)
        runs = read_runs()
    missing = [step for step in STEPS if step not in runs]
    if missing:
        print(f"not run yet: {', '.join(missing)}; python benchmarks/lab_page.py --run")
    for path, text in pages(runs).items():
        if arguments.check and not (path.exists() and text == path.read_text(encoding="utf-8")):
            sys.exit(f"error: {path.name} is not as the record says; python benchmarks/lab_page.py")
        if not arguments.check:
            write_text_atomically(path, text)
    if not arguments.check:
        write_text_atomically(PICTURE, draw(runs))


if __name__ == "__main__":
    main()
