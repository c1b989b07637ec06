from __future__ import annotations

import optuna
import pytest

from spaces.catalogue import SPACE_NAMES, make_space
from spaces.params import all_params
from trainable.batch_orders.in_turn import RoundRobin
from trainable.data.nli import HubNli, SampleNli, SickNli
from trainable.data.pretraining_text import OwnText, TextFiles
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning, NoHeadTuning
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.multitask import Multitask, NliAuxiliary
from trainable.stages.nli_training import LinearNli

BERT = EncoderConfig(source="google-bert/bert-base-uncased", revision="abc")
STAGE = Multitask(budget_tokens=1234, units=4, precision="bf16")


def names(space: str, base: RunConfig) -> set[str]:
    return {param.name for param in make_space(space, base).params()}


def test_spaces_grow_from_one_to_the_next() -> None:
    base = RunConfig(encoder=BERT)
    smoke, heads, full, stages = (
        names(name, base) for name in ("smoke", "heads", "full", "stages")
    )
    assert len(smoke) == 3
    assert smoke < full < stages
    assert heads < full
    assert full - heads >= {"multitask.batch_order", "encoder.sharing", "pair_layer"}
    slots = ("further_pretraining", "nli", "head_tuning", "multitask.tasks", "multitask.auxiliary")
    assert stages - full == {name for name in stages if name.startswith(slots)}
    assert {"further_pretraining.mlm.mask_probability", "head_tuning.cached.epochs"} <= stages


def test_the_widest_space_leaves_nothing_out_but_what_must_be() -> None:
    base = RunConfig(encoder=BERT)
    everything = {param.name for param in all_params(base)}
    # These need other data than the rest, and a download.
    assert everything - names("stages", base) == {"features.pos_tags", "features.synonym_copies"}


def test_every_space_is_described_here() -> None:
    assert set(SPACE_NAMES) == {"full", "stages", "heads", "smoke"}


def suggestions(text: tuple[TextFiles, ...] | None, nli: SickNli | None) -> list[RunConfig]:
    base = RunConfig(encoder=BERT, multitask=STAGE)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = make_space("stages", base, text, nli)
    return [space.suggest(study.ask()) for _ in range(40)]


@pytest.mark.parametrize("given", [True, False])
def test_stages_of_a_suggestion_read_what_the_search_was_given(given: bool) -> None:
    text, nli = (TextFiles(paths=("a.txt",)),), SickNli(dir="sick")
    seen = set()
    for config in suggestions(text, nli) if given else suggestions(None, None):
        if isinstance(config.further_pretraining, MaskedLanguageModelling):
            assert config.further_pretraining.sources == (text if given else (OwnText(),))
            seen.add("mlm")
        if isinstance(config.nli, LinearNli):
            assert config.nli.source == (nli if given else HubNli())
            seen.add("linear")
        assert config.multitask is not None
        if isinstance(config.multitask.auxiliary, NliAuxiliary):
            assert config.multitask.auxiliary.source == (nli if given else HubNli())
            seen.add("auxiliary")
    assert seen == {"mlm", "linear", "auxiliary"}
    assert LinearNli().source == SampleNli(), "the default would be no test"


def test_stages_of_a_suggestion_have_the_budget_of_the_search() -> None:
    for config in suggestions(None, None):
        for stage in (config.further_pretraining, config.nli):
            if stage.kind != "none":
                assert stage.budget_tokens == 1234
                assert stage.precision == "bf16"
        assert isinstance(config.head_tuning, CachedHeadTuning | NoHeadTuning)


@pytest.mark.parametrize("name", SPACE_NAMES)
def test_a_fixed_batch_order_keeps_its_own_hyperparameters(name: str) -> None:
    base = RunConfig(encoder=BERT, multitask=Multitask(batch_order=RoundRobin(batch_size=5)))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = make_space(name, base)
    for _ in range(5):
        config = space.suggest(study.ask())
        assert config.multitask is not None
        if not space.varies("multitask.batch_order"):
            assert config.multitask.batch_order == RoundRobin(batch_size=5)
