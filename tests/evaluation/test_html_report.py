"""The report's page: whole in itself, and opened and used in a browser."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from chromium import Tab, find_chromium, opened_tab
from PIL import Image
from small_evaluation import KL, QPS, allocator, curve, detector, findings, measurements, red_photos, values

pytest.importorskip("plotly")

import npp.cli
from npp.evaluation.computer import describe_computer
from npp.evaluation.evaluate_config import load_evaluation, parse_config
from npp.evaluation.evaluation_run import Evaluation, evaluate
from npp.evaluation.html_curves import panels_of, savings_of
from npp.evaluation.html_pictures import photo_view
from npp.evaluation.html_report import ArmLine, ReportPart, render_report
from npp.evaluation.report_tables import Table
from npp.evaluation.strip_rows import ShownBoxes, ShownFile, StripRow
from npp.evaluation.table_cells import comparison_cell

in_browser = pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """A run with a map, boxes and sharing; its page is report.html."""
    folder = tmp_path_factory.mktemp("page")
    red_photos(folder / "test")
    allocator(folder / "allocator.safetensors")
    arms = [
        {"name": "bpg", "effort": 0, "share": "rates"},
        {"name": "map", "effort": 0, "map": {"allocator": str(folder / "allocator.safetensors")}},
        {"name": "blur", "effort": 0, "prefilter": {"blur": 0.6}},
    ]
    data = {"folder": str(folder / "test"), "mode": "full", "part": "all"}
    judges = [{**detector(), "metrics": False}]
    given = values(folder, data=data, seen=judges, arms=arms, name="<page> & more", strip={"photos": 2})
    (folder / "page.yaml").write_text(yaml.safe_dump(given))
    return evaluate(load_evaluation(folder / "page.yaml"), folder / "run")


@pytest.fixture(scope="module")
def tab(found: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with opened_tab(tmp_path_factory.mktemp("browser") / "profile") as opened:
        opened.size(1200, 900)
        opened.scheme("light")
        opened.open((found.out / "report.html").as_uri())
        opened.wait("document.documentElement.dataset.ready === 'yes'")
        yield opened


class _Page(HTMLParser):
    """All elements with what they are given."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [given for tag, given in self.elements if tag in tags]


@pytest.fixture(scope="module")
def text(found: Evaluation) -> str:
    return (found.out / "report.html").read_text(encoding="utf-8")


def _drawn(text: str) -> Any:
    return json.loads(text.split('id="drawn">', 1)[1].split("</script>", 1)[0])


def test_the_page_needs_nothing_else(text: str) -> None:
    page = _Page(text)
    assert len(text) < 3e6
    assert all((given["src"] or "").startswith("data:image/") for given in page.all("img"))
    assert not page.all("link", "iframe", "video", "object")
    assert all("src" not in given for given in page.all("script"))
    policy = next(given for given in page.all("meta") if given.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in (policy["content"] or "")
    assert "&lt;page&gt; &amp; more" in text and "<page>" not in text


def test_the_page_has_what_the_run_found(found: Evaluation, text: str) -> None:
    for table in found.tables:
        assert f"<figcaption>{table.title}</figcaption>" in text
    computer = describe_computer()
    for name in ("npp_version", "x265_version", "libavcodec_version"):
        assert computer[name] in text
    assert "qps:\n- 28\n- 31" in text
    files, shared = _drawn(text)
    assert files["arms"] == ["bpg", "map", "blur"] and shared["arms"] == ["bpg", "bpg shared by rates"]
    for panel, axis in zip(files["panels"], found.measured.axes, strict=True):
        for one in panel["curves"]:
            arm = found.measured.arms[one["arm"]]
            assert one["bpp"] == arm.bpp.mean(axis=1).tolist()
            assert one["values"] == arm.points(axis).tolist()
    # What is claimed of files and of sets stands apart, and so do seen and unseen networks.
    order = [
        text.index(f'id="{key}-title"') for key in ("files", "files-unseen", "files-seen", "files-picture")
    ]
    order += [text.index(f'id="{key}-title"') for key in ("shared", "shared-unseen", "shared-seen", "photos")]
    assert order == sorted(order)
    plain, set_wide = (text[order[i] : order[j]] for i, j in ((0, 4), (4, 7)))
    assert (
        "Bits shared over the set: BD-rate" not in plain and "Bits shared over the set: BD-rate" in set_wide
    )


def test_the_command_says_where_the_page_is_and_writes_it_again(
    found: Evaluation, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = found.out / "report.html"
    page.write_text("old")
    with pytest.raises(SystemExit) as stopped:
        npp.cli.main(["evaluate", str(found.out.parent / "page.yaml"), "--out", str(found.out)])
    assert stopped.value.code == 0
    said = capsys.readouterr()
    told = " ".join(said.err.split())
    arms, qps, count = len(found.measured.arms), len(found.measured.qps), len(found.measured.pictures)
    assert f"npp: measured {arms} arms at {qps} qps on {count} photos npp: all results lie in" in told
    assert said.err.replace("\n", "").endswith(f"npp: open {page} in a browser")
    assert said.out.splitlines()[-1] == str(found.out)
    assert page.read_text(encoding="utf-8") == text
    # A limit that is just reached may have left out nothing; it is said of the limit alone.
    with pytest.raises(SystemExit):
        again = ["evaluate", str(found.out.parent / "page.yaml"), "--out", str(found.out)]
        npp.cli.main([*again, "--limit", str(count)])
    told = " ".join(capsys.readouterr().err.split())
    assert f"on {count} photos, the most that --limit allows; intervals over few photos say little" in told


def test_savings_are_those_of_the_tables() -> None:
    bpp, kl = curve()
    measured = measurements(a=(bpp, kl), b=(0.9 * bpp, kl), c=(bpp, 100 * kl))
    compared = findings(measured)
    saved, lost = savings_of(compared, "a", ["net"])
    (point,) = saved["points"]
    assert saved["arm"] == "b" and point["value"] == pytest.approx(-10) and point["low"] <= point["high"]
    assert lost == {"arm": "c", "points": []}
    (panel,) = panels_of(measured, "x")
    assert panel.logarithmic and panel.better == "lower is better" and panel.key == "x-0"


def test_only_an_interval_without_zero_has_a_colour() -> None:
    bpp, kl = curve()
    measured = measurements(a=(bpp, kl), same=(bpp, kl), less=(0.9 * bpp, kl), more=(1.1 * bpp, kl))
    config = parse_config(values(Path("photos"), arms=[{"name": name} for name in measured.arms]))
    compared = findings(measured)
    rows = tuple((arm, comparison_cell(compared.find(arm, "a", KL))) for arm in ("same", "less", "more"))
    table = Table("BD-rate against a", ("arm", "kl"), rows)
    part = ReportPart("files", "Files", "", (ArmLine("a", ""),), measured, compared, (table,))
    text = render_report(config, [part], [], {"npp_version": "1"})
    cells = re.findall(r'<th scope="row">(\w+)</th><td(.*?)>(.*?) %', text)
    assert cells == [
        ("same", "", "+0.0"),
        ("less", ' class="less"', "-10.0"),
        ("more", ' class="more"', "+10.0"),
    ]


def test_values_that_are_no_numbers_do_not_break_the_page() -> None:
    bpp, kl = curve()
    kl[2] = float("nan")
    measured = measurements(a=(bpp, kl), b=(bpp, kl))
    config = parse_config(values(Path("photos"), arms=[{"name": "a"}, {"name": "b"}]))
    part = ReportPart("files", "Files", "", (ArmLine("a", ""),), measured, findings(measured), ())
    text = render_report(config, [part], [], {"npp_version": "1"})
    assert _drawn(text)[0]["panels"][0]["curves"][0]["values"][2] is None
    assert 'id="photos"' not in text


def _decoded(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1])))


def _row(height: int, width: int) -> StripRow:
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))
    boxes = ShownBoxes(torch.tensor([[1.0, 2, 11, 22], [3.0, 4, 3, 4]]), torch.tensor([True, False]))
    files = (ShownFile(image, "anchor", None), ShownFile(image, "arm", boxes))
    return StripRow(ShownFile(image, "original", None), torch.tensor([[-2.0, 0.0, 1.0]]), None, files)


def test_small_photos_are_embedded_as_they_are() -> None:
    row = _row(32, 48)
    view = photo_view("a.png", row)
    assert (view.width, view.height, view.note) == (48, 32, "")
    assert [layer.label for layer in view.layers] == ["original", "anchor", "arm"]
    shown = torch.tensor(list(_decoded(view.layers[0].source).tobytes())).reshape(32, 48, 3)
    assert torch.equal(shown, (row.original.image * 255).round().long().permute(1, 2, 0))
    assert view.layers[1].outlines is None and view.layers[2].outlines is not None
    first, second = view.layers[2].outlines
    assert (first.x, first.y, first.width, first.height, first.same) == (1, 2, 10, 20, True)
    assert (second.width, second.height, second.same) == (1, 1, False)
    assert "2 boxes, 1 of them not on the original" in view.layers[2].alt
    assert view.offsets is not None and view.offsets.most == 2 and "-2.0 to +1.0 qp" in view.offsets.alt
    assert _decoded(view.offsets.source).size == (3, 1)


def test_large_photos_are_embedded_smaller_and_it_is_said() -> None:
    view = photo_view("a.png", _row(600, 2048))
    assert (view.width, view.height) == (2048, 600)
    with _decoded(view.layers[0].source) as shown:
        assert shown.size == (1024, 300) and shown.format == "JPEG"
    assert "50%" in view.note and "JPEG of quality 95" in view.note


@pytest.mark.parametrize(
    ("height", "width", "format_", "said"),
    [
        (300, 2000, "PNG", "Embedded at 51% of their size; what was measured is the whole photo."),
        (512, 512, "PNG", ""),
        (512, 514, "JPEG", "Embedded as JPEG of quality 95; what was measured is the whole photo."),
    ],
)
def test_the_page_says_what_pictures_are_embedded_as(
    height: int, width: int, format_: str, said: str
) -> None:
    """What is small once it has been shrunk is embedded as PNG, and nobody says JPEG of it."""
    view = photo_view("a.png", _row(height, width))
    with _decoded(view.layers[0].source) as shown:
        assert shown.format == format_
    assert view.note == said


def test_an_anchor_that_is_the_arm_is_shown_once() -> None:
    row = _row(16, 16)
    same = replace(row, files=(row.files[0], row.files[0]), qp_map=None)
    view = photo_view("a.png", same)
    assert [layer.label for layer in view.layers] == ["original", "anchor"] and view.offsets is None


@in_browser
def test_it_opens_without_errors_and_asks_for_nothing(tab: Tab, found: Evaluation) -> None:
    assert tab.errors == [] and tab.run("document.getElementById('problem').hidden")
    asked = {url for url in tab.requests if not url.startswith(("data:", "blob:"))}
    assert asked == {(found.out / "report.html").as_uri()}
    panels = tab.run("document.querySelectorAll('.panels .js-plotly-plot').length")
    assert found.shared is not None
    assert panels == len(found.measured.axes) + len(found.shared.measured.axes)
    assert tab.run("document.querySelectorAll('#files-0 .scatterlayer .trace').length") == 3


@in_browser
def test_curves_say_their_values_when_hovered(tab: Tab) -> None:
    tab.middle("#files-0")
    place = tab.run(
        "(() => { const box = document.querySelector('#files-0 .scatterlayer .trace .point')"
        ".getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    tab.mouse("mouseMoved", place[0] - 3, place[1])
    tab.mouse("mouseMoved", *place)
    tab.wait("document.querySelector('#files-0 .hoverlayer').textContent.includes('bpp')", 20)
    said = tab.run("document.querySelector('#files-0 .hoverlayer').textContent")
    assert re.search(rf"(bpg|map|blur), qp {QPS[0]}.*\d\.\d+ bpp.*psnr \d+", said)


def _visible(tab: Tab, chart: str) -> Any:
    return tab.run(f"document.getElementById('{chart}').data.map((one) => one.visible !== false)")


@in_browser
def test_arms_are_switched_with_mouse_and_keyboard(tab: Tab) -> None:
    box = "#files .switches input[value=map]"
    for switch in (lambda: tab.click(box), lambda: tab.key("Space")):
        assert _visible(tab, "files-0") == [True, True, True]
        tab.run(f"document.querySelector({json.dumps(box)}).focus()")
        switch()
        tab.wait("document.getElementById('files-1').data[1].visible === false", 20)
        assert _visible(tab, "files-0") == [True, False, True]
        assert _visible(tab, "files-savings") == [False, True]
        # The other part has switches of its own.
        assert _visible(tab, "shared-0") == [True, True]
        tab.key("Space")
        tab.wait("document.getElementById('files-1').data[1].visible === true", 20)
    tab.click("#files .switches button:last-child")
    tab.wait("document.getElementById('files-1').data[2].visible === false", 20)
    assert _visible(tab, "files-0") == [True, False, False]
    tab.click("#files .switches button:nth-last-child(2)")
    tab.wait("document.getElementById('files-1').data[2].visible === true", 20)


@in_browser
def test_the_divider_moves_by_keyboard_and_on_the_picture(tab: Tab) -> None:
    place = "document.querySelector('.stage').style.getPropertyValue('--place')"
    clip = "getComputedStyle(document.querySelector('.stage .left')).clipPath"
    said = "document.querySelector('.slider input').getAttribute('aria-valuetext')"
    assert tab.run(place) == "50%" and "50%" in tab.run(clip)
    tab.run("document.querySelector('.slider input').focus()")
    tab.key("ArrowRight")
    assert tab.run(place) == "51%" and tab.run(said).startswith("51 % original, 49 % map: ")
    tab.key("Home")
    assert tab.run(place) == "0%"
    x, y = tab.middle(".stage")
    width = tab.run("document.querySelector('.stage').getBoundingClientRect().width")
    tab.mouse("mousePressed", x, y, pressed=True)
    assert tab.run(place) == "50%"
    tab.mouse("mouseMoved", x + width / 4, y, pressed=True)
    tab.mouse("mouseReleased", x + width / 4, y, pressed=True)
    assert tab.run(place) == "75%"
    tab.mouse("mouseMoved", x, y)
    assert tab.run(place) == "75%"


@in_browser
def test_layers_boxes_and_the_map_are_chosen(tab: Tab) -> None:
    shown = "[...document.querySelector('.stage').querySelectorAll('.layer')].map((one) => !one.hidden)"
    assert tab.run(shown) == [True, False, True]
    choose = "(() => {{ const one = document.querySelectorAll('.photo select')[{}]; one.value = '{}';"
    choose += "one.dispatchEvent(new Event('change')); }})()"
    tab.run(choose.format(0, 1))
    assert tab.run(shown) == [False, True, True]
    assert "bpg: " in tab.run("document.querySelector('.sides').textContent")
    tab.run(choose.format(0, 0))
    visible = "document.querySelector('{}').getBoundingClientRect().width > 0"
    boxes, offsets = visible.format(".stage .boxes"), visible.format(".stage .map")
    assert tab.run(boxes) and not tab.run(offsets)
    tab.click(".photo .controls label:nth-child(3) input")
    tab.click(".photo .controls label:nth-child(4) input")
    assert not tab.run(boxes) and tab.run(offsets)
    tab.click(".photo .controls label:nth-child(3) input")
    tab.click(".photo .controls label:nth-child(4) input")
    assert tab.run(boxes) and not tab.run(offsets)


_CONTRAST = """
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((one) => one / 255)
    .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = channels(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
"""
# Text of less than 4.5:1 against what is behind it, the charts' included.
_FAINT_TEXT = f"""(() => {{
  {_CONTRAST}
  const written = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  return [...document.querySelectorAll("body *")].filter((one) => {{
    const unseen = one.closest("script, noscript, option") || !one.getClientRects().length;
    if (unseen || !written(one)) return false;
    const style = getComputedStyle(one);
    return contrast(channels(one instanceof SVGElement ? style.fill : style.color), behind(one)) < 4.5;
  }}).map((one) => one.outerHTML.slice(0, 200));
}})()"""
# Curves of less than 3:1.
_FAINT_CURVES = f"""(() => {{
  {_CONTRAST}
  const hex = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
  return colours.filter((one) => contrast(hex(one), behind(document.querySelector(".card"))) < 3);
}})()"""


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_light_and_dark(tab: Tab, scheme: str) -> None:
    tab.scheme(scheme)
    dark = tab.run("getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(15, 18, 22)") == (scheme == "dark")
    wanted = {"light": "#ffffff", "dark": "#171b21"}[scheme]
    tab.wait(f"document.getElementById('shared-0').layout.paper_bgcolor === '{wanted}'", 30)
    assert tab.run(_FAINT_TEXT) == [] and tab.run(_FAINT_CURVES) == []
    tab.scheme("light")


@in_browser
def test_everything_has_a_name(tab: Tab) -> None:
    nodes = tab.send("Accessibility.getFullAXTree")["nodes"]
    named = {"image", "checkbox", "slider", "combobox", "button", "region", "link", "img"}
    seen = set()
    for node in nodes:
        role = node.get("role", {}).get("value")
        if node.get("ignored") or role not in named:
            continue
        seen.add(role)
        assert node.get("name", {}).get("value"), node
    assert {"checkbox", "slider", "combobox", "button"} <= seen and seen & {"image", "img"}


@in_browser
def test_a_phone_shows_all_of_it(tab: Tab) -> None:
    tab.size(390, 844, phone=True)
    tab.wait("innerWidth === 390", 20)
    tab.wait("document.querySelector('#files-0 .main-svg').getBoundingClientRect().width < 390", 20)
    assert tab.run("document.documentElement.scrollWidth") <= 390
    wide = "[...document.querySelectorAll('.stage, .chart, select, .slider')].filter((one) => {"
    wide += "const box = one.getBoundingClientRect(); return box.left < 0 || box.right > 390; }).length"
    assert tab.run(wide) == 0
    tab.size(1200, 900)
