"""A public app's server shows what a model was run for, and never holds the libraries of models."""

import subprocess
import sys
from pathlib import Path

from core.work.artifacts import ArtifactStore
from tests.doubles import planted_pages

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
import pytest
from tests.doubles import pages, planted_pages

root = Path(sys.argv[1])
with pytest.MonkeyPatch.context() as patch:
    planted_pages.read_little_text(patch)
    with pages.page(root, patch, "activations", "--public", "--apart") as open_page:
        at = pages.fine(open_page())
print("ERRORS", len(at.error), "LOADED", *sys.modules.keys() & {"torch", "transformers", "sae_lens"})
"""


def test_a_server_that_runs_models_apart_shows_activations_without_torch(tmp_path):
    planted_pages.write_workspace(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["ERRORS", "0", "LOADED"], done.stdout
    assert ArtifactStore(tmp_path / "cache").holds_kind("activation-statistics")
