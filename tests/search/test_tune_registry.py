"""Where Ray Tune looks for the trainable."""

from __future__ import annotations

import pytest
from ray.tune import Trainable, registry

from search.tune_registry import registered


class Asked(Exception):
    """The cluster was asked for a trainable."""


class Mine(Trainable):
    """A trainable."""


class Other(Trainable):
    """Another one."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Stands for a cluster that Ray is connected to; gives the keys that it was handed."""
    handed: list[bytes] = []

    def ask(key: bytes) -> bytes:
        raise Asked(key)

    monkeypatch.setattr(registry, "_internal_kv_initialized", lambda: True)
    monkeypatch.setattr(registry, "_internal_kv_put", lambda key, *_, **__: handed.append(key))
    monkeypatch.setattr(registry, "_internal_kv_get", ask)
    monkeypatch.setattr(registry, "_global_registry", registry._Registry(prefix="a job"))
    return handed


def test_the_cluster_is_handed_a_trainable_and_not_asked_for_it(cluster: list[bytes]) -> None:
    with registered(Mine) as name:
        assert registry.get_trainable_cls(name) is Mine
        registry.validate_trainable(name)
    assert len(cluster) == 1
    assert b"Mine" in cluster[0]


def test_it_is_asked_for_all_others_and_afterwards(cluster: list[bytes]) -> None:
    with registered(Mine) as name:
        registry.register_trainable("Other", Other)
        with pytest.raises(Asked):
            registry.get_trainable_cls("Other")
    with pytest.raises(Asked):
        registry.get_trainable_cls(name)


def test_an_error_leaves_nothing_behind(cluster: list[bytes]) -> None:
    with pytest.raises(KeyboardInterrupt), registered(Mine):
        raise KeyboardInterrupt
    with pytest.raises(Asked):
        registry.validate_trainable("Mine")
