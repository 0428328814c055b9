"""Compute numbers the slow way, in a process that loads this room alone: python -m core.oracles FOLDER.

FOLDER holds inputs.npz: the names of the `statistics`, and the arrays and settings that their oracles need by the names
of their parameters. Settings of `how` (see core/oracles/logit_weights.py) begin with how_. For positions it holds W_E,
W_pos and the encoder in place of activations. Values go to points.npy, in the order of the names.
"""

import sys
from pathlib import Path

import numpy as np

from core.oracles.encode import encode
from core.oracles.found import all_oracles, needs

_TOKENS = 64
"""Tokens that are encoded at a time."""


def main(folder: Path) -> None:
    """Read the inputs, print `step N of M` on the way, and write the values."""
    with np.load(folder / "inputs.npz", allow_pickle=False) as file:
        inputs = {name: file[name].item() if file[name].ndim == 0 else file[name] for name in file.files}
    names, oracles = inputs.pop("statistics").tolist(), all_oracles()
    given = inputs | {"how": {name[4:]: value for name, value in inputs.items() if name.startswith("how_")}}
    if "W_E" in given:
        given["acts"], given["pre_acts"] = on_the_grid(given)
    values = []
    for done, name in enumerate(names):
        print(f"step {done} of {len(names)}")
        values.append(float(oracles[name](**{part: given[part] for part in needs(oracles[name], given)})))
    np.save(folder / "points.npy", np.array(values)[:, None])


def on_the_grid(given: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return activations and pre-activations (token, position, feature) of all tokens at all positions."""
    W_E, W_pos = (np.asarray(given[name], np.float64) for name in ("W_E", "W_pos"))
    tensors = {name: given[name] for name in ("W_enc", "b_enc", "threshold")}
    parts = []
    for start in range(0, len(W_E), _TOKENS):
        print(f"step {start} of {len(W_E)}")
        x = W_E[start : start + _TOKENS, None] + W_pos
        parts.append(encode(tensors, x, input_bias=given["input_bias"]))
    acts, pre_acts = zip(*parts, strict=True)
    return np.concatenate(acts), np.concatenate(pre_acts)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
