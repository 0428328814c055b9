"""One feature of a small model clamped on two rows, added at doses, and scaled while the model goes on."""

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from core.interventions.continuations import Sampling, continuations
from core.interventions.controls import Controls, ControlSettings, draw_controls
from core.interventions.doses import RESPONSES, dose_response
from core.interventions.edits import Edit
from core.interventions.impact import impact
from core.interventions.runs import EditedRuns
from core.oracles.encode import encode
from core.oracles.transformer import passing
from tests.doubles.planted import planted_dictionary, planted_model
from tests.oracles.shown import Case, Known, Planted, Shown, known

ROWS = np.random.default_rng(3).integers(0, 257, (2, 7))
FEATURE, AMOUNT, POSITIONS = 4, 1.5, (2, 3, 5)
PLACE, PAIR = (1, 3), (9, 5)
DOSES = (-3.0, 0.0, 4.0)
N_PROMPT, FACTOR = 4, 5.0
SEED = 1
"""Of the controls; planted dictionaries draw their decoder rows by seed 0, which would give the same directions."""
CLOSE = 3e-5
"""Changes of log-probabilities, of which float32 holds this share of the largest."""


def case(folder) -> Case:
    model, dictionary = planted_model(folder), dictionary_of()
    raw = {**load_file(model.folder / "model.safetensors"), "layer": 1}
    tensors = {name: getattr(dictionary, name).astype(float) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    acts, _ = encode(tensors, passing(raw, ROWS), input_bias=tensors["b_dec"])
    given = {"model": raw, "rows": ROWS, "W_dec": tensors["W_dec"], "place": PLACE, "pair": PAIR}
    runs = EditedRuns(dictionary, model, ROWS)
    return Case(
        [
            *clamped(runs, acts, given),
            *added(runs, acts, given),
            *continued(dictionary, model, tensors, acts, given),
        ],
        planted(),
    )


def dictionary_of():
    b_enc = np.full(12, 0.5)
    return planted_dictionary(hook_name="blocks.1.hook_resid_pre", tensors={"b_enc": b_enc}, fold_decoder_norms=False)


def controls_of(W_dec, acts, n: int) -> tuple[Controls, dict]:
    """Draw controls, and return them with the directions that the oracles are given."""
    active = [column[column > 0] for column in acts.reshape(-1, acts.shape[-1]).T]
    like = pd.DataFrame(
        [{"density": len(each) / 14, "mean_active": each.mean() if len(each) else 0} for each in active]
    )
    controls = draw_controls(W_dec, [FEATURE], ControlSettings(n, SEED), like=like)
    others = [row / np.sqrt((row**2).sum()) for row in W_dec[controls.features].astype(float)]
    return controls, {"random": controls.random, "others": np.array(others)}


def clamped(runs: EditedRuns, acts, given) -> list[Shown]:
    """The two largest controls of 40 lie outside the band, so its ends are not the largest."""
    controls, directions = controls_of(runs.dictionary.W_dec, acts, 40)
    edit = Edit((FEATURE,), "clamp", AMOUNT, positions=POSITIONS)
    found = impact(runs, edit, controls, place=PLACE, tokens=PAIR)
    new_acts = acts.copy()
    new_acts[:, POSITIONS, FEATURE] = AMOUNT
    written = (new_acts - acts) @ given["W_dec"]
    given = given | directions | {"acts": acts, "new_acts": new_acts, "written": written, "features": (FEATURE,)}
    strings = [str(token) for token in range(257)]
    table = found.token_table(ROWS, strings)
    after = table.assign(next_token=ROWS[:, 1:].ravel())
    texts = dict.fromkeys(("token", "token_text", "next_text"), "a token")
    at = {"text_row": "text_row", "position": "position", "token": "next_token"}
    following = found.next_table(strings)
    here = given | {"text_row": PLACE[0], "position": PLACE[1]}
    return [
        Shown("tokens", after, given, at, not_held=texts | HELD_BY_ITSELF, close=close_of(after)),
        Shown("tokens' verdict", table, {}, within("next_log_p_change"), not_held=all_but_verdict(table)),
        Shown("next", following, here, {"token": "token"}, not_held=texts, close=close_of(following)),
        Shown(
            "effects", found.effect_table(), given | {"made": made(written, controls)}, RUN, close=close_of(["effect"])
        ),
        Shown("differences", found.difference_table(*PAIR), given | {"made": made(written, controls)}, RUN),
    ]


RUN = {"run": "#"}
HELD_BY_ITSELF = {"outside_band": "held against the ends that are shown"}


def made(written, controls: Controls) -> list[np.ndarray]:
    return [written, *(push.sizes[..., None] * push.direction for push in controls.changes(written))]


def within(effect: str, ends: str = "") -> dict[str, str]:
    return {"shown": effect, "low": f"{ends or effect}_low", "high": f"{ends or effect}_high"}


def all_but_verdict(table) -> dict[str, str]:
    return {name: "held above" for name in table if name != "outside_band"}


def close_of(names) -> dict[str, float]:
    return dict.fromkeys(names, CLOSE)


def added(runs: EditedRuns, acts, given) -> list[Shown]:
    """Return the four responses at three doses, and at a fourth that overflows and is not shown."""
    controls, directions = controls_of(runs.dictionary.W_dec, acts, 20)
    doses = np.array([*DOSES, 1e30])
    found = dose_response(runs, Edit((FEATURE,), "add", positions=(2, 4)), doses, controls, place=PLACE, tokens=PAIR)
    unit = np.zeros((*ROWS.shape, 8))
    unit[:, [2, 4]] = given["W_dec"][FEATURE]
    given = given | directions | {"written_at": {dose: dose * unit for dose in doses}}
    shown = []
    for measure in RESPONSES:
        table, here = found.table(measure), given | {"measure": measure}
        by_dose = {"dose": "dose"}
        shown.append(Shown(measure, table, here, by_dose, not_held=HELD_BY_ITSELF, close=close_of(table)))
        shown.append(Shown(f"{measure}'s verdict", table, {}, within("response"), not_held=all_but_verdict(table)))
    return shown


def continued(dictionary, model, tensors, acts, given) -> list[Shown]:
    prompt = ROWS[0, :N_PROMPT]
    controls = draw_controls(dictionary.W_dec, [FEATURE], ControlSettings(2, SEED))
    edit = Edit((FEATURE,), "scale", FACTOR)
    found = continuations(dictionary, model, prompt, edit, controls, Sampling(4, 1.0, 3), first=1)
    factors = np.ones(12)
    factors[FEATURE] = FACTOR
    chosen = np.hstack([np.tile(prompt, (len(found.kinds), 1)), found.tokens])
    written = (acts * (factors - 1))[:1] @ given["W_dec"]
    given = given | {"tensors": tensors, "factors": factors, "random": controls.random, "chosen": chosen}
    given |= {"n_prompt": N_PROMPT, "made": [0 * written, *made(written, controls)]}
    table = found.table([str(token) for token in range(257)])
    table = table.assign(run=np.repeat(np.arange(len(found.kinds)), 4))
    text = {"token_text": "a token"}
    return [Shown("continuations", table, given, {"run": "run", "step": "step", "token": "token"}, not_held=text)]


def planted() -> list[Planted | Known]:
    """A model of two tokens whose logits are what is written, and 0: ln 3 takes p from 1/2 to 3/4."""
    two = {"embed.W_E": np.zeros((2, 1)), "unembed.W_U": np.array([[1.0, 0]]), "layer": 0}
    rows, up, third = np.array([[0, 0, 0, 0]]), np.zeros((1, 4, 1)), np.log(3)
    up[0, 1] = third
    at = {"model": two, "rows": rows, "text_row": 0, "position": 1}
    ways = {"random": np.array([[1.0], [-1]]), "others": np.array([[1.0], [-1]])}
    of_edit, of_token = at | {"written": up} | ways, {"token": 0}
    forty = at | {"written": np.sign(up), "random": np.arange(1, 41)[:, None] / 10}
    kl = np.log(4 / 3) / 2
    runs = {"model": two, "rows": rows, "written": up} | ways
    dosed = {"model": two, "rows": rows, "written_at": {0.0: 0 * up, 1.0: up}, "place": (0, 1), "pair": (0, 1)} | ways
    dose = dosed | {"measure": "log_likelihood", "dose": 1.0}
    rise, fall = np.log(1.5), np.log(0.5)
    tensors = {"W_enc": np.zeros((1, 1)), "b_enc": np.ones(1), "W_dec": np.ones((1, 1)), "b_dec": np.zeros(1)}
    text = {"model": two, "chosen": np.zeros((5, 3), int), "n_prompt": 2, "step": 0, "token": 0}
    edited = text | {"tensors": tensors, "factors": np.array([1 + third]), "random": ways["random"]}
    silent = {"acts": np.array([[[2.0, 3]]]), "text_row": 0, "position": 0}
    kinds = {"made": [up, *(way * up for way in (0.3, -1))], "W_dec": np.array([[2.0]])}
    flat = {"made": [np.eye(2)[None] * 0, np.eye(2)[None], 0.5 * np.ones((1, 2, 2))], "W_dec": np.array([[2.0, 0]])}
    return [
        Planted("is_edited", False, "not of the positions", {"position": 4}),
        Planted("next_log_p_change", 0, "before the first that is edited", {"position": 1}, "tokens"),
        Planted("outside_band", False, "nothing changes, nor by controls", {"position": 1}, "tokens' verdict"),
        Planted("response", 0, "no edit", {"dose": 0.0}),
        Planted("change_kind", "with the edit", "the second of continuations", {"run": 1}, "continuations"),
        Planted("change_kind", "without the edit", "the first of continuations", {"run": 0}, "continuations"),
        known("edited_activation", 5, "2 and 3", features=(0, 1), **silent),
        known("is_edited", True, "2 becomes 0", new_acts=np.array([[[0.0, 3]]]), W_dec=np.eye(2), **silent),
        known("is_edited", False, "nothing changes", new_acts=silent["acts"], W_dec=np.eye(2), **silent),
        known("next_log_p", fall, "one of two", **at, **of_token),
        known("next_log_p_change", rise, "3/4 over 1/2", **of_edit_of(of_edit), **of_token),
        known("next_log_p_opposite", fall, "1/4 over 1/2", **of_edit_of(of_edit), **of_token),
        *band_ends("next_log_p_change", fall, rise, of_edit | of_token),
        known("token_kl", kl, "ln(2/3) / 2 + ln 2 / 2", **of_edit_of(of_edit)),
        *band_ends("token_kl", kl, kl, of_edit),
        known("next_log_p_change_high", np.log(2 / (1 + np.exp(-3.9))), "the second of forty", **forty, **of_token),
        known("outside_band", False, "at its end", shown=2.0, low=1.0, high=2.0),
        known("outside_band", True, "over its end", shown=2.01, low=1.0, high=2.0),
        known("outside_band", True, "under its end", shown=0.99, low=1.0, high=2.0),
        known("next_p", 1 / 2, "one of two", **at, **of_token),
        known("next_p_edited", 3 / 4, "3 to 1", **of_edit_of(of_edit), **of_token),
        known("change_kind", "other feature", "the only direction in one dimension", run=1, **kinds),
        known("change_kind", "opposite sign", "the edit turned round", run=2, **kinds),
        known("change_kind", "random direction", "along no row", run=2, **flat),
        known("effect", rise / 2, "one of two next tokens within reach", run=0, **runs),
        known("effect", fall / 2, "the opposite is the last", run=5, **runs),
        known("difference_change", third, "A's logit", run=0, place=(0, 1), pair=(0, 1), **runs),
        known("response", rise / 2, "as the effect", **of_edit_of(dose)),
        known("response", kl / 2, "as the divergence", **of_edit_of(dose) | {"measure": "divergence"}),
        known("response", rise, "A's log-probability", **of_edit_of(dose) | {"measure": "next_token"}),
        known("response", third, "A's logit less B's", **of_edit_of(dose) | {"measure": "difference"}),
        known("response_opposite", fall / 2, "1/4 over 1/2", **of_edit_of(dose)),
        *band_ends("response", fall / 2, rise / 2, dose),
        known("run_log_p", fall, "without the edit", run=0, **edited),
        known("run_log_p", fall + rise, "1 becomes 1 + ln 3", run=1, **edited),
        known("plain_log_p", fall, "one of two", run=1, **text),
    ]


def of_edit_of(given: dict) -> dict:
    """Return what oracles need that have no controls."""
    return {name: value for name, value in given.items() if name not in ("random", "others")}


def band_ends(statistic: str, low: float, high: float, given: dict) -> list[Known]:
    """Two controls: the edit's own direction and the opposite."""
    ends = []
    for name, value, why in (("low", low, "the lower of two"), ("high", high, "the higher of two")):
        for kind, other in (("", "others"), ("_feature", "random")):
            mine = {key: of for key, of in given.items() if key != other}
            ends.append(known(f"{statistic}{kind}_{name}", value, why, **mine))
    return ends
