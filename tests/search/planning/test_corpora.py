from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import search.planning.corpora
from search.log.history import History
from search.planning.corpora import check_corpora, nli_data, text_data
from search.planning.first_trials import published, row_space
from spaces.catalogue import make_space
from spaces.fixed_configs import RowSpace
from tests.search.planning.row_options import BASE, options
from trainable.data.nli import NliSource, SampleNli, SickNli
from trainable.data.pretraining_text import OwnText, SickText, TextFiles, TextSource
from trainable.errors import InputError
from trainable.run_config import RunConfig
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.nli_training import LinearNli
from trainable.training.inputs import RunInputs


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (OwnText(),)),
        ({"data": "hub"}, None),  # what each paper read
        ({"data": "cs224n"}, None),
        ({"data": "cs224n", "text_data": "own"}, (OwnText(),)),
        ({"text_data": "hub"}, None),
    ],
)
def test_text_is_what_the_options_say(
    given: dict[str, str], expected: tuple[TextSource, ...] | None
) -> None:
    assert text_data(options(**given)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, SampleNli()),
        ({"data": "cs224n"}, None),
        ({"nli_data": "hub"}, None),
        ({"data": "hub", "nli_data": "sample"}, SampleNli()),
    ],
)
def test_examples_are_what_the_options_say(
    given: dict[str, str], expected: NliSource | None
) -> None:
    assert nli_data(options(**given)) == expected


def test_folders_and_files_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials run in other folders."""
    (tmp_path / "sick").mkdir()
    monkeypatch.chdir(tmp_path)
    own = str(tmp_path / "sick")
    assert text_data(options(text_data="sick:sick")) == (SickText(dir=own),)
    assert nli_data(options(nli_data="sick:sick")) == SickNli(dir=own)
    files = TextFiles(paths=(str(tmp_path / "a.txt"), str(tmp_path / "b.txt")))
    assert text_data(options(text_data="a.txt,b.txt")) == (files,)


# What is checked before the start.


@pytest.fixture
def missing() -> tuple[TextFiles, SickNli]:
    return TextFiles(paths=("/nowhere/a.txt",)), SickNli(dir="/nowhere")


def test_text_and_examples_are_read_before_the_start(
    inputs: RunInputs, missing: tuple[TextFiles, SickNli]
) -> None:
    text, nli = missing
    tokenizer = inputs.pretrained.tokenizer
    rows = {
        "text": RunConfig(further_pretraining=MaskedLanguageModelling(sources=(text,))),
        "nli": RunConfig(nli=LinearNli(source=nli)),
        "auxiliary": RunConfig.model_validate(
            {"multitask": {"auxiliary": {"kind": "nli", "source": nli}}}
        ),
    }
    for name, config in rows.items():
        rows_alone = RowSpace("published", BASE, {name: config}, 1)
        with pytest.raises(InputError, match="/nowhere"):
            check_corpora(options(), rows_alone, {name: config}, tokenizer)
    for changes in ({"text": (text,)}, {"nli": nli}):
        space = replace(make_space("stages", BASE, (OwnText(),), SampleNli()), **changes)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="/nowhere"):
            check_corpora(options(), space, {}, tokenizer)


def test_examples_that_only_an_auxiliary_task_may_read_are_read_before_the_start(
    inputs: RunInputs, missing: tuple[TextFiles, SickNli]
) -> None:
    space = replace(make_space("full", BASE), vary=("multitask.auxiliary*",))
    tokenizer = inputs.pretrained.tokenizer
    with pytest.raises(InputError, match="/nowhere"):
        check_corpora(options(), replace(space, nli=missing[1]), {}, tokenizer)
    given = options(nli_data="sample")
    check_corpora(given, replace(space, nli=SampleNli()), {}, tokenizer)


def test_what_no_trial_needs_is_not_read(
    inputs: RunInputs, missing: tuple[TextFiles, SickNli]
) -> None:
    text, nli = missing
    space = make_space("full", BASE, (text,), nli)
    check_corpora(options(), space, {"row": RunConfig()}, inputs.pretrained.tokenizer)


@pytest.mark.parametrize(
    ("given", "row", "refused"),
    [
        ({"text_data": "own"}, "one-size/final", "--text-data 'own'"),
        ({"nli_data": "sample"}, "one-size/final", "--nli-data 'sample'"),
        ({"text_data": "own"}, "leave/NLI+GSw+FL-ConcatB+AL", "--text-data 'own'"),
        ({"nli_data": "sample"}, "mtbert/pretrain-mt-st", "--nli-data 'sample'"),
    ],
)
def test_text_and_examples_that_no_row_reads_are_refused(
    inputs: RunInputs, given: dict[str, str], row: str, refused: str
) -> None:
    asked = options(rows=row, **given)
    rows = published(asked, BASE)
    with pytest.raises(InputError, match=f"{refused}: none of the rows reads it; drop it"):
        check_corpora(
            asked, RowSpace("published", BASE, rows, 1), rows, inputs.pretrained.tokenizer
        )


@pytest.mark.parametrize("row", ["college/mlm+nli-contrastive+additive", "college/mlm+*"])
def test_text_and_examples_that_one_row_reads_are_allowed(inputs: RunInputs, row: str) -> None:
    asked = options(rows=f"{row},one-size/final", text_data="own", nli_data="sample")
    rows = published(asked, BASE)
    check_corpora(asked, RowSpace("published", BASE, rows, 1), rows, inputs.pretrained.tokenizer)


@pytest.mark.parametrize("feature", ["pos_tags", "synonym_copies"])
def test_what_a_feature_needs_is_looked_for_before_the_start(
    inputs: RunInputs, monkeypatch: pytest.MonkeyPatch, feature: str
) -> None:
    def refuse() -> None:
        raise InputError(f"nothing there for {feature}")

    load = {"pos_tags": "load_tagger", "synonym_copies": "load_wordnet"}[feature]
    monkeypatch.setattr(search.planning.corpora, load, refuse)
    config = RunConfig.model_validate({"features": {feature: 1 if feature[0] == "s" else True}})
    rows = {"row": config}
    with pytest.raises(InputError, match=feature):
        check_corpora(
            options(), RowSpace("published", BASE, rows, 1), rows, inputs.pretrained.tokenizer
        )
    space = make_space("full", BASE)
    check_corpora(options(), space, {}, inputs.pretrained.tokenizer)
    varied = replace(space, vary=(f"features.{feature[:3]}*",))
    with pytest.raises(InputError, match=feature):
        check_corpora(options(), varied, {}, inputs.pretrained.tokenizer)


@pytest.mark.usefixtures("_no_tagger")
@pytest.mark.parametrize("rows", ["mtbert/pos", "mtbert/pos,one-size/*", "mtbert/p[o]s"])
def test_a_row_that_is_named_or_alone_and_lacks_its_feature_is_refused_by_name(
    inputs: RunInputs, rows: str
) -> None:
    asked = options(rows=rows)
    space, notes = row_space(asked, BASE, History())
    assert notes == []
    with pytest.raises(InputError, match=r"^row mtbert/pos: features"):
        check_corpora(asked, space, space.rows, inputs.pretrained.tokenizer)
