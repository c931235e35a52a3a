"""The picture of the page in the documentation: a demonstration, its likeliest note, a browser without a window.

    pip install playwright; python benchmarks/notes/page_picture.py     # chromium must be installed

Writes docs/notes.png.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

PICTURE = Path(__file__).resolve().parents[2] / "docs/notes.png"


def main() -> None:
    """Start the demonstration, look at it, end it."""
    from playwright.sync_api import sync_playwright  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-u", "-m", "kolossos", "notes", "demo", f"{folder}/demo", "--port", "0"]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            lines = iter(demo.stdout or [])
            said = dict(line.strip().partition(": ")[::2] for line in (next(lines) for _ in range(4)))
            address = said["page"].split()[0]
            markets = httpx.get(f"{address}v1/markets?limit=500").json()
            rated = [market for market in markets if (market["ratings"] or [0])[0] >= 12]
            name = max(rated, key=lambda market: market["prices_ppm"][0])["name"]
            with sync_playwright() as running:
                browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1100, "height": 860})
                page.goto(f"{address}#{name}")
                page.wait_for_selector("svg")
                page.fill("#key", said["a guest's key, with 1,000 play credits"])
                page.keyboard.press("Enter")
                time.sleep(2)
                page.mouse.click(5, 850)
                page.screenshot(path=PICTURE)
                browser.close()
        finally:
            demo.terminate()
            demo.wait(30)
    print(f"written: {PICTURE}")


if __name__ == "__main__":
    main()
