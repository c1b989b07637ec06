from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from tests.benchmarks.student_script import FILES, USUAL, MultitaskModel, loss_of, optimizer_of


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_padding_changes_nothing_and_every_task_learns(tmp_path: Path, pooling: str) -> None:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    transformers.BertModel(config).save_pretrained(str(tmp_path))
    model = MultitaskModel(str(tmp_path), pooling, "linear", 0.0)
    model.eval()
    ids = torch.randint(5, 50, (3, 6))
    whole = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    padded = {name: torch.nn.functional.pad(own, (0, 4)) for name, own in whole.items()}
    torch.testing.assert_close(model.embed(padded), model.embed(whole))
    optimizer = optimizer_of(model, {**USUAL, "lr": 1e-3, "head_lr": 1e-2})
    labels = torch.tensor([0.0, 1.0, 1.0])
    for task, (_, columns, _) in FILES.items():
        inputs = [whole, padded][: len(columns)]
        losses = []
        for _ in range(20):
            loss = loss_of(task, model(task, inputs), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss))
        assert losses[-1] < losses[0]
