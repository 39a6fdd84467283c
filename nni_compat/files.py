"""NNI's own files as plain data: ``search_space.json`` and ``config.yml``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from common.errors import RecordError
from common.files import read_json, read_text
from common.text import show


class _Loader(yaml.SafeLoader):
    """YAML without code, as people mean it: a key stands once in an object, and 1e-4 is a number (for YAML 1.1 it is a text)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        entries = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]  # what << brings may be set anew
        keys = [self.construct_object(key, deep=True) for key in entries]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise RecordError(f"line {entries[position].start_mark.line + 1}: the key {show(key)} stands twice in one object")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789"))


def fold(key: Any) -> str:
    """A key of NNI's as it is compared: NNI takes any case, and underscores."""
    return str(key).replace("_", "").lower()


_KEYS = ("trialCommand", "trial", "trialConcurrency", "tuner", "assessor", "searchSpaceFile", "searchSpacePath", "maxTrialNumber")
_KEYS_OF_EXPERIMENTS = frozenset(map(fold, (*_KEYS, "maxTrialNum", "experimentName", "authorName", "trainingService")))


def read_search_space(path: Path) -> Any:
    """The content of ``search_space.json``, or of the same in YAML, which NNI takes too.

    Raises:
        RecordError: the file cannot be read, is neither, is empty, or is the other one of NNI's files.
    """
    document = read_yaml(path) if path.suffix in (".yml", ".yaml") else read_json(path)
    if document is None:
        raise RecordError(f'{path}: there is nothing in it; a search space is such as {{"lr": {{"_type": "uniform", "_value": [0, 1]}}}}')
    said = {fold(key) for key, value in document.items() if not is_parameter(value)} if isinstance(document, dict) else set()
    if len(said & _KEYS_OF_EXPERIMENTS) > 1:
        raise RecordError(f"{path}: this describes an experiment, and no search space: it goes with --config")
    return document


def is_parameter(value: Any) -> bool:
    """Whether ``value`` is what a search space says of a parameter."""
    return isinstance(value, dict) and "_type" in value


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        RecordError: the file cannot be read, is not YAML (line and column are named), or has a key twice in one object.
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
        raise RecordError(f"{path}: not YAML that can be read: nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:  # a control character, a date that is none, a list as a key
        raise RecordError(f"{path}: not YAML that can be read: {' '.join(str(error).split())[:200]}") from None
