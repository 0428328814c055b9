"""Every analysis is one call; its result has a table, a chart, shapes, and the page's own numbers."""

import altair as alt
import numpy as np
import pytest

import sae_loupe as loupe
from core.errors import LoupeError
from core.logit_weights.unembedding import LogitSettings, residual_directions, unembedding

CALLS = {
    "positions": lambda sae: sae.positions(),
    "logits": lambda sae: sae.logits(),
    "neighbors": lambda sae: sae.neighbors(),
}


@pytest.fixture(scope="module")
def sae():
    return loupe.open("demo/layer0-standard-2048")


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
    assert "d_sae 2,048" in repr(result)
    assert "to_frame():" in repr(result)
    assert result.arrays
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
    ],
)
def test_a_wrong_argument_is_said_in_words(sae, call, says):
    with pytest.raises(LoupeError, match=says):
        call(sae)
