from __future__ import annotations

from pathlib import Path

from search.cluster.run_tune import remove_tune_state
from search.log.folder import SearchFolder

KEPT = (
    *("events.jsonl", "best.json", "trial_0000_a/checkpoint_000001/state.json"),
    *("trial_0001_b/error.txt", "tensorboard/trial_0000/events.out"),
)
REMOVED = (
    *("experiment_state-2026-11-28_16-46-46.json", "search_gen_state-2026-11-28_16-46-46.json"),
    *(".validate_storage_marker", "trial_0001_b/error.pkl", "trial_0002_c/error.pkl"),
)


def test_what_a_person_can_use_is_left(tmp_path: Path) -> None:
    for name in (*KEPT, *REMOVED):
        path = tmp_path / "search" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "search" / "trial_0003_d").mkdir()
    remote = SearchFolder("search", "s3://bucket/prefix", tmp_path / "search")
    remove_tune_state(remote)
    assert len(files(tmp_path / "search")) == len(KEPT + REMOVED)
    remove_tune_state(SearchFolder("search", str(tmp_path), tmp_path / "search"))
    assert files(tmp_path / "search") == set(KEPT)
    assert {path.name for path in (tmp_path / "search").glob("trial_*")} == {
        "trial_0000_a",
        "trial_0001_b",
    }


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
