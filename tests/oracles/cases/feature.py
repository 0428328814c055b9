"""Four features on 24 rows of seven tokens: one that is drawn, one on one token alone, one negative, and a dead one."""

import numpy as np
import pandas as pd
from scipy import stats

from core.activations.store import FeatureActivations
from core.feature import examples
from core.feature.contexts import context_table
from core.feature.profile import position_profile, strongest_position
from tests.oracles.shown import Case, Known, Planted, Shown, known

N_ROWS, N_POS, V, OUT = 24, 7, 5, 4
"""Token 4 is left out: nothing counts it."""
ON_2, AT_5 = "on token 2 alone", "negative at position 5, positive at 3"


def case(folder) -> Case:
    rng = np.random.default_rng(3)
    rows = rng.integers(0, V, (N_ROWS, N_POS))
    rows[:, 0] = OUT  # no token counts at position 0
    counted = rows != OUT
    drawn = np.round(rng.normal(1, 1, rows.shape), 2) * (rng.random(rows.shape) < 0.4) * counted
    single, mixed = 2.0 * (rows == 2), np.zeros(rows.shape)
    mixed[:, 5], mixed[:, 3] = -3.0 * counted[:, 5], 1.0 * counted[:, 3]
    features = {"drawn": drawn, ON_2: single, AT_5: mixed}
    return Case([table for name, acts in features.items() for table in shown_of(name, acts, rows, counted)], planted())


def shown_of(name, acts, rows, counted) -> list[Shown]:
    row, position = np.nonzero(acts)
    found = FeatureActivations(row, position, acts[row, position].astype(np.float32))
    profile = position_profile(found, counted.sum(axis=0))
    held = {"acts": acts, "rows": rows, "counted": counted}
    by_token = {"acts": np.stack([acts * (rows == token) for token in range(V)], axis=-1)}
    at, token = {"position": "position", "feature": "position"}, {"token": "token", "feature": "token"}
    cards = {"strongest_token_share": examples.commonest_strongest(found, rows)[1]}
    cards["peak_active"] = strongest_position(profile)
    of_token = dict.fromkeys(("mean_active", "largest_activation"), by_token)
    return [
        Shown(f"positions, {name}", profile, held, at),
        Shown(f"tokens, {name}", examples.token_counts(found, rows), held, token, instead=of_token),
        Shown(f"cards, {name}", pd.DataFrame([cards]), held, {}),
        *(levels_of(name, way, found, held) for way in (("intervals", "groups") if name == "drawn" else ())),
    ]


def levels_of(name, way, found, held) -> Shown:
    """Return the table of examples from all levels, whose group says the level."""
    make = {"intervals": examples.intervals, "groups": examples.quantile_groups}[way]
    parts = []
    for level in make(found)[::-1]:
        of = {"n_active": len(found.act), "n_tokens": int(held["counted"].sum())}
        texts, said = [""] * len(level.examples.act), [level.said(**of)] * len(level.examples.act)
        parts.append(context_table(held["rows"], level.examples, texts, "abcde", said))
    carries = {"example_group": "activation_level", "text_activation": "activation"}
    instead = {"text_activation": {"acts": held["acts"][..., None], "feature": 0}}
    what = dict.fromkeys(("token", "token_label", "context_text"), "what the token is")
    where = {"row": "text_row", "token": "text_row", "position": "position"}
    return Shown(
        f"{way}, {name}", pd.concat(parts, ignore_index=True), held | {"way": way}, where, carries, instead, what
    )


def planted() -> list[Planted | Known]:
    two, ends = {"token": 2}, "cards, "
    acts = np.array([[0.0, 1, 0], [2, 4, 0], [2, 0, 0]])
    rows, all_of = np.array([[1, 2, 2], [1, 2, 1], [3, 2, 2]]), np.ones((3, 3), bool)
    one, none = {"acts": acts, "rows": rows}, {"acts": np.zeros((3, 3)), "counted": all_of}
    on, way = {"acts": acts, "counted": all_of}, "intervals"
    interval = stats.binomtest(2, 3).proportion_ci(0.95, method="wilson")
    return [
        Planted("share_of_token", 1, ON_2, two, f"tokens, {ON_2}"),
        Planted("share_of_active", 1, ON_2, two, f"tokens, {ON_2}"),
        Planted("strongest_token_share", 1, ON_2, what=f"{ends}{ON_2}"),
        Planted("peak_active", 3, "at position 5 it is negative", what=f"{ends}{AT_5}"),
        Planted("fires_share", 1, AT_5, {"position": 5}, f"positions, {AT_5}"),
        Planted("active_rows", 0, AT_5, {"position": 4}, f"positions, {AT_5}"),
        Planted("fires_share", np.nan, "no token counts at position 0", {"position": 0}),
        Planted("share_low", 0, AT_5, {"position": 4}, f"positions, {AT_5}"),
        Planted("share_high", 1, AT_5, {"position": 5}, f"positions, {AT_5}"),
        known("active_count", 2, "1 and 4", **one, token=2),
        known("share_of_token", 0.4, "two of five", **one, token=2),
        known("share_of_active", 0.5, "two of four", **one, token=2),
        known("strongest_token_share", 2 / 3, "rows 0 and 1 peak at 2, row 2 at 3", **one),
        known("active_rows", 2, "in rows 1 and 2", acts=acts, position=0),
        known("share_low", interval.low, "as scipy has it for 2 of 3", **on, position=0),
        known("share_high", interval.high, "as scipy has it for 2 of 3", **on, position=0),
        known("peak_active", 1, "5 over three, against 4 over three", **on),
        known("peak_active", None, "it never fires", **none),
        known(
            "activation_level",
            "1.82 to 2.18: 2 active tokens, 50.00% of them, density 0.22",
            "2 lies between 20/11 and 24/11",
            **on,
            row=1,
            position=0,
            way=way,
        ),
        known(
            "activation_level",
            "2 to 4: 1 active tokens, 25.00% of them, density 0.11",
            "each of 1, 2, 2 and 4 is a group",
            **on,
            row=1,
            position=1,
            way="groups",
        ),
    ]
