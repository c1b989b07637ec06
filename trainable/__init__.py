"""One minBERT multitask run: configuration, data, model, training loop, checkpoint.

`from trainable import load` is how other programs use a trained model; see `trained_model`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainable.trained_model import Model, Predictions, load

__all__ = ["Model", "Predictions", "load"]


def __getattr__(name: str) -> Any:
    """Import torch, which takes seconds, only where the names above are asked for."""
    if name in __all__:
        return getattr(import_module("trainable.trained_model"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
