"""The stages in turn, and what is taken from the store instead."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainable.data.nli import SickNli
from trainable.data.pretraining_text import OwnText, TextFiles
from trainable.data.tokenizer import train_wordpiece
from trainable.model.weights import Parameters
from trainable.stages import before_tasks
from trainable.stages.before_tasks import ActiveStage, StageReport, run_prefix, stage_identities
from trainable.stages.language_modelling import MaskedLanguageModelling, NoFurtherPretraining
from trainable.stages.mlm_head import MlmHead
from trainable.stages.nli_training import ContrastiveNli, NoNli
from trainable.stages.pretraining_loop import StageFailed, StageInputs, parameters_digest

CPU = torch.device("cpu")
MLM = MaskedLanguageModelling(budget_tokens=300, batch_size=2, chunk=32, lr=2e-3)

Run = Callable[..., tuple[Parameters, list[tuple[str, bool]]]]


@pytest.fixture(scope="module")
def nli(sources: list[SickNli]) -> ContrastiveNli:
    return ContrastiveNli(budget_tokens=300, batch_size=4, lr=2e-3, source=sources[0])


@pytest.fixture
def run(inputs: StageInputs, tmp_path: Path) -> Run:
    """Return a function that runs stages with one cache; it gives weights and (kind, cached)."""

    def run_stages(*stages: ActiveStage, **changed: object):  # type: ignore[no-untyped-def]
        own = replace(inputs, **changed)  # type: ignore[arg-type]
        weights, reports = run_prefix(own, stages, 0, CPU, tmp_path, lambda what, share: None)
        return weights, [(report.kind, report.cached) for report in reports]

    return run_stages


def keys(inputs: StageInputs, *stages: ActiveStage, seed: int = 0) -> list[str]:
    return [json.dumps(identity) for identity in stage_identities(inputs, stages, seed)]


def test_the_second_run_reads_what_the_first_computed(nli: ContrastiveNli, run: Run) -> None:
    first, reports = run(MLM, nli)
    assert reports == [("mlm", False), ("contrastive", False)]
    second, reports = run(MLM, nli)
    assert reports == [("mlm", True), ("contrastive", True)]
    assert parameters_digest(first) == parameters_digest(second)


def test_stages_follow_one_another(nli: ContrastiveNli, run: Run, inputs: StageInputs) -> None:
    together, _ = run(MLM, nli)
    alone = MLM.run(inputs, 0, CPU, lambda share: None)
    after = replace(inputs, pretrained=replace(inputs.pretrained, parameters=alone))
    expected = nli.run(after, 0, CPU, lambda share: None)
    assert parameters_digest(together) == parameters_digest(expected)
    assert parameters_digest(run(nli)[0]) != parameters_digest(together)


def test_a_changed_second_stage_shares_the_first(nli: ContrastiveNli, run: Run) -> None:
    run(MLM, nli)
    warmer = nli.model_copy(update={"temperature": 1.0})
    assert run(MLM, warmer)[1] == [("mlm", True), ("contrastive", False)]
    colder = MLM.model_copy(update={"lr": 1e-4})
    assert run(colder, nli)[1] == [("mlm", False), ("contrastive", False)]


def test_the_last_result_is_enough(nli: ContrastiveNli, run: Run, tmp_path: Path) -> None:
    run(MLM)
    first = {folder.name for folder in (tmp_path / "stages").glob("*/")}
    expected, _ = run(MLM, nli)
    for name in first:
        shutil.rmtree(tmp_path / "stages" / name)
    found, reports = run(MLM, nli)
    assert reports == [("mlm", True), ("contrastive", True)]
    assert parameters_digest(found) == parameters_digest(expected)


def test_a_lost_last_result_is_computed_from_the_one_before(
    nli: ContrastiveNli, run: Run, tmp_path: Path
) -> None:
    run(MLM)
    first = {folder.name for folder in (tmp_path / "stages").glob("*/")}
    expected, _ = run(MLM, nli)
    for folder in (tmp_path / "stages").glob("*/"):
        if folder.name not in first:
            shutil.rmtree(folder)
    found, reports = run(MLM, nli)
    assert reports == [("mlm", True), ("contrastive", False)]
    assert parameters_digest(found) == parameters_digest(expected)


def test_without_stages_the_encoder_is_as_it_was(inputs: StageInputs, tmp_path: Path) -> None:
    stages = (NoFurtherPretraining(), NoNli())
    weights, reports = run_prefix(inputs, stages, 0, CPU, tmp_path / "c", lambda what, share: None)
    assert weights is inputs.pretrained.parameters
    assert reports == ()
    assert not (tmp_path / "c").exists()


def test_what_is_left_out_leaves_no_trace(nli: ContrastiveNli, run: Run) -> None:
    run(MLM)
    assert run(MLM, NoNli())[1] == [("mlm", True)]
    assert run(NoFurtherPretraining(), nli)[1] == [("contrastive", False)]


def test_a_failed_stage_is_not_kept(
    nli: ContrastiveNli, run: Run, inputs: StageInputs, tmp_path: Path
) -> None:
    broken = {
        name: torch.full_like(t, torch.nan) for name, t in inputs.pretrained.parameters.items()
    }
    with pytest.raises(StageFailed):
        run(nli, pretrained=replace(inputs.pretrained, parameters=broken))
    assert not list((tmp_path / "stages").glob("*/"))


def test_progress_names_the_stage(nli: ContrastiveNli, inputs: StageInputs, tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []
    _, reports = run_prefix(
        inputs, (MLM, nli), 0, CPU, tmp_path, lambda what, share: seen.append((what, share))
    )
    assert [what for what, share in seen if share == 1.0] == ["mlm", "contrastive"]
    assert {what for what, _ in seen} == {"mlm", "contrastive"}
    assert all(isinstance(report, StageReport) and report.seconds > 0 for report in reports)


def test_a_result_is_kept_by_all_that_it_depends_on(
    nli: ContrastiveNli, inputs: StageInputs, tmp_path: Path
) -> None:
    path, copied = tmp_path / "text.txt", tmp_path / "copied.txt"
    for file in (path, copied):
        file.write_text("the doctor will wash the car")
    files = MLM.model_copy(update={"sources": (TextFiles(paths=(str(path),)),)})
    moved = MLM.model_copy(update={"sources": (TextFiles(paths=(str(copied),)),)})
    less = replace(inputs, own=inputs.own.select(torch.arange(100)))
    head = MlmHead(inputs.pretrained.shape, torch.Generator().manual_seed(0)).state_dict()
    parameters = {**inputs.pretrained.parameters}
    parameters["pooler.dense.bias"] = parameters["pooler.dense.bias"] + 1
    other = replace(inputs, pretrained=replace(inputs.pretrained, parameters=parameters))
    different = [
        keys(inputs, MLM),
        keys(inputs, MLM, seed=1),
        keys(inputs, MLM.model_copy(update={"warmup": 0.2})),
        keys(inputs, MLM.model_copy(update={"sources": (OwnText(), OwnText())})),
        keys(inputs, files),
        keys(less, MLM),
        keys(replace(inputs, mlm_head=head), MLM),
        keys(other, MLM),
        keys(inputs, nli),
    ]
    assert len({tuple(own) for own in different}) == len(different)
    # A file is its contents, and the tasks' sentences count only where they are read.
    assert keys(inputs, moved) == keys(inputs, files) == keys(less, files)
    assert keys(less, nli) == keys(inputs, nli)
    # The second stage depends on the first.
    assert keys(inputs, MLM, nli)[0] == keys(inputs, MLM)[0]
    assert keys(inputs, MLM, nli)[1] != keys(inputs, nli)[0]


@pytest.mark.parametrize("changed", ["format", "torch"])
def test_a_result_of_other_code_is_not_taken(
    changed: str, inputs: StageInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys(inputs, MLM)
    if changed == "format":
        monkeypatch.setattr(before_tasks, "_FORMAT", 0)
    else:
        monkeypatch.setattr(torch, "__version__", "0")
    assert keys(inputs, MLM) != before


def test_a_tokenizer_is_part_of_where_a_stage_starts(inputs: StageInputs) -> None:
    tokenizer = train_wordpiece(["a quite different text"], 200)
    other = replace(inputs, pretrained=replace(inputs.pretrained, tokenizer=tokenizer))
    assert keys(other, MLM) != keys(inputs, MLM)


WORKER = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from trainable.data.sources import SampleData
from trainable.data.nli import SickNli
from trainable.data.tokenize import encode
from trainable.model.encoder import EncoderConfig, load_pretrained
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.before_tasks import run_prefix
from trainable.stages.pretraining_loop import StageInputs, parameters_digest
sentences = list(SampleData().load().train_sentences())[:500]
pretrained = load_pretrained(EncoderConfig(), sentences)
inputs = StageInputs(pretrained, encode(sentences, pretrained.tokenizer))
stage = MaskedLanguageModelling(budget_tokens=5000, batch_size=4)
weights, (report,) = run_prefix(
    inputs, [stage], 0, torch.device("cpu"), Path(sys.argv[1]), lambda what, share: None
)
print("read" if report.cached else "computed", parameters_digest(weights))
"""


@pytest.mark.slow
def test_two_runs_that_start_together_share_a_stage(tmp_path: Path, repository: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path)],
            env=os.environ | {"PYTHONPATH": str(repository)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = sorted(process.communicate()[0].split() for process in processes)
    assert [words[0] for words in said] == ["computed", "read"]
    assert said[0][1] == said[1][1]
