from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from search.cluster import local_ray
from trainable.errors import InputError


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
@pytest.mark.parametrize(("length", "given"), [(30, None), (100, "/tmp/ray")])
def test_ray_gets_a_short_folder_where_that_of_the_user_is_too_long_for_sockets(
    monkeypatch: pytest.MonkeyPatch, variable: str, length: int, given: str | None
) -> None:
    asked = start_of(monkeypatch, lambda: None)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, "/" + "x" * length)
    with pytest.raises(InputError, match="a local Ray cannot start: no Ray here; set TMPDIR"):
        local_ray.start_local()
    assert asked["_temp_dir"] == given


def test_where_home_cannot_be_written_to_the_token_is_in_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def make_token() -> None:
        if not os.environ.get("RAY_AUTH_TOKEN"):
            raise OSError("read-only")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")  # is put back at the end
    start_of(monkeypatch, make_token)
    with pytest.raises(InputError):
        local_ray.start_local()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert not list(tmp_path.iterdir())


def test_only_the_user_may_read_the_token_that_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("0" * 64)
    token.chmod(0o644)
    monkeypatch.setenv("HOME", str(tmp_path))
    start_of(monkeypatch, lambda: None)
    with pytest.raises(InputError):
        local_ray.start_local()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


@pytest.mark.parametrize(("given", "expected"), [(None, "0"), ("1", "1")])
def test_no_worker_starts_that_no_trial_can_use_unless_the_user_wants_it(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    variable = "RAY_prestart_worker_first_driver"
    monkeypatch.setenv(variable, given or "")  # is put back at the end
    if given is None:
        monkeypatch.delenv(variable)
    start_of(monkeypatch, lambda: None)
    with pytest.raises(InputError):
        local_ray.start_local()
    assert os.environ[variable] == expected


@pytest.mark.parametrize(
    ("raised", "expected", "said"),
    [
        ("The current node timed out during startup. This", InputError, "too busy; try again"),
        ("something else", Exception, "^something else$"),
    ],
)
def test_a_ray_that_does_not_answer_in_time_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, raised: str, expected: type[Exception], said: str
) -> None:
    def init(**_: object) -> None:
        raise Exception(raised)  # as Ray does

    start_of(monkeypatch, lambda: None)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(expected, match=said):
        local_ray.start_local()


def start_of(monkeypatch: pytest.MonkeyPatch, make_token: Callable[[], None]) -> dict[str, object]:
    """Let Ray refuse to start; returns what it is asked, once it is."""
    asked: dict[str, object] = {}

    def init(**options: object) -> None:
        asked.update(options)
        raise OSError("no Ray here")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(local_ray, "make_token", make_token)
    return asked
