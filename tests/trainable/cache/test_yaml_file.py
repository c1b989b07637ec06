from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trainable.cache.yaml_file import read_yaml
from trainable.errors import InputError

# PyYAML itself writes the control character NEL as it is, and reads it as a space; and it writes
# 0E0 without quotes, since to it that is a word.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x85")).filter(
    lambda text: re.fullmatch(r"[-+.\d]+[eE][-+]?\d+", text) is None
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)


def read(folder: Path, text: str) -> Any:
    path = folder / "file.yaml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(path, "make it")


@given(PLAIN)
def test_it_reads_what_yaml_writes(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = tmp_path_factory.mktemp("yaml")
    assert read(folder, yaml.safe_dump(value, allow_unicode=True)) == value


@pytest.mark.parametrize("text", ["1e-5", "1E5", "-2e3", "+1.5e-7", ".5e1", "1.e2", "12e0"])
def test_a_number_without_a_point_is_a_number(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, f"a: {text}") == {"a": float(text)}
    assert read(tmp_path, f"a: '{text}'") == {"a": text}


@pytest.mark.parametrize("text", ["1e", "e5", "1e5x", "x1e5", "1-e5", "2024-01-01", "--1e5"])
def test_what_only_looks_like_a_number_or_a_date_is_a_word(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, f"a: {text}") == {"a": text}


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("a: 1\na: 2", "line 2: the key 'a' stands twice; keep one"),
        ("b:\n  a: 1\n  a: 2", "line 3: the key 'a' stands twice"),
        ("1: a", "line 1: the key 1 is no text; write it in quotes"),
        ("no: a", "the key False is no text"),
        ("a: [1", "not valid YAML (line 1"),
        ("- *.lr", "write what begins with * in quotes"),
        ("a: !!python/object:os.system 1", "could not determine a constructor"),
        ("a: !!set {b}", "has a value that JSON cannot have"),
        ("a: &x [*x]", "has a value that JSON cannot have"),
        ("a: !!float b", "has a value that JSON cannot have"),
        ("\x00", "not valid YAML"),
    ],
)
def test_what_would_be_misread_is_refused_in_a_line(
    tmp_path: Path, text: str, fragment: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "file.yaml"))
    assert fragment in message
    assert "\n" not in message


def test_a_missing_file_and_one_that_is_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: no such file; make it"):
        read_yaml(tmp_path / "none.yaml", "make it")
    (tmp_path / "file.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_yaml(tmp_path / "file.yaml", "make it")
