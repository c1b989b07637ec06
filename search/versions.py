"""The versions that a result depends on."""

from __future__ import annotations

import platform
from importlib.metadata import version

_PACKAGES = ("ray", "optuna", "torch", "transformers", "datasets", "tokenizers")


def versions() -> dict[str, str]:
    """Return name -> version of Python and of the packages that compute or search."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
