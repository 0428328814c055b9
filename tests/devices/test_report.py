"""The benchmark report: growth, what replaces what, and tables between their marks."""

import json

from benchmarks.report import BEGIN, END, growth, merged, write


def record(features, seconds, device="CPU", what="search"):
    amounts = {
        "floor_seconds": 0.5,
        "peer_seconds": 8.0,
        "peak_gb": None,
        "error": 1e-7,
        "peer_features": 10,
        "runs": 3,
    }
    return {
        "machine": "m",
        "device": device,
        "what": what,
        "features": features,
        "seconds": seconds,
        "peer": "p",
    } | amounts


def test_growth_is_the_exponent_of_a_power_law_and_needs_three_sizes():
    assert growth([record(n, 3 * n**1.5) for n in (10, 20, 40)]) == "n^1.50"
    assert growth([record(10, 1.0), record(20, 2.0)]) == ""


def test_what_is_measured_anew_replaces_its_like_alone():
    old = [record(10, 1.0), record(10, 1.0, device="card"), record(20, 2.0)]
    found = merged(old, [record(10, 9.0), record(30, 3.0)])
    assert [(r["device"], r["features"], r["seconds"]) for r in found] == [
        ("CPU", 10, 9.0),
        ("card", 10, 1.0),
        ("CPU", 20, 2.0),
        ("CPU", 30, 3.0),
    ]


def test_tables_stand_between_their_marks_and_the_rest_of_the_page_stays(tmp_path):
    page = tmp_path / "speed.md"
    page.write_text(f"# Speed\n\n{BEGIN}\nold\n{END}\n\nNotes\n")
    write(tmp_path, [record(10, 2.0), record(40, 4.0)])
    write(tmp_path, [record(10, 1.0, device="card")])
    text = page.read_text()
    assert text.startswith(f"# Speed\n\n{BEGIN}\n\n### m\n\n**search**, against p\n")
    assert text.endswith(f"{END}\n\nNotes\n")
    assert "| CPU | 40 | 4 s | 0.5 s | 8.00 | 8 s from 10 | 2 |  | 1e-07 |  |" in text
    assert text.index("| card | 10 | 1 s |") > text.index("| CPU | 40 |")
    assert "old" not in text
    assert len(json.loads((tmp_path / "speed.json").read_text())) == 3
