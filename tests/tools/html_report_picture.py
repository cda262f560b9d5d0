"""Takes the README's picture of the HTML report, from a demo run with --auto: `negwb demo --auto W`, then

`python -m tools.html_report_picture W FOLDER`. Chromium draws the page: its top in the light scheme, and the flipped
items in the dark one beside it. The last digits of a training depend on the machine, so no test compares the picture.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

NAME = "report-html"
MODEL = "tuned"
_PAGE = (1100, 4600)
"""Pixels of the page that are drawn."""
_PART = 1360
"""Height of each half in pixels of the page; the picture has half of its pixels."""
_COLOURS = 256
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_DARK = "(prefers-color-scheme: dark)"


def take_html_report(workspace: Path, folder: Path) -> Path:
    """Write the picture into `folder`; return its path."""
    with tempfile.TemporaryDirectory() as temporary:
        page = Path(temporary) / "report.html"
        words = ("-w", str(workspace), "report", "--html", str(page), "--flipped", MODEL)
        subprocess.run([sys.executable, "-m", "workbench", *words], check=True, stdout=subprocess.DEVNULL)
        html = page.read_text(encoding="utf-8")
        light = _drawn(html.replace(_DARK, "not all"), Path(temporary) / "light")
        dark = html.replace(_DARK, "all").replace("color-scheme:light dark", "color-scheme:dark")
        start = dark.index("<h2>Gain and retention</h2>")
        items = _drawn(dark[:start] + dark[dark.index("<h2>Flipped items") :], Path(temporary) / "dark")
    halves = [image.crop((0, 0, _PAGE[0], _PART)) for image in (light, items)]
    whole = Image.new("RGB", (2 * _PAGE[0], _PART))
    for place, half in enumerate(halves):
        whole.paste(half, (place * _PAGE[0], 0))
    path = folder / f"{NAME}.png"
    small = whole.resize((_PAGE[0] * 3 // 2, _PART * 3 // 4), Image.Resampling.LANCZOS)
    small.quantize(_COLOURS, kmeans=4, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


def _drawn(html: str, stem: Path) -> Image.Image:
    """Return the page as Chromium draws it."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise FileNotFoundError(f"none of {', '.join(_BROWSERS)} is installed")
    page, picture = stem.with_suffix(".html"), stem.with_suffix(".png")
    page.write_text(html, encoding="utf-8")
    flags = ("--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={_PAGE[0]},{_PAGE[1]}")
    subprocess.run([browser, *flags, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)
    with Image.open(picture) as image:
        return image.convert("RGB")


def main(arguments: Sequence[str]) -> None:
    """Run the script."""
    workspace, folder = map(Path, arguments)
    sys.stdout.write(f"{take_html_report(workspace.absolute(), folder)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
