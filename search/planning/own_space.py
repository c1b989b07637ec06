"""The space that the options name, with the user's changes, and the user's own priors."""

from __future__ import annotations

from collections.abc import Iterable

from search.planning.options import SearchOptions
from spaces.edits import Edits, parse_edits
from spaces.prior_file import PriorEdit, read_prior_file
from spaces.space_file import read_space_file
from trainable.cache.files import user_path
from trainable.cache.yaml_file import SUFFIXES
from trainable.errors import InputError, did_you_mean

NAMED_SPACES = ("full", "stages", "heads", "smoke")
ROW_SPACES = ("published", "ablation")
NO_PRIORS = "off"  # of --priors


def read_edits(options: SearchOptions) -> tuple[str, tuple[Edits, ...]]:
    """Return the named space that a search begins from, and changes in their order.

    Those of the command line come after those of a file. It needs no torch.

    Raises:
        InputError: There is no such space, its file is wrong, or a change is not well-formed.
    """
    asked = parse_edits(options.fix, options.range, options.choices, options.vary)
    if not options.space.endswith(SUFFIXES):
        _check_known(options.space, (*NAMED_SPACES, *ROW_SPACES), f"--space {options.space}")
        return options.space, (asked,) if asked else ()
    name, own = read_space_file(user_path(options.space))
    _check_known(name, NAMED_SPACES, f"{options.space}, from: {name}")
    return name, tuple(edits for edits in (own, asked) if edits)


def read_priors(options: SearchOptions) -> tuple[PriorEdit, ...]:
    """Return the entries of the file that `--priors` names; none without one. It needs no torch.

    Raises:
        InputError: It is neither a file nor `off`, or the file is not as it should be.
    """
    given = options.priors
    if given is None or given == NO_PRIORS:
        return ()
    if not given.endswith(SUFFIXES):
        near = did_you_mean(given, (NO_PRIORS,))
        raise InputError(f"--priors {given}: give FILE.yaml or {NO_PRIORS}{near}")
    return read_prior_file(user_path(given))


def is_own(options: SearchOptions) -> bool:
    """Whether the space, or what it begins from, is the user's own."""
    has_edits = options.fix or options.range or options.choices or options.vary
    return bool(has_edits) or options.base is not None or options.space.endswith(SUFFIXES)


def _check_known(name: str, known: Iterable[str], origin: str) -> None:
    if name not in known:
        names = ", ".join(known)
        near = did_you_mean(name, known)
        or_file = " or FILE.yaml" if origin.startswith("--space") else ""
        raise InputError(f"{origin}: there is no such space; give {names}{or_file}{near}")
