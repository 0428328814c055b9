"""The experiments of docs/experiments.md: which arms, at which values."""

from demo.experiments.plan import Arm, Plan
from demo.settings import DICTIONARIES

_WARM_UP = {"warm_up_steps": 200}


def penalty(name: str, title: str, weight: float, values: tuple[float, ...]) -> Arm:
    """Return L1 with the three terms of the orthogonality penalty, each with this weight."""
    terms = {f"{term}_weight": weight for term in ("mean", "nearest", "largest")}
    return Arm(name, title, "orthogonal", values, options=_WARM_UP | terms)


L1 = Arm("l1", "L1", "standard", (1.5, 2.0), options=_WARM_UP)
PENALTIES = (
    penalty("penalty-10", "L1, penalty × 10", 10.0, (1.75, 2.25)),
    penalty("penalty-100", "L1, penalty × 100", 100.0, (1.75, 2.5)),
)
RESCALED = Arm("rescaled", "rescaled ReLU", "rescaled", (5.0, 6.0), options=_WARM_UP)
GATED = Arm("gated", "gated", "gated", (2.0, 2.5), options=_WARM_UP)
TOPK = Arm("topk", "TopK", "topk", (16, 32, 64), setting="k", options={"aux_loss_coefficient": 0.1})

PLAN = Plan(
    arms=(L1, *PENALTIES, RESCALED, GATED, TOPK),
    l0=25.0,
    training_tokens=600_000,
    changes=(
        ("k", "topk-16", "topk-32"),
        ("k", "topk-32", "topk-64"),
        ("type", "l1-2", "gated-2.5"),
        ("type", "l1-2", "rescaled-6"),
        ("penalty", "l1-2", "penalty-10-2.25"),
        ("penalty", "l1-2", "penalty-100-2.5"),
    ),
)
SHIPPED = tuple(f"demo/{settings.name}" for settings in DICTIONARIES)
