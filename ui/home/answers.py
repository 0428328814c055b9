"""The answer to each question of the first page, from the results that the pages themselves store."""

from collections.abc import Callable

import numpy as np

from core.corpus.samples import bos_token
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import Entry, entries
from core.home import findings
from core.home.findings import Finding
from core.logit_weights.unembedding import LogitSettings
from core.matching.pairs import THRESHOLD
from core.models.tokens import label
from core.positions.methods import choose_method
from core.positions.statistics import PositionSettings
from core.splitting.tables import children_table
from ui.studies import (
    compute,
    enrichment,
    feature_map,
    geometry,
    logit_weights,
    matching,
    opened,
    positions,
    second_dictionary,
    token_sets,
)
from ui.studies import splitting as splitting_studies
from ui.studies.splitting import Series
from ui.text import examples, input
from ui.text.input import Read, Reading

IMPORT = "\nimport os\nimport sys\n"
"""The text of which the token `import` is looked at; the first line keeps it from the first position."""


def _if_cheap(multiply_adds: int, find: Callable[[], Finding]) -> Finding:
    """Return what is found by no more work than this, or by more if its results are stored (raises NotStored)."""
    if multiply_adds <= compute.CHEAP:
        return find()
    with compute.only_stored():
        return find()


def positional(dictionary: Dictionary) -> Finding:
    """Count the features that follow position, without reading text for it."""
    model = opened.model_of(dictionary)
    method, _ = choose_method(dictionary, model, PositionSettings(n_pos=model.n_ctx))
    cost = dictionary.d_sae * model.d_model * model.d_vocab if method != "corpus" else compute.CHEAP + 1
    return _if_cheap(cost, lambda: findings.positional(positions.position_study(dictionary.id)))


def promoting(dictionary: Dictionary) -> Finding:
    """Count the features that promote a token set beyond chance."""
    model = opened.model_of(dictionary)

    def find() -> Finding:
        study = logit_weights.logit_study(LogitSettings(), dictionary.id)
        sets = token_sets.sets(study.model)
        scores = enrichment.enrichment_of(study, sets)
        return findings.promoting(scores, enrichment.random_enrichment(study, sets))

    return _if_cheap(dictionary.d_sae * model.d_model * model.d_vocab, find)


def firing(dictionary: Dictionary) -> Finding:
    """Name the feature that is most active on `import`."""
    read = _read(dictionary, IMPORT)
    texts = read.labels(np.arange(read.features.n_tokens))
    places = [place for place, text in enumerate(texts) if text.strip() == "import"] or [len(texts) // 2]
    return findings.firing(read.features, places[-1], label(texts[places[-1]]))


def used(dictionary: Dictionary) -> Finding:
    """Count the features that the first example of the page Text uses."""
    suited = input.suited_examples(opened.model_of(dictionary), {name: (text,) for name, text in examples.ONE.items()})
    (text,) = next(iter(suited.values()))
    return findings.used(_read(dictionary, text).features, dictionary.d_sae)


def _read(dictionary: Dictionary, text: str) -> Read:
    """Read a short text as the page Text does."""
    model = opened.model_of(dictionary)
    compute.expect_model_run()
    length = min(dictionary.config.context_size or model.n_ctx, model.n_ctx)
    how = Reading(length, bos_token(model) if dictionary.config.prepend_bos else None, "")
    return input.read(dictionary, model, (text,), how, "An example")


def shared(dictionary: Dictionary) -> Finding:
    """Say how many features another seed shares, or, where no listed dictionary has one, the usual dictionary B."""
    listed = entries(compute.workspace())
    pair = findings.seed_pair(listed, dictionary.id) or _usual_pair(listed, dictionary)
    a, b = (opened.dictionary(entry.id) for entry in pair)

    def find() -> Finding:
        study = matching.study(a, b, "decoder", "one-to-one", THRESHOLD)
        return findings.shared(matching.agreement(study).numbers, *pair)

    return _if_cheap(a.d_sae * b.d_sae * a.d_in, find)


def _usual_pair(listed: list[Entry], dictionary: Dictionary) -> tuple[Entry, Entry]:
    by_id = {entry.id: entry for entry in listed}
    other = second_dictionary.default_second()
    picked = by_id.get(dictionary.id) or Entry(dictionary.id, dictionary.title)
    return picked, by_id.get(other) or Entry(other, other)


def splitting(dictionary: Dictionary) -> Finding | None:
    """Say what becomes of the feature that splits most; None without a wider dictionary of the same kind."""
    wider = [entry for entry in splitting_studies.listed() if (entry.d_sae or 0) > dictionary.d_sae]
    if not wider:
        return None
    wide = opened.dictionary(wider[-1].id)

    def find() -> Finding:
        series = Series((dictionary, wide), THRESHOLD)
        children = children_table(splitting_studies.from_coarse(series), threshold=THRESHOLD)
        return findings.splitting(children, (dictionary.d_sae, wide.d_sae))

    return _if_cheap(dictionary.d_sae * wide.d_sae * dictionary.d_in, find)


def coinciding(dictionary: Dictionary) -> Finding:
    """Count the features that have a near copy."""
    cost = dictionary.d_sae**2 * dictionary.d_in
    return _if_cheap(cost, lambda: findings.coinciding(geometry.neighbors(dictionary.id)))


def grouped(dictionary: Dictionary) -> Finding:
    """Count the clusters, if the page Feature map has found them."""
    with compute.only_stored():
        return findings.grouped(feature_map.clusters(dictionary.id))


ANSWERS = {
    answer.__name__: answer for answer in (positional, firing, promoting, used, shared, splitting, coinciding, grouped)
}
"""What finds an answer, by the name that a card has for it."""
