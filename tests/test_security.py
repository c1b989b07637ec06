"""What search/docs/security.md promises, and no other test shows."""

from __future__ import annotations

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from search.log.events import read_events
from search.log.folder import EVENTS
from tests.chaos.clusters import children
from tests.ports import Listening, answers, listening

# Functions that run what they read, by how they are called.
RUNS_ANYTHING = re.compile(
    r"(c?pickle|cloudpickle|dill|joblib|marshal)\.(loads?|Unpickler)|shelve\.open|eval|exec"
    r"|yaml\.(load|load_all|full_load|unsafe_load)|os\.(system|popen)|(pd|pandas)\.read_pickle"
)
UNLESS = {"torch.load": ("weights_only", True)}
NEVER = {"trust_remote_code": True, "allow_pickle": True, "shell": True, "weights_only": False}


def dangers(source: str) -> list[str]:
    """Return the calls that would run what is read."""
    found = []
    safe_loaders = {
        own.name
        for own in ast.walk(ast.parse(source))
        if isinstance(own, ast.ClassDef)
        and [ast.unparse(base) for base in own.bases] in (["yaml.SafeLoader"], ["yaml.BaseLoader"])
    }
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call):
            name = ast.unparse(call.func)
            loader = call.args[-1] if call.args else None
            if name == "yaml.load" and loader and ast.unparse(loader) in safe_loaders:
                continue
            given = {
                k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)
            }
            needed = UNLESS.get(name)
            if (
                RUNS_ANYTHING.fullmatch(name)
                or (needed and given.get(needed[0]) is not needed[1])
                or any(given.get(key) is value for key, value in NEVER.items())
            ):
                found.append(f"line {call.lineno}: {ast.unparse(call)}")
    # `from pickle import load` would hide the call.
    for line in ast.walk(ast.parse(source)):
        if isinstance(line, ast.ImportFrom):
            names = [f"{line.module}.{name.name}" for name in line.names]
            found += [f"line {line.lineno}: {n}" for n in names if RUNS_ANYTHING.fullmatch(n)]
    return found


@pytest.mark.parametrize("package", ["search", "spaces", "trainable"])
def test_nothing_that_is_read_is_run(repository: Path, package: str) -> None:
    files = sorted((repository / package).rglob("*.py"))
    assert files
    assert {p.name: d for p in files if (d := dangers(p.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(file)",
        "cloudpickle.loads(data)",
        "from pickle import load",
        "pickle.Unpickler(file)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text, yaml.Loader)",
        "eval(text)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "os.system(command)",
    ],
)
def test_a_danger_is_found(line: str) -> None:
    assert dangers(line)


def test_what_is_safe_is_left_alone() -> None:
    assert dangers("model.eval(); torch.load(p, weights_only=True); yaml.safe_load(t)") == []
    own = "class Own(yaml.SafeLoader): pass\n"
    assert dangers(f"{own}yaml.load(t, Own)") == []
    assert dangers(f"{own.replace('Safe', 'Full')}yaml.load(t, Own)")


def test_tests_contact_this_machine_only() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        socket.create_connection(server.getsockname()).close()
    for address in ("192.0.2.1", "2001:db8::1"):  # kept for documentation: nobody's
        with (
            socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client,
            pytest.raises(AssertionError, match=f"this machine only, not {address}"),
        ):
            client.connect((address, 80))


SECRETS = {
    "AWS_ACCESS_KEY_ID": "planted-key-id",
    "AWS_SECRET_ACCESS_KEY": "planted-secret-key",
    "AWS_SESSION_TOKEN": "planted-session-token",
    "HF_TOKEN": "hf_planted_token",
}


@dataclass(frozen=True)
class Finished:
    """A search on this machine by a user who has secrets.

    Attributes:
        answers: Where its processes listened while a trial ran, and what was answered there to
            calls without the token, and with it.
        token: The file that holds the token of its Ray.
        written: Path -> content of what it has written, Ray's logs included; and what it printed.
    """

    answers: dict[Listening, tuple[set[str], set[str]]]
    token: Path
    written: dict[str, bytes]


@pytest.fixture(scope="module")
def finished(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    folder = tmp_path_factory.mktemp("user")
    logs = Path(tempfile.mkdtemp(dir="/tmp"))  # Ray's sockets need a short path
    home, storage = folder / "home", folder / "runs"
    home.mkdir()
    kept = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
    options = [
        *("--space", "smoke", "--budget", "2000000", "--units", "100", "--trials", "1", "--quiet"),
        *("--address", "local", "--name", "search", "--storage", str(storage)),
    ]
    with subprocess.Popen(
        [sys.executable, "search/run.py", *options],
        cwd=repository,
        env={**kept, **SECRETS, "HOME": str(home), "RAY_TMPDIR": str(logs)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        wait_for_report(storage / "search" / EVENTS, process)
        found = listening([process.pid, *children(process.pid)])
        token = home / ".ray" / "auth_token"
        said = {at: (answers(at), answers(at, token.read_text())) for at in found}
        assert process.poll() is None  # nothing that was asked had ended
        process.terminate()
        printed, _ = process.communicate()
    assert process.returncode == 0, printed.decode()
    paths = [path for root in (storage, logs) for path in root.rglob("*") if path.is_file()]
    written = {str(path): path.read_bytes() for path in paths} | {"printed": printed}
    yield Finished(said, token, written)
    shutil.rmtree(logs)


def wait_for_report(log: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a trial has reported its first unit."""
    while process.poll() is None:
        if log.exists() and any(e["event"] == "reported" for e in read_events(log)):
            return
        time.sleep(0.05)


@pytest.mark.slow
def test_a_local_search_listens_on_the_loopback_only(finished: Finished) -> None:
    assert len(finished.answers) >= 4  # of GCS and raylet alone
    assert [at for at in finished.answers if not at.host.is_loopback] == []


@pytest.mark.slow
def test_every_port_of_a_local_search_asks_for_the_token(finished: Finished) -> None:
    refused = {frozenset(without) for without, _ in finished.answers.values()}
    assert refused == {frozenset({"UNAUTHENTICATED"}), frozenset({"401"})}
    for _, right in finished.answers.values():
        assert right & {"OK", "200", "500"}  # the same calls


@pytest.mark.slow
def test_no_secret_is_in_what_a_search_writes_or_in_the_logs_of_ray(finished: Finished) -> None:
    names = {Path(path).name for path in finished.written}
    assert {EVENTS, "best.json", "report.md", "raylet.out", "runtime_env_agent.log"} <= names
    secrets = [*SECRETS.values(), finished.token.read_text()]
    for path, content in finished.written.items():
        assert not [secret for secret in secrets if secret.encode() in content], path


@pytest.mark.slow
def test_only_the_user_may_read_the_token(finished: Finished) -> None:
    assert finished.token.stat().st_mode & 0o777 == 0o600
    assert len(finished.token.read_text()) >= 32
