"""What the oracles of a figure are given: the very arrays of dictionaries, model and text, and no result of ours."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from core.activations.store import counted
from core.audit.asked import Asked, encoder, inputs_on_text, not_covered
from core.dictionaries.hooks import WRITES, split_hook
from core.dictionaries.spaces import directions
from core.models.writing import writing_matrix
from core.positions.statistics import grid_tokens


def geometry(asked: Asked) -> dict[str, object]:
    """Return the directions of one side, and encoder and decoder."""
    rows = np.ascontiguousarray(directions(asked.dictionary, asked.settings["side"]))
    weights = {"W_enc": asked.dictionary.W_enc, "W_dec": asked.dictionary.W_dec}
    n = sum(bool(row.any() and np.isfinite(row).all()) for row in np.unique(rows + 0.0, axis=0))
    return {"directions": rows, **weights, "n": n, "d": rows.shape[1], **_settings(asked, "k", "r")}


def positions_on_grid(asked: Asked) -> dict[str, object]:
    """Return all tokens at all positions, or those tokens that were drawn."""
    assert asked.model is not None
    n_pos, n_samples = asked.settings["n_pos"], asked.settings["n_samples"]
    tokens = grid_tokens(asked.model.d_vocab, n_samples)
    grid = {"W_E": asked.model.W_E[tokens], "W_pos": asked.model.W_pos[:n_pos]}
    return grid | encoder(asked, n_samples * n_pos) | _settings(asked, "context_size")


def positions_on_text(asked: Asked) -> dict[str, object]:
    """Return what the dictionary reads at the first positions of each row."""
    assert asked.text is not None
    asked = replace(asked, text=replace(asked.text, rows=asked.text.rows[:, : asked.settings["n_pos"]]))
    x = inputs_on_text(asked)
    return {"x": x} | encoder(asked, x.shape[0] * x.shape[1]) | _settings(asked, "context_size")


def activations(asked: Asked) -> dict[str, object]:
    """Return what the dictionary reads on the text, the tokens, and which of them count."""
    assert asked.text is not None
    kept = counted(asked.text.rows, asked.text.left_out)
    kept[:, : 0 if asked.settings.get("with_first", True) else 1] = False
    given = {"x": inputs_on_text(asked), "rows": asked.text.rows, "counted": kept}
    return given | encoder(asked, kept.size)


def logit_weights(asked: Asked) -> dict[str, object]:
    """Return the feature's decoder row, the unembedding, and what is done to both."""
    assert asked.model is not None
    return {"W_dec": asked.dictionary.W_dec[[asked.feature]], "feature": 0} | _unembedding(asked)


def _unembedding(asked: Asked) -> dict[str, object]:
    model, settings = asked.model, asked.settings
    how = {f"how_{name}": settings[name] for name in ("center_d_model", "center", "unit_columns", "unit_rows")}
    if settings["fold_ln"]:
        how["how_ln_w"] = model.ln_final[0]
    if (matrix := _behind(asked)) is not None:
        how["how_W_out"] = matrix
    used = [i for i, text in enumerate(model.token_strings) if text] if settings["skip_unused"] else slice(None)
    return {"W_U": model.W_U[:, used], **how}


def _behind(asked: Asked) -> np.ndarray | None:
    """Return the matrix of its block that takes what a feature writes to the stream; None where it writes there."""
    config = asked.dictionary.config
    layer, point = split_hook(hook := config.hook_name_out or config.hook_name)
    if point in WRITES or hook in ("hook_embed", "hook_pos_embed"):
        return None
    names = {"mlp.hook_post": "mlp.W_out", "attn.hook_z": "attn.W_O"}
    if layer is None or point not in names:
        raise not_covered(
            asked.dictionary, f"it writes to {hook}, which no matrix alone takes to the logits", ", ".join(names)
        )
    matrix, head = writing_matrix(asked.model, layer, names[point]), config.hook_head_index
    return matrix if head is None else matrix[head * asked.dictionary.d_in : (head + 1) * asked.dictionary.d_in]


def enrichment(asked: Asked) -> dict[str, object]:
    """Return what logit weights are made from, and the members of token sets as places among their tokens."""
    strings = asked.model.token_strings if asked.settings["skip_unused"] else [" "] * asked.model.d_vocab
    used = [token for token, text in enumerate(strings) if text]
    places = [np.flatnonzero(np.isin(used, tokens)) for tokens in asked.sets.values()]
    sets = {
        "set_names": np.array(list(asked.sets)),
        "set_sizes": np.array([len(one) for one in places]),
        "set_tokens": np.concatenate([*places, np.zeros(0, int)]),
    }
    named = {"set_x": "token_set", "set_y": "other_set", "token_set": "token_set"}
    picked = {name: asked.settings[at] for name, at in named.items() if at in asked.settings}
    return logit_weights(asked) | sets | picked


def matching(asked: Asked) -> dict[str, object]:
    """Return the decoder rows and encoder columns of two dictionaries."""
    a, b = asked.dictionaries
    return {
        "decoder_a": a.W_dec,
        "decoder_b": b.W_dec,
        "encoder_a": np.ascontiguousarray(directions(a, "encoder")),
        "encoder_b": np.ascontiguousarray(directions(b, "encoder")),
        **_settings(asked, "threshold"),
    }


def sides_of_row(asked: Asked, row: Mapping[str, Any]) -> dict[str, object]:
    """Return which feature a row is about, the directions of its dictionary, and those in which it is looked for."""
    end = asked.settings.get("end", "a")
    side = "encoder" if asked.settings["similarity"] == "encoder" else "decoder"
    other = "b" if end == "a" else "a"
    own = {"feature": row[f"feature_{end}"]} if f"feature_{end}" in row and "feature" not in row else {}
    return own | {"rows": f"@{side}_{end}", "others": f"@{side}_{other}"}


def splitting(asked: Asked) -> dict[str, object]:
    """Return the decoder rows of all widths."""
    rows = {f"decoder_{number}": dictionary.W_dec for number, dictionary in enumerate(asked.dictionaries)}
    return rows | _settings(asked, "threshold")


def widths_of_row(asked: Asked, row: Mapping[str, Any]) -> dict[str, object]:
    """Return the two widths that a row compares: the narrowest with one of d_sae features, or those of its step."""
    widths = [dictionary.d_sae for dictionary in asked.dictionaries]
    if "d_sae" in row:
        return {"narrow": "@decoder_0", "wide": f"@decoder_{widths.index(row['d_sae'])}"}
    steps = [f"{narrow:,} → {wide:,}" for narrow, wide in pairwise(widths)]
    at = steps.index(row["split_step"]) if "split_step" in row else 0
    return {"narrow": f"@decoder_{at}", "wide": f"@decoder_{at + 1}"}


def _settings(asked: Asked, *names: Sequence[str]) -> dict[str, object]:
    return {name: asked.settings[name] for name in names if name in asked.settings}
