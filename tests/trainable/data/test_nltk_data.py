"""Resources that are here, that come by download, and that cannot be had."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import nltk
import pytest

from trainable.data.nltk_data import find_resource
from trainable.errors import InputError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where NLTK looks; its downloader refuses."""

    def refuse(name: str, **_: object) -> bool:
        raise ValueError(f"Error loading {name}: no network in tests")

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", refuse)
    return tmp_path


def test_folders_and_zip_files_are_found(root: Path) -> None:
    (root / "corpora" / "plain").mkdir(parents=True)
    with zipfile.ZipFile(root / "corpora" / "packed.zip", "w") as archive:
        archive.writestr("packed/words", "a\nb\n")
    assert Path(str(find_resource("corpora/plain", "a test"))) == root / "corpora" / "plain"
    assert find_resource("corpora/packed", "a test").join("words").open().read() == b"a\nb\n"


def test_what_is_missing_is_downloaded_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def deliver(name: str, **_: object) -> bool:
        asked.append(name)
        (root / "taggers" / name).mkdir(parents=True)
        return True

    monkeypatch.setattr(nltk, "download", deliver)
    for _ in range(2):
        find_resource("taggers/some_tagger", "a test")
    assert asked == ["some_tagger"]


def test_a_failed_download_says_what_to_run(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"^a test needs .* python -m nltk\.downloader wordnet ;"):
        find_resource("corpora/wordnet", "a test")
    assert capfd.readouterr() == ("", "")


def test_a_download_that_delivers_nothing_is_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nltk, "download", lambda *_, **__: True)
    with pytest.raises(InputError, match=r"nltk\.downloader wordnet"):
        find_resource("corpora/wordnet", "a test")


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nltk", None)
    with pytest.raises(InputError, match=r"pip install 'multitask-bert-search\[features\]'"):
        find_resource("corpora/wordnet", "a test")
