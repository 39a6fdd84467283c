"""The program: what the command line asks for, done by calls of the library, and shown on the screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from common.errors import InputError, RunError, StrategyError
from records.provenance import get_command
from retiarius.cli.command_line import make_parser
from retiarius.cli.exit_status import end_on_sigterm, explain
from retiarius.cli.screen import ProgramScreen, Screen
from retiarius.cli.settings import ONE_SHOT, RAY, RUN, TABLES, TRIALS, Settings, parse_settings
from retiarius.cli.summary import show_best_parameters, show_found, show_preview, show_retrained

DESCRIPTION = "Search for better networks for small images, and train what was found."


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks for.

    Returns
    -------
    int
        The exit status: 0 done, 2 bad usage or input, 1 the run failed, 130 interrupted.
    """
    screen = ProgramScreen()
    screen.command = get_command()
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # so that MODULE:NAME is found in the folder where one stands, last of all
    try:
        with end_on_sigterm():
            dispatch(sys.argv[1:] if argv is None else argv, screen)
        return 0
    except (Exception, KeyboardInterrupt) as error:
        status, line = explain(error, (InputError,), (RunError,))
        screen.error(line)
        return status


def run() -> None:
    """Be the command ``retiarius``."""
    sys.exit(main())


def program_name() -> str:
    """Return what is typed to start the program: ``python run_experiment.py``, ``retiarius``, or a script that brings a space."""
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else ""
    if name == "retiarius":
        return name
    return f"python {name if name.endswith('.py') else 'run_experiment.py'}"


def dispatch(argv: Sequence[str], screen: Screen) -> None:
    """Do what ``argv`` asks for; raise what ``main`` explains."""
    settings = parse_settings(argv, DESCRIPTION, program_name())
    for note in settings.notes:
        screen.warn(note)
    if settings.help or settings.help_all:
        screen.page(make_parser(program_name(), DESCRIPTION, everything=settings.help_all).format_help())
    elif settings.version:
        show_version(screen)
    elif settings.list:
        from retiarius.cli.listing import show_list

        show_list(screen)
    elif settings.report:
        report(settings, screen)
    elif settings.dashboard is not None:
        from common.requirements import DEFAULT_PORT
        from records.dashboard import open_dashboard

        open_dashboard(settings.dashboard, settings.port or DEFAULT_PORT, screen.say)
    elif settings.retrain is not None:
        retrain(settings, screen)
    elif settings.trial_command is not None:
        search_command(settings, screen)
    else:
        search(settings, screen)


def show_version(screen: Screen) -> None:
    """Say the version of the program, and of what a result depends on."""
    from records.provenance import collect_versions

    versions = collect_versions()
    own = versions.pop("retiarius", "unknown")
    screen.say(f"retiarius {own} ({', '.join(f'{name} {version}' for name, version in versions.items())})")


def report(settings: Settings, screen: Screen) -> None:
    """Write one HTML file about the runs."""
    from records.report import write_report

    path, notes = write_report(settings.report, settings.out, lab_table=settings.lab_table or None)
    for note in notes:
        screen.warn(note)
    screen.say(f"report: {path}")


def strategy_of(settings: Settings) -> Any:
    """Return the strategy with the settings that were typed.

    Raises
    ------
    StrategyError
        It has no use for one of them.
    """
    from retiarius.strategy_choice import AUTO, best_strategy
    from strategies import Median, make_pruner, make_strategy

    name, asked = settings.strategy or "", settings.given(*ONE_SHOT)
    if name == AUTO:
        name = best_strategy(**settings.given("table", "objectives", "storage"))
    called = name if settings.strategy == name else f"{AUTO}, here {name},"
    pruner = make_pruner(settings.pruner or "none")
    if isinstance(pruner, Median) and settings.start_step is not None:  # other pruners have no such number
        pruner = replace(pruner, start_step=settings.start_step)
    if pruner is not None:
        asked["pruner"] = pruner
    plain = make_strategy(name)
    unknown = [option for option in asked if option not in {entry.name for entry in fields(plain)}]
    if plain.one_shot and (unread := [option for option in unknown if option in ONE_SHOT]):
        raise StrategyError(f"{called} reads no architecture off alphas: leave out {', '.join(settings.given_flags(*unread))}")
    if plain.one_shot and (unknown or settings.given(*RAY)):
        raise StrategyError(f"{called} trains one supernet and runs no trials: leave out {', '.join(settings.given_flags(*TRIALS))}")
    if unknown:
        raise StrategyError(f"{called} trains no supernet: leave out {', '.join(settings.given_flags(*ONE_SHOT))}")
    return make_strategy(name, **asked)


def workers_of(settings: Settings) -> dict[str, Any]:
    """Return what is said of trials side by side: ``workers`` of a search, ``concurrency`` of that of a program."""
    from retiarius.ray_cluster import AUTO, Ray

    option = "workers" if settings.trial_command is None else "concurrency"
    on_ray, asked = settings.given(*RAY), settings.given(option)
    if not on_ray:
        return asked
    usual = 1 if settings.ray is None else None
    number = asked.get(option, usual)
    names = {"ray": "address"}
    told = {names.get(name, name): value for name, value in on_ray.items()}
    return {option: Ray(workers=None if number == AUTO else number, **told)}


def search(settings: Settings, screen: Screen) -> None:
    """Search by trials or one-shot, and show what was found."""
    from retiarius.dry_run import preview
    from retiarius.search_run import search as search_space

    asked = settings.given(*RUN, *TABLES, "trials", "time_budget", "then_retrain", "start_with", "screen")
    asked |= settings.given("storage", "study", "search_space", "optimize_mode") | workers_of(settings)
    names = {"dataset": "data", "max_params": "max_parameters", "max_flops": "max_multiply_adds"}
    asked |= {names[name]: value for name, value in settings.given(*names).items()}
    call: dict[str, Any] = {"space": settings.space, "strategy": strategy_of(settings), "fixed": settings.pins, **asked, "reporter": screen}
    if settings.dry_run:
        show_preview(screen, preview(**call))
        return
    found = search_space(**call)
    if settings.space is None:
        show_best_parameters(screen, found)
        return
    retrained = found.retrained if settings.then_retrain is not None else None
    show_found(screen, found, is_retrained=retrained is not None)
    if retrained is not None:
        show_retrained(screen, retrained)


def search_command(settings: Settings, screen: Screen) -> None:
    """Search the parameters of a user program, and show the best."""
    from retiarius.checks import check_takes_commands
    from retiarius.command_search import search_command as search_program

    check_takes_commands(settings.strategy or "")
    names = ("trials", "epochs", "preset", "time_budget", "trial_time", "optimize_mode", "code_dir", "storage", "study")
    asked = workers_of(settings) | settings.given(*names, "seed", "out", "resume", "tensorboard", "portal", "port", "experiment")
    asked |= {"tuner_arguments": settings.tuner_arguments, "assessor_arguments": settings.assessor_arguments, "fixed": settings.pins}
    space = settings.search_space or {}
    result = search_program(settings.trial_command or "", space, strategy_of(settings), **asked, reporter=screen)
    show_best_parameters(screen, result)


def retrain(settings: Settings, screen: Screen) -> None:
    """Retrain an architecture, and show how good it is."""
    from retiarius.retrain_run import retrain as retrain_architecture

    asked = settings.given(*RUN, "space", "time_budget") | ({} if settings.dataset is None else {"data": settings.dataset})
    show_retrained(screen, retrain_architecture(settings.retrain or "", fixed=settings.pins, **asked, reporter=screen))
