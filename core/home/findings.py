"""Findings: what a page shows of a dictionary, as one sentence, and the link that opens it there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from core.dictionaries.sources import Entry, differ_in_seed
from core.enrichment.enrichment import Enrichment
from core.enrichment.tables import feature_scores, random_reach
from core.feature_map.clusters import Clusters
from core.geometry.neighbors import Neighbors
from core.matching.numbers import Numbers
from core.positions.study import Study
from core.splitting.tables import most_split
from core.text.features import TextFeatures

NEARLY_EQUAL = 0.9
"""Decoder rows with a larger cosine nearly coincide."""
SPACE = "starts_with_space"
"""The token set that the first page asks about, where the vocabulary has it."""


@dataclass(frozen=True)
class Finding:
    """One sentence on what was found, and what the link to its page says."""

    said: str
    query: Mapping[str, str] = field(default_factory=dict)
    """Names and values of the address, beside those that all pages share."""


def positional(study: Study) -> Finding:
    """Say how many features follow position, by the elbow of the position scores."""
    d_sae, count = study.dictionary.d_sae, study.suggested
    query = {"feature": str(study.top(1)[0])} if study.top(1) else {}
    if not count:
        return Finding(f"The position scores of the {d_sae:,} features show no clear elbow.", query)
    return Finding(f"{count:,} of {d_sae:,} features {'follow' if count > 1 else 'follows'} position.", query)


def promoting(scores: Enrichment, random: Enrichment) -> Finding:
    """Say how many features promote a token set, and suppress it, more than 99 % of random directions do."""
    name = SPACE if SPACE in scores.set_names else scores.set_names[0]
    table = feature_scores(scores, name).dropna(subset=["display_score"])
    reach = random_reach(random, name, "display_score")
    up, down = (int((sign * table["display_score"] > reach).sum()) for sign in (1, -1))
    tokens = "tokens with a leading space" if name == SPACE else f"the token set {name}"
    query = {"tab": "Enrichment", "token_set": name}
    if len(table):
        best = table["feature"].iloc[int(table["display_score"].argmax())]
        query["feature"] = str(int(best))
    said = f"{_features(up)} {'promote' if up != 1 else 'promotes'} {tokens} beyond chance, {down:,} "
    return Finding(f"{said}{'suppress' if down != 1 else 'suppresses'} them.", query)


def firing(features: TextFeatures, token: int, text: str) -> Finding:
    """Say which feature is most active on a token of a text."""
    active, acts = features.on_token(token)
    if not len(active):
        return Finding(f"No feature fires on {text}.")
    best = int(active[acts.argmax()])
    among = f", the strongest of {len(active):,} that do" if len(active) > 1 else ""
    return Finding(f"Feature {best} fires on {text}{among}.", {"feature": str(best)})


def used(features: TextFeatures, d_sae: int) -> Finding:
    """Say how many features a text uses."""
    active = int((features.acts.count > 0).sum())
    n_tokens = features.n_tokens
    return Finding(f"{n_tokens:,} tokens of an example use {active:,} of the {d_sae:,} features.", {"tab": "One text"})


def shared(numbers: Numbers, a: Entry, b: Entry) -> Finding:
    """Say which share of the features is in both dictionaries: paired by decoder and by encoder, over the threshold."""
    share, other = numbers["shared"] or 0.0, "another seed" if differ_in_seed(a, b) else b.title
    said = f"{share:.0%} of the features of {a.title} survive in {other}."
    return Finding(said, {"sae": a.id, "b": b.id, "tab": "Lists"})


def splitting(children: pd.DataFrame, widths: tuple[int, int]) -> Finding:
    """Say what becomes of the feature that splits most; `children` is a children_table, `widths` of its two ends."""
    narrow, wide = widths
    best = most_split(children)
    if best is None:
        return Finding(f"No feature of the {narrow:,} has more than one child among {wide:,}.")
    feature, count = best
    said = f"Feature {feature} of {narrow:,} becomes {_features(count)} of {wide:,}."
    return Finding(said, {"feature": str(feature)})


def coinciding(neighbors: Neighbors) -> Finding:
    """Say how many features have a neighbour with nearly the same decoder row."""
    nearest = neighbors.cos[:, 0]
    count = int(np.count_nonzero(nearest > NEARLY_EQUAL))
    said = f"{_features(count)} {'have' if count != 1 else 'has'} a neighbour with a cosine over {NEARLY_EQUAL:g}."
    return Finding(said)


def grouped(clusters: Clusters) -> Finding:
    """Say how many groups of features with similar directions there are."""
    inside = int(np.count_nonzero(clusters.label >= 0))
    said = f"{inside:,} of {len(clusters.label):,} features lie in {clusters.count:,} clusters."
    return Finding(said, {"tab": "Clusters"})


def seed_pair(listed: list[Entry], picked: str) -> tuple[Entry, Entry] | None:
    """Return two listed dictionaries that differ in the seed alone: with the picked one first, if it is such a one."""
    for a in sorted(listed, key=lambda entry: entry.id != picked):
        for b in listed:
            if differ_in_seed(a, b) and a.id.partition("/")[0] == b.id.partition("/")[0]:
                return a, b
    return None


def _features(count: int) -> str:
    return f"{count:,} feature{'s' * (count != 1)}"
