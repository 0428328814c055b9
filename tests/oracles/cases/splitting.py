"""Four features of which one splits in two, one is kept, one vanishes and one splits in three; and three siblings."""

from itertools import pairwise

import numpy as np
import pandas as pd

from core.geometry.neighbors import nearest_between
from core.splitting import siblings as of_siblings
from core.splitting import tables
from core.splitting.graph import cosine_links, parent_links, split_graph
from tests.oracles.shown import Case, Known, Planted, Shown, known
from tests.splitting.test_graph import planted_widths

T, N_TOKENS = 0.7, 12
SIBLINGS = (4, 5, 9)
WIDTH = {"d_sae": "the number of features of the wider dictionary"}


def case(folder) -> Case:
    rows = planted_widths()
    narrow = rows[0]
    betweens = {len(wide): nearest_between(narrow, wide, k=1) for wide in rows[1:]}
    shown = [Shown("steps", *of_graph(narrow, rows[1]))]
    children = tables.children_table(betweens, threshold=T)
    by_width = tables.width_table(betweens, narrow.shape[1], threshold=T)
    became = tables.became_table(betweens, threshold=T)
    child, label = {"feature": "feature"}, {"label": "match_label"}
    for wide in rows[1:]:
        n, given = len(wide), {"narrow": narrow, "wide": wide, "threshold": T}
        for what, table, keys in (("children", children, child), ("widths", by_width, {}), ("became", became, label)):
            mine = table[table["d_sae"] == n].reset_index(drop=True)
            shown.append(Shown(f"{what} of {n}", mine, given, keys, not_held=WIDTH))
    return Case([*shown, *of_steps(rows), promoted(), *told_apart()], planted())


def of_graph(narrow, wide):
    """Return the edges by nearest parent, then those of all pairs over a lower threshold."""
    parents = parent_links(nearest_between(narrow, wide, k=1), threshold=T)
    several = cosine_links(narrow, wide, threshold=0.1)
    graphs = [split_graph(feature, [links]) for feature in (0, 3) for links in (parents, several)]
    table = pd.concat([tables.edge_table(graph, [len(narrow), len(wide)]) for graph in graphs], ignore_index=True)
    pair = {"coarse_feature": "coarse_feature", "child": "child"}
    return table, {"narrow": narrow, "wide": wide}, pair


def of_steps(rows) -> list[Shown]:
    """Return the edges of a graph of three widths, step by step."""
    links = [parent_links(nearest_between(narrow, wide, k=1), threshold=T) for narrow, wide in pairwise(rows)]
    graph, pair = split_graph(3, links), {"coarse_feature": "coarse_feature", "child": "child"}
    table, level = tables.edge_table(graph, [len(each) for each in rows]), graph.level[graph.start]
    return [
        Shown(f"step {i}", table[level == i].reset_index(drop=True), {"narrow": narrow, "wide": wide}, pair)
        for i, (narrow, wide) in enumerate(pairwise(rows))
    ]


def promoted() -> Shown:
    texts, tokens = [f"t{i}" for i in range(N_TOKENS)], np.arange(N_TOKENS)
    said = [" ".join(each) for each in tables.promoted_tokens(logits(), tokens, texts)]
    table = pd.DataFrame({"feature": range(3), "promoted_tokens": said})
    return Shown("promoted", table, {"logits": logits(), "strings": texts})


def told_apart() -> list[Shown]:
    found = of_siblings.Siblings(np.array(SIBLINGS), logits(), np.arange(N_TOKENS))
    texts = [f"t{i}" for i in range(N_TOKENS)]
    given, text = {"logits": logits(), "siblings": SIBLINGS}, {"token_text": "a text", "logit_weight": "given"}
    at, pair = {"sibling": "sibling", "token": "token"}, {"sibling": "sibling", "other_sibling": "other_sibling"}
    return [
        Shown("distinctive", of_siblings.distinctive_table(found, texts), given, at, not_held=text),
        Shown("cells", of_siblings.difference_cells(found, texts), given, at, not_held=text),
        Shown("correlations", of_siblings.correlation_table(found), given, pair),
    ]


def logits() -> np.ndarray:
    """The last sibling promotes token 7 alone; the second is the first turned round."""
    drawn = np.random.default_rng(1).normal(size=(3, N_TOKENS)).astype(np.float32)
    drawn[1] = -drawn[0]
    drawn[2] = 0
    drawn[2, 7] = 9
    return drawn


def planted() -> list[Planted | Known]:
    two, four = np.eye(2), np.array([[1.0, 0], [3, 0], [0.6, 0.8], [0, -1]])
    given = {"narrow": two, "wide": four}
    tiny = {"logits": np.array([[0.0, 0, 2, -1, 0, 1, 0]]), "feature": 0, "strings": "abcdefg"}
    return [
        Planted("split_step", "4 → 6", "four and six features", {"split_step": "4 → 6"}),
        Planted("split_step", "6 → 9", "six and nine features", what="step 1"),
        Planted("promoted_tokens", "'t7' 't0' 't1' 't2' 't3'", "it promotes token 7 alone", {"feature": 2}),
        known("promoted_tokens", "'c' 'f' 'a' 'b' 'e'", "2, 1, and the first of those with 0", **tiny),
        Planted("n_children", 2, "0 splits in two", {"feature": 0}, "children of 6"),
        Planted("n_children", 0, "2 vanishes", {"feature": 2}, "children of 6"),
        Planted("most_children", 3, "3 splits in three", what="widths of 6"),
        Planted("childless_share", 0.25, "2 vanishes", what="widths of 6"),
        Planted("single_child_share", 0.25, "1 is kept", what="widths of 6"),
        Planted("split_share", 0.5, "0 and 3", what="widths of 6"),
        Planted("mean_children", 1.5, "2 + 1 + 0 + 3 over four", what="widths of 6"),
        Planted("labelled_features", 5, "2 of 0 and 3 of 3", {"match_label": "split"}, "became of 6"),
        Planted("labelled_share", 1 / 9, "the last is new", {"match_label": "novel"}, "became of 9"),
        Planted("sibling_correlation", -1, "turned round", {"sibling": 4, "other_sibling": 5}),
        Planted("sibling_difference", 9, "the two others cancel", {"sibling": 9, "token": 7}, "distinctive"),
        Planted("sibling_rank", 1, "the only token that it promotes", {"sibling": 9, "token": 7}),
        known("best_child_cosine", 0.8, "of 0, 0, 0.8 and −1", narrow=two, wide=four, feature=1),
        known("split_cosine", 0.6, "of (1, 0) and (0.6, 0.8)", narrow=two, wide=four, coarse_feature=0, child=2),
        known("mean_children", 1.5, "two of feature 0, one of 1", **given, threshold=0.7),
        known("random_children", 2 * (1 - 0.75**2), "in a plane a quarter is over √½", **given, threshold=0.5**0.5),
    ]
