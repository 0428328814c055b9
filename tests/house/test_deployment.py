"""What the files for deployment claim: the image's user, folders, command and health check; versions; the workflow."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

import setup
from core.installation import APP_VERSION
from core.workspace import argument_parser, parse_arguments
from sae_loupe import command

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


class Instruction(NamedTuple):
    """One instruction of a Dockerfile, its lines joined."""

    name: str
    text: str

    def words(self) -> list[str]:
        """The words of a form in brackets, such as CMD ["a", "b"]; of another form, those that a shell would see."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


def stages(text: str) -> list[list[Instruction]]:
    """Return the instructions of each stage; a stage begins with FROM."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    found = []
    for name, _, rest in (line.partition(" ") for line in joined):
        if name == "FROM":
            found.append([])
        found[-1].append(Instruction(name, rest.strip()))
    return found


BUILD, IMAGE = stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))


def of(stage: list[Instruction], name: str) -> list[Instruction]:
    return [instruction for instruction in stage if instruction.name == name]


def environment() -> dict[str, str]:
    """Return the variables that the image sets."""
    return dict(word.split("=", 1) for line in of(IMAGE, "ENV") for word in line.words())


def test_the_image_runs_as_a_user_without_rights():
    (user,) = of(IMAGE, "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user.text), (
        "a number, so that an orchestrator can tell that it is not root"
    )
    names = [instruction.name for instruction in IMAGE]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name in ("RUN", "COPY"))


def test_all_that_is_written_goes_to_the_one_folder_that_the_user_owns():
    (volume,) = of(IMAGE, "VOLUME")
    made = " ".join(run.text for run in of(IMAGE, "RUN"))
    (user,) = of(IMAGE, "USER")
    owner, group = user.text.split(":")
    assert made == f"install -d -o {owner} -g {group} {volume.text}"
    places = {name: value for name, value in environment().items() if name not in ("PATH", "PYTHONDONTWRITEBYTECODE")}
    assert places.keys() == {"HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "HF_HOME", "NUMBA_CACHE_DIR"}
    assert all(Path(value).is_relative_to(volume.text) for value in places.values())
    assert [line.text for line in of(IMAGE, "WORKDIR")] == [volume.text]


def test_the_image_starts_the_console_command_where_its_port_is_open():
    (entry,), (words,), (port,) = of(IMAGE, "ENTRYPOINT"), of(IMAGE, "CMD"), of(IMAGE, "EXPOSE")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert entry.words()[0] in project["scripts"]
    theirs, ours = command.streamlit_options(entry.words()[1:] + words.words())
    served, ours = command._serving().parse_known_args(ours)
    assert (served.host, str(served.port)) == ("0.0.0.0", port.text)
    assert theirs == ["--server.headless", "true"]
    assert argument_parser().parse_args(ours).public, "whoever reaches a container may be anybody"
    assert parse_arguments(ours).policy.public


def test_the_health_check_asks_the_port_that_the_command_opens():
    (check,), (port,) = of(IMAGE, "HEALTHCHECK"), of(IMAGE, "EXPOSE")
    options, _, asked = check.text.partition("CMD ")
    assert set(re.findall(r"--([\w-]+)=", options)) == {"interval", "timeout", "start-period"}
    program, flag, code = json.loads(asked)
    assert (program, flag) == ("python", "-c")
    compile(code, "check", "exec")
    assert f"http://127.0.0.1:{port.text}/_stcore/health" in code


def test_every_file_that_the_image_copies_exists_and_is_sent_to_the_builder():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    copied = [word for copy in of(BUILD, "COPY") for word in copy.words()[:-1]]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert set(copied) == sent
    tops = {path.relative_to(ROOT).parts[0] for path, _ in setup.shipped()}
    assert tops <= sent, "what the wheel holds"
    assert {"pyproject.toml", "setup.py", "README.md", "LICENSE", "requirements.txt"} <= sent, "what the build reads"
    (from_build,) = of(IMAGE, "COPY")
    assert from_build.words()[0] == "--from=build"


def test_the_image_takes_torch_from_the_index_of_builds_for_the_cpu():
    (index,) = of(BUILD, "ARG")
    name, _, address = index.text.partition("=")
    assert address.endswith("/cpu")
    installs = [run.text for run in of(BUILD, "RUN") if "requirements.txt" in run.text]
    assert len(installs) == 1
    torch, rest = installs[0].split(" && ")
    assert f'--index-url "${name}"' in torch
    assert rest == "pip install -r requirements.txt"


def test_the_image_has_the_oldest_python_that_the_project_runs_with():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=")
    for stage in (BUILD, IMAGE):
        assert stage[0].text.startswith(f"python:{oldest}-slim")


def commands() -> list[list[str]]:
    """Return the words of every command of the document that starts the app."""
    blocks = re.findall(r"(?:^    .+\n)+", DEPLOY, re.MULTILINE)
    lines = [line.strip() for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    found = [line.partition("sae-loupe ")[2] for line in lines if "sae-loupe " in line and "docker build" not in line]
    return [shlex.split(words) for words in found]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_of_the_document_is_understood(words):
    theirs, ours = command.streamlit_options(words)
    _, ours = command._serving().parse_known_args(ours)
    command._parser().parse_intermixed_args(ours)
    from streamlit import config

    names = [word.removeprefix("--") for word in theirs if word.startswith("--")]
    assert [name for name in names if name not in config.get_config_options()] == []


def test_every_option_of_streamlit_that_the_document_names_exists():
    from streamlit import config

    named = set(re.findall(r"--((?:server|browser)\.\w+)", DEPLOY))
    assert len(named) > 5
    assert named <= set(config.get_config_options())


def test_the_check_itself_reads_a_dockerfile():
    text = '# why\nFROM a AS b\nRUN x \\\n    && y\nFROM c\nENV A=1 \\\n    B="2 3"\nCMD ["d", "e f"]\n'
    first, second = stages(text)
    assert first == [("FROM", "a AS b"), ("RUN", "x && y")]
    assert [line.words() for line in second[1:]] == [["A=1", "B=2 3"], ["d", "e f"]]
    assert len(commands()) > 2


def test_the_citation_and_the_list_of_changes_name_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == APP_VERSION
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "type"} <= citation.keys()
    assert citation["license"] == "MIT"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changes, re.MULTILINE)[0] == APP_VERSION


def test_the_workflow_runs_the_script_that_people_run():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1]["run"] == ".ci/run"
    assert workflow["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name
)
def test_an_issue_template_is_one_that_the_site_accepts(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name == "config.yml":
        assert form["blank_issues_enabled"] is False
        return
    assert {"name", "description", "body"} <= form.keys()
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    ids = [part["id"] for part in fields]
    assert len(set(ids)) == len(ids)
    assert all(part["attributes"]["label"] for part in fields)
    assert "version" in ids


def test_a_report_of_a_fault_asks_for_a_small_case_that_runs_and_for_the_right_value(tmp_path, monkeypatch, capsys):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "fault.yml").read_text(encoding="utf-8"))
    fields = {part["id"]: part for part in form["body"] if "id" in part}
    needed = {name for name, part in fields.items() if part.get("validations", {}).get("required")}
    assert {"case", "right"} <= needed
    monkeypatch.chdir(tmp_path)
    exec(fields["case"]["attributes"]["value"], {})
    assert "d_in 16, d_sae 40" in capsys.readouterr().out
