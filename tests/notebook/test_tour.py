"""docs/tour.ipynb runs from top to bottom on the demo, and docs/notebook.md names every call.

The cells run here, in one namespace, as a kernel would run them; no kernel is started, so that no package of Jupyter is
needed and what is imported already is not imported again.
"""

import ast
import inspect
import json
import re
from pathlib import Path

import pytest

import sae_loupe as loupe

ROOT = Path(__file__).resolve().parents[2]
TOUR = json.loads((ROOT / "docs" / "tour.ipynb").read_text(encoding="utf-8"))
DOCUMENT = (ROOT / "docs" / "notebook.md").read_text(encoding="utf-8")
CODE = ["".join(cell["source"]) for cell in TOUR["cells"] if cell["cell_type"] == "code"]


def run(source: str, names: dict) -> object:
    """Run a cell and return the value of its last expression; None if it ends with a statement."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None


def test_the_tour_runs_from_top_to_bottom_and_every_cell_shows_something(tmp_path, monkeypatch, capsys):
    import altair as alt

    from sae_loupe.opened import Opened

    made = Opened.__init__
    monkeypatch.setattr(Opened, "__init__", lambda *given, **how: made(*given, **(how | {"cache": tmp_path})))
    names: dict = {}
    with alt.renderers.enable("default"):
        for source in CODE:
            shown = run(source, names)
            if isinstance(shown, alt.TopLevelMixin):
                assert len(json.dumps(shown.to_dict())) > 1000
            else:
                assert repr(shown) if shown is not None else capsys.readouterr().out
    assert (names["matching"].numbers()["value"].iloc[0]) > 0.8


def test_the_tour_holds_what_its_cells_showed_and_no_path_of_a_machine():
    outputs = [output for cell in TOUR["cells"] for output in cell.get("outputs", ())]
    assert len(outputs) == len(CODE)
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not re.search(r"/(home|root|work|tmp)/", json.dumps(TOUR))


def test_every_call_is_in_the_document():
    calls = [name for name, value in vars(loupe.OpenDictionary).items() if callable(value) and not name.startswith("_")]
    assert len(calls) > 14
    for name in calls:
        assert f"sae.{name}(" in DOCUMENT, name
    for name in {*loupe.__all__} - {"OpenDictionary", "Result"}:
        assert f"loupe.{name}" in DOCUMENT, name


@pytest.mark.parametrize("line", [line for line in DOCUMENT.splitlines() if "| `sae." in line])
def test_what_the_document_says_a_result_has_is_there(line):
    from sae_loupe import (
        enrichment,
        geometry,
        interventions,
        logits,
        maps,
        numbers,
        positions,
        reading,
        summary,
        token_pass,
    )

    kinds = {"positions": positions.Positions, "logits": logits.Logits, "enrichment": enrichment.Enriched}
    kinds |= {"neighbors": geometry.NearestFeatures, "map": maps.FeatureMap, "token_pass": token_pass.TokenPass}
    kinds |= {"read": reading.Reading, "edit": interventions.EditEffect, "doses": interventions.Doses}
    kinds |= {"summary": summary.Summary, "feature": numbers.FeatureReport, "table": numbers.FeatureTable}
    cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
    call = re.match(r"`sae\.(\w+)", cells[0])[1]
    if call in kinds:
        for name in re.findall(r"`(\w+)", cells[3] if len(cells) > 3 else ""):
            assert name in {*dir(kinds[call]), *inspect.get_annotations(kinds[call])}, name
