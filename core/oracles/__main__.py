"""Compute numbers the slow way, in a process that loads this room alone: python -m core.oracles FOLDER.

FOLDER holds inputs.npz: the names of the `statistics`, for each of them a row (JSON) with the parameters of its oracle
that differ (an array as @ and its name), and arrays and settings that all share, by the names of the
oracles' parameters. core/oracles/inputs.py makes what is not there from raw arrays. Values go to points.npy, in the
order of the names.
"""

import json
import sys
from pathlib import Path

import numpy as np

from core.oracles.found import all_oracles, needs
from core.oracles.inputs import Inputs


def main(folder: Path) -> None:
    """Read the inputs, print `step N of M` on the way, and write the values."""
    with np.load(folder / "inputs.npz", allow_pickle=False) as file:
        given = {name: file[name].item() if file[name].ndim == 0 else file[name] for name in file.files}
    names, rows, oracles = given.pop("statistics").tolist(), json.loads(given.pop("own")), all_oracles()
    inputs, values = Inputs(given), []
    for done, (name, row) in enumerate(zip(names, rows, strict=True)):
        print(f"step {done} of {len(names)}")
        parameters = needs(oracles[name], {**inputs, **row})
        own = {one: inputs[value[1:]] if str(value).startswith("@") else value for one, value in row.items()}
        found = oracles[name](**{one: own[one] if one in own else inputs[one] for one in parameters})
        values.append(np.nan if found is None else float(found))
    np.save(folder / "points.npy", np.array(values)[:, None])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
