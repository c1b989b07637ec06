"""Train one configuration without Ray: `python -m trainable CONFIG`, JSON or YAML."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from trainable.exit_status import exit_status


@dataclass(frozen=True)
class Options:
    """Train one configuration and print its dev scores."""

    config: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG")] = None
    """A RunConfig as JSON or YAML, or the best.json of a search. Whatever a file of your own leaves
    out has its default, which is printed; a best.json is complete."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder for the trained model, which search/predict.py and `trainable.load` use. Without it,
    the scores are all that is left."""

    example: bool = False
    """Print the default RunConfig, to begin a CONFIG with."""


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    options = tyro.cli(
        Options,
        prog="python -m trainable",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    # torch takes seconds to import: a mistyped option is refused before.
    from trainable.training.train_file import print_example, train_file

    return print_example() if options.example else train_file(options.config, options.out)


if __name__ == "__main__":
    sys.exit(exit_status(main))
