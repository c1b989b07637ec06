"""slurm.sh, run by bash, where Slurm and Ray only record how they are called."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.planning.options import parse

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).resolve().parents[2] / "search/cluster/launch/slurm.sh"
TOKEN_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "OMP_NUM_THREADS")
# srun runs what follows its options.
RUN_REST = """
rest = sys.argv[1:]
while rest[0].startswith("--"):
    del rest[0]
os.execvp(rest[0], rest)
"""
# A head answers once it is there; nodes stay until they are ended.
RAY = """
import time
text = open({log!r}).read()
if sys.argv[1] == "status":
    # srun's own call names --head as well, before the head has been called.
    sys.exit(0 if '"name": "ray", "arguments": ["start", "--head"' in text else 1)
open(f"node-{{os.getpid()}}", "x")
time.sleep(60)
"""
# The driver ends with status 3 when it is interrupted.
DRIVER = """
import time
if sys.argv[1] == "-c" and "ray.init" in sys.argv[2]:
    for _ in range(600):  # stands for what asks Ray
        text = open({log!r}).read()
        if text.count('"name": "ray", "arguments": ["start"') == {n_starts}:
            sys.exit()
        time.sleep(0.05)
    sys.exit("no such nodes")
if sys.argv[1] == "-c":
    exec(sys.argv[2])
    sys.exit()
try:
    open("driver-is-ready", "x")
    if os.environ.get("STAY"):
        time.sleep(60)
    sys.exit(int(os.environ.get("STATUS", "0")))
except KeyboardInterrupt:
    sys.exit(3)
"""
# A node comes with every call, and one is lost.
RAY_MODULE = """
calls = []
def init(address, **options):
    print(address)
def nodes():
    calls.append(1)
    return [{"Alive": False}] + [{"Alive": True}] * len(calls)
"""


class Job:
    """The script as a job of so many nodes, with the options of a search.

    Attributes:
        named: What the first node's name stands for.
        others: All of its addresses.
    """

    named, others = "10.1.2.3", "10.9.9.9 fe80::1"

    def __init__(self, recorder: Any, folder: Path, n_nodes: int, **environment: str) -> None:
        log = str(recorder.log)
        recorder.log.touch()
        nodes = "\\n".join(f"node{i + 1}" for i in range(n_nodes))
        recorder.add("scontrol", then=f'print("{nodes}")')
        addresses = f'print({{"--ip-address": {self.named!r}}}.get(sys.argv[1], {self.others!r}))'
        recorder.add("hostname", then=addresses)
        recorder.add("srun", then=RUN_REST)
        recorder.add("sleep")
        recorder.add("ray", *TOKEN_VARIABLES, then=RAY.format(log=log))
        n_starts = 2 if n_nodes > 1 else 1
        recorder.add("python", *TOKEN_VARIABLES, then=DRIVER.format(log=log, n_starts=n_starts))
        (folder / "bin").mkdir(exist_ok=True)
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / ".venv" / "bin" / "activate").touch()
        # Under nohup, say, tests ignore SIGINT, and bash cannot trap what it was started to ignore.
        bash = ["env", "--default-signal=INT", "bash"]
        self.process = subprocess.Popen(
            [*bash, str(SCRIPT), "--name", "n", "--storage", "/shared/my results"],
            env={
                "PATH": f"{recorder.folder}:/usr/bin:/bin",
                "OMP_NUM_THREADS": "8",
                "SLURM_SUBMIT_DIR": str(folder),
                "SLURM_JOB_ID": "1234567",
                "SLURM_JOB_NODELIST": f"node[1-{n_nodes}]",
                "SLURM_JOB_NUM_NODES": str(n_nodes),
                "SLURM_CPUS_ON_NODE": "32",
                **environment,
            },
            start_new_session=True,
        )


@pytest.fixture
def jobs() -> Iterator[list[Job]]:
    started: list[Job] = []
    yield started
    for job in started:
        if job.process.poll() is None:
            os.killpg(job.process.pid, signal.SIGKILL)


def starts(recorder: Any) -> list[Any]:
    return [
        call for call in recorder.calls() if call.name == "ray" and call.arguments[0] == "start"
    ]


def test_commands_in_order(recorder: Any, tmp_path: Path, jobs: list[Job]) -> None:
    jobs.append(Job(recorder, tmp_path, 3))
    assert jobs[0].process.wait(120) == 0
    calls = [call for call in recorder.calls() if call.name in ("scontrol", "srun", "python")]
    one = "srun --overlap --nodes=1 --ntasks=1 --nodelist=node1"
    cores = "--cpus-per-task=32 --cpu-bind=none"
    common = "--block --num-cpus=32 --object-store-memory=2000000000"
    token, *rest = [call.text for call in calls]
    workers = "srun --overlap --nodes=2 --ntasks=2 --ntasks-per-node=1 --exclude=node1"
    start_workers = f"{workers} {cores} ray start --address=10.1.2.3:24567 {common}"
    assert token.startswith("python -c import secrets")
    wait, search = [call for call in rest if call.startswith("python")]
    assert wait.endswith(" 10.1.2.3:24567 3")
    assert search == rest[-1]
    assert search == (
        "python search/run.py --address 10.1.2.3:24567 --name n --storage /shared/my results"
    )
    assert {wait, start_workers} == set(rest[-3:-1])
    assert rest[:-3] == [
        "scontrol show hostnames node[1-3]",
        f"{one} bash -c hostname --ip-address; hostname --all-ip-addresses",
        f"{one} {cores} ray start --head --node-ip-address=10.1.2.3 --port=24567 "
        f"--dashboard-host=127.0.0.1 --temp-dir=/tmp/ray-1234567 {common}",
    ]


@pytest.mark.parametrize(
    ("named", "others", "expected"),
    [
        ("127.0.1.1", "10.1.2.3 172.17.0.1", "10.1.2.3"),
        ("fe80::1 10.1.2.4", "10.1.2.3", "10.1.2.4"),
        ("::1", "fd00::7", ""),
    ],
)
def test_the_head_has_an_address_that_others_reach(
    recorder: Any,
    tmp_path: Path,
    jobs: list[Job],
    monkeypatch: pytest.MonkeyPatch,
    named: str,
    others: str,
    expected: str,
) -> None:
    monkeypatch.setattr(Job, "named", named)
    monkeypatch.setattr(Job, "others", others)
    jobs.append(Job(recorder, tmp_path, 1))
    assert jobs[0].process.wait(120) == (0 if expected else 1)
    found = [a for call in starts(recorder) for a in call.arguments if "node-ip-address" in a]
    assert found == ([f"--node-ip-address={expected}"] if expected else [])


def test_driver_gets_the_options_as_they_were_given(
    recorder: Any, tmp_path: Path, jobs: list[Job]
) -> None:
    jobs.append(Job(recorder, tmp_path, 2))
    jobs[0].process.wait(120)
    options = parse(driver(recorder).arguments[1:])
    assert (options.name, options.storage) == ("n", "/shared/my results")
    assert options.address == "10.1.2.3:24567"


def driver(recorder: Any) -> Any:
    (call,) = [call for call in recorder.calls() if call.arguments[:1] == ["search/run.py"]]
    return call


def test_one_token_for_all_in_no_command(recorder: Any, tmp_path: Path, jobs: list[Job]) -> None:
    jobs.append(Job(recorder, tmp_path, 2))
    jobs[0].process.wait(120)
    called = [*starts(recorder), driver(recorder)]
    assert len(called) == 3
    tokens = {call.environment["RAY_AUTH_TOKEN"] for call in called}
    assert {call.environment["RAY_AUTH_MODE"] for call in called} == {"token"}
    assert not any("OMP_NUM_THREADS" in call.environment for call in called)
    (token,) = tokens
    assert re.fullmatch(r"[0-9a-f]{64}", token)
    assert not any(token in call.text for call in recorder.calls())


def test_one_node_has_no_workers(recorder: Any, tmp_path: Path, jobs: list[Job]) -> None:
    jobs.append(Job(recorder, tmp_path, 1))
    assert jobs[0].process.wait(120) == 0
    assert len(starts(recorder)) == 1


def test_the_search_begins_when_all_nodes_are_there(tmp_path: Path) -> None:
    """Here Ray's part: the real program of the script, with nodes that come one by one."""
    (program,) = re.findall(r"wait_for_nodes='(.*?)'", SCRIPT.read_text(), re.DOTALL)
    (tmp_path / "ray.py").write_text(RAY_MODULE)
    found = subprocess.run(
        [sys.executable, "-c", program, "10.1.2.3:24567", "3"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.splitlines() == ["10.1.2.3:24567", "3 of 3 nodes are there"]


def test_job_ends_as_the_search_did(recorder: Any, tmp_path: Path, jobs: list[Job]) -> None:
    jobs.append(Job(recorder, tmp_path, 2, STATUS="7"))
    assert jobs[0].process.wait(120) == 7


def test_before_the_time_is_up_the_driver_is_interrupted(
    recorder: Any, tmp_path: Path, jobs: list[Job]
) -> None:
    jobs.append(Job(recorder, tmp_path, 2, STAY="1"))
    process = jobs[0].process
    for _ in range(600):
        if (tmp_path / "driver-is-ready").exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 3


def test_nothing_runs_on_after_the_job(recorder: Any, tmp_path: Path, jobs: list[Job]) -> None:
    jobs.append(Job(recorder, tmp_path, 2))
    jobs[0].process.wait(120)
    nodes = [path.name.removeprefix("node-") for path in tmp_path.glob("node-*")]
    assert len(nodes) == 2
    assert not any(Path("/proc", pid).exists() for pid in nodes)


def test_job_without_slurm_says_what_is_missing(tmp_path: Path) -> None:
    found = subprocess.run(
        ["bash", str(SCRIPT)], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
    )
    assert found.returncode != 0
    assert "start this with sbatch" in found.stderr


def test_script_is_valid_bash() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    assert os.access(SCRIPT, os.X_OK)
