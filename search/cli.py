"""The program `mtbert`: each of its commands is a script of search/ under another name.

Nothing heavy is imported before it is clear which command is meant.
"""

from __future__ import annotations

import sys
from importlib import import_module

from trainable.errors import InputError, did_you_mean
from trainable.exit_status import exit_status

# Command -> the module of `search.commands` with its `main`, and what it does.
COMMANDS = {
    "search": ("run", "search for the best configuration"),
    "retrain": ("retrain", "train the best configuration of a search again, with several seeds"),
    "predict": ("predict", "predict with what was found, for a file or standard input"),
    "export": ("export", "write trials.csv, best.json and curves again, or an Optuna study"),
    "replay": ("replay", "say what other schedulers would have found on a search's own curves"),
    "report": ("write_again", "write report.md and report.html again"),
}
_HELP = "\n".join(
    [
        "usage: mtbert COMMAND [OPTIONS]",
        "",
        "Multitask BERT: find a configuration, train it, use it.",
        "",
        *(f"  {name:8} {what}" for name, (_, what) in COMMANDS.items()),
        "",
        "`mtbert COMMAND --help` lists the options of a command.",
    ]
)


def main(arguments: list[str] | None = None) -> int:
    """Run `mtbert`; returns the exit status."""
    return exit_status(lambda: _main(sys.argv[1:] if arguments is None else arguments))


def _main(arguments: list[str]) -> int:
    name, *rest = arguments or [""]
    if name in ("-h", "--help"):
        print(_HELP)
        return 0
    if name in COMMANDS:
        return run_command(name, rest, f"mtbert {name}")
    if not name:
        print(_HELP, file=sys.stderr)
    else:
        allowed = f"allowed are {', '.join(COMMANDS)}{did_you_mean(name, COMMANDS)}"
        print(f"error: mtbert has no command {name!r}; {allowed}", file=sys.stderr)
    return 2


def run_command(name: str, arguments: list[str] | None, prog: str) -> int:
    """Import a command and run it; returns its exit status.

    Args:
        name: One of `COMMANDS`.
        arguments: Its arguments; None for those of this process.
        prog: Name of the program in its help.
    """
    if name == "search" and not _are_possible(arguments, prog):
        return 2
    module = import_module(f"search.commands.{COMMANDS[name][0]}")
    return int(module.main(arguments, prog))


def _are_possible(arguments: list[str] | None, prog: str) -> bool:
    """Refuse wrong options before torch and Ray are imported, which takes seconds."""
    from search.planning.check_options import check_options
    from search.planning.options import parse

    try:
        check_options(parse(arguments, prog))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return False
    return True
