"""Every option of a search with a value that is not its default."""

from __future__ import annotations

from typing import Any

GIVEN: dict[str, tuple[list[str], Any]] = {
    "data": (["--data", "cs224n"], "cs224n"),
    "data_dir": (["--data-dir", "course"], "course"),
    "encoder": (["--encoder", "google-bert/bert-base-uncased"], "google-bert/bert-base-uncased"),
    "space": (["--space", "heads"], "heads"),
    "trials": (["--trials", "3"], 3),
    "rows": (["--rows", "one-size/*,leave/*"], "one-size/*,leave/*"),
    "repeats": (["--repeats", "3"], 3),
    "warm_start": (["--warm-start", "published"], "published"),
    "text_data": (["--text-data", "own"], "own"),
    "nli_data": (["--nli-data", "sick:DIR"], "sick:DIR"),
    "max_concurrent": (["--max-concurrent", "2"], 2),
    "budget": (["--budget", "3ep"], "3ep"),
    "units": (["--units", "4"], 4),
    "eta": (["--eta", "2"], 2),
    "brackets": (["--brackets", "3"], 3),
    "time_limit": (["--time-limit", "30m"], "30m"),
    "max_device_hours": (["--max-device-hours", "1.5"], 1.5),
    "min_gain": (["--min-gain", "0.002"], 0.002),
    "name": (["--name", "first"], "first"),
    "storage": (["--storage", "s3://bucket/prefix"], "s3://bucket/prefix"),
    "searcher": (["--searcher", "stepwise"], "stepwise"),
    "beam": (["--beam", "4"], 4),
    "scheduler": (["--scheduler", "none"], "none"),
    "checkpoint": (["--checkpoint", "weights"], "weights"),
    "cpus_per_trial": (["--cpus-per-trial", "0.5"], 0.5),
    "gpus_per_trial": (["--gpus-per-trial", "0.25"], 0.25),
    "precision": (["--precision", "bf16"], "bf16"),
    "seed": (["--seed", "7"], 7),
    "address": (["--address", "auto"], "auto"),
    "resume": (["--resume"], True),
    "dry_run": (["--dry-run"], True),
    "quiet": (["--quiet"], True),
    "log": (["--log", "mlflow", "--log", "wandb"], ("mlflow", "wandb")),
}
