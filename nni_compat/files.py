"""NNI's own files as plain data: ``search_space.json`` and ``config.yml``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from common.errors import RecordError
from common.files import read_json, read_text
from common.text import show
from nni_compat.algorithms import fold

MOST_VALUES = 100_000  # that aliases may stand for
_KEYS = ("trialCommand", "trial", "trialConcurrency", "tuner", "assessor", "searchSpaceFile", "searchSpacePath", "maxTrialNumber")
_KEYS_OF_EXPERIMENTS = frozenset(map(fold, (*_KEYS, "maxTrialNum", "experimentName", "authorName", "trainingService")))


class _Loader(yaml.SafeLoader):
    """YAML without code, as people mean it: a key stands once in an object, and 1e-4 is a number (for YAML 1.1 it is a text).

    Aliases of aliases may stand for more values than any memory holds: a file whose aliases do is refused before a value is made of it.
    """

    def get_single_node(self) -> Any:
        root = super().get_single_node()
        sizes: dict[int, int] = {}
        if root is not None and _count_values(root, sizes) > len(sizes) + MOST_VALUES:
            raise RecordError(f"its aliases expand to more than {MOST_VALUES:,} values; write the values out")
        return root

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        entries = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]  # what << brings may be set anew
        seen = set()
        for entry in entries:
            key = self.construct_object(entry, deep=True)
            try:
                is_new = key not in seen
                seen.add(key)
            except TypeError:  # a list as a key, which YAML's own construction refuses below
                continue
            if not is_new:
                raise RecordError(f"line {entry.start_mark.line + 1}: the key {show(key)} appears twice in one object")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789"))


def _count_values(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return how many values ``node`` stands for, aliases followed; ``sizes`` keeps the answers by node, 0 while one is looked for."""
    if sizes.get(id(node)) == 0:
        raise RecordError(f"line {node.start_mark.line + 1}: an alias refers to an object that contains it")
    if id(node) not in sizes:
        sizes[id(node)] = 0
        members = node.value if isinstance(node, yaml.SequenceNode) else []
        if isinstance(node, yaml.MappingNode):
            members = [member for pair in node.value for member in pair]
        sizes[id(node)] = 1 + sum(_count_values(member, sizes) for member in members)
    return sizes[id(node)]


def read_search_space(path: Path) -> Any:
    """Return the content of ``search_space.json``, or of the same in YAML, which NNI takes too.

    Raises
    ------
    RecordError
        The file cannot be read, is neither, is empty, or is the other one of NNI's files.
    """
    document = read_yaml(path) if path.suffix in (".yml", ".yaml") else read_json(path)
    if document is None:
        raise RecordError(f'{path}: the file is empty; expected a search space such as {{"lr": {{"_type": "uniform", "_value": [0, 1]}}}}')
    said = {fold(key) for key, value in document.items() if not is_parameter(value)} if isinstance(document, dict) else set()
    if len(said & _KEYS_OF_EXPERIMENTS) > 1:
        raise RecordError(f"{path} is a configuration, not a search space: use it with --config")
    return document


def is_parameter(value: Any) -> bool:
    """Return whether ``value`` is what a search space says of a parameter."""
    return isinstance(value, dict) and "_type" in value


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises
    ------
    RecordError
        The file cannot be read, is not YAML (line and column are named), has a key twice in one object, or aliases that stand for more
        values than :data:`MOST_VALUES` or for themselves.
    """
    text = read_text(path, kind="YAML")
    try:
        return yaml.load(text, _Loader)  # a SafeLoader: it makes plain data only
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise RecordError(f"{path}: not YAML: {where}{' '.join(str(error.problem or error.context).split())}") from None
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None
    except RecursionError:
        raise RecordError(f"{path}: not readable as YAML: nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:  # a control character, a date that is none, a list as a key
        raise RecordError(f"{path}: not readable as YAML: {' '.join(str(error).split())[:200]}") from None
