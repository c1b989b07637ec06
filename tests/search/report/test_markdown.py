from __future__ import annotations

import html
import math
import os
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from search.report.markdown import number, quoted, table, with_error

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKUP = st.text(st.sampled_from("ab|\\`*_{}[]()<>#+-.!~$&;:\"' \n\t"), max_size=40)

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(MARKUP | st.text(max_size=40))
def test_quoted_text_is_shown_as_it_is(text: str) -> None:
    shown = MARKDOWN.render(table(["one", "two"], [["x", quoted(text)]]))
    cells = re.findall(r"<td>(.*?)</td>", shown, flags=re.DOTALL)
    expected = "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) == "Cc" or c in BIDI else c
        for c in " ".join(text.split())
    )
    assert [html.unescape(cell) for cell in cells] == ["x", expected]
    assert not re.search("<(?!/?t)", shown.replace("<table", "")), shown


def test_half_characters_do_not_stop_the_report() -> None:
    """A path that is not UTF-8 comes with them."""
    assert quoted(os.fsdecode(b"a\xff\x1b[31m")) == r"a\\udcff\\x1b\[31m"


def test_long_text_is_cut() -> None:
    assert quoted("a" * 301, None) == "a" * 301
    assert quoted("a" * 300) == "a" * 300
    assert quoted("a" * 301) == "a" * 299 + "…"


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (math.nan, ""), (0.0, "0.0000"), (0.12345, "0.1235")]
)
def test_numbers_that_are_not_known_are_left_out(value: float | None, text: str) -> None:
    assert number(value) == text


def test_errors_that_are_not_known_are_left_out() -> None:
    assert with_error(0.5, 0.0123) == "0.500 ± 0.012"
    assert with_error(0.5, math.nan) == "0.500"
    assert with_error(math.nan, math.nan) == ""
