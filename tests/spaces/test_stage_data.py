from __future__ import annotations

import pytest

from spaces.stage_data import with_corpora, with_stage_budgets
from trainable.data.nli import HubNli, SampleNli, SickNli
from trainable.data.pretraining_text import OwnText, TextFiles
from trainable.run_config import RunConfig
from trainable.stages.language_modelling import Deshuffling, MaskedLanguageModelling
from trainable.stages.multitask import Multitask, NliAuxiliary
from trainable.stages.nli_training import ContrastiveNli, LinearNli

TEXT = (OwnText(), TextFiles(paths=("a.txt", "b.txt")))
NLI = SickNli(dir="sick")
WHOLE = RunConfig(
    seed=3,
    further_pretraining=Deshuffling(window=3, lr=2e-4),
    nli=ContrastiveNli(temperature=0.1),
    multitask=Multitask(auxiliary=NliAuxiliary(temperature=0.3), units=2),
)


def test_every_stage_reads_what_it_is_given_and_is_the_same_otherwise() -> None:
    assert with_corpora(WHOLE, TEXT, NLI) == RunConfig(
        seed=3,
        further_pretraining=Deshuffling(window=3, lr=2e-4, sources=TEXT),
        nli=ContrastiveNli(temperature=0.1, source=NLI),
        multitask=Multitask(auxiliary=NliAuxiliary(temperature=0.3, source=NLI), units=2),
    )


def test_without_text_or_examples_a_stage_keeps_its_own() -> None:
    assert with_corpora(WHOLE, None, None) == WHOLE
    only_text = with_corpora(WHOLE, TEXT, None)
    assert only_text.nli == WHOLE.nli
    assert only_text.multitask == WHOLE.multitask
    assert only_text.further_pretraining != WHOLE.further_pretraining
    only_nli = with_corpora(WHOLE, None, NLI)
    assert only_nli.further_pretraining == WHOLE.further_pretraining


@pytest.mark.parametrize("config", [RunConfig(), RunConfig(multitask=None)])
def test_stages_that_are_left_out_stay_out(config: RunConfig) -> None:
    assert with_corpora(config, TEXT, NLI) == config
    assert with_stage_budgets(config, Multitask(budget_tokens=5)) == config


def test_the_result_can_be_written_and_read() -> None:
    """It was made without validation, so it has to be as if it had been validated."""
    found = with_stage_budgets(with_corpora(WHOLE, TEXT, HubNli()), Multitask(budget_tokens=7))
    assert RunConfig.from_dict(found.to_dict(), "test") == found


def test_stages_before_the_tasks_get_budget_and_precision_of_the_multitask_stage() -> None:
    config = RunConfig(
        further_pretraining=MaskedLanguageModelling(batch_size=8),
        nli=LinearNli(source=SampleNli(), lr=1e-4),
        multitask=Multitask(budget_tokens=9),
    )
    like = Multitask(budget_tokens=123, precision="bf16")
    assert with_stage_budgets(config, like) == RunConfig(
        further_pretraining=MaskedLanguageModelling(
            batch_size=8, budget_tokens=123, precision="bf16"
        ),
        nli=LinearNli(source=SampleNli(), lr=1e-4, budget_tokens=123, precision="bf16"),
        multitask=Multitask(budget_tokens=9),
    )
    assert with_stage_budgets(config, None) == config
