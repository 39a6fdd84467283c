"""One Optuna study that several processes or machines search together: the sampler of each knows the trials of all.

Each process keeps a record of its own trials and can be resumed alone; the study is where they meet. An interrupted process is put in
order by that record when it is resumed: what the study has not heard of is told, what was running is run again.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState, create_trial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from common.errors import SearchFailed, StrategyError

FORMS = "sqlite:///FILE, postgresql://HOST/DATABASE or journal:///FILE"
# In which the members of a study that is named by their settings may differ; not in the seed, by which validation images are cut.
OWN_BUSINESS = ("trials", "precision", "--workers", "--storage", "--study", "--start-with", "concurrency", "code_dir")
MEMBER, SPACE = "retiarius:member", "retiarius:space"  # user attributes: of a trial, whose it is; of a study, what is searched
SECONDS_TO_CONNECT, SECONDS_TO_WAIT = 10, 60  # for a server; for another process that writes an SQLite file
_JOURNAL = "journal:///"
_RACES = re.compile(r"already exists|duplicate key|unique constraint|locked", re.IGNORECASE)
logger = logging.getLogger("retiarius.strategies")


@contextlib.contextmanager
def open_storage(url: str) -> Iterator[BaseStorage]:
    """Open the storage of ``url``, whose tables are made where there are none; raise ``StrategyError`` where it cannot be used."""
    storage = _open(url)
    try:
        yield storage
    finally:
        if isinstance(storage, RDBStorage):
            storage.remove_session()
            storage.engine.dispose()


def _open(url: str) -> BaseStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for library in ("sqlalchemy", "psycopg"):
        logging.getLogger(library).addHandler(logging.NullHandler())  # a lost connection is ours to tell, in one line
    if url.startswith(_JOURNAL):
        return _open_journal(Path(url.removeprefix(_JOURNAL)))
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise StrategyError(f"`storage` is not the URL of a storage; expected {FORMS}") from None
    shown = address.render_as_string(hide_password=True)
    options: dict[str, Any] = {}
    if address.drivername == "postgresql" and importlib.util.find_spec("psycopg") is not None:
        address = address.set(drivername="postgresql+psycopg")  # else SQLAlchemy asks for its predecessor
    if address.get_backend_name() == "postgresql":
        options = {"connect_args": {"connect_timeout": SECONDS_TO_CONNECT}, "pool_pre_ping": True}
    elif address.get_backend_name() == "sqlite":
        options = {"connect_args": {"timeout": SECONDS_TO_WAIT}}
    try:
        return _open_database(address.render_as_string(hide_password=False), options)
    except NoSuchModuleError:
        raise StrategyError(f"`storage`: {shown} is of an unknown kind; expected {FORMS}") from None
    except ImportError:
        hint = "pip install 'retiarius[postgresql]'" if address.get_backend_name() == "postgresql" else "install it"
        raise StrategyError(f"`storage`: {shown} needs a driver that is not installed: {hint}") from None
    except (SQLAlchemyError, StorageInternalError, RuntimeError, OSError, ValueError) as error:
        raise StrategyError(f"`storage`: {shown} cannot be used: {_first_line(error)}") from None


def _open_journal(path: Path) -> BaseStorage:
    try:
        storage = JournalStorage(JournalFileBackend(str(path)))
        storage.get_all_studies()
        return storage
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StrategyError(f"`storage`: {_JOURNAL}{path} cannot be used: {_first_line(error)}") from None


def _open_database(url: str, options: dict[str, Any], attempts: int = 10) -> BaseStorage:
    """Two processes that come to an empty database at once stand in each other's way, once."""
    for attempt in range(1, attempts + 1):
        try:
            return RDBStorage(url, engine_kwargs=dict(options))
        except (SQLAlchemyError, StorageInternalError) as error:
            if attempt == attempts or not _RACES.search(f"{error} {error.__cause__}"):
                raise
            time.sleep(0.1 * attempt)
    raise AssertionError


def _first_line(error: BaseException) -> str:
    """Return the database's own words: the innermost error, without the statement."""
    inner = getattr(error, "orig", None) or error.__cause__ or error
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return lines[0] if lines else type(inner).__name__


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> None:
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(name, distribution.choices)
    else:
        assert isinstance(distribution, FloatDistribution), "strategies.optuna.encoders has these two"
        trial.suggest_float(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def name_study(space: str, strategy: str, identity: Mapping[str, Any]) -> str:
    """Return a name that all processes come to that search the same: from their settings, save those in which members may differ."""
    same = {name: value for name, value in identity.items() if name not in OWN_BUSINESS}
    return f"{space}-{strategy}-{hashlib.sha256(json.dumps(same, sort_keys=True, default=str).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class SharedStudy:
    """A study, as one of the processes takes part that search it together.

    Attributes
    ----------
    storage
        Where it is, opened by :func:`open_storage`.
    name
        Of the study.
    member
        Of the process: 32 hexadecimal digits, kept when it is resumed.
    """

    storage: BaseStorage
    name: str
    member: str

    def open(self, directions: Sequence[StudyDirection], sampler: optuna.samplers.BaseSampler) -> optuna.Study:
        """Return the study, made where there is none; raise ``StrategyError`` where one of this name has other objectives."""
        with self.reachable():
            study = optuna.create_study(
                storage=self.storage, study_name=self.name, directions=directions, sampler=sampler, load_if_exists=True
            )
            if list(study.directions) != list(directions):
                raise self._other("other objectives")
        return study

    def check(self, study: optuna.Study, distributions: Mapping[str, BaseDistribution]) -> None:
        """Raise ``StrategyError`` where the study is of another space than ``distributions``."""
        space = {name: distribution_to_json(distribution) for name, distribution in sorted(distributions.items())}
        digest = hashlib.sha256(json.dumps(space).encode()).hexdigest()
        with self.reachable():
            if study.user_attrs.get(SPACE, digest) != digest:
                raise self._other("another search space")
            study.set_user_attr(SPACE, digest)

    def _other(self, what: str) -> StrategyError:
        return StrategyError(f"the study {self.name!r} in this storage has {what}; set `study` to another name")

    def seed(self, seed: int) -> int:
        """Return a seed that no other member has, nor this one before it was interrupted: else they would propose the same."""
        return int(np.random.SeedSequence([seed, int(self.member, 16), time.time_ns()]).generate_state(1)[0])

    def ask(self, study: optuna.Study, distributions: Mapping[str, BaseDistribution]) -> Trial:
        """Return the sampler's next trial, signed before its parameters are drawn: one that is cut off has an owner who finds it again."""
        trial = study.ask()
        trial.set_user_attr(MEMBER, self.member)
        for name, distribution in distributions.items():
            _suggest(trial, name, distribution)
        return trial

    def begin(self, study: optuna.Study, parameters: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> Trial:
        """Return a trial of these parameters, at once: from Optuna's queue any other member might take it."""
        template = create_trial(
            state=TrialState.RUNNING, params=dict(parameters), distributions=dict(distributions), user_attrs={MEMBER: self.member}
        )
        return Trial(study, self.storage.create_new_trial(self.storage.get_study_id_from_name(self.name), template))

    def owns(self, trial: optuna.trial.FrozenTrial) -> bool:
        """Return whether a trial is this member's."""
        return trial.user_attrs.get(MEMBER) == self.member

    @contextlib.contextmanager
    def reachable(self) -> Iterator[None]:
        """Turn what a storage raises that is lost meanwhile into a ``SearchFailed`` of one line."""
        try:
            yield
        except (SQLAlchemyError, StorageInternalError) as error:
            logger.warning("the storage failed", exc_info=True)
            raise SearchFailed(
                f"the storage of the study {self.name!r} failed: {_first_line(error)}; continue the run with `resume`"
            ) from None
