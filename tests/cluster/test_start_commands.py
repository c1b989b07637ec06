"""The commands of cluster.yaml that a shell has to understand, run by one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SPOT = {"MTBERT_SPOT_METADATA": "http://169.254.169.254"}
VARIABLES = (
    *("OMP_NUM_THREADS", "TMPDIR", "HF_HOME", "MTBERT_CACHE", "RAY_health_check_period_ms"),
    *SPOT,
)
Run = Callable[[str], None]


@pytest.fixture
def run(recorder: Any, tmp_path: Path) -> Run:
    """Run a command as Ray does on a machine, with nothing on PATH but what is listed here."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("grep", "id", "mkdir"):
        (tools / name).symlink_to(str(shutil.which(name)))

    def run(command: str) -> None:
        prefix = "export OMP_NUM_THREADS=1 PYTHONWARNINGS=ignore && "
        environment = {
            "PATH": f"{recorder.folder}:{tools}",
            "HOME": str(tmp_path),
            "RAY_HEAD_IP": "10.0.0.1",
        }
        bash = str(shutil.which("bash"))
        subprocess.run(
            [bash, "-c", f"{prefix}({command})"], env=environment, check=True, timeout=30
        )

    return run


def start(recorder: Any) -> Any:
    (call,) = [call for call in recorder.calls() if call.name == "ray"]
    return call


def worker_start(cluster: dict[str, Any]) -> str:
    stop, command = cluster["worker_start_ray_commands"]
    assert stop == "ray stop"
    return str(command)


def test_head_starts_with_all_threads(cluster: dict[str, Any], recorder: Any, run: Run) -> None:
    recorder.add("ray", *VARIABLES)
    run(cluster["head_start_ray_commands"][-1])
    call = start(recorder)
    assert call.environment == {"RAY_health_check_period_ms": "1000"}
    assert call.arguments[:3] == ["start", "--head", "--port=6379"]


def test_worker_without_nvme_and_without_gpu_starts(
    cluster: dict[str, Any], recorder: Any, run: Run
) -> None:
    recorder.add("ray", *VARIABLES)
    recorder.add("mountpoint", then="sys.exit(1)")
    run(worker_start(cluster))
    call = start(recorder)
    assert call.environment == SPOT
    assert call.arguments[:2] == ["start", "--address=10.0.0.1:6379"]


def test_worker_puts_temporary_files_and_caches_on_the_nvme(
    cluster: dict[str, Any], recorder: Any, run: Run
) -> None:
    recorder.add("ray", *VARIABLES)
    recorder.add("mountpoint")
    recorder.add("sudo")
    run(worker_start(cluster))
    nvme = "/opt/dlami/nvme"
    assert start(recorder).environment == SPOT | {
        "TMPDIR": f"{nvme}/mtbert/tmp",
        "HF_HOME": f"{nvme}/mtbert/hub",
        "MTBERT_CACHE": f"{nvme}/mtbert/stages",
    }
    texts = [call.text for call in recorder.calls()]
    assert f"mountpoint -q {nvme}" in texts
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    folders = f"{nvme}/mtbert {nvme}/mtbert/tmp"
    assert f"sudo -n install -d -m 700 -o {user} {folders}" in texts


def test_worker_that_may_not_use_the_nvme_starts_without_it(
    cluster: dict[str, Any], recorder: Any, run: Run
) -> None:
    recorder.add("ray", *VARIABLES)
    recorder.add("mountpoint")
    recorder.add("sudo", then="sys.exit(1)")
    run(worker_start(cluster))
    assert start(recorder).environment == SPOT


@pytest.mark.parametrize("status", [0, 1])  # 1: it runs already
def test_mps_is_started_before_ray_and_cannot_stop_it(
    cluster: dict[str, Any], recorder: Any, run: Run, status: int
) -> None:
    recorder.add("ray", *VARIABLES)
    recorder.add("mountpoint", then="sys.exit(1)")
    recorder.add("mkdir")  # its folder of logs
    recorder.add("nvidia-cuda-mps-control", "CUDA_MPS_LOG_DIRECTORY", then=f"sys.exit({status})")
    run(worker_start(cluster))
    mps, ray = [
        call for call in recorder.calls() if call.name in ("nvidia-cuda-mps-control", "ray")
    ]
    assert (mps.name, mps.arguments, ray.name) == ("nvidia-cuda-mps-control", ["-d"], "ray")
    made = [call.arguments[-1] for call in recorder.calls() if call.name == "mkdir"]
    assert [mps.environment["CUDA_MPS_LOG_DIRECTORY"]] == made


def test_initialization_can_be_repeated(cluster: dict[str, Any], run: Run, tmp_path: Path) -> None:
    (command,) = cluster["initialization_commands"]
    bashrc = tmp_path / ".bashrc"
    bashrc.write_text("# mine\n", encoding="utf-8")
    for _ in range(2):
        run(command)
    assert bashrc.read_text(encoding="utf-8").splitlines() == [
        "# mine",
        ". /opt/pytorch/bin/activate",
        "export RAY_AUTH_MODE=token",
    ]


def test_every_command_is_valid_bash(cluster: dict[str, Any]) -> None:
    lists = [value for key, value in cluster.items() if key.endswith("_commands")]
    commands = [command for each in lists for command in each]
    assert len(commands) >= 7
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True, env={"PATH": os.environ["PATH"]})
