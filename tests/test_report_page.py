"""The report page itself: safe with hostile records, whole without a network."""

import base64
import dataclasses
import hashlib
import io
import json
import re

import fixture_bench
import fixture_store
import PIL.Image
import pytest
from commands import LVAE, VAE, quick_run, refusal
from fixture_report import fail, written

from repro.cli.report import FINER
from repro.plan import run as config
from repro.show.report import deviations, page
from repro.store.places import ROOT

# What the paper states and the released code agrees with: no deviation.
STATED = {
    *("model.family", "model.latents", "model.widths", "model.observation", "model.batch_norm"),
    *("model.nonlinearity", "optim.batch", "optim.beta1", "optim.beta2"),
    "optim.importance_samples",
}
HOSTILE = "<script>alert(1)</script> \"><img src=x onerror=alert(2)> '{{ 7 * 7 }}"


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The page of every Run of quick, and of a failure whose name is no anchor."""
    store = fixture_store.build(tmp_path_factory.mktemp("full") / "store", "quick")
    fail(store, "quick", "mnist vae <L5>", "broke")
    return written(store)


def test_hostile_words_are_shown_as_text(local):
    hostile = dict.fromkeys(("device", "engine", "commit", "finished"), HOSTILE)
    data = dict.fromkeys(("name", "source", "hash"), HOSTILE)
    env = {**hostile, "data": data, "versions": {HOSTILE: HOSTILE}}
    fixture_store.write(local, "quick", quick_run(), env=env)
    fail(local, "quick", VAE, HOSTILE)
    name = 'x"><img src=x onerror=alert(2)>'
    fail(local, "quick", name, "broke")
    html = written(local)
    assert len(html.all("script")) == 1
    assert not [i for i in html.all("img") if not i.attrs["src"].startswith("data:")]
    assert HOSTILE in html.all("tr", id=f"quick-provenance-{LVAE}")[0].text
    assert HOSTILE in html.runs()[VAE].text
    assert name in html.runs()[name].text


def test_an_environment_that_says_nothing_is_shown(local, monkeypatch):
    monkeypatch.setattr(fixture_store, "environment", lambda: {"data": {}})
    fixture_store.write(local, "quick", quick_run())
    (row,) = written(local).all("tr", id=f"quick-provenance-{LVAE}")
    assert "unknown" in row.text


def test_every_anchor_resolves_and_is_unique_and_scrolling_regions_can_be_reached(html):
    ids = [e.attrs["id"] for e in html.elements if "id" in e.attrs]
    assert len(ids) == len(set(ids))
    targets = {e.attrs["href"][1:] for e in html.all("a") if e.attrs["href"].startswith("#")}
    assert targets
    assert targets <= set(ids)
    labels = {e.attrs["aria-labelledby"] for e in html.elements if "aria-labelledby" in e.attrs}
    assert labels <= set(ids)
    regions = html.all("div", **{"class": "scroll"})
    assert regions
    assert all(r.attrs["tabindex"] == "0" and r.attrs["aria-label"] for r in regions)


def test_the_page_loads_nothing_and_its_policy_forbids_every_other_script_and_address(html):
    assert html.loaded
    assert all(address.startswith("data:") for address in html.loaded)
    assert not re.search(r"url\(|@import", html.all("style")[0].text)
    (policy,) = html.all("meta", http_equiv="Content-Security-Policy")
    said = policy.attrs["content"]
    for tag in ("script", "style"):
        digest = hashlib.sha256(html.all(tag)[0].text.encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in said
    assert "default-src 'none'" in said
    assert not [e for e in html.elements if "style" in e.attrs]


def test_every_figure_is_a_picture_with_a_description_and_every_table_script_is_shown(html):
    images = html.all("img")
    assert images
    for image in images:
        kind, _, content = image.attrs["src"].partition(";base64,")
        assert kind == "data:image/webp"
        picture = PIL.Image.open(io.BytesIO(base64.b64decode(content)))
        shown = [int(image.attrs[side]) for side in ("width", "height")]
        assert shown == [round(n / FINER) for n in picture.size]
        assert image.attrs["alt"]
    tables = {t.attrs["data-name"] for t in html.all("table", data_kind="table")}
    assert tables == {p.stem for p in (ROOT / "tables").glob("*.py")}


def test_a_benchmark_shows_what_was_measured_and_a_dash_for_the_rest(local, html):
    step = {"seconds": 5e-4, "images_per_s": 1.0}
    bench = {**fixture_bench.saved_bench(), "method": "Means.", "note": "A note.", "matmul": {}}
    fast = {"arm": "graph K=2", "engine": "graph", "depths": [5, 5], "lanes": 2,
            "operations": {"step": {**step, "model_steps_per_s": 4.0, "ratio_to_reference": 0.018}},
            "memory_bytes": 5e6, "compile_seconds": 7.2,
            "roofline": {"fraction": 0.42}}  # fmt: skip
    whole = {**fast, "arm": "graph MNIST grid", "model": "mnist", "operations": {"step": step}}
    for key in ("roofline", "memory_bytes", "compile_seconds"):
        del whole[key]
    bench["arms"] = [fast, whole, {"arm": "cuda", "absent": "no CUDA device"}]
    local.root.mkdir()
    (local.root / "bench.json").write_text(json.dumps(bench))
    shown = written(local).within("throughput").source
    rows = [re.findall(r"<t[dh][^>]*>([^<]*)", row) for row in shown.split("<tr>")[2:]]
    assert rows == [
        ["graph K=2", "step", "0.50", "–", "4.0", "1", "–", "–", "42", "5", "7", "0.018"],
        ["graph MNIST grid", "step", "0.50", "–", "–", "1", "–", "–", "–", "–", "–", "–"],
    ]
    for said in ("Means. A note.", bench["device"], "cuda: no CUDA device"):
        assert said in shown
    assert "No benchmark is saved" in html.within("throughput").source


@pytest.mark.parametrize("content", ["{ not json", "[]", "{}", '{"arms": [{"arm": "x"}]}'])
def test_a_damaged_benchmark_is_one_line(local, capsys, content):
    local.root.mkdir()
    (local.root / "bench.json").write_text(content)
    assert "bench.json" in refusal(capsys, "report", "--store", str(local.root))


def test_deviations_are_held_by_what_exists_show_their_default_and_leave_none_out(html):
    for choice in deviations.choices():
        assert choice.fields or choice.place, choice.topic
        assert not choice.place or (ROOT / choice.place).is_file(), choice.topic
    codes = [e.text for e in html.within("deviations").all("code")]
    assert f"data.grey_scale = {config.Data().grey_scale}" in codes
    told = {f for c in deviations.choices() for f in c.fields}
    parts = {"model": config.Model, "optim": config.Optim}
    names = {f"{n}.{f.name}" for n, part in parts.items() for f in dataclasses.fields(part)}
    left_out = names - told - STATED
    assert not left_out, f"{left_out}: say in {deviations.FILE.name} what paper and code do"


@pytest.mark.parametrize(
    ("shown", "value", "expected"),
    [
        (page.sort_key, "60,000", "60000"),
        (page.sort_key, "-110.19 ± 0.10", "-110.19"),
        (page.sort_key, "not run", ""),
        (page.symbols, "L_500 of -3.2", "<i>L</i><sub>500</sub> of −3.2"),
        (page.symbols, "L_K - L_1", "<i>L</i><sub>K</sub> − <i>L</i><sub>1</sub>"),
        (page.symbols, "z_{i+1} < 1", "<i>z</i><sub>i+1</sub> &lt; 1"),
        (page.symbols, "lvae_bn_wu-L5", "lvae_bn_wu-L5"),
        (page.number, -82.123, "−82.12"),
        (page.number, 3492.0, "3,492.00"),
        (page.number, None, "–"),
    ],
)
def test_numbers_are_sorted_by_value_and_symbols_typeset(shown, value, expected):
    assert shown(value) == expected
