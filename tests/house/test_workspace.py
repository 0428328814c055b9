"""What a typed path may reach."""

from pathlib import Path

import pytest

from core.errors import NoSuchPathError, PathNotAllowedError
from core.installation import PROJECT
from core.workspace import Workspace


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    for name in ("root/inner", "root-sibling", "pinned/inner", "outside/secret"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "root" / "file").write_text("no folder")
    (tmp_path / "root" / "escape").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "loop").symlink_to(tmp_path / "root" / "loop")
    (tmp_path / "root" / "inward").symlink_to(tmp_path / "root" / "inner")
    return Workspace(roots=(tmp_path / "root",), pinned=(tmp_path / "pinned",))


def test_a_folder_below_a_root_is_allowed_however_it_is_written(tmp_path, workspace):
    inner = (tmp_path / "root" / "inner").resolve()
    for text in ("inner", "./inner/", " inner\n", "inner/../inner", str(inner), "inward", str(tmp_path / "root/inner")):
        assert workspace.allowed_folder(text) == inner


def test_a_root_and_a_pinned_folder_are_allowed_themselves(tmp_path, workspace):
    for name in ("root", "pinned", "pinned/inner"):
        assert workspace.allowed_folder(str(tmp_path / name)) == (tmp_path / name).resolve()
    assert workspace.allowed_folder(".") == (tmp_path / "root").resolve()


OUTSIDE = {
    "parent": "..",
    "sideways": "../outside",
    "down and out": "inner/../../outside",
    "link to outside": "escape",
    "below a link to outside": "escape/secret",
    "sibling with the root's name as prefix": "../root-sibling",
    "absolute": "/etc",
    "root folder": "/",
    "loop of links": "loop",
    "NUL": "inner\0",
    "NUL in front": "\0/etc",
    "half a surrogate": "\ud800",
    "empty": "",
    "blanks": " \t\n",
    "long name": "x" * 300,
    "long path": "inner/../" * 500 + "inner",
    "no such user": "~no-such-user/x",
    "home": "~",
}


@pytest.mark.parametrize("text", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_all_else_is_refused_with_one_message(tmp_path, workspace, text):
    with pytest.raises(PathNotAllowedError) as caught:
        workspace.allowed_folder(text)
    message = str(caught.value)
    assert message.startswith(repr(text[:200]))
    assert f"not a folder that this app may read. Expected a folder below {tmp_path / 'root'}. " in message
    assert message.endswith("start the app with: `streamlit run app.py -- --root FOLDER`")
    assert len(message) < 1000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no-such-folder", "There is nothing at 'no-such-folder'. Expected a folder"),
        ("file/inner", "There is nothing at 'file/inner'"),
        ("file:///etc", "There is nothing at 'file:///etc'"),
        ("user/name", r"Write registry/RELEASE/ID for an entry of sae-lens' registry, hub/USER/NAME for a repository"),
        ("file", "'file' is a file, expected a folder. Choose another path."),
    ],
)
def test_what_is_missing_or_of_another_kind_below_a_root_is_named_as_that(workspace, text, says):
    with pytest.raises(NoSuchPathError, match=says) as caught:
        workspace.allowed_folder(text)
    assert "--root" not in str(caught.value)


@pytest.mark.parametrize("name", OUTSIDE)
def test_files_and_folders_outside_are_refused_with_one_message(tmp_path, workspace, name):
    with pytest.raises(
        PathNotAllowedError, match=r"not a folder or file that this app .*Expected a folder or file below"
    ):
        workspace.allowed_path(OUTSIDE[name])


def test_a_file_below_a_root_is_allowed_unless_it_links_outside(tmp_path, workspace):
    (tmp_path / "root" / "inward-file").symlink_to(tmp_path / "root" / "file")
    (tmp_path / "outside" / "file").write_text("secret")
    for name in ("root/outward-file", "pinned/free-file"):
        (tmp_path / name).symlink_to(tmp_path / "outside" / "file")
    root, pinned = (tmp_path / "root").resolve(), (tmp_path / "pinned").resolve()
    for text in ("file", "inward-file", "inner", "."):
        assert workspace.allowed_path(text) == root / text.removesuffix(".")
    for text in ("outward-file", "outward-file/", str(root / "outward-file")):
        with pytest.raises(PathNotAllowedError):
            workspace.allowed_path(text)
    assert workspace.allowed_path("free-file") == pinned / "free-file"


@pytest.mark.parametrize("absolute", [True, False])
def test_a_folder_outside_and_a_missing_one_cannot_be_told_apart(tmp_path, workspace, absolute):
    def message(name):
        text = str(tmp_path / name) if absolute else f"../{name}"
        with pytest.raises(PathNotAllowedError) as caught:
            workspace.allowed_folder(text)
        return str(caught.value).replace(f"/{name}", "/NAME")

    assert message("outside") == message("missing")


def test_files_of_an_allowed_folder_may_not_link_outside(tmp_path, workspace):
    inner = workspace.allowed_folder("inner")
    (inner / "plain").write_text("")
    (inner / "near").symlink_to(inner / "plain")
    (inner / "far").symlink_to(tmp_path / "outside" / "file")
    workspace.check_files(inner, ["plain", "near", "missing"])
    with pytest.raises(PathNotAllowedError, match=r"far' is not a file that this app may read. Expected a file below"):
        workspace.check_files(inner, ["plain", "far"])
    pinned = workspace.allowed_folder(str(tmp_path / "pinned" / "inner"))
    (pinned / "far").symlink_to(tmp_path / "outside" / "file")
    workspace.check_files(pinned, ["far"])


def test_by_default_only_the_project_itself_can_be_read():
    assert Workspace().allowed_folder("core") == PROJECT / "core"
    with pytest.raises(PathNotAllowedError):
        Workspace().allowed_folder(str(PROJECT.parent))
    assert Path(__file__).resolve().parents[2] == PROJECT
