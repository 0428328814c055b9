"""Make the short film of README from the running app: `python -m tests.browser.film`, some minutes.

It follows README's first minute on the demo. Take it anew when a page on the way looks different.
"""

import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from tests.browser.chromium import TIMEOUT_MS, open_browser, wait_until_settled
from tests.browser.conftest import started

FILM = Path(__file__).resolve().parents[2] / "docs" / "tour.gif"
SIZE = (1280, 880)
WIDTH, COLOURS, SECONDS = 960, 128, 3.0
PATIENCE_MS = 600_000
NOTHING_TO_COME = "![...document.querySelectorAll('p')].some(part => part.textContent.trim() === '…')"
"""Home writes this sign where an answer is still computed."""


class Scene(NamedTuple):
    """One still picture: where it is, and a text that shows that all of it is drawn."""

    address: str
    drawn: str


SCENES = (
    Scene("", "173 of 2,048 features follow position."),
    Scene("positions?feature=610", "· 173 of 2,048 features ·"),
    Scene("positions?feature=610&tab=Feature+by+position", "position score"),
    Scene("feature?feature=610", "Examples"),
    Scene("text?own=import+os", "Features over the text"),
    Scene("feature?feature=269", "Examples"),
    Scene("feature_map?feature=269", "UMAP"),
)


def pictures(url: str) -> Iterator[bytes]:
    """Draw every scene and give its picture, as PNG."""
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        for scene in SCENES:
            page.goto(f"{url}/{scene.address}")
            wait_until_settled(page)
            page.get_by_text(scene.drawn).first.wait_for(timeout=TIMEOUT_MS)
            page.wait_for_function(NOTHING_TO_COME, timeout=PATIENCE_MS)
            wait_until_settled(page)
            yield page.screenshot()


def write(drawn: list[bytes], path: Path) -> None:
    """Write pictures as one film that repeats."""
    frames = []
    for png in drawn:
        picture = Image.open(io.BytesIO(png)).convert("RGB")
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
        frames.append(picture.quantize(COLOURS, dither=Image.Dither.NONE))
    shown = {"duration": int(SECONDS * 1000), "loop": 0, "optimize": True}
    frames[0].save(path, save_all=True, append_images=frames[1:], **shown)


def main(path: Path) -> None:
    """Run the app on the demo with an empty cache, and write the film."""
    with tempfile.TemporaryDirectory() as folder, started(Path(folder), ["--cache", f"{folder}/cache"]) as url:
        drawn = list(pictures(url))
    write(drawn, path)
    print(f"{path}: {len(drawn)} pictures, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FILM)
