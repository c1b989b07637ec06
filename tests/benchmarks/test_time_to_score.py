from __future__ import annotations

from pathlib import Path

from tests.benchmarks.time_to_score import table, time_to


def test_the_time_to_a_score_is_that_of_the_first_report_that_reaches_it() -> None:
    times = [(10.0, 0.3), (20.0, 0.5), (30.0, 0.4), (40.0, 0.6)]
    assert [time_to(times, score) for score in (0.2, 0.4, 0.55, 0.6)] == [10.0, 20.0, 40.0, 40.0]
    assert time_to(times, 0.61) == float("inf")


def test_the_table_says_when_each_has_both_scores() -> None:
    text = table([(10.0, 0.5), (30.0, 0.7)], [(40.0, 0.4), (80.0, 0.5)])
    assert "| ours last, 0.7000 | 30 s | never |  |" in text
    assert "| the script's last, 0.5000 | 10 s | 80 s | 0.12 |" in text
    assert "| all of it | 30 s | 80 s | |" in text


def test_the_script_sees_the_same_half_of_dev_as_a_search(shared: Path) -> None:
    from tests.benchmarks.student_script import FILES, read
    from trainable.data.cs224n import load_cs224n
    from trainable.data.split import is_confirm

    folder = shared / "data" / "cs224n"
    examples = load_cs224n(folder)
    for task in FILES:
        ids = examples.splits[task]["dev"]["id"]
        assert [e.id for e in read(folder, task, "dev")] == [
            i for i in ids if not is_confirm(task, i)
        ]
        train = read(folder, task, "train")
        assert abs(len(train) - len(examples.splits[task]["train"])) < 0.01 * len(train)
