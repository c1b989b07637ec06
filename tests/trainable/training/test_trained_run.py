from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainable.data.features import InputFeatures
from trainable.data.pos_tags import PosTagger
from trainable.errors import InputError
from trainable.model.pairs import DensePairLayer
from trainable.run_config import RunConfig
from trainable.training import trained_run
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run
from trainable.training.trained_run import RUN_CONFIG, read_trained, write_trained

Trained = Callable[..., tuple[Run, Path]]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def default(trained: Trained) -> tuple[Run, Path]:
    return trained(pair_layer=DensePairLayer())


def test_all_weights_come_back(default: tuple[Run, Path]) -> None:
    run, folder = default
    read = read_trained(folder, CPU)
    assert read.config == run.config
    assert not read.model.training
    now, then = read.model.state_dict(), run.model.state_dict()
    assert now.keys() == then.keys()
    for name, tensor in then.items():
        assert torch.equal(now[name], tensor), name


def test_a_folder_holds_no_path_but_those_of_the_configuration(default: tuple[Run, Path]) -> None:
    run, folder = default
    for path in folder.rglob("*.json"):
        assert str(folder.parent) not in path.read_text(), path
    assert json.loads((folder / RUN_CONFIG).read_text()) == run.config.to_dict()


@pytest.mark.parametrize(
    ("name", "content", "fragment"),
    [
        ("heads.safetensors", b"torn", "not a whole safetensors file"),
        ("heads.safetensors", None, "cannot read"),
        ("encoder/model.safetensors", None, "encoder"),
        ("encoder/tokenizer.json", b"{", "cannot read the tokenizer"),
        ("encoder/config.json", None, "no such file"),
        (RUN_CONFIG, b"{}", "is missing"),
        (RUN_CONFIG, b"torn", "not valid JSON"),
        (RUN_CONFIG, b'{"schema_version": 1}', "use an older version"),
    ],
)
def test_a_file_that_is_not_right_is_named(
    default: tuple[Run, Path], tmp_path: Path, name: str, content: bytes | None, fragment: str
) -> None:
    folder = Path(shutil.copytree(default[1], tmp_path / "run"))
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=fragment) as caught:
        read_trained(folder, CPU)
    assert str(folder) in str(caught.value)


def test_heads_of_another_run_are_refused(
    default: tuple[Run, Path], trained: Trained, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(default[1], tmp_path / "run"))
    shutil.copy(trained()[1] / RUN_CONFIG, folder)  # it has no layer between pairs
    with pytest.raises(InputError, match=r"tensor 'pair_layer\..* the two files are of different"):
        read_trained(folder, CPU)


class _OneTag:
    """Says the same of every word."""

    def tag(self, tokens: list[str]) -> list[tuple[str, str]]:
        return [(token, "NN") for token in tokens]


def test_parts_of_speech_are_read_where_the_encoder_has_their_table(
    inputs: RunInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig(features=InputFeatures(pos_tags=True), multitask=None)
    run = Run(config, inputs)
    table = run.model.encoder_of("sst").embeddings.tag
    assert table is not None
    table.weight.data[2:] = 0.5 * torch.randn(table.weight[2:].shape)
    write_trained(run, tmp_path)
    monkeypatch.setattr(trained_run, "load_tagger", lambda: PosTagger(_OneTag(), ""))
    read = read_trained(tmp_path, CPU)
    tagged, n_cut = read.probabilities("sst", [["a film", "\u200b"]])
    untagged, _ = read.probabilities("sst", [["\u200b"]])  # no token, and so no tag
    assert n_cut == 0
    torch.testing.assert_close(tagged[1:], untagged)
    found = read.model.encoder_of("sst").embeddings.tag
    assert found is not None
    assert torch.equal(found.weight, table.weight)
    found.weight.data.zero_()
    assert not torch.allclose(read.probabilities("sst", [["a film"]])[0], tagged[:1])
