"""The lab's table from several runs: as given, by hand, hyperparameter search, architecture search; in English and Chinese.

Which run is which is guessed from what it noted, and the guess is said.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import RecordError
from records.best import BestArchitecture, load_best
from records.formats import count_of, format_count, format_seconds
from records.report.cells import describe_cell, read_cells
from records.report.collect import Run
from records.report.labels import varied_labels
from records.report.seeds import is_repetition
from records.report.text import as_number, as_object, clean, escape, show_value

WAYS = ("as given", "by hand", "HPO", "NAS")
_WORDS: dict[str, dict[str, str]] = {
    "en": {
        **{name: name for name in (*WAYS, "running", "finished", "failed", "unfinished")},
        "head": "way of tuning|settings|test accuracy|n|parameters|multiply-adds|training|run|why this row",
        "missing": "no run of this kind was given",
        "averaged": "image and mirror image averaged",
        "validation": "validation, not retrained yet",
        "result": "result of the trial command, no test accuracy",
    },
    "zh": {
        "as given": "原始代码",
        "by hand": "手动调参",
        "HPO": "自动调参（HPO）",
        "NAS": "网络架构搜索（NAS）",
        "head": "调参方式|超参名称和设置值|测试准确率|次数|参数量|乘加次数|训练用时|运行|归入此行的依据",
        "missing": "没有给出这一类的运行",
        "averaged": "原图与镜像取平均",
        "validation": "验证集，尚未重新训练",
        "result": "试验命令报告的结果，并非测试准确率",
        "running": "进行中",
        "finished": "已结束，没有结果",
        "failed": "失败",
        "unfinished": "未完成",
    },
}
_REASONS_ZH = {
    "recipe lab as it is, nothing set": "使用 lab 配方，未改动任何设置",
    "one training with settings of one's own": "单次训练，设置由人选定",
    "a cell by its labels": "标签表明是单元（cell）",
    "only hyperparameters differ between its trials": "各次试验只有超参不同",
    "architectures differ between its trials": "各次试验的网络架构不同",
    "the strategy searches hyperparameters alone": "该策略只搜索超参",
    "its search was of hyperparameters alone": "其搜索只涉及超参",
    "architectures were searched": "搜索了网络架构",
    "the parameters of a program were searched": "搜索的是程序的参数",
    "a one-shot search": "one-shot 搜索",
    "a search whose trials do not differ yet": "搜索，各次试验尚无差异",
    "retrains what a search found that is not among the runs": "重新训练搜索结果，但该次搜索不在所给运行之中",
}


@dataclass(frozen=True)
class Row:
    """One line: the way it belongs to and why, and the runs of one configuration that differ in their seeds alone."""

    way: str
    reason: str
    runs: list[Run]
    search: Run | None = None

    @property
    def accuracies(self) -> list[float]:
        """Test accuracies of retrained networks, else the best validation accuracy."""
        values = [as_number(run.retrained.get("test_accuracy")) if run.is_retraining else _best_score(run) for run in self.runs]
        return [value for value in values if value is not None]


def fill(runs: Sequence[Run]) -> list[Row]:
    """Return the rows in the order of ``WAYS``; a search whose result was retrained is in the row of that."""
    retrained = [run for run in runs if run.is_retraining]
    origins = {id(run): find_search(run, runs) for run in retrained}
    used = {id(search) for search in origins.values() if search is not None}
    rows: list[Row] = []
    for run in [*retrained, *(run for run in runs if not run.is_retraining and id(run) not in used)]:
        search = origins.get(id(run))
        same = next((row for row in rows if run.is_retraining and row.runs[0].is_retraining and is_repetition(row.runs[0], run)), None)
        if same is not None:
            same.runs.append(run)
        else:
            rows.append(Row(*guess_way(run, search), [run], search))
    return sorted(rows, key=lambda row: WAYS.index(row.way))


def is_of_the_lab(rows: Sequence[Row]) -> bool:
    """Return whether the runs are those of the lab's table: its code as it was given, and another way beside it."""
    ways = {row.way for row in rows}
    return "as given" in ways and len(ways) > 1


def find_search(run: Run, runs: Sequence[Run]) -> Run | None:
    """Return the search among ``runs`` whose ``best.json`` was retrained: the same file, else the same architecture and space."""
    named = _retrained_file(run)
    searches = [other for other in runs if not other.is_retraining and other.best is not None]
    space = as_object(run.identity.get("space")).get("name")
    same = [s for s in searches if s.best and s.best.architecture == run.identity.get("architecture") and s.best.space_name == space]
    by_file = [search for search in same if _same_file(search.path / "best.json", named)]
    candidates = by_file or (same if named.suffix == ".json" else [])
    return candidates[0] if candidates else None


def _retrained_file(run: Run) -> Path:
    """Return what was retrained, as seen from where that began; from here, where the folders were moved since."""
    named = Path(str(run.settings.get("retrain")))
    begun = Path(str(run.config.get("directory") or ".")) / named
    return begun if os.path.isfile(begun) else named


def _same_file(path: Path, named: Path) -> bool:
    try:
        return path.resolve() == named.resolve()
    except (OSError, ValueError, RuntimeError):
        return False


def guess_way(run: Run, search: Run | None) -> tuple[str, str]:
    """Return the way of tuning that a run belongs to, and why, in words of ``_REASONS_ZH``."""
    if search is not None:
        return _guess_search(search)
    if run.is_retraining:
        named = str(run.settings["retrain"])
        if read_cells(as_object(run.identity.get("architecture"))):
            return "NAS", "a cell by its labels"
        if named.endswith(".json"):
            found = _try_load(_retrained_file(run))
            if found is not None and found.strategy.get("name") == "hpo":
                return "HPO", "the strategy searches hyperparameters alone"
            if found is not None and (searched := _searched_labels(found)) and not set(searched) & set(found.architecture):
                return "HPO", "its search was of hyperparameters alone"
            return "NAS", "retrains what a search found that is not among the runs"
        return _guess_training(run)
    return _guess_training(run) if _fixed_all(run) else _guess_search(run)


def _fixed_all(run: Run) -> bool:
    """Return whether a search had nothing to search: all was set, and there was one training."""
    if run.searches_parameters or run.epochs:
        return False
    if run.best is not None and isinstance(run.best.strategy.get("searched"), list):
        return not _searched_labels(run.best)
    return run.planned == 1 and run.strategy not in ("hpo", "darts")


def _guess_training(run: Run) -> tuple[str, str]:
    given = run.settings.get("recipe") == "lab" and set(as_object(run.settings.get("pins"))) <= {"backbone"}
    return ("as given", "recipe lab as it is, nothing set") if given else ("by hand", "one training with settings of one's own")


def _guess_search(search: Run) -> tuple[str, str]:
    if search.strategy == "hpo":
        return "HPO", "the strategy searches hyperparameters alone"
    if search.searches_parameters:
        return "HPO", "the parameters of a program were searched" if search.trial_command is not None else "parameters were searched"
    if search.best is not None and (searched := _searched_labels(search.best)):
        alone = not set(searched) & set(search.best.architecture)
        return ("HPO", "its search was of hyperparameters alone") if alone else ("NAS", "architectures were searched")
    varied = varied_labels(search.trials)
    if varied and not any(label in search.trials[0].architecture_labels for label in varied):
        return "HPO", "only hyperparameters differ between its trials"
    if varied:
        return "NAS", "architectures differ between its trials"
    if search.epochs or (search.best is not None and not search.trials):
        return "NAS", "a one-shot search"
    if read_cells(search.architecture):
        return "NAS", "a cell by its labels"
    return "NAS", "a search whose trials do not differ yet"


def _searched_labels(best: BestArchitecture) -> list[str]:
    """Return what the search varied whose best this is, the hyperparameters last; empty where that was not noted."""
    labels = best.strategy.get("searched")
    return [str(label) for label in labels] if isinstance(labels, list) else []


def _try_load(path: Path) -> BestArchitecture | None:
    try:
        return load_best(path)
    except RecordError:
        return None


def _best_score(run: Run) -> float | None:
    if run.best is not None and run.best.score is not None:
        return as_number(run.best.score["value"])
    return run.best_trial.score if run.best_trial else None


def _found(run: Run) -> dict[str, Any]:
    """Return the hyperparameters that a search has found."""
    return as_object(run.best_parameters.get("parameters")) if run.best is None else run.best.hyperparameters


def settings_of(row: Row) -> str:
    """Return what was run, in a line: network or cell, strategy, epochs, the settings that a person or a search chose."""
    run = row.runs[0]
    words = [f"{row.search.strategy} on {row.search.space}"] if row.search else []
    words += [] if run.is_retraining else [f"{run.strategy} on {run.space}"]
    architecture = run.architecture
    cells = read_cells(architecture)
    words += [f"{kind}: {describe_cell(nodes)}" for kind, nodes in cells.items()]
    words += [] if cells else [f"{label} {show_value(value)}" for label, value in architecture.items() if value is not None]
    words += [f"recipe {run.settings['recipe']}"] if run.settings.get("recipe") else []
    chosen = as_object(run.settings.get("pins"))
    if row.way == "HPO":
        source = row.search or run
        hyperparameters = as_object(run.retrained.get("hyperparameters")) or _found(run)
        best = source.best or _try_load(_retrained_file(run))
        searched = (_searched_labels(best) if best else []) or varied_labels(source.trials) or list(hyperparameters)
        chosen = {**chosen, **{label: hyperparameters[label] for label in searched if label in hyperparameters}}
    words += [f"{label} {show_value(value)}" for label, value in chosen.items() if label not in architecture]
    epochs = run.training_epochs
    return ", ".join(
        [
            *words,
            *([count_of(epochs, "epoch") if isinstance(epochs, int) else f"{show_value(epochs)} epochs"] if epochs is not None else []),
        ]
    )


def cells_of(row: Row, language: str) -> list[str]:
    """Return the cells of a row's line in the table, as plain text."""
    words, run = _WORDS[language], row.runs[0]
    values = row.accuracies
    accuracy = run.metric.show(statistics.mean(values)) if values else words[run.state]
    if len(values) > 1:
        accuracy += f" ± {100 * statistics.stdev(values):.2f}"
    remarks = [] if run.is_retraining else [words["result" if run.searches_parameters else "validation"]]
    remarks += [words["averaged"]] if run.averages_mirror_images else []
    if values and remarks:
        accuracy += f" ({'; '.join(remarks)})"
    size: Mapping[str, Any] = run.retrained or (vars(run.best) if run.best else {})
    seconds = as_number(run.retrained.get("seconds"))
    names = ", ".join(str(member.path) for member in [*([row.search] if row.search else []), *row.runs])
    reason = _REASONS_ZH[row.reason] if language == "zh" else row.reason
    counts = [format_count(as_number(size.get(name))) for name in ("parameters", "flops")]
    return [words[row.way], settings_of(row), accuracy, str(len(values)), *counts, format_seconds(seconds), names, reason]


def _lines(rows: Sequence[Row], language: str) -> list[list[str]]:
    words = _WORDS[language]
    lines = []
    for way in WAYS:
        own = [cells_of(row, language) for row in rows if row.way == way]
        lines += own or [[words[way], words["missing"], *["-"] * (words["head"].count("|") - 1)]]
    return lines


def as_markdown(rows: Sequence[Row], language: str) -> str:
    """Return the table as Markdown; what Markdown or HTML would take for its own is escaped."""
    heads = _WORDS[language]["head"].split("|")
    lines = [heads, ["---"] * len(heads), *([_as_markdown_text(cell) for cell in line] for line in _lines(rows, language))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _as_markdown_text(text: str) -> str:
    text = clean(text, 600)
    for char in "\\`*[]|":
        text = text.replace(char, "\\" + char)
    return text.replace("&", "&amp;").replace("<", "&lt;")


def as_html(rows: Sequence[Row], language: str) -> str:
    """Return the table as HTML."""
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in _WORDS[language]["head"].split("|"))
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell, 600)}</td>' for cell in line)}</tr>" for line in _lines(rows, language))
    return f'<table class="lab" lang="{language}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
