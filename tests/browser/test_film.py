"""The film of README is whole, small and shown; the running app is not needed to know that."""

import io
from pathlib import Path

from PIL import Image

from tests.browser import film

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 1_500_000


def test_pictures_become_one_film_that_repeats(tmp_path):
    drawn = []
    for colour in ("white", "orange", "black"):
        png = io.BytesIO()
        Image.new("RGB", (640, 400), colour).save(png, "PNG")
        drawn.append(png.getvalue())
    film.write(drawn, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as found:
        assert (found.n_frames, found.size, found.info["loop"]) == (3, (film.WIDTH, film.WIDTH * 400 // 640), 0)
        assert found.info["duration"] == film.SECONDS * 1000


def test_the_film_in_the_documents_has_every_scene_and_loads_fast():
    assert film.FILM.stat().st_size < MOST_BYTES
    with Image.open(film.FILM) as found:
        assert found.n_frames == len(film.SCENES)
    assert f"]({film.FILM.relative_to(ROOT)})" in (ROOT / "README.md").read_text(encoding="utf-8")
