"""Find or download NLTK's resources: its tagger, WordNet. NLTK itself is an optional package."""

from __future__ import annotations

import io
from typing import Any

from trainable.errors import InputError


def find_resource(path: str, feature: str) -> Any:
    """Return where one of NLTK's resources lies; download it if it is missing.

    The download goes to NLTK's own folder, and NLTK keeps two processes that want the same file
    apart.

    Args:
        path: The resource, as "corpora/wordnet"; its last part is its name in NLTK's downloader.
        feature: Name of the option that needs it, for the message.

    Returns:
        NLTK's pointer to the folder, or to the folder inside a zip file.

    Raises:
        InputError: NLTK is not installed, or the resource is missing and cannot be downloaded.
    """
    try:
        import nltk
    except ImportError as error:
        raise InputError(
            f"{feature} needs the package nltk, which is not installed; run: "
            f"pip install 'multitask-bert-search[features]'"
        ) from error
    try:
        return nltk.data.find(f"{path}/")  # without the slash, a zip file's folder is not found
    except LookupError:
        name = path.rsplit("/", 1)[-1]
    try:
        # What NLTK would print goes into the exception instead.
        nltk.download(name, quiet=True, raise_on_error=True, print_error_to=io.StringIO())
        return nltk.data.find(f"{path}/")
    except (LookupError, OSError, ValueError) as error:
        raise InputError(
            f"{feature} needs NLTK's {name}, which is not on this machine and cannot be downloaded "
            f"({type(error).__name__}); run, where there is a network: "
            f"python -m nltk.downloader {name} ; then copy its folder nltk_data to the home "
            f"directory here, or set NLTK_DATA to it"
        ) from error
