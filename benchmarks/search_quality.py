"""How good a network the multi-trial strategies find per second of training, on the 15,625 networks of NAS-Bench-201.

    python benchmarks/search_quality.py                           # 100 seeds (20 of gp), CIFAR-10 and CIFAR-100; draws a plot
    python benchmarks/search_quality.py --quick                   # 10 seeds, CIFAR-10, 12,000 s, less than 50 s
    python benchmarks/search_quality.py --scores FILE             # the searches that begin with untrained networks, too

The protocol of the paper (Dong and Yang, ICLR 2020): a search sees the validation accuracy after 12 epochs and pays the seconds that
those took; when they reach the budget, the test accuracy after 200 epochs of the cell with the best validation accuracy counts. One run
of a seed goes to 20,000 s; what it had found at 12,000 s and 6,000 s is read off on the way. A search of 2,000 s is a run of its own, as
strategies size their parts by the number of trials. Successive halving from 12 to 200 epochs has no place here: one training of 200 epochs
takes as long as 17 of 12, more than a budget of 2,000 s has, and the protocol judges by the validation accuracy after 12.

``bo, screened`` begins with the best of many random cells by scores of untrained networks, which ``zero_cost.py --different synflow
--out FILE`` has written. The seconds of scoring count against the budget, as they were measured: of one core of a processor, where the
table's seconds are of a GPU. The images are CIFAR-10's, for CIFAR-100 as well. The program puts fewer first, at most half of the trials.

``random`` and ``evolution`` are NNI's strategies as this project sets them up; ``evolution, NNI's defaults`` is NNI's as it comes. The
overhead is the processor time of a search (strategy, engine and look-up) by the number of its trials.

The full run keeps every finished search in ``--runs`` and, begun again, resumes there. The last line is one JSON object.
"""

# ruff: noqa: E402 (a script of the checkout, which need not be installed: the imports follow the path)
from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common.libraries import quiet_libraries

quiet_libraries()

import nni.nas.strategy
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.space import SimplifiedModelSpace

from benchmarks.arguments import count, refuse
from benchmarks.zero_cost import Scores, draw_cells, form_of, read_scores
from common.errors import EvaluatorError
from evaluators.table import Table, load_table
from evaluators.zero_cost.scores import rank_together
from records.lines import append_document, read_lines
from spaces.nasbench201.space import NasBench201Space
from spaces.nasbench201.vocabulary import EDGES, edge_label
from strategies import STRATEGIES as KNOWN
from strategies import SearchContext
from strategies.engines.table import TableEngine
from strategies.first_trials import submit_first_trials

FILE = "nasbench201.csv.gz"
PLACES = (ROOT / "data" / "nasbench201" / FILE, ROOT.parent / "shared" / "nasbench201" / FILE)
# To what budget a run goes: at which budgets it is read.
READ_AT = {2_000: (2_000,), 20_000: (6_000, 12_000, 20_000)}
BUDGETS = tuple(budget for budgets in READ_AT.values() for budget in budgets)
SIZED_FOR = {2_000: 2_000, 20_000: 12_000}  # strategies size their first, random part by the trials of this budget
EPOCHS = 12
DATASETS = ("cifar10", "cifar100")
QUICK = ("tpe", "random", "evolution", "local")
QUICK_BUDGET = 12_000
NNI_EVOLUTION = "evolution, NNI's defaults"
BO_SCREENED = "bo, screened"
STRATEGIES = ("random", "evolution", NNI_EVOLUTION, "local", "tpe", "gp", "bo")
PROCESSES = ("gp", "bo", BO_SCREENED)
# Networks, scores, and how many networks come first: chosen by searches on CIFAR-100.
SCREENED, SCREENED_BY, TRIED_FIRST = 4_000, ("synflow",), 14
LABELS = [edge_label(source, node) for source, node in EDGES]


@dataclass(frozen=True)
class Run:
    """One search: ``path`` has (simulated seconds, validation accuracy, test accuracy) of each new best, accuracies in percent.

    ``code`` is of the strategies that searched: see ``digest_of_strategies``; ``budget`` is what the run went to, in seconds.
    """

    dataset: str
    strategy: str
    seed: int
    trials: int
    overhead_ms: float
    path: list[tuple[float, float, float]]
    code: str = ""
    budget: int = max(READ_AT)

    def test_at(self, seconds: float) -> float:
        """Test accuracy, in percent, of the best cell by validation after so many simulated seconds; 0 before the first trial."""
        return ([0.0] + [test for clock, _, test in self.path if clock <= seconds])[-1]


@cache
def digest_of_strategies() -> str:
    """Changes with every change of a file of theirs, or of the space: what was searched before it is searched anew."""
    files = [*sorted((ROOT / "strategies").rglob("*.py")), *sorted((ROOT / "spaces" / "nasbench201").glob("*.py"))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


def make_strategy(name: str, seed: int, trials: int) -> Any:
    if name == NNI_EVOLUTION:
        return nni.nas.strategy.RegularizedEvolution(seed=seed)
    told = {"features": NasBench201Space.surrogate_features, "described": LABELS}
    return KNOWN["bo" if name == BO_SCREENED else name]().build(SearchContext(seed=seed, trials=trials, **told))


def screen(table: Table, scores: Scores, seed: int) -> tuple[list[dict[str, str]], float]:
    """The best of random cells by what they score untrained, and the seconds that all scores took.

    They are drawn among the cells that ``scores`` has.
    """
    every = draw_cells(len(table), seed)
    drawn = list(itertools.islice((cell for cell in every if form_of(cell) in scores), SCREENED))
    told = [scores[form_of(cell)] for cell in drawn]
    ranks = rank_together(told, SCREENED_BY)
    best = sorted(range(len(drawn)), key=lambda place: -ranks[place])[:TRIED_FIRST]
    return [drawn[place] for place in best], sum(each["seconds"] for each in told)


def search(table: Table, name: str, seed: int, budget: int, scores: Scores | None = None) -> Run:
    """Search the table with a strategy until ``budget`` simulated seconds are spent."""
    sized_for = SIZED_FOR.get(budget, SIZED_FOR[max(SIZED_FOR)])
    first, spent = ([], 0.0) if name != BO_SCREENED else screen(table, scores or {}, seed)
    clock, path = spent, []

    def note(result: Any) -> None:
        nonlocal clock
        clock += result.seconds
        if not path or 100 * result.score > path[-1][1]:
            path.append((clock, 100 * result.score, 100 * (table.test_accuracy(result.sample) or 0.0)))

    # The labels are those of the full-sized space; no network is built.
    space = SimplifiedModelSpace.from_model(NasBench201Space(width=1, cells=1), FunctionalEvaluator(table.find))
    engine = TableEngine(look_up=partial(table.steps, fidelities=[EPOCHS]), simulated_seconds=budget - spent, on_result=note)
    strategy = make_strategy(name, seed, table.trials_within(sized_for, EPOCHS))
    start = time.process_time()
    for line in submit_first_trials({f"cell {place}": cell for place, cell in enumerate(first)}, space, engine):
        print(line, file=sys.stderr)
    strategy(space, engine)
    overhead = 1000 * (time.process_time() - start) / len(engine.results)
    return Run(table.name, name, seed, len(engine.results), overhead, path, digest_of_strategies(), budget)


def summarise(runs: Sequence[Run], budget: float) -> dict[str, Any]:
    accuracies = [run.test_at(budget) for run in runs]
    overhead = statistics.mean(run.overhead_ms for run in runs)
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    return {
        "mean": round(statistics.mean(accuracies), 3),
        "std": round(spread, 3),
        "seeds": len(runs),
        "overhead_ms": round(overhead, 2),
        "values": accuracies,
    }


def find_table(given: Path | None) -> Path:
    if given is not None:
        return given
    for place in PLACES:
        if place.is_file():
            return place
    raise EvaluatorError(f"no table in {PLACES[0].parent.relative_to(ROOT)}/: put {FILE} there, or name the file with --table FILE")


def run_quick(table: Table, seeds: int) -> dict[str, Any]:
    budget = QUICK_BUDGET
    make_strategy("tpe", 0, 1)  # what is imported on first use is no overhead of a search
    summary = {}
    for name in QUICK:
        summary[name] = summarise([search(table, name, seed, budget) for seed in range(seeds)], budget)
        print(f"  {name:10} {summary[name]['mean']:.2f} ± {summary[name]['std']:.2f}", flush=True)
    return summary


def read_runs(path: Path) -> list[Run]:
    """The searches that are finished, by the strategies as they are now; a last line that was cut off is passed over and run again."""
    runs = [Run(**{**line, "path": [tuple(point) for point in line["path"]]}) for line in read_lines(path)]
    return [run for run in runs if run.code == digest_of_strategies()]


def read_at(runs: Sequence[Run], budget: int) -> list[Run]:
    """Those of the runs that are read at ``budget``, in the order of their seeds."""
    return sorted((run for run in runs if budget in READ_AT[run.budget]), key=lambda run: run.seed)


def run_all(
    tables: Mapping[str, Table], path: Path, seeds: Callable[[str], int], names: Sequence[str], budgets: Sequence[int], scores: Scores
) -> list[Run]:
    """The searches of the strategies ``names``, the finished ones from ``path``, where the others are added as they end."""
    runs = [run for run in read_runs(path) if run.seed < seeds(run.strategy)]
    done = {(run.dataset, run.strategy, run.budget, run.seed) for run in runs}
    path.parent.mkdir(parents=True, exist_ok=True)
    for dataset, name, budget in itertools.product(tables, names, budgets):
        for seed in range(seeds(name)):
            if (dataset, name, budget, seed) not in done:
                run = search(tables[dataset], name, seed, budget, scores)
                runs.append(run)
                append_document(path, asdict(run))
        chosen = [run for run in runs if (run.dataset, run.strategy, run.budget) == (dataset, name, budget)]
        words = "  ".join(f"{at:,} s: {(s := summarise(chosen, at))['mean']:.2f} ± {s['std']:.2f}" for at in READ_AT[budget])
        print(f"{dataset:9} {name:26} {words}  {s['overhead_ms']:.1f} ms", flush=True)
    return runs


def tell(runs: Sequence[Run], best: Mapping[str, float]) -> dict[str, Any]:
    """Of each data set the optimum, and of each strategy the test accuracy of every seed at each budget, in percent."""
    told: dict[str, Any] = {}
    for dataset in DATASETS:
        strategies = {}
        for name in dict.fromkeys(run.strategy for run in runs):
            chosen = [run for run in runs if (run.dataset, run.strategy) == (dataset, name)]
            at = {budget: [round(run.test_at(budget), 2) for run in read_at(chosen, budget)] for budget in BUDGETS}
            known = {f"at_{budget}_s": values for budget, values in at.items() if values}
            strategies[name] = {**known, "overhead_ms": round(statistics.mean(run.overhead_ms for run in chosen), 2)}
        told[dataset] = {"optimum": round(best[dataset], 2), "strategies": strategies}
    return told


def plot(runs: Sequence[Run], best: dict[str, float], path: Path) -> None:
    """Mean regret (optimum minus test accuracy) over simulated time, one panel a data set."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(DATASETS), figsize=(11, 4), constrained_layout=True)
    seconds = range(500, max(BUDGETS) + 1, 100)
    for panel, dataset in zip(panels, DATASETS, strict=True):
        for name in STRATEGIES:
            chosen = read_at([run for run in runs if (run.dataset, run.strategy) == (dataset, name)], max(BUDGETS))
            panel.plot(seconds, [best[dataset] - statistics.mean(run.test_at(s) for run in chosen) for s in seconds], label=name)
        panel.set(title=dataset, xlabel="simulated seconds of training", ylabel="regret, test accuracy in points", yscale="log")
        panel.set_ylim(top=10)
    panels[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 seeds, CIFAR-10, 12,000 s, less than 50 s")
    parser.add_argument("--table", type=Path, metavar="FILE", help=f"the table (default: {PLACES[0].relative_to(ROOT)})")
    parser.add_argument("--seeds", type=count, help="default: 100, with --quick 10")
    parser.add_argument("--gp-seeds", type=count, default=20, help="seeds of the Gaussian processes, gp and bo (default: 20)")
    parser.add_argument("--only", nargs="+", choices=(*STRATEGIES, BO_SCREENED), metavar="NAME", help="these strategies, and no plot")
    parser.add_argument("--budgets", nargs="+", type=int, choices=READ_AT, help="to which seconds runs go (default: all), and no plot")
    parser.add_argument("--scores", type=Path, metavar="FILE", help=f"of untrained networks, for {BO_SCREENED!r}")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "search_quality.jsonl", help="finished searches of the full run")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "search_quality.png", help="where the plot goes")
    arguments = parser.parse_args()
    with refuse(EvaluatorError):
        path = find_table(arguments.table)
        if arguments.quick:
            print(json.dumps(run_quick(load_table(path, dataset="cifar10"), arguments.seeds or 10)))
            return
        tables = {dataset: load_table(path, dataset=dataset) for dataset in DATASETS}
    best = {name: 100 * max(row.facts["test_accuracy"] for row in table.rows.values()) for name, table in tables.items()}
    scores = read_scores(arguments.scores) if arguments.scores is not None else {}
    names = arguments.only or [*STRATEGIES, *([BO_SCREENED] if scores else [])]
    seeds = dict.fromkeys(names, arguments.seeds or 100) | dict.fromkeys(PROCESSES, arguments.gp_seeds)
    runs = run_all(tables, arguments.runs, seeds.__getitem__, names, arguments.budgets or list(READ_AT), scores)
    if not arguments.only and not arguments.budgets:
        plot(runs, best, arguments.plot)
    asked = [run for run in runs if run.strategy in names and run.budget in (arguments.budgets or READ_AT)]
    print(json.dumps(tell(asked, best)))


if __name__ == "__main__":
    main()
