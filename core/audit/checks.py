"""Which shown numbers are computed anew by their oracles, by what a figure's provenance says under `method`.

A number that is to be checked as well is its name in `statistics`: its oracle's parameters come from `given`, else from
the columns of the table's row that have their names. What cannot be checked has its reason in words.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from core.audit import given
from core.audit.asked import Asked
from core.catalogue import ALIASES, STATISTICS
from core.oracles.found import all_oracles, needs, oracles_of, rooms

GEOMETRY, POSITIONS, LOGITS = "exact nearest neighbours by cosine", "additive grid", "logit weights"
DRAWN_GRID, POSITIONS_ON_TEXT, TOKEN_PASS = "plain grid", "corpus", "token pass"
ENRICHMENT, MATCHING = "token-set enrichment", "matching by weights"
SPLITTING = "decoder cosines between widths"
MOST_PAIRED = 2_048
"""Features of which the slow way compares all pairs."""
_WHOLE = "mean_cosine mean_nearest_cosine largest_cosine"
_BINS = "commonest_neighbor distinct_neighbors same_neighbor_share"
OF_PAIRS = f"in_degree in_degree_top siblings merged_from n_children {_WHOLE} {_BINS}"
"""Statistics for which the slow way compares all pairs of features."""
_MOMENTS = "mean_activation std_activation firing_rate mean_pre_activation std_pre_activation"
_CURVES = f"position_score peak peak_width mutual_information positional_r2 firing_count {_MOMENTS}"
_ON_GRID = (
    f"{_CURVES} share_position share_token share_interaction token_score token_best t_score inverse_token_score "
    "inverse_position_score variance only_beyond beyond_score"
)
_OF_ALL = "it needs every feature's activations, and the slow way computes one feature"
_RANKED = "it compares all features, and the slow way computes one"
_DRAWN = "tokens may be drawn, and the slow way counts places among them"
_PREDICTED = "it needs p of every feature in every set, and the slow way computes one feature"


@dataclass(frozen=True)
class Check:
    """How the numbers of one kind of figure are computed anew."""

    statistics: str
    """Names in the catalogue, of numbers of one feature or of one dictionary."""
    given: Callable[[Asked], dict[str, object]]
    """Returns what the oracles are given, by their parameters."""
    reads: tuple[str, ...] = ()
    """What is read beside the dictionary: "model", "text" or "sets"."""
    dictionaries: int = 1
    """How many a figure is of; 0 for two or more."""
    of_row: Callable[[Asked, Mapping[str, Any]], Mapping[str, Any]] = field(default=lambda asked, row: {})
    """Returns parameters that differ by row beside the columns of the same name; arrays as @ and their name."""
    of_all: str = ""
    """Those of `statistics` that are numbers of the dictionary, which tables without a feature may hold."""
    not_these: Mapping[str, str] = field(default_factory=dict)
    """Why other numbers of these figures are not computed anew; names that have one reason stand together."""

    def why_not(self, name: str, *, of_a_feature: bool) -> str:
        """Say why the slow way leaves a number out; empty if it does not."""
        if name in (self.statistics if of_a_feature else self.of_all).split():
            return ""
        if name in self.statistics.split():
            return "here it is a number of all features, and the slow way computes one feature"
        said = (why for names, why in self.not_these.items() if name in names.split())
        return next(said, "its slow version is not given what this figure rests on")


CHECKS = {
    GEOMETRY: Check(
        "nearest_cosine rth_cosine neighbor neighbor_rank neighbor_cosine mutual_rank encoder_decoder_cosine "
        "composed_cosine composed_first composed_second composed_gain interference welch_bound random_rth_cosine "
        f"{OF_PAIRS}",
        given.geometry,
        of_all=f"interference welch_bound {_WHOLE} {_BINS}",
        not_these={"features_in_bin share_in_bin random_cosine bin_low bin_high": "it counts, and chance lies beside"},
    ),
    POSITIONS: Check(
        f"{_ON_GRID} activation token_score_of_token",
        given.positions_on_grid,
        ("model",),
        not_these={"rank n_positional": _RANKED},
    ),
    DRAWN_GRID: Check(
        _ON_GRID.replace(" token_best", ""),
        given.positions_on_grid,
        ("model",),
        not_these={"rank n_positional": _RANKED, "token_best activation token_score_of_token": _DRAWN},
    ),
    POSITIONS_ON_TEXT: Check(
        f"{_CURVES} variance share_position",
        given.positions_on_text,
        ("model", "text"),
        not_these={"rank n_positional": _RANKED},
    ),
    LOGITS: Check(
        "logit_mean logit_std skewness kurtosis excess_kurtosis logit_min logit_max logit_weight",
        given.logit_weights,
        ("model",),
        not_these={"logit_class": _RANKED, "top_token bottom_token": "it is a token, and no number"},
    ),
    TOKEN_PASS: Check(
        "active_tokens density log_density mean_active std_active largest_activation smallest_activation "
        "active_quantile median_active active_rows fires_share share_low share_high strongest_token_share peak_active "
        "active_count share_of_token share_of_active",
        given.activations,
        ("model", "text"),
        not_these={
            "active_share smoothed_mean l0 l1 dead_share mean_below_median features_mean_below features_median_below "
            "activation_threshold": _OF_ALL,
            "mse nmse fve l2 norm norm_hat cosine l2_ratio reconstruction_bias": _OF_ALL,
        },
    ),
    ENRICHMENT: Check(
        "enrichment_score es_high es_low display_score auc auc_z score_x score_y score_difference running_sum",
        given.enrichment,
        ("model", "sets"),
        not_these={
            "p_value log10_p": "p of a small set rests on draws",
            "q_value log10_q": _PREDICTED,
            "es_random": "it rests on random directions",
        },
    ),
    MATCHING: Check(
        "decoder_cosine encoder_cosine alignment best_similarity parent siblings merged_from",
        given.matching,
        dictionaries=2,
        of_row=given.sides_of_row,
        not_these={
            "match_score": "it is a cosine beside it, or the root of their product",
            "density": "it is of a text, which the page Activations checks",
            "best_match match_label": "it is a name, and no number",
        },
    ),
    SPLITTING: Check(
        "n_children best_child_cosine split_cosine",
        given.splitting,
        dictionaries=0,
        of_row=given.widths_of_row,
        not_these={
            "mean_children random_children childless_share single_child_share split_share labelled_features "
            "labelled_share most_children": _RANKED,
            "sibling_rank sibling_difference sibling_correlation logit_weight": "it rests on logit weights of siblings",
        },
    ),
}


def name_of(column: str, row: Mapping[str, object], settings: Mapping[str, Any]) -> str:
    """Return the name in the catalogue of what a column carries in one row."""
    before = "pre-" in str(row.get("stage", settings.get("stage", ""))).lower()
    return _BEFORE[column] if before and column in _BEFORE else ALIASES.get(column, column)


_BEFORE = {"mean": "mean_pre_activation", "std": "std_pre_activation"}
"""What columns carry in the rows of pre-activations."""
_ROW_NAMES = [
    "feature",
    "position",
    "token",
    "unit",
    "token_number",
    "own_row",
    "text_row",
    "feature_a",
    "feature_b",
    "correlated_feature",
    "next_feature",
    "coarse_feature",
    "child",
    "sibling",
    "other_sibling",
    "split_step",
    "token_set",
    "token_label",
    "token_text",
    "feature_name",
    "neighbor_name",
    "correlated_name",
    "name_a",
    "name_b",
    "match_name",
    "next_name",
    "coarse_name",
    "child_name",
    "sibling_name",
    "d_sae",
    "dictionary",
]
"""Columns that say what a row is about and are no numbers of it."""
ROW_BY = {"neighbor": "neighbor_rank"}
"""Columns that name a row, and are no number of it, in tables with another column."""
LEVELS = {f"decile_{n}": {"level": n / 10} for n in range(1, 11)}
"""What the oracles of columns are given besides that carry one statistic many times."""


def is_on_grid(name: str, row: Mapping[str, object], given: Mapping[str, object]) -> bool:
    """Whether an oracle is given one feature by row and position: those of its page, and all in tables by position."""
    return "counted" in given and (room_of(name) == "feature" or ("position" in row and "feature" not in row))


@cache
def room_of(name: str) -> str | None:
    """Return the file of core/oracles that holds a statistic, which is also its case in tests/oracles; None without."""
    return next((room for room in rooms() if name in oracles_of(room)), None)


def statistics_of(columns: Iterable[str]) -> list[str]:
    """Return the statistics that some columns carry, each once, without what only names a row."""
    known = (ALIASES.get(name, name) for name in columns)
    return list(dict.fromkeys(name for name in known if name in STATISTICS and name not in _ROW_NAMES))


def check_of(provenance: Mapping[str, Any]) -> Check | None:
    """Return how the numbers of a figure are computed anew; None if they are not."""
    check = CHECKS.get(str(provenance.get("method")))
    n = len(provenance.get("dictionaries") or ())
    return check if check and (n == check.dictionaries or (n > 1 and not check.dictionaries)) else None


def is_of_a_feature(provenance: Mapping[str, Any], columns: Iterable[str]) -> bool:
    """Whether a table has a row for each feature, or is of one alone."""
    known = {*columns, *(provenance.get("settings") or {})}
    return not known.isdisjoint(("feature", "feature_a", "feature_b", "coarse_feature"))


def why_not(provenance: Mapping[str, Any], name: str, columns: Iterable[str]) -> str:
    """Say in words why one number of a figure, whose table has these columns, is not computed anew; empty if it is."""
    if room_of(name) is None:
        return "no slow version of it is written; the tests of its page hold it"
    check, columns = check_of(provenance), list(columns)
    if not check:
        return _why_no_check(provenance)
    if "feature" not in columns and _is_of_another(name, columns):
        return "here it is a number of the feature with what else its row names"
    return check.why_not(name, of_a_feature=is_of_a_feature(provenance, columns))


def _is_of_another(name: str, columns: Iterable[str]) -> bool:
    """Whether a number of one feature stands in a table whose rows are about something else, such as a token."""
    parameters = needs(all_oracles()[name])
    return "feature" in parameters and any(one in columns and one not in parameters for one in _OTHERS)


_OTHERS = ("next_feature", "neighbor", "correlated_feature", "token")
"""Columns that say what else a row is about."""


def _why_no_check(provenance: Mapping[str, Any]) -> str:
    method, n = provenance.get("method"), len(provenance.get("dictionaries") or ())
    if method in CHECKS and n != CHECKS[method].dictionaries:
        return f"the figure is of {n} dictionaries, and the slow way is given {CHECKS[method].dictionaries}"
    return NOT_CHECKED.get(str(method), f"figures by {method} are not computed anew; the tests hold them")


_EDITED = "it comes from runs of the model that were edited, of which no slow version is written"
_LAYOUT = "a layout has no formula that could be followed by hand"
NOT_CHECKED = {
    **dict.fromkeys(("edited run", "attribution", "attribution of one feature", "causal atlas"), _EDITED),
    **dict.fromkeys(("next-token loss", "attribution and ablation"), _EDITED),
    **dict.fromkeys(("joint map with matches", "umap", "pca", "HDBSCAN on a 10-D UMAP"), _LAYOUT),
    "every stored statistic": "it stands beside numbers of several analyses; each page checks its own",
    "notes of people": "people wrote it",
    "training": "a run wrote it as it went",
}
"""Why figures by some methods have no numbers that are computed anew."""
