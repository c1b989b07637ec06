from __future__ import annotations

from tests.markdown import anchors, calls, named_files, pytest_calls, targets


def test_commands_are_found_in_fenced_blocks_only() -> None:
    text = (
        "python search/run.py --not-this\n"
        "```sh\npip install -e . && python search/run.py\n"
        "python search/run.py --trials 3 \\\n    --units 2  # a remark\n```\n"
        "```\nray exec cluster.yaml 'cd x && A=b python search/run.py --seed 1'\n"
        "$ python search/retrain.py runs/a/best.json --seeds 3\n"
        "python search/run.py --rows 'a/*,b/*' && python -m spaces.some_table\n"
        "pip install x && pytest -n auto  # all\npytest -m root tests/a.py\n```\n"
    )
    assert calls(text) == [
        ("search/run.py", ()),
        ("search/run.py", ("--trials", "3", "--units", "2")),
        ("search/run.py", ("--seed", "1")),
        ("search/retrain.py", ("runs/a/best.json", "--seeds", "3")),
        ("search/run.py", ("--rows", "a/*,b/*")),
        ("-m spaces.some_table", ()),
    ]
    assert pytest_calls(text) == [("-n", "auto"), ("-m", "root", "tests/a.py")]


def test_links_anchors_and_files_are_found() -> None:
    text = (
        '# What it `is`, and for whom\n## Twice\n## Twice\n[a](b.md#c) ![d](e.svg "f")\n'
        "`[no](link)` and `search/log/` or `cp tests/a.py .`, not `search/log/*` nor `runs/x.py`\n"
        "```\n# no heading\n[no](link) `search/no.py`\n```\n<img src='g.png'>\n"
    )
    assert targets(text) == ["b.md#c", "e.svg", "g.png"]
    assert anchors(text) == {"what-it-is-and-for-whom", "twice", "twice-1"}
    assert named_files(text) == {"search/log/", "tests/a.py"}
