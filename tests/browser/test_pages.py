"""The built pages in a real browser: what a reader meets, on a desk, on a phone, in the dark, without a mouse."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
import torch
import yaml

from adlib.data import to_symmetric
from adlib.viz.drawing import run_layers
from adlib_book.runner.workspace import Workspace
from adlib_book.site.stage import page_names

ROOT = Path(__file__).resolve().parents[2]
# The site is built from the chapters; one worker does both.
PAGES = [*page_names(ROOT / "book" / "_toc.yml"), "search", "genindex"]
SAMPLE = PAGES[::3]  # for what is a matter of the theme and hardly of a page; each look takes seconds
SERIOUS = {"serious", "critical"}
# Which page shows which widget first.
EXPLORER, SCRUBBER = "notebooks/f4_metrics", "notebooks/f1_auto_encoders"
OVERLAY, QUIZ = "notebooks/f4_metrics", "notebooks/00_quickstart"


# Code and tables of the article that are in view and wider than their place.
_CUT_OFF = """() => [...document.querySelectorAll(
  '.bd-article div.highlight > pre, .bd-article .pst-scrollable-table-container, .bd-article .cell_output'
)].filter(each => each.offsetParent && each.scrollWidth > each.clientWidth + 1).map(
  each => `cut off at 1280 pixels, ${each.scrollWidth} in ${each.clientWidth}: ${each.innerText.slice(0, 80)}`
)"""


_HINTS = """() => [...document.querySelectorAll('.cell_output img')].map(image => {
  const scroller = image.closest('.cell_output'), hint = getComputedStyle(image.parentElement, '::before');
  return [scroller.scrollWidth > scroller.clientWidth, hint.content !== 'none' && parseFloat(hint.fontSize) > 0];
})"""


def test_swipe_sideways_is_said_over_figures_that_scroll_and_over_no_others(visit):
    reader, figures = visit(viewport={"width": 390, "height": 800}), []
    for name in ("notebooks/00_quickstart", "notebooks/01_ganomaly_distances"):
        page = reader.open(name)
        page.wait_for_timeout(300)  # the animation's first frame
        figures += page.evaluate(_HINTS)
    assert {wide for wide, _ in figures} == {True, False}
    assert [said for _, said in figures] == [wide for wide, _ in figures]


# Not ours to mend: the theme's search button shows its shortcut beside its name, and the bibliography marks
# its entries as a list whose items have links back.
_AXE = """axe.run({exclude: [[".citation-list"]]}, {
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], resultTypes: ["violations"],
  rules: {"label-content-name-mismatch": {enabled: false}},
})"""


def barriers(page, axe: str) -> list[str]:
    """Serious barriers of a page, by the accessibility checker axe, a line each."""
    page.evaluate(axe)
    serious = []
    for violation in page.evaluate(_AXE)["violations"]:
        if violation["impact"] in SERIOUS:
            first = violation["nodes"][0]
            why = first["any"][0]["message"] if first["any"] else violation["help"]
            serious.append(f"{violation['id']} ({len(violation['nodes'])}): {first['html'][:200]}: {why}")
    return serious


def test_every_page_loads_without_a_complaint_asks_nobody_else_fits_and_keeps_nobody_out(visit, axe):
    """All in one visit: opening a page is most of what it costs."""
    by_page, reader = {}, visit()
    for name in PAGES:
        page = reader.open(name)
        reader.complaints += page.evaluate(_CUT_OFF)
        page.set_viewport_size({"width": 390, "height": 800})
        if (width := page.evaluate("document.documentElement.scrollWidth")) > 390:
            reader.complaints.append(f"is {width} pixels wide on a phone of 390")
        page.set_viewport_size({"width": 1280, "height": 900})
        reader.complaints += barriers(page, axe)
        if reader.complaints:
            by_page[name], reader.complaints = reader.complaints, []
    assert not by_page, json.dumps(by_page, indent=1)


def test_nothing_keeps_anybody_out_in_the_dark_either(visit, axe):
    reader, by_page = visit(color_scheme="dark"), {}
    for name in SAMPLE:
        if violations := barriers(reader.open(name), axe):
            by_page[name] = violations
    assert not by_page, json.dumps(by_page, indent=1)


def test_every_picture_of_a_cell_is_a_numbered_figure_with_a_caption(site):
    for path in (site / "notebooks").glob("*.html"):
        article = re.search(r"<article.*?</article>", path.read_text(), re.DOTALL)[0]
        images = re.findall(r'<img [^>]*src="\.\./_images/', article)
        figures = re.findall(
            r'<figure [^>]*id="figure-[\w-]+".*?<figcaption>.*?<strong>Figure ([\w.]+)\.</strong>',
            article,
            re.DOTALL,
        )
        assert len(figures) >= len(images), path.name
        assert "Fig. " not in article, f"{path.name}: a second number"
        assert len(set(figures)) == len(figures) > 0, path.name


def test_every_link_inside_the_book_leads_somewhere(site):
    pages = {path: path.read_text() for path in site.rglob("*.html") if path.name != "print.html"}
    anchors = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages.items()}
    broken = []
    for path, text in pages.items():
        for link in set(re.findall(r'<a\b[^>]*\bhref="([^"]+)"', text)):
            link = unquote(html.unescape(link))
            if re.match(r"[a-z][a-z0-9+.-]*:|//", link):
                continue
            file, _, anchor = link.partition("#")
            file = file.partition("?")[0]
            target = (path.parent / file).resolve() if file else path.resolve()
            if not target.is_file():
                broken.append(f"{path.relative_to(site)} -> {link}")
            elif anchor and anchor not in anchors.get(
                target, anchors.get(path if not file else target, set())
            ):
                broken.append(f"{path.relative_to(site)} -> {link} (no such place)")
    assert not broken, "\n".join(sorted(broken))


@pytest.mark.parametrize(
    ("word", "summaries"),
    [
        ("AUROC", ()),
        ("residual", ()),
        ("殘差", ["book/zh"]),
        ("잔차", ["book/ko"]),
        ("異常檢測", ["book/zh"]),
        ("이상감지", ["book/ko"]),
    ],
)
def test_the_search_finds_a_term_in_each_language(visit, word, summaries):
    page = visit().page
    page.goto(f"{visit().address}/search.html?q={word}", wait_until="networkidle")
    page.wait_for_selector("#search-results li a", timeout=15_000)
    hits = page.eval_on_selector_all("#search-results li a", "all => all.map(each => each.href)")
    for name in ("book/glossary", *summaries):
        assert any(f"/{name}.html" in hit for hit in hits), hits


def test_the_theme_can_be_changed_and_stays(visit):
    reader = visit()
    page = reader.open("book/preface")
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "light"
    for _ in range(3):
        page.click(".theme-switch-button:visible")
        if page.evaluate(theme) == "dark":
            break
    assert page.evaluate(theme) == "dark"
    assert reader.open("book/glossary").evaluate(theme) == "dark"


def test_terms_are_linked_from_their_first_use(visit):
    page = visit().open("book/preface")
    link = page.locator("a:has(> .first-use)", has_text="leak").first
    link.click()
    page.wait_for_url("**/glossary.html#term-leak")
    assert page.locator("#term-leak").is_visible()


def test_the_glossary_speaks_three_languages(visit):
    page = visit().open("book/glossary")
    terms = yaml.safe_load((ROOT / "book" / "glossary.yml").read_text())
    assert page.locator("dl.glossary dt").count() == len(terms)
    for language, key in (("zh-Hant", "zh"), ("ko", "ko")):
        texts = page.eval_on_selector_all(f"[lang='{language}']", "all => all.map(each => each.textContent)")
        assert set(texts) >= {entry[key] for entry in terms}


def test_what_is_offered_can_be_downloaded(visit, tmp_path):
    page = visit(accept_downloads=True).open(EXPLORER)
    for words, check in {
        "executed notebook": lambda text: json.loads(text)["cells"][0]["source"],
        "numbers as CSV": lambda text: text.startswith("metric,value,run\n") and text.count("\n") > 2,
        "as JSON": lambda text: json.loads(text)["metrics"],
    }.items():
        with page.expect_download() as download:
            page.click(f".downloads a:text-is('{words}')")
        download.value.save_as(tmp_path / "file")
        assert check((tmp_path / "file").read_text()), words


# ---------------------------------------------------------------- widgets, without a kernel


def widget(page, kind: str):
    """The first widget with such an element in it."""
    first = page.locator(f".adlib-widget:has({kind})").first
    first.wait_for(timeout=20_000)
    first.scroll_into_view_if_needed()
    return first


def drag(page, slider, share: float) -> None:
    """Take the handle of a slider and let go of it elsewhere, at a share of its length."""
    box = slider.bounding_box()
    now = slider.evaluate("each => (each.value - each.min) / (each.max - each.min)")
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8 + now * (box["width"] - 16), middle)
    page.mouse.down()
    page.mouse.move(box["x"] + share * box["width"], middle, steps=6)
    page.mouse.up()


def test_the_threshold_is_dragged_and_all_follows(visit):
    reader = visit()
    page = reader.open(EXPLORER)
    explorer = widget(page, ".adlib-confusion")

    def state():
        counts = explorer.locator("td strong").all_inner_texts()
        return [int(count) for count in counts], explorer.locator(".adlib-spoken").inner_text()

    (tn, fp, fn, tp), words = state()
    assert "(learnt)" in words
    assert f"finds {tp} of {tp + fn} anomalies" in words
    dot, line = explorer.locator(".adlib-dot"), explorer.locator(".adlib-cut")
    before = [dot.get_attribute("cx"), line.get_attribute("x1")]
    drag(page, explorer.locator("input"), 0.05)
    counts, words = state()
    assert counts[3] > tp
    assert counts[1] > fp
    assert sum(counts) == tn + fp + fn + tp
    assert f"refuses {counts[1]} of" in words
    after = [dot.get_attribute("cx"), line.get_attribute("x1")]
    assert all(old != new for old, new in zip(before, after))
    heads = explorer.locator("h4").all_inner_texts()
    assert heads[0].startswith(f"Missed: {counts[2]}")
    assert explorer.locator("section").nth(1).locator(".adlib-tile").count() == min(8, counts[1])
    explorer.locator("button").click()
    assert state() == ([tn, fp, fn, tp], state()[1])
    assert not reader.complaints


def test_the_threshold_is_moved_with_the_keyboard_one_verdict_at_a_time(visit):
    page = visit().open(EXPLORER)
    explorer = widget(page, ".adlib-confusion")
    slider = explorer.locator("input")
    slider.focus()
    page.keyboard.press("End")
    assert "finds 0 of" in explorer.locator(".adlib-spoken").inner_text()
    page.keyboard.press("ArrowLeft")
    words = slider.get_attribute("aria-valuetext")
    assert re.search(r"finds (1 of \d+ anomalies, refuses 0|0 of \d+ anomalies, refuses 1) of", words), words


def test_a_training_is_scrubbed_through(visit):
    page = visit().open(SCRUBBER)
    scrubber = widget(page, ".adlib-columns")
    strip = scrubber.locator("img.adlib-strip").nth(1)
    before, words = strip.get_attribute("src"), scrubber.locator(".adlib-spoken").inner_text()
    drag(page, scrubber.locator("input"), 1.0)
    assert strip.get_attribute("src") != before
    after = scrubber.locator(".adlib-spoken").inner_text()
    assert words.startswith("Step 0:")
    assert re.match(r"Step [1-9]\d*: mean difference .* on the normal images", after)
    assert strip.evaluate("each => each.complete && each.naturalWidth > 100")


def test_a_map_is_faded_in_and_out(visit):
    page = visit().open(OVERLAY)
    overlay = widget(page, ".adlib-over")
    maps = overlay.locator("img.adlib-over").first
    drag(page, overlay.locator("input"), 1.0)
    assert float(maps.evaluate("each => getComputedStyle(each).opacity")) == 1
    drag(page, overlay.locator("input"), 0.0)
    assert float(maps.evaluate("each => getComputedStyle(each).opacity")) == 0


def test_a_digit_is_drawn_and_judged_as_python_would(visit):
    page = visit().open(SCRUBBER)
    board = widget(page, ".adlib-easel")
    words, slider = board.locator(".adlib-spoken"), board.locator("input[type=range]")
    judged = {}
    for place in (0, 2):
        slider.fill(str(place))
        board.get_by_role("button", name="good").first.click()
        judged[place] = words.inner_text()
        assert re.fullmatch(r"Score 0\.\d{4}: above that of \d+ % of the normal test images\.", judged[place])
    assert judged[0] != judged[2]
    assert float(judged[2].split()[1].rstrip(":")) == pytest.approx(drawing_score(2), abs=1e-4)
    surface = board.locator("canvas").first
    box = surface.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    page.mouse.up()
    page.wait_for_timeout(100)
    drawn = words.inner_text()
    assert drawn not in judged.values()
    surface.focus()
    for key in (" ", *["ArrowDown"] * 4, " "):
        page.keyboard.press(key)
    page.wait_for_timeout(100)
    assert words.inner_text() != drawn


@pytest.mark.parametrize("name", [SCRUBBER, "notebooks/04_cae_vs_sdn"])
def test_a_digit_is_drawn_with_a_finger(visit, name):
    page = visit(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True).open(name)
    board = widget(page, ".adlib-easel")
    surface, words = board.locator("canvas").first, board.locator(".adlib-spoken")
    surface.scroll_into_view_if_needed()
    box, before = surface.bounding_box(), words.inner_text()
    finger = page.context.new_cdp_session(page)
    for kind, share in (("Start", 0.2), ("Move", 0.4), ("Move", 0.6), ("Move", 0.8), ("End", None)):
        points = (
            [{"x": box["x"] + 0.5 * box["width"], "y": box["y"] + share * box["height"]}] if share else []
        )
        finger.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    page.wait_for_timeout(100)
    assert words.inner_text().startswith("Score 0.")
    assert words.inner_text() != before
    assert surface.bounding_box() == box, "the page has scrolled under the finger"
    middle = "each => each.getContext('2d').getImageData(128, 128, 1, 1).data[0]"
    assert surface.evaluate(middle) == 255


def drawing_score(place: int) -> float:
    """The score of the board's first example by one of its networks, from the state of the executed notebook."""
    executed = nbformat.read(Workspace(ROOT).executed("f1_auto_encoders", "smoke")[0], as_version=4)
    states = executed.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    state = next(each["state"] for each in states if "normal_scores" in each["state"])
    layers = [carried_layer(each) for each in state["networks"][place]]
    image = torch.frombuffer(bytearray(base64.b64decode(state["examples"][0])), dtype=torch.uint8)
    image = to_symmetric(image.reshape(1, 1, state["side"], state["side"]))
    return float((image - run_layers(layers, image)).abs().mean())


def carried_layer(layer: dict) -> dict:
    """A layer out of the state of a page, as `run_layers` takes it."""

    def numbers(name, kind):
        return torch.frombuffer(bytearray(base64.b64decode(layer[name])), dtype=kind)

    rows = numbers("steps", torch.int8).float().reshape(layer["shape"][0], -1)
    weight = (rows * numbers("scale", torch.float32)[:, None]).reshape(layer["shape"])
    return {**layer, "weight": weight, "bias": numbers("bias", torch.float32)}


def test_the_quiz_is_played_to_its_end_with_the_keyboard(visit):
    page = visit().open(QUIZ)
    quiz = widget(page, ".adlib-board")
    rounds = int(re.search(r"of (\d+)", quiz.locator(".adlib-head").inner_text())[1])
    for number in range(1, rounds + 1):
        choices = quiz.locator(".adlib-choice")
        assert choices.count() == 4
        choices.nth(number % 4).focus()
        page.keyboard.press("Enter")
        words = quiz.locator(".adlib-spoken").inner_text()
        assert re.search(rf"(Right|No: it is image \d).* of {number}\.$", words), words
        assert quiz.locator(".adlib-is-right").count() == 1
        page.keyboard.press("Enter")  # the focus has gone to "next"
    assert quiz.locator(".adlib-head").inner_text().startswith("Round 1 of")


def test_a_book_on_a_stick_shows_maths_and_widgets_without_a_server_or_a_network(chromium, site):
    with chromium.new_context(offline=True) as context:
        page, complaints = context.new_page(), []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((site / f"{EXPLORER}.html").as_uri(), wait_until="load")
        page.wait_for_selector("mjx-container svg", state="attached", timeout=20_000)
        widget(page, ".adlib-confusion")
        icons = page.evaluate(
            "document.fonts.ready.then(() => [...document.fonts].filter(f => f.status == 'error').length)"
        )
        assert icons == 0
        assert not complaints


def test_a_page_is_there_at_once(visit):
    """From this very machine; what is slow here is hopeless in a train."""
    page = visit().open("book/index")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    assert painted < 5000, "milliseconds to the first paint"
    loaded = page.evaluate(
        "performance.getEntriesByType('resource').reduce((sum, each) => sum + each.transferSize, 0)"
    )
    assert loaded < 6_000_000, "bytes that the landing page asks for"


def test_no_page_carries_a_large_script_for_nothing(visit):
    """Of each script above 100 kB at least a twentieth runs; less is weight without use on that page."""
    idle = {}
    for name in SAMPLE:
        reader = visit()
        session = reader.context.new_cdp_session(reader.page)
        session.send("Profiler.enable")
        session.send("Profiler.startPreciseCoverage", {"callCount": False, "detailed": True})
        reader.open(name)
        for script in session.send("Profiler.takePreciseCoverage")["result"]:
            ranges = [each for function in script["functions"] for each in function["ranges"]]
            size = max(each["endOffset"] for each in ranges)
            if script["url"].startswith(reader.address) and size > 100_000:
                share = used(ranges, size) / size
                if share < 0.05:
                    idle.setdefault(script["url"].rsplit("/", 1)[1], []).append(f"{name}: {share:.1%}")
        reader.page.close()
    assert not idle, json.dumps(idle, indent=1)


def used(ranges: list[dict], size: int) -> int:
    """Characters of a script that ran: inner ranges of the coverage overrule those around them."""
    ran = bytearray(size)
    for each in sorted(ranges, key=lambda part: part["startOffset"] - part["endOffset"]):
        length = each["endOffset"] - each["startOffset"]
        ran[each["startOffset"] : each["endOffset"]] = bytes([each["count"] > 0]) * length
    return sum(ran)
