from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.benchmarks.contestants import Ours, Padded, load_texts
from tests.benchmarks.step import Options, check_same_work, draw, main
from tests.course import LINEAR_TASKS
from trainable.batch_orders.all_tasks import LockStep
from trainable.data.sources import Cs224nData
from trainable.model.encoder import EncoderConfig
from trainable.model.pooling import MeanPooling
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.training.inputs import open_inputs


@pytest.mark.slow
def test_both_do_the_same_work_and_are_timed(
    shared: Path, minilm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(
        shared / "data/cs224n", str(minilm), steps=1, warmup=0, batch=(2,), precision=("fp32",)
    )
    main(options)
    printed = capsys.readouterr().out
    assert "fp32, 2 examples of each task" in printed
    assert "A/B real tokens/s" in printed


@pytest.mark.slow
def test_other_work_is_refused(shared: Path, minilm: Path) -> None:
    data = Cs224nData(dir=str(shared / "data/cs224n"))
    stage = Multitask(batch_order=LockStep(batch_size=2), budget_tokens=10**6)
    tasks = LINEAR_TASKS | {
        "sst": LINEAR_TASKS["sst"].model_copy(update={"pooling": MeanPooling()})
    }
    encoder = EncoderConfig(source=str(minilm))
    config = RunConfig(data=data, encoder=encoder, tasks=tasks, multitask=stage)
    inputs = open_inputs(config, torch.device("cpu"))
    plan = draw(config, inputs, 2, 1)
    padded = Padded(config, load_texts(data), "cpu", siamese=False)
    padded.prepare(plan)
    with pytest.raises(SystemExit, match="differ in losses"):
        check_same_work(Ours(config, inputs), padded, plan)
