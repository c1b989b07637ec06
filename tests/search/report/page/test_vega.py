from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from search.report.page import vega
from search.report.page.vega import Chart, NoScript
from trainable.cache.files import CACHE_VARIABLE


def test_text_of_a_chart_ends_no_script() -> None:
    text = str(Chart({"title": "</script><!-- &amp;"}, "x").json)
    assert "<" not in text
    assert "&" not in text


def test_the_script_is_made_once_and_cannot_end_its_element(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_script: None
) -> None:
    made: list[object] = []

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
        made.append(arguments)
        return subprocess.CompletedProcess([], 0, b'x = "</script>"', b"")

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(subprocess, "run", run)
    assert vega.vega_script() == vega.vega_script() == 'x = "<\\/script>"'
    assert len(made) == 1


def test_why_there_is_no_script_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_script: None
) -> None:
    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess([], 1, b"", b"Traceback\nImportError: no vl_convert\n")

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(NoScript, match="no vl_convert"):
        vega.vega_script()
