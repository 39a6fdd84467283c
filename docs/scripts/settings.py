"""The page of the settings: presets, recipes, spaces, strategies and pruners, with the values that the code has for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from types import ModuleType
from typing import Any

from docs.scripts.numpy_docstring import bullets, read_docstring
from evaluators import EVALUATORS
from evaluators.names import DATASETS
from evaluators.training.hyperparameters import LEGAL
from evaluators.training.recipes import NOT_OF_SUPERNETS, RECIPES, Recipe
from retiarius.presets import DEFAULT_PRESET, PRESETS
from spaces import SPACES, SpaceEntry
from spaces.zoo.hyperparameters import search_hyperparameters
from strategies import PRUNERS, STRATEGIES
from strategies.strategy import Strategy, TrialStrategy

INTRODUCTION = """
# Settings

Values, defaults and ranges, as the code has them. `--set NAME=VALUE` sets one on the command line, `fixed={...}`, `recipe={...}` or a
strategy's own arguments do in [Python](python_api.md). The flags are in [command line](command_line.md).
"""
PRESET_COLUMNS = {
    "training images": "images",
    "one-shot epochs": "search_epochs",
    "trials": "trials",
    "epochs a trial": "trial_epochs",
    "epochs of a retraining": "retrain_epochs",
}


def write_page() -> str:
    """Return the page."""
    parts = (_presets(), _recipes(), _searched(), _spaces(), _strategies(), _pruners(), _registries())
    return "\n\n".join([INTRODUCTION.strip(), *(line for part in parts for line in part)]) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _code(values: Iterable[Any]) -> str:
    return ", ".join(f"`{_show(value)}`" for value in values)


def _show(value: Any) -> str:
    """Return a value as it is typed after ``--set``."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _presets() -> Iterator[str]:
    yield "## Presets"
    yield f"`--preset` says how large a run is; `{DEFAULT_PRESET}` by default. The sizes of networks are [those of the space](#spaces)."
    yield "\n".join(f"- `{name}`: {preset.summary}" for name, preset in PRESETS.items())
    values = [[getattr(preset, name) for name in PRESET_COLUMNS.values()] for preset in PRESETS.values()]
    rows = [[f"`{name}`", *("all" if value is None else f"{value:,}" for value in row)] for name, row in zip(PRESETS, values, strict=True)]
    yield _table(["preset", *PRESET_COLUMNS], rows)


def _recipes() -> Iterator[str]:
    yield "## Recipes"
    yield (
        "A recipe is all settings of a training but the network, the images and the number of epochs. `--recipe` chooses one by name, "
        "`--set` changes its values. `rt.Recipe()` has the defaults of the first column, `rt.Recipe.named(NAME, ...)` those of a name."
    )
    columns = {"`Recipe()`": Recipe(), **{f"`{name}`": recipe for name, recipe in RECIPES.items()}}
    rows = [[f"`{name}`", *(_show(getattr(recipe, name)) for recipe in columns.values())] for name in LEGAL]
    yield _table(["setting", *columns], rows)
    yield "`darts_search` is for supernets. What each setting does:"
    yield "\n".join(bullets(read_docstring(Recipe).sections["Attributes"]))
    yield "Legal values:"
    yield "\n".join(f"- `{name}`: {_legal(name)}" for name in LEGAL)
    yield f"These are not for supernets: {_code(NOT_OF_SUPERNETS)}."


def _legal(name: str) -> str:
    legal = LEGAL[name]
    if isinstance(legal, tuple):
        return _code(legal)
    return f"{'a whole number, ' if legal.whole else ''}{legal}"


def _searched() -> Iterator[str]:
    yield "## Hyperparameters that are searched"
    yield "A search of the zoo chooses these. `--set` fixes one, and `--strategy hpo` searches them alone."
    yield "\n".join(f"- `{name}`: {_mutable(mutable)}" for name, mutable in search_hyperparameters().items())


def _mutable(mutable: Any) -> str:
    default = f"; default `{_show(mutable.default())}`" if callable(mutable.default) else f"; default `{_show(mutable.default)}`"
    if hasattr(mutable, "values"):
        return _code(mutable.values) + default
    scale = ", on a logarithmic scale" if mutable.log_distributed else ""
    return f"{_show(mutable.low)} to {_show(mutable.high)}{scale}{default}"


def _spaces() -> Iterator[str]:
    yield "## Spaces"
    for name, entry in SPACES.items():
        yield f"### `{name}`"
        yield f"{entry.summary[:1].upper()}{entry.summary[1:]}. {_recipe_of(entry)}."
        vocabulary = entry.load_vocabulary()
        assert vocabulary is not None
        if settable := getattr(vocabulary, "SETTABLE", {}):
            yield "Arguments, by `--set`:"
            yield "\n".join(f"- `{argument}`: {_span(values)}" for argument, values in settable.items())
        if sizes := getattr(vocabulary, "SIZES", {}):
            yield "Sizes by preset:"
            yield "\n".join(_sizes(sizes))
        yield "Choices:"
        yield "\n".join(_choices(vocabulary))
        yield from _zoo(vocabulary)


def _recipe_of(entry: SpaceEntry) -> str:
    paper = f"; `{entry.paper_recipe}` with `--preset paper`" if entry.paper_recipe else ""
    return f"Recipe: `{entry.recipe}`{paper}"


def _span(values: Sequence[Any]) -> str:
    return f"{values[0]} to {values[-1]}" if isinstance(values, range) else _code(values)


def _sizes(sizes: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    for preset, phases in sizes.items():
        for phase, arguments in phases.items():
            yield f"- `{preset}`, {phase}: " + _code(f"{name}={_show(value)}" for name, value in arguments.items())


def _choices(vocabulary: ModuleType) -> Iterator[str]:
    """One line for all labels with the same candidates."""
    alike: dict[tuple[str, str], list[str]] = {}
    for label, choice in vocabulary.vocabulary({}).items():
        how = "one of" if choice["n_chosen"] is None else f"{choice['n_chosen']} of"
        alike.setdefault((how, _code(choice["values"])), []).append(label)
    for (how, candidates), labels in alike.items():
        several = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        yield f"- `{labels[0]}`{several}: {how} {candidates}"


def _zoo(vocabulary: ModuleType) -> Iterator[str]:
    if default := getattr(vocabulary, "DEFAULT", None):
        yield "Default: " + _code(f"{name}={_show(value)}" for name, value in default.items()) + "."
    for preset, narrowed in getattr(vocabulary, "NARROWED", {}).items():
        yield f"`--preset {preset}` searches fewer:"
        yield "\n".join(f"- `{name}`: {_code(values)}" for name, values in narrowed.items())


def _strategies() -> Iterator[str]:
    yield "## Strategies"
    for name, kind in STRATEGIES.items():
        yield f"### `{name}` strategy"
        yield f"`rt.{kind.__name__}`. {read_docstring(kind).prose}"
        yield "\n".join([*_facts(kind), *_arguments(kind)])


def _facts(kind: type[Strategy]) -> Iterator[str]:
    spaces = [name for name, entry in SPACES.items() if kind.needs <= entry.offers]
    yield f"- Spaces of ours that it fits: {_code(spaces)}"
    yield f"- Shares a study with other processes (`--storage`): {'yes' if kind.shares_study else 'no'}"
    if issubclass(kind, TrialStrategy):
        yield f"- Pruners: {'no' if kind.several_objectives else 'yes'}"


def _arguments(kind: type[Strategy]) -> Iterator[str]:
    """The settings of ``kind``, those of the classes that it is made of included; of a registered one of them the name alone."""
    own = {entry.name: entry for entry in fields(kind) if entry.name != "pruner"}
    for part in kind.__mro__:
        told = read_docstring(part).sections.get("Parameters", [])
        if part is not kind and part in STRATEGIES.values():
            if told:
                yield f"- and those of `{part.name}`"
            return
        for names, text in told:
            known = [own[name.strip()] for name in names.split(",") if name.strip() in own]
            if known:
                yield f"- {', '.join(_setting(kind, entry) for entry in known)}: {text}"


def _setting(kind: type[Strategy], entry: Any) -> str:
    flag = f"--set {entry.name}=VALUE" if entry.name in kind.set_by_name else f"--{entry.name.replace('_', '-')}"
    return f"`{entry.name}` (`{flag}`; default `{_show(entry.default)}`)"


def _pruners() -> Iterator[str]:
    yield "## Pruners"
    yield "`--pruner NAME` ends trials early that look hopeless; from Python, `rt.TPE(pruner=rt.Median())`. There is none by default."
    for name, kind in PRUNERS.items():
        yield f"### `{name}` pruner"
        yield f"`rt.{kind.__name__}`. {read_docstring(kind).prose}"
        if settings := read_docstring(kind).sections.get("Parameters"):
            yield "\n".join(bullets(settings))


def _registries() -> Iterator[str]:
    yield "## Data sets"
    yield "\n".join(f"- `{name}`: {summary}" for name, summary in DATASETS.items())
    yield "## Evaluators"
    yield "\n".join(f"- `{name}`: {entry.summary}" for name, entry in EVALUATORS.items())
