"""What oracles are computed from, made from raw arrays when the first of them asks for it.

Activations come from `x` (row, position, dimension), or from `W_E` and `W_pos`, which are all tokens at all positions,
and from the encoder's tensors with what core/oracles/encode.py needs besides. `keep` is the feature of the encoder that
is kept: all must be there where they compete. `counted` (row, position) says which tokens count, which then stand as
rows of one position; `grid` (row, position) is the kept feature with 0 on tokens that do not count. Settings of `how`
(see core/oracles/logit_weights.py) begin with how_. Token sets lie one after the other in `set_tokens`.
"""

from collections.abc import Callable, Mapping

import numpy as np

from core.oracles.encode import encode
from core.oracles.geometry import nearest_cosine
from core.oracles.logits import logits

_AT_A_TIME = 2**24
"""Numbers of a block of activations."""
_TENSORS = ("W_enc", "b_enc", "threshold", "r_mag", "b_mag", "b_gate")


class Inputs(dict):
    """The arrays and settings by the oracles' parameters."""

    def __missing__(self, name: str) -> object:
        if name not in MADE:
            raise KeyError(f"nothing that was given makes {name}; there are {', '.join(sorted(self))}")
        self.update(MADE[name](self))
        return self[name]


def encoded(given: Mapping) -> dict[str, np.ndarray]:
    """Return activations and pre-activations of the feature that is kept."""
    parts = []
    tensors = {name: given[name] for name in _TENSORS if name in given}
    how = {name: given[name] for name in ("architecture", "k", "input_bias", "layer_norm") if name in given}
    rows = given["x"] if "x" in given else given["W_E"]
    n_pos = rows.shape[1] if "x" in given else len(given["W_pos"])
    step = max(1, _AT_A_TIME // (n_pos * max(tensors["W_enc"].shape)))
    for start in range(0, len(rows), step):
        print(f"step {start} of {len(rows)}")
        x = np.asarray(rows[start : start + step], np.float64)
        x = x if "x" in given else x[:, None] + np.asarray(given["W_pos"], np.float64)
        parts.append([part[..., [given["keep"]]] for part in encode(tensors, x, **how)])
    acts, pre_acts = (np.concatenate(one) for one in zip(*parts, strict=True))
    if "counted" not in given:
        return {"acts": acts, "pre_acts": pre_acts}
    counted = given["counted"]
    return {
        "acts": acts[counted][:, None],
        "pre_acts": pre_acts[counted][:, None],
        "grid": np.where(counted, acts[..., 0], 0),
    }


def _how(given: Mapping) -> dict[str, dict]:
    return {"how": {name.removeprefix("how_"): value for name, value in given.items() if name.startswith("how_")}}


def _logits(given: Mapping) -> dict[str, np.ndarray]:
    rows = range(len(given["W_dec"]))
    return {"logits": np.array([logits(given["W_dec"], given["W_U"], row, given["how"]) for row in rows])}


def _members(given: Mapping) -> dict[str, dict]:
    parts = np.split(given["set_tokens"], np.cumsum(given["set_sizes"])[:-1])
    return {
        "members": {name: set(part.tolist()) for name, part in zip(given["set_names"].tolist(), parts, strict=True)}
    }


def _cosines(given: Mapping) -> dict[str, np.ndarray]:
    found = []
    for feature in range(len(given["directions"])):
        print(f"step {feature} of {len(given['directions'])}")
        found.append(nearest_cosine(given["directions"], feature))
    return {"cosines": np.array(found)}


MADE: dict[str, Callable[[Mapping], Mapping]] = {
    "acts": encoded,
    "pre_acts": encoded,
    "grid": encoded,
    "how": _how,
    "logits": _logits,
    "members": _members,
    "cosines": _cosines,
}
"""By parameter, what makes it of what is given, with what comes along."""
