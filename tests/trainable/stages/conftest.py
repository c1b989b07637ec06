"""What a stage starts from: the tiny encoder and the sample's sentences."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from torch import Tensor

from trainable.data.nli import SampleNli, SickNli
from trainable.data.sources import SampleData
from trainable.data.tokenize import encode
from trainable.model.encoder import EncoderConfig, load_pretrained
from trainable.stages.pretraining_loop import StageInputs


@pytest.fixture(scope="session")
def inputs() -> StageInputs:
    """The tiny encoder and 2,000 sentences of the sample. Stages never write to it."""
    sentences = list(SampleData().load().train_sentences())
    pretrained = load_pretrained(EncoderConfig(), sentences)
    return StageInputs(pretrained, encode(sentences[:2000], pretrained.tokenizer))


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[SickNli]:
    """Return two small sources, which are read sooner than the sample."""
    rows = SampleNli().load()
    found = []
    for number in (0, 1):
        folder = tmp_path_factory.mktemp("sick")
        own = rows[300 * number : 300 * (number + 1)]
        lines = [f"{premise}\t{hypothesis}\t{label.upper()}" for premise, hypothesis, label in own]
        header = "sentence_A\tsentence_B\tentailment_judgment"
        (folder / "SICK_train.txt").write_text("\n".join([header, *lines]))
        found.append(SickNli(dir=str(folder)))
    return found


@pytest.fixture
def record_losses(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], list[float]]:
    """Return a function from a module of stages to a list that gets the loss of each step."""

    def record(module: ModuleType) -> list[float]:
        losses: list[float] = []
        original = module.train

        def train(stage, encoder, head, head_lr, batch_loss, show):  # type: ignore[no-untyped-def]
            def recorded() -> tuple[Tensor, int]:
                loss, n_tokens = batch_loss()
                losses.append(loss.item())
                return loss, n_tokens

            return original(stage, encoder, head, head_lr, recorded, show)

        monkeypatch.setattr(module, "train", train)
        return losses

    return record
