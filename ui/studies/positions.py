"""Positional statistics, grids, errors and curves of units for the pages."""

import numpy as np

from core.activations import reconstruction
from core.activations.reconstruction import ErrorByPosition
from core.corpus.samples import TextSample, along_positions, check_length, reading_of
from core.corpus.streams import rows_sha256
from core.dictionaries.dictionary import Dictionary
from core.models.language_model import LanguageModel
from core.positions import grids, units
from core.positions.methods import choose_method, position_device, wanted_positions
from core.positions.statistics import PositionSettings
from core.positions.study import Study
from core.positions.units import UnitCurves
from core.tables import with_settings
from core.work.calls import call, silent_call
from ui.studies import audit, compute, corpus, opened


def position_study(id: str | None = None, n_pos: int | None = None, n_rows: int = 256) -> Study:
    """Return dictionary, model and positional statistics, by the method that fits."""
    dictionary = opened.dictionary(id)
    model = opened.model_of(dictionary)
    n_pos = min(n_pos or model.n_ctx, model.n_ctx)
    settings = PositionSettings(n_pos=n_pos)
    method, reason = choose_method(dictionary, model, settings)
    sample = text_of(dictionary, model, n_pos, n_rows) if method == "corpus" else None
    rows, text, named_by = (None, "", "") if sample is None else (sample.rows, sample.note, rows_sha256(sample.rows))
    device = position_device(dictionary, model, settings, compute.device())
    named = wanted_positions(dictionary, model, settings, rows, compute.device())
    stats = compute.wanted(named)
    # The study is kept with the statistics, because its scores are the same on every rerun.
    return compute.loaded().get(
        f"study {named.key} of {dictionary.id} {text} as {reading_of(model)}",
        lambda: Study(dictionary, model, stats, reason, device, text, named_by),
    )


def text_of(dictionary: Dictionary, model: LanguageModel, n_pos: int, n_rows: int) -> TextSample:
    """Return rows of the chosen text over `n_pos` positions, after BOS as on every page; all their tokens count.

    Raises CorpusError for ready rows that are shorter.
    """
    sample = corpus.sample(dictionary, model, along_positions(corpus.settings(), n_pos, n_rows))
    check_length(sample, n_pos)
    audit.note_text(sample)
    return sample


def on_text(study: Study, sample: TextSample, **more: str | int) -> dict[str, object]:
    """Return the provenance of a figure that rests on rows of text, and not on what the study's scores rest on."""
    text = {"text": sample.note, "n_rows": len(sample.rows), "rows_sha256": rows_sha256(sample.rows)}
    return with_settings(study.provenance, **text, **more)


def told(study: Study) -> dict[str, object]:
    """Return what the same in Python needs of a study's text (see ui.shared.same_in_python)."""
    return {"text": corpus.settings(), "reads": ("bos", "seed")} if study.text else {}


def feature_grid(feature: int, n_pos: int) -> np.ndarray:
    """Return one feature's activation on every token and position of the picked dictionary."""
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)
    key = f"feature-grid-{dictionary.sha256}-{model.sha256}-{feature}-{n_pos}"
    work = call(grids.feature_grid, dictionary, model, feature, n_pos)
    return compute.transient(key, f"Feature {feature} on all tokens", work)


def token_curves(token: int, n_pos: int) -> np.ndarray:
    """Return every feature's activation on one token along positions."""
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)
    key = f"token-curves-{dictionary.sha256}-{model.sha256}-{token}-{n_pos}"
    work = silent_call(grids.token_curves, dictionary, model, token, n_pos)
    return compute.transient(key, f"Token {token} at all positions", work)


def error_by_position(n_pos: int, n_rows: int) -> tuple[ErrorByPosition, TextSample]:
    """Return the picked dictionary's error on text, and the text."""
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)
    sample = text_of(dictionary, model, n_pos, n_rows)
    rows = sample.rows
    # In deep layers the vector at position 0 can be so long that it hides all others. It stays in the curves.
    first = 0 if dictionary.config.layer == 0 or n_pos == 1 else 1
    device = compute.device(2 * rows.size * dictionary.d_in * dictionary.d_sae)
    work = call(reconstruction.error_by_position, dictionary, model, rows, first=first, device=device)
    how = {"first": first, "context_size": None, "device": device}
    key = ErrorByPosition.key(dictionary.sha256, model.sha256, rows_sha256(rows), **how)
    return compute.result(ErrorByPosition, key, "Error by position", work), sample


def unit_curves(hook_name: str, n_pos: int, n_rows: int) -> tuple[UnitCurves, TextSample]:
    """Return curves of the model's own units at a hook, and their text."""
    dictionary = opened.dictionary()
    model = opened.model_of(dictionary)
    sample = text_of(dictionary, model, n_pos, n_rows)
    rows = sample.rows
    work = call(units.unit_curves, model, hook_name, rows)
    key = UnitCurves.key(model.sha256, hook_name, rows_sha256(rows))
    return compute.result(UnitCurves, key, f"Running {model.name} on text", work), sample
