"""What a public app closes to its visitors, and what a person's own app leaves open."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.dictionaries import sources
from core.errors import NotDownloadedError, PathNotAllowedError, UnknownNameError
from core.policy import ClosedInPublicError, Policy, of_visitors, on_community_cloud
from core.workspace import PROJECT, Workspace, parse_arguments
from tests.doubles import pages, planted_pages
from ui.sidebar import downloads

DEMO = "demo/layer0-standard-2048"
HUB, ITEM = "hub/user/repository/folder", "registry/gpt2-small-res-jb/blocks.8.hook_resid_pre"
LISTED = ("user/repository", "jbloom/GPT2-Small-SAEs-Reformatted")


@pytest.fixture
def folder(tmp_path) -> Path:
    return planted_pages.write_workspace(tmp_path)


def workspace(folder: Path, *more: str) -> Workspace:
    return parse_arguments([*planted_pages.arguments(folder.parent), "--public", *more])


CLOSED = {
    "a path below a root": "folder/{root}/planted",
    "a path outside": "folder//etc",
    "a relative path": "folder/demo",
    "the folder above a listed one": "folder/{root}",
    "settings behind a listed folder": "folder/{root}/dictionary#hook_name=blocks.1.hook_resid_pre",
    "a format behind a listed folder": "folder/{root}/dictionary#format=plain",
    "a setting beside a part": "folder/{root}/dictionary#layer=0&k=3",
    "settings behind the demo": f"{DEMO}#k=3",
    "a model behind the demo": f"{DEMO}#model_name=/etc",
    "a repository": HUB,
    "a repository with settings": f"{HUB}#format=plain",
    "an entry of the registry": ITEM,
}


@pytest.mark.parametrize("id", CLOSED.values(), ids=CLOSED.keys())
def test_a_public_app_opens_no_other_id_than_those_it_lists(folder, id):
    with pytest.raises(ClosedInPublicError, match=r"this public app .* Expected .* on your own machine"):
        sources.open_dictionary(id.format(root=folder.parent), workspace(folder))


@pytest.mark.parametrize("id", ["folder/{root}/dictionary", "folder/{root}/dictionary#features=5", DEMO])
def test_a_public_app_opens_what_it_lists_and_any_part_of_it(folder, id):
    assert sources.open_dictionary(id.format(root=folder.parent), workspace(folder)).d_sae > 4


def test_a_listed_dictionary_with_settings_opens_with_these_alone(folder):
    tail = "#hook_name=blocks.0.hook_resid_post"
    public = parse_arguments(["--sae", f"{folder}{tail}", "--public"])
    assert sources.open_dictionary(f"folder/{folder}{tail}", public).config.hook_name == "blocks.0.hook_resid_post"
    with pytest.raises(ClosedInPublicError, match="takes no settings"):
        sources.open_dictionary(f"folder/{folder}#hook_name=blocks.0.hook_resid_pre", public)


@pytest.mark.parametrize("id", [HUB, ITEM])
def test_a_repository_on_the_list_is_open_but_takes_no_settings(tmp_path, folder, id):
    (tmp_path / "listed").write_text(f"# dictionaries\n{LISTED[0]}\n\n{LISTED[1]}\n")
    listed = workspace(folder, "--allow-file", str(tmp_path / "listed"))
    assert listed.policy.repositories == LISTED
    assert sources.repository(id) in LISTED
    with pytest.raises(NotDownloadedError):
        sources.open_dictionary(id, listed)
    with pytest.raises((ClosedInPublicError, UnknownNameError), match=r"takes no settings|no setting of a dictionary"):
        sources.open_dictionary(f"{id}#format=plain", listed)


@pytest.mark.parametrize("text", [".", "", "/etc", "{root}", "{root}/dictionary", "~", "no-such-place"])
def test_every_typed_path_is_refused_in_one_way(folder, text):
    public, text = workspace(folder), text.format(root=folder.parent)
    for allowed in (public.allowed_path, public.allowed_folder):
        with pytest.raises(ClosedInPublicError) as caught:
            allowed(text)
        assert str(caught.value) == (
            f"{text!r}: this public app opens no path that a visitor names. Expected a dictionary or text of its "
            "lists. Choose one there, or run SAE Loupe on your own machine, where nothing is closed."
        )


def test_a_persons_own_app_closes_nothing(folder):
    own = parse_arguments(planted_pages.arguments(folder.parent))
    assert own.policy == Policy()
    tail = "#hook_name=blocks.0.hook_resid_post"
    assert sources.open_dictionary(f"folder/{folder}{tail}", own).config.hook_name == "blocks.0.hook_resid_post"
    own.policy.check_repository("any/where")
    own.policy.check_upload("large", 10**12)
    own.policy.check_tokens(10**12)


@pytest.mark.parametrize(
    ("check", "says"),
    [
        (lambda p: p.check_upload("probe.npy", 2**20 + 1), "'probe.npy': .* holds uploads in memory .* at most 1.0 MB"),
        (lambda p: p.check_tokens(2**18 + 1), "'262,145 tokens': .* Expected at most 262,144 tokens. Ask for fewer"),
        (lambda p: p.check_repository("a/b"), "'a/b': .* only what it lists. Expected no download at all"),
    ],
)
def test_what_is_too_much_is_refused_with_the_limit(check, says):
    with pytest.raises(ClosedInPublicError, match=says):
        check(of_visitors())


@pytest.mark.parametrize(
    ("environment", "project", "arguments", "public"),
    [
        ({}, PROJECT, [], False),
        ({"HOSTNAME": "laptop"}, PROJECT, [], False),
        ({"HOSTNAME": "streamlit"}, PROJECT, [], True),
        ({}, Path("/mount/src/sae-loupe"), [], True),
        ({"HOSTNAME": "streamlit"}, PROJECT, ["--no-public"], False),
        ({}, PROJECT, ["--public"], True),
    ],
)
def test_an_app_is_public_on_community_cloud_or_when_told(monkeypatch, environment, project, arguments, public):
    assert on_community_cloud(environment, project) == ((public and not arguments) or "--no-public" in arguments)
    monkeypatch.setattr("core.workspace.PROJECT", project)
    assert parse_arguments(arguments, environment).policy.public == public


def test_a_list_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(PathNotAllowedError, match=r"allowed repositories, .* cannot be read .*Expected a text file"):
        parse_arguments(["--public", "--allow-file", str(tmp_path / "none")])


PAGES = {
    "a path for a dictionary": ("overview", {"sae": "/etc"}, "opens no path"),
    "a folder for a dictionary": ("overview", {"sae": "folder/demo"}, "opens no path"),
    "settings of the demo": ("overview", {"sae": f"{DEMO}#k=3"}, "takes no settings"),
    "a repository": ("overview", {"sae": HUB}, "opens and downloads only"),
    "an entry of the registry": ("overview", {"sae": ITEM}, "opens and downloads only"),
    "a folder of text": ("feature", {"text": "File or folder", "text_name": "docs"}, "opens no path"),
    "a dataset": ("feature", {"text": "Dataset", "text_name": "user/texts"}, "opens and downloads only"),
    "too much text": ("feature", {"rows": 101, "length": 6}, "shares one machine"),
    "a folder of dashboards": ("dashboards", {"dash_folder": "docs"}, "opens no path"),
    "a second dictionary": ("matching", {"b": "folder//etc"}, "opens no path"),
}


@pytest.mark.parametrize(("name", "query", "says"), PAGES.values(), ids=PAGES.keys())
def test_a_page_of_a_public_app_says_what_is_closed(folder, monkeypatch, name, query, says):
    planted_pages.read_little_text(monkeypatch)
    monkeypatch.setattr("core.workspace.of_visitors", lambda listed: replace(of_visitors(listed), tokens=600))
    with pages.page(folder.parent, monkeypatch, name, "--public") as open_page:
        at = open_page(query)
    assert not at.exception
    assert f"this public app {says}" in pages.text_of(at, "error")


@pytest.mark.parametrize(
    ("kind", "id"),
    [
        (downloads.DICTIONARY, HUB),
        (downloads.DICTIONARY, ITEM),
        (downloads.MODEL, "gpt2-small"),
        (downloads.TENSORS, "user/model"),
    ],
)
def test_a_public_app_neither_asks_for_a_size_nor_fetches(monkeypatch, kind, id):
    monkeypatch.setattr("core.hub.client._ask", lambda *_, **__: pytest.fail("a request was made"))
    with pages.app(monkeypatch, "--public"):
        wanted = downloads.Wanted(kind, id)
        for ask in (wanted.check, wanted.nbytes, wanted.work):
            with pytest.raises(ClosedInPublicError, match="downloads only what it lists"):
                ask()
    with pages.app(monkeypatch, "--public", "--allow", "gpt2", "--allow", "user/model"):
        if kind != downloads.DICTIONARY:
            wanted.check()
