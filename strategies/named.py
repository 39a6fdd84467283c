"""What strategies and pruners have in common: a name, and settings that a file or a command line can give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from common.errors import StrategyError, unknown_name
from common.text import show

if TYPE_CHECKING:
    from typing_extensions import Self  # typing's begins with Python 3.11


@dataclass(frozen=True, kw_only=True)
class Named:
    """A frozen object with settings, whose class has a name.

    Attributes
    ----------
    name
        What the command line and the record call it; the name of the class where it has none of its own.
    summary
        One line about it.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.name = vars(cls).get("name", cls.__name__)

    def __new__(cls, *arguments: Any, **settings: Any) -> Self:
        """Refuse a setting that does not exist, in one line."""
        cls._check_names(settings)
        return super().__new__(cls)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Return one with these settings.

        Raises
        ------
        StrategyError
            A setting is unknown, or a value cannot be.
        """
        return cls(**settings)

    @classmethod
    def _check_names(cls, settings: Mapping[str, Any]) -> None:
        if vars(cls).get("__init__") is None or "__dataclass_fields__" not in vars(cls):
            return  # a class with a constructor of its own
        known = [field.name for field in fields(cls)]
        for setting in settings:
            if setting not in known:
                what = unknown_name("setting", setting, known) if known else f"unknown setting {show(setting)}; it has none"
                raise StrategyError(f"{cls.name}: {what}")
