"""Any NNI model space made complete: a class, an instance or a function that builds one, of anyone's.

Everybody asks a ``Space``; ``spaces.class_facts`` alone looks what a class says of itself, and ``spaces/__init__.py`` lists what it may.
Torch and NNI are imported when a space is built or its class is asked, and not for what a vocabulary tells.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

from spaces import SPACES, SpaceEntry
from spaces.argument_choices import candidates_by_label
from spaces.arguments import legal_argument, plain_arguments
from spaces.capabilities import Acceleration, OneShot
from spaces.class_facts import one_shot_facts, told_by, told_function
from spaces.foreign import CLASS_COUNTS, count_classes, full_name, import_space, state_side, unknown_space
from spaces.origins import Origin, origin_of

if TYPE_CHECKING:
    from nni.mutable import LabeledMutable
    from nni.nas.nn.pytorch import ModelSpace
    from torch import nn

    from spaces.choice_kinds import ChoiceKinds

USUAL_RECIPE = "fast"  # that suits networks of which nothing is known
STAND_IN_CLASSES = 10
MOST_CLASSES = 100_000  # that a file may ask for


class Space:
    """A model space and all that the rest of the program asks of one. Make one with ``find_space``.

    Parameters
    ----------
    name
        That of ``SPACES``, or ``package.module:QualName``.
    origin
        What builds it; ``None``: the class of ``entry``.
    entry
        Its line of ``SPACES``; ``None`` where it is not registered.
    """

    def __init__(self, name: str, origin: Origin | None = None, entry: SpaceEntry | None = None) -> None:
        self.name = name
        self._origin_given, self._entry = origin, entry
        self._kinds: ChoiceKinds | None = None  # of the space that was made last

    @property
    def is_registered(self) -> bool:
        """Whether it is one of ``SPACES``, which anyone can name."""
        return self._entry is not None

    @property
    def summary(self) -> str:
        """What it is, in a few words."""
        if self._entry is not None:
            return self._entry.summary
        return ((self._origin.kind.__doc__ or "").strip() or self.name).splitlines()[0]

    @property
    def offers(self) -> frozenset[str]:
        """What strategies may need: ``one_shot``, ``hyperparameters``. One that is not registered is tried: its strategy says why not."""
        if self._entry is not None:
            return self._entry.offers
        return frozenset({"one_shot", "hyperparameters"} if self.hyperparameters() else {"one_shot"})

    def recipe_for(self, preset: str) -> str:
        """Return the name of the recipe by which its networks are trained unless another is asked for."""
        return USUAL_RECIPE if self._entry is None else self._entry.recipe_for(preset)

    def preset_arguments(self, preset: str, phase: str) -> dict[str, Any]:
        """Return the arguments of the constructor for a preset in ``phase``, ``"search"`` or ``"retrain"``.

        Those of an instance, as far as a file can hold them, are the same for every preset.
        """
        if self._origin_given is not None and self._origin_given.given is not None:
            return plain_arguments(self._origin_given.given)
        return dict(self._data("SIZES").get(preset, {}).get(phase, {}))

    @property
    def depth(self) -> str | None:
        """The argument of the constructor that says how many cells there are; ``None`` where no one does."""
        told = told_by(self._vocabulary or self._origin.kind, "DEPTH")
        return told if isinstance(told, str) else None

    def settable(self, phase: str) -> dict[str, Sequence[Any] | None]:
        """Return the arguments that a person may set in ``phase``, ``"search"`` or ``"retrain"``, with their legal values.

        ``None`` stands for any value: the constructor says what is wrong with one.
        """
        told: Mapping[str, Any] = self._data("SETTABLE")
        if not told and not self.is_registered:
            told = {name: None for name in self._origin.parameters if name not in CLASS_COUNTS}
        settled = self._data("OF_CHOICES") if phase == "retrain" else ()
        return {name: legal for name, legal in told.items() if name not in settled}

    def sized_arguments(self, preset: str, phase: str, pins: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the preset, and in their place those that ``pins`` sets (which may hold other labels, too).

        Where a search could choose that value by itself, as of the argument ``width`` and the choice ``width``, it is no argument.

        Raises
        ------
        SpaceError
            A value is not legal; says what is.
        """
        arguments, settable = self.preset_arguments(preset, phase), self.settable(phase)
        named = {name: legal for name, legal in settable.items() if name in pins}
        chooses = not self.is_registered and phase != "retrain" and any(not isinstance(pins[name], list | tuple | dict) for name in named)
        choices = candidates_by_label(self._origin, self.with_required_classes(arguments)) if chooses else {}
        for name, legal in named.items():
            if name not in choices or pins[name] not in choices[name]:
                arguments[name] = pins[name] if legal is None else legal_argument(name, pins[name], legal)
        return arguments

    def pinned_choices(self, arguments: Mapping[str, Any], pins: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of ``pins`` that ``arguments``, of ``sized_arguments``, have not taken up."""
        taken = self.settable("search")
        return {label: value for label, value in pins.items() if not (label in taken and arguments.get(label) == value)}

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raise ``SpaceError`` where one of ``arguments``, those of a file, is none that a person may set.

        Of a space that is not registered the constructor says what is wrong.
        """
        if not self.is_registered:
            return
        for name, legal in {**dict.fromkeys(CLASS_COUNTS, range(1, MOST_CLASSES + 1)), **self.settable("search")}.items():
            if name in arguments and legal is not None:
                legal_argument(name, arguments[name], legal)

    def with_classes(self, arguments: Mapping[str, Any], number: int) -> dict[str, Any]:
        """Return ``arguments`` with the number of classes, where the constructor takes it."""
        return count_classes(self._origin.parameters, arguments, number)

    def with_side(self, arguments: Mapping[str, Any], side: int, said: Collection[str] = ()) -> dict[str, Any]:
        """Return ``arguments`` with the side of square images in pixels, where the constructor takes it and none is ``said``."""
        told = dict(arguments) if self.is_registered else state_side(self._origin.parameters, arguments, side)
        return told | {name: arguments[name] for name in said if name in arguments}

    def with_required_classes(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``arguments`` with a number of classes for a constructor that may need one, before the images are known."""
        return dict(arguments) if self.is_registered else self.with_classes(arguments, STAND_IN_CLASSES)

    @property
    def answers_at_once(self) -> bool:
        """Whether ``choices`` and what may be set are told by a vocabulary, without torch."""
        return self._vocabulary is not None

    def choices(self, arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the legal choices of the space with these ``arguments``, as ``spaces.choices.legal_choices`` tells them."""
        if self._vocabulary is not None:
            return self._vocabulary.vocabulary(arguments)
        from spaces.choices import legal_choices

        return legal_choices(self.make(arguments).simplify())

    def narrowed(self, preset: str) -> dict[str, list[Any]]:
        """Return the choices that a preset searches, by label, where it leaves some out; a person may still ask for those by name."""
        return dict(self._data("NARROWED").get(preset, {}))

    def hyperparameters(self) -> dict[str, LabeledMutable]:
        """Return the hyperparameters that are searched together with the architecture, by label."""
        told = self._method("hyperparameters")
        return {} if told is None else told()

    def default_architecture(self) -> dict[str, Any] | None:
        """Return the architecture that a search starts from; ``None``: no one is."""
        told = self._method("default_architecture")
        return None if told is None else told()

    def canonical(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return the one sample that stands for all samples which build the same network as ``sample``.

        Where the class tells nothing, the order in which several values are chosen does not matter, and all else does. What NNI computes
        of the choices, such as the value of a constraint, is left out.
        """
        told = self._method("canonical")
        return self._seen.in_order(sample) if told is None else told(sample)

    def describe(self, architecture: Mapping[str, Any]) -> dict[str, str]:
        """Return ``architecture`` in words, by name."""
        told = self._method("describe")
        return {label: str(value) for label, value in architecture.items()} if told is None else told(architecture)

    def make(self, arguments: Mapping[str, Any]) -> ModelSpace:
        """Return the unfrozen space; torch's generator is left as it was.

        Raises
        ------
        SpaceError
            ``arguments`` are not those it takes.
        """
        space = self._origin.make(arguments)
        if not self.is_registered or self._method("canonical") is None:
            from spaces.choice_kinds import choice_kinds

            self._kinds = choice_kinds(space.simplify())
        return space

    def network(self, arguments: Mapping[str, Any], architecture: Mapping[str, Any]) -> nn.Module:
        """Return the network of ``architecture``: its first weights are drawn from torch's generator as it stands.

        An instance that NNI cannot build again gives its own weights to all its networks.
        """
        if not self.is_registered and any(isinstance(value, list) for value in architecture.values()):
            if self._kinds is None:
                self.make(arguments)
            architecture = self._seen.as_chosen(architecture)
        return self._origin.network(arguments, architecture)

    @property
    def usual(self) -> Callable[[Mapping[str, Any]], Mapping[str, float]] | None:
        """What tells of a whole sample, by label, the good value of a number for its network and optimizer; ``None`` where nothing does."""
        return self._method("usual")

    def portfolio(self) -> list[dict[str, Any]]:
        """Return configurations that are worth a try first, in this order, as ``{"architecture": ..., "hyperparameters": ...}``."""
        told = self._method("portfolio")
        return [] if told is None else told()

    @property
    def features(self) -> Callable[[Mapping[str, Any]], Mapping[str, float]] | None:
        """What tells of an architecture, in numbers by name, what its network computes; ``None`` where nothing does."""
        return self._method("surrogate_features")

    @property
    def tells_costs(self) -> bool:
        """Whether ``one_shot`` tells costs."""
        return told_by(self._origin.kind, "operation_costs") is not None

    def one_shot(self, model: ModelSpace) -> OneShot:
        """Return what ``model``, an unfrozen space, tells a one-shot strategy."""
        return one_shot_facts(model)

    @property
    def acceleration(self) -> Acceleration:
        """By what its networks are computed faster than by torch alone."""
        return Acceleration(*(self._method(name) for name in ("kernels_note", "speed_up", "only_precision")))

    @cached_property
    def _origin(self) -> Origin:
        if self._origin_given is not None:
            return self._origin_given
        assert self._entry is not None
        return Origin(self._entry.load())

    @property
    def _vocabulary(self) -> ModuleType | None:
        return None if self._entry is None else self._entry.load_vocabulary()

    @property
    def _seen(self) -> ChoiceKinds:
        """The kinds of choices of the space that was made last; one is made of no arguments if there is none."""
        if self._kinds is None:
            self.make({})
        assert self._kinds is not None
        return self._kinds

    def _data(self, name: str) -> Any:
        """Return what the vocabulary or the class tells as plain data; a class of anyone's may have something else of that name."""
        told = told_by(self._vocabulary or self._origin.kind, name)
        return told if isinstance(told, Mapping | frozenset | set) else {}

    def _method(self, name: str) -> Any:
        """Return the static method or class method of this name, or ``None``."""
        return told_function(self._origin.kind, name)


def find_space(what: Any) -> Space:
    """Return the space that ``what`` stands for.

    Parameters
    ----------
    what
        A name of ``SPACES``; ``package.module:Name`` of what follows, which is imported; a ``ModelSpace`` class, an instance of one, or a
        function whose arguments are those of the space and which builds it when it is called.

    Raises
    ------
    SpaceError
        There is no such space, it cannot be imported, or it is no model space.
    """
    if isinstance(what, Space):
        return what
    if isinstance(what, str):
        if what in SPACES:
            return Space(what, entry=SPACES[what])
        if ":" not in what:
            raise unknown_space(what, SPACES)
        what = import_space(what)
    origin, name = origin_of(what), full_name(what)
    for registered, entry in SPACES.items():
        if entry.target == name:
            return Space(registered, origin, entry)
    return Space(name, origin)
