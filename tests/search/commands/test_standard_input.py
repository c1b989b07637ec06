"""Lines that are refused are in test_predict.py, with what the command prints of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from search.commands.standard_input import given_lines
from trainable.tasks import COURSE

SENTENCES = st.text(st.characters(codec="utf-8", exclude_characters="\n\t\r\ufeff")).filter(
    lambda text: text.strip() != ""
)


class Pieces:
    """A stream that has a piece at each time that it is read, as a pipe or a terminal does."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces: Iterator[bytes] = iter([piece for piece in pieces if piece])
        self.n_read = 0

    def read1(self, size: int) -> bytes:
        self.n_read += 1
        return next(self._pieces, b"")


def all_of(stream: Pieces, task: str) -> list[str | tuple[str, ...]]:
    return [*itertools.chain(*given_lines(stream, COURSE[task]))]  # type: ignore[arg-type]


@given(st.lists(SENTENCES), st.lists(st.integers(0, 200)), st.sampled_from(["\n", "\r\n"]))
def test_sentences_are_the_same_however_they_arrive(
    sentences: list[str], cuts: list[int], newline: str
) -> None:
    """Cuts fall inside lines, and inside characters."""
    content = newline.join(sentences).encode()
    places = [0, *sorted(cuts), None]
    pieces = [content[start:end] for start, end in itertools.pairwise(places)]
    assert all_of(Pieces(*pieces), "sst") == sentences


@given(st.lists(st.tuples(SENTENCES, SENTENCES)))
def test_a_pair_has_a_tab_between_its_sentences(pairs: list[tuple[str, str]]) -> None:
    lines = "".join(f"{one}\t{two}\n" for one, two in pairs)
    assert all_of(Pieces(lines.encode()), "para") == pairs


def test_a_line_is_there_before_the_next_one_is_waited_for() -> None:
    stream = Pieces(b"a\nb", b"c\n", b"d")
    lines = given_lines(stream, COURSE["sst"])  # type: ignore[arg-type]
    found = [(sentences, stream.n_read) for sentences in lines]
    assert found == [(["a"], 1), (["bc"], 2), (["d"], 4)]  # the fourth time it had ended


def test_blank_lines_are_skipped_and_a_mark_of_utf_8_too() -> None:
    assert all_of(Pieces(b"\xef\xbb\xbfa\n \r\n\nb\n\n"), "sst") == ["a", "b"]
