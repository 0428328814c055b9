"""Features on a short text, against dense activations row by row."""

import numpy as np
import pytest

from core.errors import DoesNotFitError
from core.text.features import cells, encode_text, feature_table, ranked, token_features, token_table
from core.text.texts import cut_rows, tokenise
from tests.doubles.planted import planted_dictionary, planted_model

DOCUMENTS = ["def f(x):\n    return é", "class A: pass"]


@pytest.fixture
def model(tmp_path):
    return planted_model(tmp_path)


def by_hand(dictionary, model, text, length, bos):
    """Activations (token, feature), squared errors and squared lengths, a row at a time; BOS taken off."""
    acts, errors, squares = [], [], []
    for part in cut_rows(text, length, bos=bos is not None):
        row = text.ids[part] if bos is None else np.concatenate([[bos], text.ids[part]])
        x = model.activations(row[None], dictionary.config.hook_name)[0]
        first = int(bos is not None)
        acts.append(dictionary.encode(x)[first:])
        squares.append((x.astype(float) ** 2).sum(1)[first:])
        errors.append(((x - dictionary.reconstruct(x)).astype(float) ** 2).sum(1)[first:])
    return np.concatenate(acts), np.concatenate(errors), np.concatenate(squares)


@pytest.mark.parametrize(("architecture", "bos"), [("standard", None), ("standard", 0), ("abstopk", 0)])
def test_every_token_has_the_activations_and_the_error_that_its_row_gives(model, architecture, bos):
    dictionary = planted_dictionary(architecture)
    text = tokenise(model, DOCUMENTS)
    found = encode_text(dictionary, model, text, length=7, bos=bos)
    acts, errors, squares = by_hand(dictionary, model, text, 7, bos)
    dense = np.stack([found.of_feature(i) for i in range(12)], axis=1)
    np.testing.assert_allclose(dense, acts, atol=1e-5)
    np.testing.assert_allclose(found.error, errors, rtol=1e-4)
    np.testing.assert_allclose(found.square, squares, rtol=1e-5)
    for token in (0, found.n_tokens - 1):
        features, values = found.on_token(token)
        assert features.tolist() == np.flatnonzero(acts[token]).tolist()
        np.testing.assert_allclose(values, acts[token, features], atol=1e-5)
    first = [int(bos is not None) + i for i in range(7 - int(bos is not None))]
    assert found.position[: len(first)].tolist() == first
    assert found.row[-1] == found.row.max() > 2


def test_a_table_of_features_sums_up_dense_activations(model):
    dictionary = planted_dictionary("abstopk", d_sae=30)  # activations of either sign, and features never active
    text = tokenise(model, DOCUMENTS)
    found = encode_text(dictionary, model, text, length=12)
    dense = by_hand(dictionary, model, text, 12, None)[0]
    table = feature_table(found).set_index("feature")
    assert table.index.tolist() == np.flatnonzero((dense != 0).any(0)).tolist()
    assert 0 < len(table) < 30
    for i, row in table.iterrows():
        place = np.abs(dense[:, i]).argmax()
        assert row["token_number"] == place
        assert row["text_max"] == pytest.approx(dense[place, i], abs=1e-5)
        assert row["text_sum"] == pytest.approx(dense[:, i].sum(), abs=1e-4)
        assert row["text_mean"] == pytest.approx(dense[:, i].mean(), abs=1e-5)
        assert row["text_tokens"] == (dense[:, i] != 0).sum()
    assert (table["text_max"] < 0).any()


def test_shares_are_of_each_features_own_largest(model):
    found = encode_text(planted_dictionary(), model, tokenise(model, DOCUMENTS), length=12)
    largest = np.linspace(1, 2, 12)
    largest[found.on_token(3)[0][0]] = np.nan  # never active on the sample
    table = token_features(found, 3, largest)
    features, acts = found.on_token(3)
    np.testing.assert_allclose(table["largest_share"], acts / largest[features], rtol=1e-6)
    np.testing.assert_allclose(table["share_weighted"], acts.astype(float) ** 2 / largest[features], rtol=1e-6)
    order = ranked(table, "largest_share")
    assert order["largest_share"].iloc[:-1].is_monotonic_decreasing
    assert np.isnan(order["largest_share"].iloc[-1])


def test_ranking_goes_by_size_and_then_by_feature(model):
    found = encode_text(planted_dictionary(), model, tokenise(model, ["ab"]), length=12)
    table = token_features(found, 0).iloc[:3].assign(feature=[5, 2, 9], text_activation=[1.0, 1.0, -3.0])
    assert ranked(table, "text_activation")["feature"].tolist() == [9, 2, 5]


def test_tokens_carry_their_text_place_and_errors(model):
    text = tokenise(model, DOCUMENTS)
    found = encode_text(planted_dictionary(), model, text, length=12)
    table = token_table(found, [model.token_strings[i] for i in text.ids])
    assert table["token_text"].tolist()[:4] == list("def ")
    np.testing.assert_allclose(table["token_error_share"], found.error / found.square)
    np.testing.assert_allclose(table["token_error"] ** 2, found.error)
    assert table["token_l0"].tolist() == [len(found.on_token(t)[0]) for t in range(found.n_tokens)]


def test_cells_are_the_nonzero_activations_of_a_stretch(model):
    found = encode_text(planted_dictionary(), model, tokenise(model, DOCUMENTS), length=12)
    table = cells(found, [3, 7], range(4, 15))
    expected = [(f, t) for t in range(4, 15) for f in (3, 7) if found.of_feature(f)[t]]
    assert list(zip(table["feature"], table["token_number"], strict=True)) == expected
    assert table["text_activation"].tolist() == [found.of_feature(f)[t] for f, t in expected]


def test_one_token_is_enough(model):
    found = encode_text(planted_dictionary(), model, tokenise(model, ["a"]), length=12)
    assert found.n_tokens == 1
    assert len(token_features(found, 0)) == len(feature_table(found))


def test_rows_longer_than_the_context_are_refused_with_both_numbers(model):
    with pytest.raises(DoesNotFitError, match="Rows of 13 tokens do not fit planted: its context is 12"):
        encode_text(planted_dictionary(), model, tokenise(model, ["a"]), length=13)
