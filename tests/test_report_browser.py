"""The report in a real browser: no console message, nothing wider than a phone, headers sort.

Chromium is driven by its command line alone. Set CHROMIUM to use another one.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import fixture_bench
import fixture_store
import PIL.Image
import pytest
from fixture_report import Html, fail

from repro.cli import run
from repro.plan.profiles import profile, runs
from repro.show.report import page
from repro.store import Store

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
         "--enable-logging=stderr", "--virtual-time-budget=5000")  # fmt: skip
PHONE, DESKTOP = 390, 1280
DARK = "--blink-settings=preferredColorScheme=0"
SECONDS = 120

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium():
    named = [os.environ["CHROMIUM"]] if "CHROMIUM" in os.environ else NAMES
    found = next((path for name in named if (path := shutil.which(name))), None)
    return found or pytest.skip("no Chromium here: apt install chromium, or set CHROMIUM to one")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of a store with Runs in every state, figures drawn, and a benchmark."""
    store = Store(tmp_path_factory.mktemp("report") / "store")
    _, failed, diverged, *done = runs(profile("quick"))
    for r in done:
        fixture_store.write(store, "quick", r)
    fixture_store.diverge(store, "quick", diverged, epoch=3)
    fail(store, "quick", failed.id, "MemoryError: <b>no</b> room & no <script>")
    fixture_store.write(store, "paper", runs(profile("paper"), ["table1"])[0])
    (store.root / "bench.json").write_text(json.dumps(fixture_bench.saved_bench()))
    assert run(["report", "--store", str(store.root)]) == 0
    return store.root / "report.html"


def browse(chromium: str, address: Path, folder: Path, *flags: str) -> tuple[str, str]:
    """What Chromium prints of a page, and what it logs."""
    done = subprocess.run(
        [chromium, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, address.as_uri()],
        capture_output=True, text=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    return done.stdout, done.stderr


def console(log: str) -> list[str]:
    """Messages of the page: errors of scripts, refused loads, warnings."""
    return [line for line in log.splitlines() if "CONSOLE" in line]


def framed(folder: Path, address: Path, height: int, *widths: int) -> Path:
    """A page that shows another at some widths, those below Chromium's smallest window, too."""
    frame, source = folder / "frame.html", f'src="{address.as_uri()}" height="{height}"'
    frame.write_text(
        "<!doctype html><style>body{margin:0}iframe{border:0;display:block}</style>"
        + "".join(f'<iframe {source} width="{width}"></iframe>' for width in widths)
    )
    return frame


def test_figures_are_shown_without_a_message_and_headers_are_buttons(chromium, report, tmp_path):
    shown = {f.attrs["data-name"] for f in Html(report.read_text()).all("figure")}
    assert {"figure2", "figure4", "figure5", "figure6", "figure9"} <= shown
    assert "figure3" not in shown  # one depth is no curve
    dom, log = browse(chromium, report, tmp_path, "--dump-dom")
    assert console(log) == []
    assert "Ladder Variational Autoencoders" in dom
    heads = re.findall(r"<thead>.*?</thead>", dom, re.DOTALL)
    assert heads
    for head in heads:
        assert head.count('aria-sort="none"') == head.count("<button") == head.count("<th ")


def test_a_console_message_would_be_seen(chromium, tmp_path):
    broken = tmp_path / "broken.html"
    broken.write_text("<!doctype html><script>nothing.here()</script>")
    _, log = browse(chromium, broken, tmp_path, "--dump-dom")
    assert any("nothing is not defined" in line for line in console(log))


def test_a_header_sorts_numbers_then_words_then_nothing(chromium, tmp_path):
    rows = "".join(f"<tr><td data-value='{v}'>{v}</td></tr>" for v in ("-9.5", "10", "2"))
    rows += "<tr><td>–</td></tr><tr><td>quoted</td></tr>"
    script = (page.HERE / "sort.js").read_text()
    sorted_ = tmp_path / "sorted.html"
    sorted_.write_text(
        "<!doctype html><meta charset=utf-8>"
        "<table class=sortable><thead><tr><th>n</th></tr></thead>"
        f"<tbody>{rows}</tbody></table><p id=out></p><script>{script}</script><script>"
        "const b = document.querySelector('button'), out = document.getElementById('out');"
        "for (let i = 0; i < 3; i++) { b.click(); out.textContent += b.parentNode.ariaSort + ':' +"
        "[...document.querySelectorAll('td')].map(t => t.textContent).join(' ') + ';'; }</script>"
    )
    dom, log = browse(chromium, sorted_, tmp_path, "--dump-dom")
    assert console(log) == []
    assert "ascending:-9.5 2 10 quoted –;descending:10 2 -9.5 quoted –;none:-9.5 10 2" in dom


def test_nothing_is_wider_than_the_screen(chromium, report, tmp_path):
    """Measured in a copy without the policy, which would refuse the measuring script."""
    text = re.sub(r"<meta http-equiv[^>]*>", "", report.read_text(encoding="utf-8"))
    measure = (
        "<script>addEventListener('load', () => { document.querySelectorAll('details')"
        ".forEach(d => d.open = true); const e = document.documentElement;"
        " console.error(`measured ${e.scrollWidth} of ${e.clientWidth}`) })</script>"
    )
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace("</body>", f"{measure}</body>"), encoding="utf-8")
    widths = (320, PHONE, 768, 900, 1100, DESKTOP)
    frame = framed(tmp_path, copy, 800, *widths)
    _, log = browse(chromium, frame, tmp_path, "--dump-dom", "--window-size=1400,900")
    assert [w for w in widths if f"measured {w} of {w}" not in log] == [], log


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screenshot_is_taken_in_both_colour_schemes(chromium, report, tmp_path, width, scheme):
    shot, height = tmp_path / "shot.png", 1600
    frame = framed(tmp_path, report, height, width)
    flags = [f"--screenshot={shot}", f"--window-size={max(width, 600)},{height}"]
    browse(chromium, frame, tmp_path, *flags, *([DARK] if scheme == "dark" else []))
    with PIL.Image.open(shot) as picture:
        corner = picture.convert("RGB").getpixel((2, 2))
        assert picture.size[0] >= width
        greys = picture.convert("L").crop((0, 0, width, height)).histogram()
        assert sum(count > 0 for count in greys) > 32
    assert (max(corner) < 64) == (scheme == "dark")
