"""What the app shows of a feature, computed anew in a clean process from the raw weights."""

import numpy as np
import pytest

from core import tables
from core.audit.recompute import AUDITED, GEOMETRY, LOGITS, POSITIONS, ROOMS, audited, needs_model, slow_values
from core.errors import CancelledError, DoesNotFitError
from core.geometry.neighbors import nearest_features
from core.geometry.study import GeometryStudy
from core.geometry.tables import hubs
from core.logit_weights.classes import logit_table
from core.logit_weights.statistics import logit_statistics
from core.logit_weights.study import LogitStudy
from core.logit_weights.unembedding import LogitSettings, residual_directions, unembedding
from core.oracles.found import oracles_of
from core.positions.methods import position_statistics
from core.positions.scores import score_table
from core.positions.statistics import PositionSettings
from tests.doubles.planted import planted_dictionary, planted_model
from tests.oracles.shown import CLOSE, ROUNDING, same

FEATURE = 5


@pytest.fixture(scope="module")
def dictionary():
    return planted_dictionary("jumprelu", d_sae=20)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return planted_model(tmp_path_factory.mktemp("model"), d_vocab=90)


def check(table, provenance, dictionary, model=None):
    """The slow way agrees with the table's row of the feature, and disagrees with another row."""
    columns = audited(provenance, list(table))
    assert len(columns) > 1
    slow = slow_values(provenance, columns, FEATURE, dictionary, model if needs_model(provenance) else None)
    row, other = (table[table["feature"] == feature].iloc[0] for feature in (FEATURE, FEATURE + 1))
    sizes = {name: table[name].abs().max() for name in columns}
    assert [name for name in columns if not same(float(row[name]), slow[name], CLOSE * sizes[name] + ROUNDING)] == []
    assert [name for name in columns if not same(float(other[name]), slow[name], CLOSE * sizes[name] + ROUNDING)] != []


def test_distances_agree(dictionary):
    near = (nearest_features(dictionary.W_dec, k=9, copies=copies) for copies in (True, False))
    study = GeometryStudy(dictionary, "decoder", *near)
    check(hubs(study.distinct), study.provenance, dictionary)


def test_positional_scores_agree(dictionary, model):
    stats = position_statistics(dictionary, model, settings=PositionSettings(n_pos=8))
    settings = {"n_pos": 8, "context_size": stats.context_size, "n_samples": stats.n_samples}
    assert stats.method == POSITIONS
    said = tables.provenance(dictionary=dictionary, model=model, method=stats.method, settings=settings)
    check(score_table(stats), said, dictionary, model)


@pytest.mark.parametrize("settings", [LogitSettings(), LogitSettings(center="none", fold_ln=False, unit_rows=True)])
def test_logit_weights_agree(dictionary, model, settings):
    rows, tokens = residual_directions(dictionary, model, settings), unembedding(model, settings)
    study = LogitStudy(dictionary, model, settings, logit_statistics(rows, tokens, center=settings.center))
    check(logit_table(study.stats, model.token_strings), study.provenance, dictionary, model)


def test_only_tables_of_one_dictionary_whose_method_is_known_are_audited(dictionary):
    said = tables.provenance(dictionary=dictionary, method=GEOMETRY, settings={})
    assert audited(said, ["feature", "in_degree", "nearest_cosine"]) == ["nearest_cosine"]
    assert audited(said, ["nearest_cosine"]) == []
    assert audited(said | {"method": "a new one"}, ["feature", "nearest_cosine"]) == []
    both = tables.provenance(dictionary=[dictionary, dictionary], method=GEOMETRY, settings={})
    assert audited(both, ["feature", "nearest_cosine"]) == []


def test_every_audited_number_has_an_oracle_in_the_room_that_the_page_names():
    for method, names in AUDITED.items():
        assert set(names.split()) <= set(oracles_of(ROOMS[method]))


def test_what_the_slow_way_does_not_cover_is_explained(dictionary, model):
    gated, settings = planted_dictionary("gated"), {"n_pos": 8, "context_size": 6}
    said = tables.provenance(dictionary=gated, model=model, method=POSITIONS, settings=settings)
    with pytest.raises(DoesNotFitError, match=r"its architecture is gated\. Expected standard or jumprelu"):
        slow_values(said, ["peak"], 0, gated, model)
    with pytest.raises(DoesNotFitError, match="is not the dictionary that this table was made from"):
        slow_values(said, ["peak"], 0, dictionary, model)
    inside = planted_dictionary(hook_name="blocks.0.mlp.hook_post")
    said = tables.provenance(dictionary=inside, model=model, method=LOGITS, settings={"skip_unused": False})
    with pytest.raises(DoesNotFitError, match=r"it writes to blocks\.0\.mlp\.hook_post"):
        slow_values(said, ["kurtosis"], 0, inside, model)


def test_a_cancelled_audit_ends(dictionary):
    class Cancelled:
        def update(self, done, total):
            raise CancelledError("stop")

        def note(self, text):
            pass

    said = tables.provenance(dictionary=dictionary, method=GEOMETRY, settings={"side": "decoder"})
    with pytest.raises(CancelledError):
        slow_values(said, ["nearest_cosine"], 0, dictionary, progress=Cancelled())
    assert np.isfinite(slow_values(said, ["nearest_cosine"], 0, dictionary)["nearest_cosine"])
