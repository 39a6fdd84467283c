"""Many random networks scored untrained before the first trial, so that a search by trials begins with the best of them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import EvaluatorError, RecordError, SpaceError, StrategyError
from common.files import LARGEST_OWN_FILE, read_json, write_json_atomically
from common.scores import from_stored, to_stored
from common.trial import sample_key
from records.formats import count_of
from records.run_folder import RunFolder
from retiarius.context import RunContext
from retiarius.engines import size_limits
from retiarius.presets import image_limit
from retiarius.search_plan import SearchPlan
from retiarius.settings import SearchSettings

if TYPE_CHECKING:
    from evaluators.data.splits import Dataset

logger = logging.getLogger("retiarius.screening")

SCREENED = "screened.json"  # in the folder of a run
FORMAT, VERSION = "retiarius-screened", 1
MOST_TRIED = 10  # of the best networks; at most half of the trials
MOST_FRUITLESS = 500  # draws in a row that bring no new network: there are no more, or hardly any
SECONDS_BETWEEN_SAVES = 10.0
SHARE = 0.1  # of the time budget, which the scores take at most

Scores = dict[str, float]


@dataclass(frozen=True)
class Screened:
    """What ``screened.json`` holds.

    Attributes
    ----------
    chosen
        How many of the networks come first; None as long as not all have their scores.
    networks
        Architectures and their scores: in the order in which they were drawn, and the best first once all have theirs.
    seconds
        What drawing and scoring took, those of an interrupted run included.
    is_out_of_time
        Whether the time budget left no time for more.
    """

    chosen: int | None = None
    networks: Sequence[tuple[dict[str, Any], Scores]] = ()
    seconds: float = 0.0
    is_out_of_time: bool = False


def check_screening(settings: SearchSettings, plan: SearchPlan) -> None:
    """Refuse to score networks of which none could be tried.

    Raises
    ------
    SpaceError
        There is one network alone.
    StrategyError
        There are no more trials than the search begins with.
    """
    mutables = plan.searched.architecture
    first = settings.space.canonical({label: mutable.default() for label, mutable in mutables.items()})
    if not any(label in mutables for label in plan.searched.labels_with_effect(first)):
        raise SpaceError(f"no choice of {settings.space.name} is left to the search: leave out `screen`")
    if plan.sized_by <= len(plan.starts):
        begins = ", ".join(plan.starts)
        raise StrategyError(f"`trials={plan.sized_by}` leaves no trial for `screen`: the search begins with {len(plan.starts)}, {begins}")


def images_to_screen(context: RunContext, settings: SearchSettings) -> Dataset | None:
    """Return the images that untrained networks are scored by; None where none are scored.

    Raises
    ------
    DataError
        Those of a table's data set cannot be had.
    EvaluatorError
        The evaluator takes no images.
    """
    if settings.screen is None:
        return None
    if context.table is None:
        if context.image_shape is None:
            raise EvaluatorError("`screen` looks at images, and the evaluator takes none: set `data`, or leave out `screen`")
        data: Dataset = context.data
        return data
    from evaluators.data.dataset import load_dataset

    told = settings.data if not isinstance(settings.data, str) else context.table.name
    where: dict[str, Any] = {"data_dir": settings.data_dir, "announce": context.reporter.say, "warn": context.reporter.warn}
    return load_dataset(told, seed=settings.seed, limit=image_limit(settings.preset, told), **where)


def screen_networks(context: RunContext, settings: SearchSettings, plan: SearchPlan, folder: RunFolder, data: Dataset | None) -> SearchPlan:
    """Return ``plan``, which then begins with the best of many networks, too.

    All scores go to ``screened.json`` as they come: what an interrupted run has scored is not scored again. Where there is a time budget,
    scoring ends when a tenth of it is spent, and what it took is told in the plan.

    Parameters
    ----------
    data
        The images; None where no network is to be scored.

    Raises
    ------
    RecordError
        ``screened.json`` is damaged.
    """
    if data is None:
        return plan
    from spaces.choice_kinds import choice_kinds

    path = folder.path / SCREENED
    screened = _read(path)
    if screened.chosen is None:
        screened = _score_all(context, settings, plan, data, screened, path)
        scored = [scores for _, scores in screened.networks if any(map(math.isfinite, scores.values()))]
        chosen = min(len(scored), MOST_TRIED, max(1, plan.sized_by // 2), plan.sized_by - len(plan.starts))
        screened = replace(screened, chosen=chosen, networks=_ranked(screened.networks))
        _write(path, screened)
        if failed := len(screened.networks) - len(scored):
            context.reporter.warn(
                f"{count_of(failed, 'network')} of {len(screened.networks)} could not be scored untrained; log.txt says why"
            )
    ended = " before a tenth of the time budget was spent" if screened.is_out_of_time else ""
    told = f"{count_of(len(screened.networks), 'network')} scored untrained{ended}"
    context.reporter.say(f"{told}, {screened.chosen} of which come first: {path}")
    kinds = choice_kinds(plan.searched.architecture)
    best = [kinds.as_chosen(architecture) for architecture, _ in screened.networks[: screened.chosen]]
    first = {f"network {place} of {SCREENED}": _sample(plan, architecture) for place, architecture in enumerate(best, 1)}
    starts = plan.searched.without_repeats({**plan.starts, **first})
    return replace(plan, starts=starts, screened=tuple(first), screened_seconds=screened.seconds)


def _draw(context: RunContext, settings: SearchSettings, plan: SearchPlan) -> Iterator[dict[str, Any]]:
    """Yield different architectures, none of them one that is tried in any case, as many as asked for or as there are."""
    from numpy.random import RandomState

    searched, random, rejects = plan.searched, RandomState(settings.seed), size_limits(context, settings, plan)
    domain = context.domain(searched)
    met = {searched.meaning(sample) for sample in plan.starts.values()}
    drawn: set[str] = set()
    fruitless, count = 0, 0
    while count < (settings.screen or 0) and fruitless < MOST_FRUITLESS:
        architecture = domain.draw(random, drawn)
        if architecture is None:
            return
        drawn.add(sample_key(architecture))
        sample = searched.canonical(_sample(plan, architecture))
        meaning = searched.meaning(sample)
        fruitless += 1
        if meaning in met or (context.table is not None and not context.table.has(sample)) or _is_rejected(rejects, sample):
            continue
        met.add(meaning)
        fruitless, count = 0, count + 1
        yield {label: sample[label] for label in searched.architecture}


def _is_rejected(rejects: Any, sample: Mapping[str, Any]) -> bool:
    try:
        return rejects(sample) is not None
    except Exception:  # what cannot be measured cannot be scored, either, and comes last
        return False


def _sample(plan: SearchPlan, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sample of an architecture, with the hyperparameters of the default configuration."""
    sample: dict[str, Any] = plan.searched.sample(architecture, {**plan.recipe, "epochs": plan.epochs}, {})
    return sample


def _score_all(context: RunContext, settings: SearchSettings, plan: SearchPlan, data: Dataset, screened: Screened, path: Path) -> Screened:
    """Return the networks that are drawn, in their order, with their scores; those that ``screened`` has are not scored again."""
    networks, known = list(screened.networks), {sample_key(architecture) for architecture, _ in screened.networks}
    limit = math.inf if settings.time_budget is None else SHARE * settings.time_budget
    saved = start = time.monotonic()
    is_out_of_time = False

    def so_far() -> Screened:
        return Screened(None, networks, screened.seconds + time.monotonic() - start, is_out_of_time)

    try:
        with context.reporter.progress(settings.screen, "networks", "screen", completed=len(networks)) as shown:
            for architecture in _draw(context, settings, plan):
                if sample_key(architecture) in known:
                    continue
                is_out_of_time = so_far().seconds >= limit
                if is_out_of_time:
                    break
                networks.append((architecture, _score(context, settings, data, architecture)))
                shown.update(1)
                if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                    _write(path, so_far())
                    saved = time.monotonic()
    finally:
        _write(path, so_far())
    return so_far()


def _score(context: RunContext, settings: SearchSettings, data: Dataset, architecture: Mapping[str, Any]) -> Scores:
    """Return the scores of one network: minus infinity where it has none."""
    import torch

    from evaluators.zero_cost.scores import ENSEMBLE, score_untrained

    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(settings.seed)  # of dropout
            return score_untrained(context.build(architecture), data, ENSEMBLE, seed=settings.seed)
    except Exception:
        logger.warning("cannot be scored untrained: %s", architecture, exc_info=True)
        return dict.fromkeys(ENSEMBLE, -math.inf)


def _ranked(networks: Sequence[tuple[dict[str, Any], Scores]]) -> list[tuple[dict[str, Any], Scores]]:
    """Return the networks, the best first, the first of equals before the others."""
    from evaluators.zero_cost.scores import rank_together

    if not networks:
        return []
    ranks = rank_together([scores for _, scores in networks])
    return [networks[place] for place in sorted(range(len(networks)), key=lambda place: -ranks[place])]


def _write(path: Path, screened: Screened) -> None:
    """Write all scores. JSON has no infinity: it stands as null."""
    told = [{"architecture": architecture, "scores": to_stored(scores)} for architecture, scores in screened.networks]
    head = {"format": FORMAT, "version": VERSION, "chosen": screened.chosen}
    times = {"seconds": round(screened.seconds, 3), "out_of_time": screened.is_out_of_time}
    write_json_atomically(path, {**head, **times, "networks": told})


def _read(path: Path) -> Screened:
    """Return what an earlier part of the run has written.

    Raises
    ------
    RecordError
        The file is none of ours.
    """
    if not path.exists():
        return Screened()
    try:
        document = read_json(path, max_bytes=LARGEST_OWN_FILE)
        if document["format"] != FORMAT:
            raise KeyError("format")
        chosen = None if document["chosen"] is None else int(document["chosen"])
        networks = [(dict(entry["architecture"]), from_stored(entry["scores"])) for entry in document["networks"]]
        seconds = float(document.get("seconds", 0.0))  # which files of earlier versions do not tell
        return Screened(chosen, networks, seconds, bool(document.get("out_of_time", False)))
    except (RecordError, KeyError, TypeError, ValueError, AttributeError):
        raise RecordError(f"{path}: damaged; remove it, so that the networks are scored again") from None
