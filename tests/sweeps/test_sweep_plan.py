"""What a person asks for becomes a plan of tasks, and bad input is said before anything starts."""

import json

import pytest

from core.amounts import of_bytes
from core.dictionaries.sources import download
from core.errors import SweepError, UnknownNameError
from core.sweeps.__main__ import _work, main
from core.sweeps.asked import parse_asked, read_asked
from core.sweeps.cost import Sizes
from core.sweeps.passes import _groups, _Pass
from core.sweeps.plan import Task, choose, from_json
from core.sweeps.planning import expand, make_plan, workspace_of
from core.sweeps.state import read_plan
from core.sweeps.sweep import Sweep, place_at
from core.workspace import Workspace
from tests.doubles.hub_files import RES_JB, RES_JB_ID, use_hub, write_gpt2, write_res_jb
from tests.doubles.planted_sweep import plan_of, small_blocks, spoil, sweep_in, write_sweep
from tests.doubles.standin_hub import Fault, StandIn


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    root = tmp_path_factory.mktemp("sweep")
    toml = write_sweep(root)
    place = place_at("", root / "cache")
    return toml, place, plan_of(toml, place)


def test_each_dictionary_has_a_task_for_each_analysis_and_each_pair_one(planned):
    _, _, plan = planned
    counts = {}
    for task in plan.tasks:
        counts[task.analysis] = counts.get(task.analysis, 0) + 1
    weights = {"logit_weights": 3, "neighbors": 3, "matching": 3}
    assert counts == {"activations": 3 + 1, "positions": 3} | weights, "one run of the model feeds three passes"


def test_a_task_is_named_by_the_results_it_makes(planned):
    _, _, plan = planned
    kinds = {task.analysis: [key.partition("-v")[0] for key in task.keys] for task in plan.tasks if not task.rows}
    assert kinds["activations"] == ["activation-statistics", "activation-quantiles"]
    assert kinds["logit_weights"] == ["logit-statistics"]
    assert all(task.name == task.keys[0] for task in plan.tasks if not task.rows)


def test_dictionaries_of_one_model_and_text_share_a_run_and_each_has_its_own_results(planned):
    _, _, plan = planned
    (part,) = [task for task in plan.tasks if task.rows]
    merges = [task for task in plan.tasks if task.after]
    assert part.ids == tuple(one.id for one in plan.dictionaries)
    assert part.rows == (0, 40)
    assert [task.after for task in merges] == [(part.name,)] * 3
    assert part.makes_for == tuple(task.keys for task in merges)
    assert [key.partition("-v")[0] for key in part.keys] == ["pass-part"] * 3


@pytest.mark.parametrize(("gb", "sizes"), [(0, [1, 1, 1, 1]), (1, [1, 1, 1, 1]), (2, [2, 1, 1]), (16, [4])])
def test_as_many_share_a_run_as_have_weights_of_so_many_gb(gb, sizes):
    widths = (10_000, 11_000, 25_000, 9_000)  # 0.8, 0.9, 2 and 0.7 GB
    each = [_Pass(Task(str(d), "activations", (str(d),)), str(d), Sizes(10_000, d)) for d in widths]
    assert [len(group) for group in _groups([*each, each[0]], gb)] == sizes


def test_what_the_pages_have_computed_is_not_run_again(tmp_path):
    toml = write_sweep(tmp_path, analyses='["activations"]', more="together_gb = 0")
    alone = sweep_in(toml, tmp_path / "cache")
    alone.worker().run(alone.plan.tasks)
    toml.write_text(toml.read_text().replace("together_gb = 0\n", ""))
    sweep = sweep_in(toml, tmp_path / "cache")
    assert any(task.rows for task in sweep.plan.tasks)
    assert sweep.worker().run(sweep.plan.tasks) == {"done": 0, "there": 4, "failed": 0}


def test_a_plan_comes_back_from_its_text_and_equal_plans_have_one_name(planned):
    toml, place, plan = planned
    assert from_json(plan.to_json()) == plan
    assert plan_of(toml, place).name == plan.name


def test_the_elements_of_a_plan_are_all_of_it(planned):
    _, _, plan = planned
    parts = [choose(plan, f"{i}/4") for i in range(1, 5)]
    assert sorted(task.name for part in parts for task in part) == sorted(task.name for task in plan.tasks)


@pytest.mark.parametrize("element", ["0/4", "5/4", "1", "a/b", "1/0", "/", "-1/4"])
def test_an_element_that_is_none_is_said(planned, element):
    with pytest.raises(SweepError, match="Expected I/N"):
        choose(planned[2], element)


def test_a_long_pass_is_cut_into_parts_that_one_task_merges(tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    toml = write_sweep(tmp_path, analyses='["activations"]', more="tokens_per_task = 60")
    plan = plan_of(toml, place_at("", tmp_path / "cache"))
    parts, merges = ([task for task in plan.tasks if task.stage == stage] for stage in (0, 1))
    assert [task.analysis for task in merges] == ["activations"] * 3
    for merge in merges:
        rows = [plan.by_name[name].rows for name in merge.after]
        assert len(rows) > 2
        assert [start for start, _ in rows] == [0, *(stop for _, stop in rows[:-1])]
        assert rows[-1][1] == 40
    assert list(plan.tasks) == parts + merges


def test_two_texts_are_two_passes(tmp_path):
    toml = write_sweep(tmp_path, analyses='["activations"]')
    toml.write_text(toml.read_text() + '[[text]]\nsource = "files"\nname = "text.txt"\nrows = 7\n')
    plan = plan_of(toml, place_at("", tmp_path / "cache"))
    assert [task.text for task in plan.tasks] == [0, 1, 0, 0, 0, 1, 1, 1], "two runs, and three merges of each"
    assert len(plan.by_name) == 8


def test_a_dictionary_that_cannot_be_opened_is_listed_with_the_reason(tmp_path):
    toml = write_sweep(tmp_path, analyses='["neighbors", "matching"]')
    spoil(tmp_path / "saes" / "b")
    plan = plan_of(toml, place_at("", tmp_path / "cache"))
    assert [bool(one.refused) for one in plan.dictionaries] == [False, True, False]
    assert "sae_weights.safetensors" in plan.dictionaries[1].refused
    assert [task.analysis for task in plan.tasks] == ["neighbors", "neighbors", "matching"]


def test_an_analysis_that_does_not_fit_a_dictionary_is_listed_with_the_reason(tmp_path):
    toml = write_sweep(tmp_path, analyses='["logit_weights", "neighbors"]', hook_name="blocks.9.hook_resid_pre")
    plan = plan_of(toml, place_at("", tmp_path / "cache"))
    assert {task.analysis for task in plan.tasks} == {"neighbors"}
    assert all("Logit weights: " in one.refused for one in plan.dictionaries)


def test_a_series_is_all_that_differs_in_one_factor(tmp_path):
    asked = parse_asked(
        {"series": [{"of": "demo/layer2-standard-2048", "by": "seed"}], "analyses": ["neighbors"]}, tmp_path, "x"
    )
    seeds = [f"demo/layer2-standard-2048-seed{seed}" for seed in (1, 2, 3)]
    assert expand(asked, Workspace()) == ["demo/layer2-standard-2048", *seeds]


def test_patterns_of_ids_are_those_of_the_lists(tmp_path):
    said = {"dictionaries": ["demo/layer?-standard-2048", "demo/layer0-*"], "analyses": ["neighbors"]}
    ids = expand(parse_asked(said, tmp_path, "x"), Workspace())
    assert len(ids) == len(set(ids))
    assert "demo/layer0-batchtopk-2048" in ids
    assert "demo/layer2-standard-512" not in ids


BAD = {
    'analyses = ["neighbours"]\ndictionaries = ["demo/*"]': "analysis called 'neighbours'. Did you mean neighbors",
    'analyses = []\ndictionaries = ["demo/*"]': "names no analyses",
    'analyses = ["neighbors"]': "names no dictionaries",
    'analyses = ["neighbors"]\ndictionaries = "demo/*"': "expected a list of texts",
    'analyses = ["neighbors"]\ndictionaries = ["demo/layer9-*"]': "matches no dictionary",
    'analyses = ["neighbors"]\ndictionaries = ["registry/none-such/*"]': "matches no dictionary",
    'analyses = ["neighbors"]\ndictionaries = ["./nowhere"]': "matches no dictionary",
    'analyses = ["neighbors"]\ndictionaries = ["demo/*"]\nmodel = ["x"]': "entry of sweep.toml called 'model'",
    'analyses = ["neighbors"]\ndictionaries = ["demo/*"]\nmodels = ["x"]': "There is no model at",
    'analyses = ["neighbors"]\ndictionaries = ["demo/*"]\ntokens_per_task = 0': "expected a whole number from 1",
    'analyses = ["neighbors"]\ndictionaries = ["demo/*"]\ndownload = 1': "expected true or false",
    'analyses = ["neighbors"]\n[[series]]\nof = "demo/x"\nby = "seed"': "has no dictionaries",
    'analyses = ["neighbors"]\n[[series]]\nof = "demo/x"\nby = "colour"': "factor of a series called 'colour'",
    'analyses = ["activations"]\ndictionaries = ["demo/*"]\n[[text]]\nsource = "web"': "source of text called 'web'",
    'analyses = ["activations"]\ndictionaries = ["demo/*"]\n[[text]]\nrow = 3': "entry of [[text]] called 'row'",
    'analyses = ["positions"]\ndictionaries = ["demo/*"]\n[[text]]\nsource = "files"\nname = "x"': "There is no text",
    'analyses = ["neighbors"]\ndictionaries = ["demo/*"]\ndevice = "tpu"': "'tpu' is not a device",
    'analyses = ["neighbors"]\ndictionaries = ["demo/*"]\ncard = "NVIDIA H100"': "names the card",
    "analyses = [": "is no TOML",
}


@pytest.mark.parametrize(("text", "words"), BAD.items(), ids=BAD.values())
def test_bad_input_is_said_before_anything_starts(tmp_path, capsys, text, words):
    (tmp_path / "sweep.toml").write_text(text)
    assert main(["run", str(tmp_path / "sweep.toml"), "--cache", str(tmp_path / "cache")]) == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "cache").glob("*.safetensors"))


def test_a_store_from_the_future_is_refused(tmp_path, capsys):
    toml = write_sweep(tmp_path)
    (tmp_path / "cache" / "sweeps").mkdir(parents=True)
    (tmp_path / "cache" / "sweeps" / "store.json").write_text(json.dumps({"version": 2}))
    assert main(["run", str(toml), "--cache", str(tmp_path / "cache")]) == 2
    assert "The store has version 2, expected 1" in capsys.readouterr().err


def test_a_store_that_cannot_be_written_is_said(tmp_path, capsys):
    toml = write_sweep(tmp_path)
    (tmp_path / "cache").write_text("a file")
    assert main(["run", str(toml), "--cache", str(tmp_path / "cache")]) == 2
    assert "The store cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"version": 1, "tasks": 3}'])
def test_a_stored_plan_that_is_none_is_said(text):
    with pytest.raises(SweepError, match=r"[Mm]ake it again"):
        from_json(text)


def test_a_plan_of_another_version_is_said():
    with pytest.raises(SweepError, match="This plan has version 99, expected 2"):
        from_json('{"version": 99}')


def test_a_stored_plan_that_is_not_what_its_name_says_is_refused(planned):
    _, place, plan = planned
    place.documents.write("plans/sweep-aaaaaaaaaaaa.json", plan.to_json())
    with pytest.raises(SweepError, match=f"holds another one, {plan.name}"):
        read_plan("sweep-aaaaaaaaaaaa", place.documents)
    assert "sweep-aaaaaaaaaaaa" not in dict(place.plans())


def test_a_plan_that_is_not_stored_is_said(tmp_path, capsys):
    assert main(["resume", "sweep-000000000000", "--cache", str(tmp_path)]) == 2
    assert "The store has no plan" in capsys.readouterr().err


LATER = {"dictionaries": ["registry/gpt2-small-res-jb/blocks.[01].*"], "analyses": ["neighbors", "logit_weights"]}


def later_plan(folder, **more):
    return make_plan(parse_asked(LATER | more, folder, "x"), folder, place_at("", folder).store)


def test_what_is_not_downloaded_is_refused_unless_it_may_be(tmp_path, monkeypatch):
    with StandIn({RES_JB: write_res_jb(tmp_path / "jb", layers=(0, 1))}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "hub cache")
        with pytest.raises(SweepError, match="download = true"):
            later_plan(tmp_path)
        assert hub.requests == []
        plan = later_plan(tmp_path, download=True)
    assert [task.keys for task in plan.tasks] == [()] * 4


def test_a_plan_says_what_is_still_to_be_downloaded_each_dictionary_once(tmp_path, monkeypatch):
    with StandIn({RES_JB: write_res_jb(tmp_path / "jb", layers=(0, 1))}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "hub cache")
        plan = later_plan(tmp_path, download=True)
        assert hub.count("GET", "/resolve/") == 0
    sizes = [sum(file.stat().st_size for file in folder.iterdir()) for folder in sorted((tmp_path / "jb").iterdir())]
    assert [task.needs.download_bytes for task in plan.tasks] == [sizes[0]] * 2 + [sizes[1]] * 2
    assert _work(plan).endswith(f"; to download, and without their work: 2 dictionaries of {of_bytes(sum(sizes))}")


def test_a_hub_that_does_not_answer_is_asked_once_and_the_size_is_unknown(tmp_path, monkeypatch):
    with StandIn({}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "hub cache")
        hub.faults.append(Fault("", hangs_up=True))
        plan = later_plan(tmp_path, download=True)
        assert hub.count("HEAD", "") == 1
    assert {task.needs.download_bytes for task in plan.tasks} == {None}
    assert _work(plan).endswith("without their work: 2 dictionaries of unknown size")


def test_a_dictionary_that_the_hub_does_not_give_is_listed_with_the_reason(tmp_path, monkeypatch):
    with StandIn({RES_JB: write_res_jb(tmp_path / "jb", layers=(0, 1))}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "hub cache")
        hub.faults.append(Fault("blocks.1", status=403, code="GatedRepo"))
        plan = later_plan(tmp_path, download=True)
    assert [one.refused != "" for one in plan.dictionaries] == [False, True]
    assert "log in with `hf auth login`" in plan.dictionaries[1].refused
    assert {task.ids[0] for task in plan.tasks} == {plan.dictionaries[0].id}


def test_a_model_that_may_be_downloaded_is_waited_for_and_a_worker_gets_it(tmp_path, monkeypatch):
    folders = {RES_JB: write_res_jb(tmp_path / "jb"), "gpt2": write_gpt2(tmp_path / "gpt2")}
    with StandIn(folders) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "hub cache")
        download(RES_JB_ID)
        said = LATER | {"dictionaries": [RES_JB_ID]}
        refused = make_plan(parse_asked(said, tmp_path, "x"), tmp_path, place_at("", tmp_path).store)
        assert [task.analysis for task in refused.tasks] == ["neighbors"]
        assert "is not on this machine" in refused.dictionaries[0].refused
        place = place_at("", tmp_path)
        plan = make_plan(parse_asked(said | {"download": True}, tmp_path, "x"), tmp_path, place.store)
        assert [bool(task.keys) for task in plan.tasks] == [True, False]
        assert _work(plan).endswith("; to download, and without their work: models for 1 tasks")
        assert Sweep(plan, place).worker().run(plan.tasks) == {"done": 2, "there": 0, "failed": 0}
    assert list(tmp_path.glob("logit-statistics-*"))


def test_the_pattern_of_a_folder_may_have_settings(tmp_path):
    toml = write_sweep(tmp_path)
    toml.write_text(toml.read_text().replace("./saes/*", "./saes/a#context_size=5"))
    asked = read_asked(toml)
    (id,) = expand(asked, workspace_of(asked, tmp_path))
    assert id == f"folder/{tmp_path / 'saes' / 'a'}#context_size=5"


def test_an_unknown_entry_names_those_that_are_known(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean analyses"):
        parse_asked({"analysis": []}, tmp_path, "x")
