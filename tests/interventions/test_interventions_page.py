"""The page Interventions on a planted workspace, run by AppTest through the router."""

import pytest

from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, text_of

FEATURE = planted_pages.POSITIONAL
QUERY = {"rows": "20", "feature": str(FEATURE)}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A planted workspace whose text is read once for all tests of this file."""
    root = tmp_path_factory.mktemp("workspace")
    planted_pages.write_workspace(root)
    with pytest.MonkeyPatch.context() as patch:
        planted_pages.read_little_text(patch)
        with pages.app(patch, *planted_pages.arguments(root), "--page", "interventions"):
            yield root


@pytest.fixture
def open_page(workspace):
    """Return a function that opens the page with a query, with what the tests before it computed."""
    return lambda query=None: pages.run(pages.SCRIPT, {"sae": planted_pages.id_of(workspace)} | QUERY | (query or {}))


def errors(at) -> str:
    assert not at.exception
    return text_of(at, "error")


@pytest.mark.parametrize("text", ["Strongest contexts", "Your prompt"])
def test_no_edit_is_shown_to_give_identical_logits(open_page, text):
    at = fine(open_page({"iv_text": text, "prompt": "abcdefgh"}))
    assert "No edit gives identical logits: yes" in text_of(at)


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (" ", "expected at least one letter"),
        ("a", "The prompt has one token, expected at least 2"),
        ("abcdefghijklm", "The prompt has 13 tokens, expected at most 12, the context of planted"),
    ],
)
def test_a_prompt_that_cannot_be_run_is_said_in_words(open_page, prompt, says):
    assert says in errors(open_page({"iv_text": "Your prompt", "prompt": prompt}))
