"""The page of the command line: every flag of the parser, by group, with what ``--help-all`` says of it."""

from __future__ import annotations

import argparse

from retiarius.cli.command_line import EXAMPLES, make_parser
from retiarius.cli.exit_status import BAD_INPUT, FAILED, INTERRUPTED

PROGRAM = "python run_experiment.py"
INTRODUCTION = f"""
# Command line

    {PROGRAM} --space NAME --strategy NAME [flags]

`retiarius`, which the installation brings, is a command of the same meaning. `--help` shows the most used flags, `--help-all` every flag.
What values mean, and their defaults, is in [settings](settings.md).
"""
STATUSES = {
    0: "done",
    BAD_INPUT: "bad usage or input; one line says what is wrong and what would be right",
    FAILED: "the run failed",
    INTERRUPTED: "interrupted by Ctrl-C or SIGTERM; what was finished is kept",
}


def write_page() -> str:
    """Return the page."""
    examples, _, _ = EXAMPLES.partition("\n\n")
    lines = [INTRODUCTION.strip(), "## Examples", examples.partition("\n")[2].replace("  {program}", f"    {PROGRAM}")]
    for group in make_parser(PROGRAM, "")._action_groups:
        if group._group_actions:
            lines += [f"## {_title(group.title or '')}", "\n".join(map(_flag, group._group_actions))]
    lines += ["## Exit status", "\n".join(f"- `{status}`: {meaning}" for status, meaning in STATUSES.items())]
    return "\n\n".join(lines) + "\n"


def _title(group: str) -> str:
    return group if group[:1].isupper() else f"{group[:1].upper()}{group[1:]}"


def _flag(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings)
    if action.nargs != 0:
        names += f" {action.metavar or '{' + ','.join(map(str, action.choices or ())) + '}'}"
        names += " ..." if action.nargs == "+" else ""
    often = "; may be given several times" if isinstance(action, argparse._AppendAction) else ""
    return f"- `{names}`: {action.help}{often}"
