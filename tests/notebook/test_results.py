"""Every analysis is one call; its result has a table, a chart, shapes, and the page's own numbers."""

from pathlib import Path

import altair as alt
import numpy as np
import pytest

import sae_loupe as loupe
from core.errors import LoupeError
from core.logit_weights.unembedding import LogitSettings, residual_directions, unembedding
from sae_loupe import summary
from sae_loupe.numbers import GROUPS
from tests.doubles import saved

ROOT = Path(__file__).resolve().parents[2]

FOUR = {"four": [" the", " import", 300, 301, 302]}
FEW = {"text": ["import os\nfor path in os.listdir():\n    print(path)\n" * 60], "n_rows": 4, "context": 32}
CALLS = {
    "positions": lambda sae: sae.positions(),
    "logits": lambda sae: sae.logits(),
    "neighbors": lambda sae: sae.neighbors(),
    "enrichment": lambda sae: sae.enrichment(FOUR),
    "map": lambda sae: sae.map(method="pca"),
    "token_pass": lambda sae: sae.token_pass(**FEW),
    "read": lambda sae: sae.read("import os\nprint(os.path)"),
    "edit": lambda sae: sae.edit(269, prompt="import os", controls=2),
    "doses": lambda sae: sae.doses(269, [0, 1], prompt="import os", controls=2),
    "summary": lambda sae: sae.summary(np.arange(96).reshape(3, 32)),
    "feature": lambda sae: sae.feature(269, groups=["Weights", "Position and token"]),
    "table": lambda sae: sae.table(groups=["Weights", "Basis"]),
    "match": lambda sae: loupe.match(sae, "demo/layer0-batchtopk-2048"),
}


@pytest.fixture(scope="module")
def sae(tmp_path_factory):
    return loupe.open("demo/layer0-standard-2048", cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module", params=CALLS)
def result(request, sae):
    return CALLS[request.param](sae)


def test_a_result_has_a_table_a_chart_and_where_it_is_from(result):
    table = result.to_frame()
    assert len(table)
    assert isinstance(result.chart(), alt.TopLevelMixin)
    assert result.chart().to_dict()
    assert result.provenance["dictionaries"][0]["sha256"]
    assert result.note
    assert set(result.definitions) <= set(table.columns)
    assert type(result).__doc__
    assert type(result).to_frame.__doc__


def test_a_result_shows_its_shapes_and_completes_its_arrays(result):
    assert repr(result).startswith(f"{type(result).__name__} of ")
    assert "to_frame():" in repr(result)
    assert all(f" {n:,}" in repr(result) for array in result.arrays.values() for n in array.shape)
    for name, array in result.arrays.items():
        assert name in dir(result)
        assert getattr(result, name) is array
    with pytest.raises(AttributeError, match=r"has no attribute 'meen'. It has .*to_frame"):
        result.meen  # noqa: B018


def test_position_scores_are_those_that_the_page_shows(sae):
    found = sae.positions()
    assert found.to_frame()["rank"].is_monotonic_increasing
    assert found.positional == found.to_frame()["feature"].head(len(found.positional)).tolist()
    feature = found.positional[0]
    np.testing.assert_array_equal(found.curves(feature)["mean"], found.mean[feature])


def test_logit_weights_are_the_product_of_decoder_and_unembedding(sae):
    found, settings = sae.logits(), LogitSettings()
    product = residual_directions(sae.dictionary, sae.model, settings) @ unembedding(sae.model, settings).rows.T
    np.testing.assert_allclose(found.weights(3), product[3], atol=1e-5)
    assert found.tokens(3)["token"].tolist() == found.top_tokens[3].tolist()
    assert found.tokens(3, "bottom")["logit_weight"].iloc[0] == pytest.approx(product[3].min(), abs=1e-5)


def test_neighbours_are_sorted_by_true_cosine(sae):
    rows = sae.W_dec / np.linalg.norm(sae.W_dec, axis=1, keepdims=True)
    cosines = rows @ rows[5]
    cosines[5] = -np.inf
    table = sae.neighbors().of(5)
    assert table["neighbor"].tolist()[:3] == np.argsort(-cosines, kind="stable")[:3].tolist()


def test_enrichment_of_ones_own_set_is_the_running_sum_of_its_tokens(sae):
    found = sae.enrichment(FOUR)
    strings = sae.model.token_strings
    ids = sorted({strings.index(" the"), strings.index(" import"), 300, 301, 302})
    member = np.isin(np.argsort(-found.logits.weights(5), kind="stable"), ids)
    sums = np.cumsum(np.where(member, 1 / len(ids), -1 / (len(strings) - len(ids))))
    extreme = sums[np.abs(sums).argmax()]
    assert found.of_feature(5)["enrichment_score"].iloc[0] == pytest.approx(extreme, abs=1e-5)
    assert found.of_set("four")["log10_p"].is_monotonic_increasing


def test_a_token_pass_counts_what_encoding_the_models_vectors_gives(sae):
    found = sae.token_pass(**FEW)
    x = sae.model.activations(found.rows, "blocks.0.hook_resid_pre")
    acts = sae.encode(x)
    np.testing.assert_array_equal(found.to_frame()["active_tokens"], (acts != 0).sum(axis=(0, 1)))
    feature = int(acts.max(axis=(0, 1)).argmax())
    assert found.activations(feature).act.max() == pytest.approx(acts.max(), rel=1e-5)
    assert found.examples(feature)["activation"].iloc[0] == pytest.approx(acts.max(), rel=1e-5)
    one = acts[..., feature]
    assert found.quantiles()[feature, 4] == pytest.approx(np.quantile(one[one != 0], 0.5), rel=1e-4)
    assert found.tokens(feature)["active_count"].sum() == len(found.activations(feature).act)


def test_reading_a_text_gives_the_activations_of_its_tokens(sae):
    found = sae.read("import os")
    ids = sae.model.tokenizer.encode("import os", add_special_tokens=False).ids
    acts = sae.encode(sae.model.activations(np.array([ids]), "blocks.0.hook_resid_pre"))[0]
    np.testing.assert_allclose(found.acts, acts, atol=1e-5)
    assert "".join(found.pieces) == "import os"


def test_an_edit_that_clamps_to_what_is_there_changes_nothing(sae):
    silent = int(np.flatnonzero((sae.read("import os").acts == 0).all(axis=0))[0])
    found = sae.edit(silent, prompt="import os", controls=2)
    assert np.abs(found.to_frame()["next_log_p_change"]).max() == 0
    assert found.same_without_edit
    loud = sae.edit(269, "scale", 5, prompt="import os", controls=2, tokens=[" path"])
    assert np.abs(loud.log_p_change).max() > 0
    assert " path" in set(loud.next_tokens()["token_text"])


def test_a_matching_says_its_numbers_beside_chance(sae):
    numbers = CALLS["match"](sae).numbers().set_index("number")
    assert (numbers.loc[["mmcs_ab", "pw_mcc"], "value"] > numbers.loc[["mmcs_ab", "pw_mcc"], "by_chance"]).all()


def test_a_report_holds_each_number_of_the_tables_once_with_its_formula(sae):
    found = CALLS["feature"](sae)
    table = found.to_frame().set_index("column")
    assert table.index.is_unique
    scores = sae.positions().to_frame().set_index("feature")
    assert table.loc["position_score", "value"] == scores.loc[269, "position_score"]
    assert table.loc["position_score", "n"] == 4096
    assert table.loc["encoder_norm", "formula"] == "‖W_enc[:, i]‖"
    assert table.loc["encoder_norm", "url"].startswith("http://127.0.0.1:8501/overview?sae=demo%2Flayer0-standard-2048")
    np.testing.assert_array_equal(found.lists["by_position"]["mean"], sae.positions().mean[269])


def test_a_summary_says_the_totals_of_a_pass_and_how_many_features_follow_position(sae):
    rows = np.arange(96).reshape(3, 32)
    table = sae.summary(rows).to_frame().set_index("column")
    x = sae.inputs(rows)
    acts, error = sae.encode(x), ((x - sae.reconstruct(x)).astype(float) ** 2).sum()
    assert table.loc["l0", "value"] == pytest.approx((acts != 0).sum(axis=-1).mean())
    assert table.loc["l0", "n"] == 96
    assert table.loc["mse", "value"] == pytest.approx(error / x.size, rel=1e-4)
    assert table.loc["n_positional", "value"] == 173
    assert table["formula"].notna().all()


def test_what_cannot_be_had_of_a_dictionary_is_named_and_the_rest_is_there(tmp_path):
    found = loupe.open(saved.write(tmp_path / "sae"), cache=tmp_path).feature(3)
    assert {"Weights", "Basis", "Neighbours"} <= {group.title for group in found.groups}
    assert set(found.missing) >= {"Logit weights", "Activations on text"}
    assert set(found.lists) == {"neighbors"}


def test_every_page_and_tab_that_a_number_names_exists():
    for group in (*GROUPS, *summary.GROUPS):
        page = ROOT / "pages" / f"{group.page}.py"
        assert f'"{group.tab}": ' in page.read_text(encoding="utf-8")


def test_analyses_at_deeper_layers_read_the_text_that_is_given():
    sae = loupe.open("demo/layer1-standard-2048")
    rows = np.random.default_rng(0).integers(0, 4096, (4, 16))
    found = sae.positions(n_pos=16, n_rows=4, text=rows)
    assert found.mean.shape == (2048, 16)
    assert "4 rows of 16 tokens, your token ids" in found.note


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda sae: sae.neighbors(side="left"), "no side called 'left'"),
        (lambda sae: sae.logits(centre="mean"), "no setting of logit weights called 'centre'. Did you mean center"),
        (lambda sae: sae.logits(center="middle"), "center is 'middle'. Expected one of 'mean', 'median', 'none'"),
        (lambda sae: sae.logits().tokens(10**6), "Feature 1000000 does not exist"),
        (lambda sae: sae.logits().tokens(3, "left"), "no end called 'left'"),
        (lambda sae: sae.neighbors().of(-1), "Feature -1 does not exist"),
        (lambda sae: sae.enrichment({"one": []}), "token set 'one' is empty"),
        (lambda sae: sae.enrichment({"one": [10**6]}), "Token 1000000 does not exist"),
        (lambda sae: sae.enrichment({"one": ["no such token"]}), "is no token of loupe-demo"),
        (lambda sae: sae.map(methods="pca"), "no setting of a map called 'methods'. Did you mean method"),
        (lambda sae: sae.token_pass(rows=3), "no setting of a token pass called 'rows'. Did you mean n_rows"),
        (lambda sae: sae.token_pass(n_rows=0), "n_rows is 0. Expected a whole number from 1"),
        (lambda sae: sae.token_pass("no/such/text.txt"), "There is no text at 'no/such/text.txt'.*text="),
        (lambda sae: sae.token_pass(**FEW).quantiles(2), "A quantile of 2 does not exist"),
        (lambda sae: sae.positions().at(10**6), "Position 1000000 does not exist"),
        (lambda sae: sae.positions().curves(10**6), "Feature 1000000 does not exist"),
        (lambda sae: sae.positions().curves(1, stage="after"), "no stage called 'after'"),
        (lambda sae: sae.token_pass(7), "The text is int, which holds no rows"),
        (lambda sae: sae.read(7), "The text is int. Expected a string"),
        (lambda sae: sae.edit(1, "remove", prompt="import os"), "no edit called 'remove'"),
        (lambda sae: sae.edit(10**6, prompt="import os"), "Feature 1000000 does not exist"),
        (lambda sae: sae.edit(1, "mean", prompt="import os"), "leave out prompt="),
        (lambda sae: sae.edit(1, prompt="import os", place=(0, 99)), "Position 99 does not exist"),
        (lambda sae: sae.edit(1, prompt="a"), "The prompt has 1 tokens"),
        (lambda sae: sae.doses(1, [0], "ablate", prompt="import os"), "no edit with an amount called 'ablate'"),
        (lambda sae: sae.feature(-1), "Feature -1 does not exist"),
        (lambda sae: sae.feature("seven"), "Feature seven does not exist: expected a whole number from 0 to 2047"),
        (lambda sae: sae.neighbors().of(1.5), "Feature 1.5 does not exist"),
        (lambda sae: sae.logits().weights(None), "Feature None does not exist"),
        (lambda sae: sae.edit([], prompt="import os"), "No feature is given"),
        (lambda sae: sae.edit("seven", prompt="import os"), "Feature seven does not exist"),
        (lambda sae: sae.feature(1, groups=["Weight"]), "no group of numbers called 'Weight'. Did you mean Weights"),
        (lambda sae: loupe.match(sae, sae), "one dictionary"),
        (lambda sae: loupe.match(sae, "demo/layer0-batchtopk-2048", method="best"), "no method called 'best'"),
    ],
)
def test_a_wrong_argument_is_said_in_words(sae, call, says):
    with pytest.raises(LoupeError, match=says):
        call(sae)
