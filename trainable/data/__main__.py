"""Print what was understood of a task file: `python -m trainable.data FILE.yaml`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from trainable.cache.files import user_path
from trainable.errors import InputError
from trainable.exit_status import exit_status


@dataclass(frozen=True)
class ShowData:
    """Read and check a task file and its examples, and print what was understood."""

    tasks: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.yaml")]
    """A task file, or a table that comes with the project: course, course-cfimdb, glue, glue-hub.
    Names of tasks may follow, as in glue:rte,mrpc."""

    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """What relative paths in the file begin from. Default: the folder of the file."""

    encoder: Annotated[str | None, tyro.conf.arg(metavar="FOLDER|HUB-ID")] = None
    """Count the tokens of this encoder's tokenizer instead of words."""


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    options = tyro.cli(
        ShowData,
        prog="python -m trainable.data",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    # They take a second to import: a mistyped option is refused before.
    from rich.console import Console

    from trainable.data.read_tasks import read_tasks
    from trainable.data.summary import CountTokens, print_summary

    try:
        folder = None if options.data_dir is None else user_path(str(options.data_dir))
        source = read_tasks(options.tasks, folder)
        count: CountTokens | None = None
        if options.encoder is not None:
            from trainable.data.tokenize import token_counter
            from trainable.model.encoder import TINY, find_folder

            if options.encoder == TINY:
                raise InputError(
                    "--encoder tiny has no tokenizer of its own, since each run makes it from its "
                    "data; leave --encoder out"
                )

            count = token_counter(find_folder(options.encoder, None))
        print_summary(source.load(), Console(highlight=False), count)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
