"""Two short trainings on planted directions: a ReLU with a penalty that silences features, and a TopK."""

from unittest.mock import patch

import numpy as np

from tests.oracles.shown import Case, Known, Planted, Shown, known

STEPS, L1, DEAD_AFTER, K = 14, 6.0, 3, 2
TYPES = {
    "standard": {"l1_coefficient": L1, "warm_up_steps": 0, "dead_after": DEAD_AFTER, "lr": 0.1},
    "topk": {"k": K},
}


def case(folder) -> Case:
    return Case([of_type(folder, type, options) for type, options in TYPES.items()], planted())


def of_type(folder, type, options) -> Shown:
    from core.training import loop
    from core.training.runs import create
    from core.training.tables import curve_table
    from core.workspace import Workspace
    from tests.doubles.planted_training import PlantedStream, settings

    run = create(settings(type, steps=STEPS, name=type, **options), Workspace(runs=folder / "runs"))
    stream, weights, take_step = PlantedStream(), [], loop.take_step

    def noted(trainer):
        weights.append({name: tensor.numpy().copy() for name, tensor in trainer.sae.state_dict().items()})
        return take_step(trainer)

    with patch.object(loop, "take_step", noted):
        loop.Training(run, run.settings, stream).run()
    batches = [stream.batch(0, step).numpy() for step in range(STEPS)]
    given = {"batches": batches, "weights": weights, "fitted_to": np.concatenate(batches)}
    given |= {"k": options.get("k", 0), "l1": options.get("l1_coefficient", 0), "dead_after": run.settings.dead_after}
    table = curve_table({type: run.curves()})
    named = dict.fromkeys(("training_run", "run", "seed"), "the name of a curve")
    return Shown(type, table, given, {"step": "#"}, not_held=named)


def planted() -> list[Planted | Known]:
    """x has length 2, so that it is scaled by √½; the weights give half of it back, on one of two features."""
    x, e = np.array([[2.0, 0], [0, 2]]), np.eye(2)
    w = {"W_enc": e * [1, 0], "b_enc": np.zeros(2), "W_dec": e / 2, "b_dec": np.zeros(2)}
    one = {"batches": [x] * 4, "weights": [w] * 4, "fitted_to": x, "k": 0}
    return [
        known("training_tokens", 6, "three batches of two", batches=[x] * 4, step=2),
        known("training_l0", 0.5, "the first of two tokens fires one", **one, step=0),
        known(
            "training_fve",
            1 - (0.5 + 2) / 2,
            "½ is left of the first, 2 of the second; the mean leaves 2",
            **one,
            step=0,
        ),
        known("training_loss", (0.5 + 2) / 2, "without a penalty", **one, step=0, l1=0),
        known("training_loss", (0.5 + 2 + 3 * 2**0.5 / 2) / 2, "f is √2, its row ½ long", **one, step=0, l1=3),
        known("training_dead", 0.5, "the second was silent for three steps", **one, step=2, dead_after=2),
        known("training_dead", 0, "two steps are not more than two", **one, step=1, dead_after=2),
        Planted("training_l0", K, "k of them", what="topk"),
        Planted("training_dead", 0, "100 steps are not over", what="topk"),
    ]
