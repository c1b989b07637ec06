"""`ray job submit`, as the README has it, on a head that asks for a token."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("aiohttp_cors") is None,
        reason="needs ray[default]: pip install -e '.[cluster]'",
    ),
]
RAY = str(Path(sys.executable).with_name("ray"))
Submit = Callable[..., subprocess.CompletedProcess[str]]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def submit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Submit]:
    """Return a function that submits a command, and waits for its end."""
    home, dashboard = tmp_path_factory.mktemp("home"), free_port()
    kept = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
    user = kept | {"HOME": str(home), "RAY_AUTH_MODE": "token"}
    subprocess.run([RAY, "get-auth-token", "--generate"], env=user, check=True, capture_output=True)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # Ray's sockets need a short path
        options = [
            *("--head", "--block", "--port=0", "--num-cpus=1", f"--temp-dir={folder}"),
            *("--object-store-memory=80000000", "--min-worker-port=0", "--max-worker-port=0"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
            *("--dashboard-agent-listen-port=0", f"--ray-client-server-port={free_port()}"),
        ]
        with subprocess.Popen(
            [RAY, "start", *options], env=user, stdout=subprocess.PIPE, text=True
        ) as head:
            assert head.stdout is not None
            started = any("will now block" in line for line in head.stdout)

            def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
                address = f"http://127.0.0.1:{dashboard}"
                called = [RAY, "job", "submit", "--address", address, "--", *command]
                return subprocess.run(called, env=user | more, capture_output=True, text=True)

            try:
                assert started
                yield run
            finally:
                head.terminate()
                head.communicate()


def test_a_job_runs_in_the_checkout_and_its_exit_status_arrives(
    submit: Submit, repository: Path
) -> None:
    program = f"cd {repository} && {sys.executable} search/run.py"
    done = submit("bash", "-c", f"{program} --dry-run --space smoke --address auto")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trials     12, searcher rung-tpe" in done.stdout
    refused = submit("bash", "-c", f"{program} --units 0")
    assert refused.returncode != 0
    assert "error: --units 0: give at least 1" in refused.stdout + refused.stderr
    assert "exit code 2" in refused.stdout + refused.stderr


def test_without_the_token_nothing_is_submitted(submit: Submit, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for strange in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "0123456789abcdef" * 2}):
        refused = submit("touch", str(trace), **strange)
        assert refused.returncode != 0
        assert "401" in refused.stdout + refused.stderr or "token" in refused.stderr
    assert not trace.exists()
