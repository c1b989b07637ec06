"""What is missing on a machine."""

from __future__ import annotations

import pytest

import search.planning.corpora
from trainable.errors import InputError


@pytest.fixture
def _no_tagger(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise InputError("features.pos_tags needs a tagger")

    monkeypatch.setattr(search.planning.corpora, "load_tagger", refuse)
