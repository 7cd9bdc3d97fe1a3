"""The report's page in headless Chromium: true to run.json, quiet, usable by keyboard, on a phone, in either theme."""

import json
import re
import shlex
import time

import pytest

from harness.evidence import store
from harness.judging import ship
from tests.support import report_lab as lab
from tests.support.browser import chromium, complaints, overflow, requests, require, resize, violations, visit, wait
from tests.support.command import harness

FIRST = "FALSIFY-DOUBLES-001"
VISIBLE = "return [...document.querySelectorAll('#list b')].map(e => e.textContent)"
FOCUS = "return document.activeElement.textContent"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """(folder, index.html, run.json) of a wrong kernel after a right one."""
    require()
    folder = tmp_path_factory.mktemp("page")
    before, after = lab.right_then_wrong(folder)
    done = harness(folder, "report", str(before), str(after), "--out", "out")
    assert done.returncode == 0, done.stderr
    return folder, folder / "out/index.html", store.read_json(after / "run.json")


@pytest.fixture(scope="module")
def page(report):
    with chromium() as driver:
        yield driver


def press(driver, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    for key in keys:
        ActionChains(driver).send_keys(key).perform()
        driver.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 30))")


def drawn(driver):
    """Scroll every figure into view and wait for its plot; returns how many there are."""
    for i in range(driver.execute_script("return document.querySelectorAll('.plot').length")):
        driver.execute_script("document.querySelectorAll('.plot')[arguments[0]].scrollIntoView()", i)
        wait(driver, f"return document.querySelectorAll('.plot')[{i}].querySelector('svg') !== null")
    return driver.execute_script("return document.querySelectorAll('.plot svg').length")


def test_the_numbers_on_the_overview_are_those_of_run_json(page, report):
    _, index, body = report
    visit(page, index)
    told = page.execute_script(
        "return [...document.querySelectorAll('[data-count]')].map(e => [e.dataset.count, Number(e.textContent)])"
    )
    assert dict(told) == body["counts"]
    for target in body["targets"]:
        row = f".target[data-target='{target['id']}']"
        value, text = page.execute_script(
            f'return [document.querySelector("{row} data").value, document.querySelector("{row} .percent").textContent]'
        )
        assert float(value) == target["ship_percent"]
        assert " ".join(text.split()) == ship.line(target)
        tiles = page.execute_script(
            f"return [...document.querySelectorAll(\"{row} .tile\")].map(e => e.title.split(':')[0])"
        )
        assert tiles == [f"{c['id']} {c['verdict']}" for c in target["criteria"]]
    listed = page.execute_script(
        "return [...document.querySelectorAll('#list a')].map(a => "
        "[a.querySelector('b').textContent, a.dataset.verdict])"
    )
    assert sorted(listed) == sorted([row["id"], row["verdict"]] for row in body["claims"])


def test_every_claim_page_tells_what_run_json_says_in_silence(page, report):
    _, index, body = report
    visit(page, index)
    complaints(page), requests(page)
    for row in body["claims"]:
        page.execute_script(f"location.hash = 'claim/{row['id']}'")
        wait(page, f"return document.documentElement.dataset.ready === 'claim/{row['id']}'")
        assert page.execute_script("return document.querySelector('#claim h1').textContent") == row["id"]
        assert row["verdict"] in page.execute_script(
            "return document.querySelector('#claim .title .badge').textContent"
        )
        assert row["reason"].replace("`", "") in page.execute_script(
            "return document.querySelector('#claim .whys').textContent"
        )
        told = page.execute_script(
            "return [...document.querySelectorAll('#claim table.limit:not(.mutants) tbody tr')].map(r => "
            "[r.children[0].textContent.split(' ')[0], r.children[1].textContent, r.querySelector('data').value])"
        )
        want = [[m, d, v] for m, by in row["measurements"].items() for d, v in by.items()]
        assert [[m, d, float(v)] for m, d, v in told if v] == want
        mutants = page.execute_script(
            "return [...document.querySelectorAll('#claim .mutants tbody th')].map(e => e.firstChild.textContent)"
        )
        assert mutants == [m["name"] for m in row["mutants"]]
        drawn(page)
    assert complaints(page) == []
    assert requests(page) == []


def test_the_falsified_page_has_its_story_plots_and_replay_command(page, report):
    folder, index, _ = report
    visit(page, index, f"claim/{FIRST}")
    assert drawn(page) == 3
    text = page.execute_script("return document.querySelector('#claim').textContent")
    assert "First divergent stage: first" in text
    assert "errs as the known-wrong version slightly does" in text
    assert "was ● DISCHARGED".replace(" ", "") in text.replace(" ", "")
    command = page.execute_script("return document.querySelector('.replay pre').textContent")
    done = harness(folder, *shlex.split(command)[1:])
    assert "rel_l2_err" in done.stdout, done.stderr
    saved = json.loads((folder / command.split()[2]).read_text())
    facts = page.execute_script("return [...document.querySelectorAll('.columns section dd')].map(e => e.textContent)")
    assert saved["case"]["seed"] > 2**53  # a browser's own numbers would round it
    assert str(saved["case"]["seed"]) in facts
    page.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    page.execute_script("document.querySelector('.replay button').focus()")
    press(page, "\ue007")
    wait(page, "return document.querySelector('.replay button').textContent === 'Copied'")


def test_curves_are_drawn_and_flat_ones_do_no_harm(page, report):
    _, index, _ = report
    visit(page, index, "claim/FALSIFY-DRIFTS-001")
    drawn(page)
    captions = page.execute_script("return [...document.querySelectorAll('figcaption')].map(e => e.textContent)")
    assert any(c.startswith("loss") for c in captions)
    assert any(c.startswith("flat") for c in captions)
    assert complaints(page) == []


def test_hostile_text_stays_text(page, report):
    _, index, body = report
    for place in ("", *(f"claim/{row['id']}" for row in body["claims"])):
        visit(page, index, place)
        assert page.execute_script("return window.hacked") is None
    visit(page, index, f"claim/{FIRST}")
    lead = page.execute_script("return document.querySelector('.lead').textContent")
    assert lead == f"y is twice x {lab.HOSTILE}".replace("`", "")
    assert page.execute_script("return document.querySelectorAll('main img, main script').length") == 0
    assert "49" not in page.execute_script("return document.querySelector('#targets').textContent")


def test_search_and_filters_find_what_they_say_and_have_an_address(page, report):
    _, index, body = report
    visit(page, index)
    press(page, "/", *"drifts")
    assert page.execute_script(VISIBLE) == ["FALSIFY-DRIFTS-001"]
    assert page.execute_script("return document.querySelector('#found').textContent") == "1 of 7 claims"
    assert page.execute_script("return location.hash") == "#claims?q=drifts"
    press(page, "\ue00c")
    assert len(page.execute_script(VISIBLE)) == len(body["claims"])
    for query, want in {
        "verdict=FALSIFIED": {r["id"] for r in body["claims"] if r["verdict"] == "FALSIFIED"},
        "verdict=RED": {r["id"] for r in body["claims"] if r["verdict"] in ("ERROR", "UNSOUND", "FALSIFIED")},
        "contract=trouble&verdict=UNVERIFIED": {"FALSIFY-ABSENT-001"},
        "target=doubling": {FIRST, "FALSIFY-DRIFTS-001"},
        "target=doubling/X2": {"FALSIFY-DRIFTS-001"},
        "group=doubling": {FIRST, "FALSIFY-DRIFTS-001"},
        "q=no+such+words": set(),
    }.items():
        visit(page, index, f"claims?{query}")
        assert set(page.execute_script(VISIBLE)) == want, query
    page.execute_script("document.querySelector('#reset').click()")
    wait(page, "return document.querySelectorAll('#list b').length === 7")


def test_the_keyboard_reaches_everything_and_focus_is_seen(page, report):
    _, index, _ = report
    visit(page, index)
    press(page, "\ue004")
    assert page.execute_script(FOCUS) == "Skip to the claims"
    press(page, "/", "\ue015")
    rows = page.execute_script(VISIBLE)
    assert rows[0] in page.execute_script(FOCUS)
    press(page, "\ue015")
    assert rows[1] in page.execute_script(FOCUS)
    outline = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    press(page, "\ue010")
    assert rows[-1] in page.execute_script(FOCUS)
    press(page, "\ue011", "\ue007")
    wait(page, f"return document.documentElement.dataset.ready === 'claim/{rows[0]}'")
    assert page.execute_script(FOCUS) == rows[0]
    press(page, "\ue00c")
    wait(page, "return !document.querySelector('#overview').hidden")
    assert rows[0] in wait(page, FOCUS)
    press(page, "\ue013")
    assert page.execute_script("return document.activeElement.id") == "q"


def test_an_address_of_no_claim_says_so(page, report):
    _, index, _ = report
    visit(page, index, "claim/FALSIFY-%3Cb%3E-001")
    assert (
        page.execute_script("return document.querySelector('#claim h1').textContent")
        == "No claim FALSIFY-<b>-001 in this report"
    )
    page.execute_script("location.hash = 'targets'")
    wait(page, "return !document.querySelector('#overview').hidden")


@pytest.mark.parametrize("dark", [False, True])
def test_the_theme_follows_the_system_and_the_button(report, dark):
    _, index, _ = report
    with chromium(dark=dark) as driver:
        visit(driver, index, f"claim/{FIRST}")
        first, second = ("dark", "light") if dark else ("light", "dark")
        assert driver.execute_script("return document.documentElement.dataset.theme") == first
        drawn(driver)
        ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        driver.execute_script("document.querySelector('#theme').click()")
        assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") != ground
        wait(driver, f"return [...document.querySelectorAll('.plot')].every(p => p.dataset.drawn === '{second}')")
        visit(driver, index)
        assert driver.execute_script("return document.documentElement.dataset.theme") == second


@pytest.mark.sample(2)
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_is_wider_than_its_window_and_axe_finds_nothing_serious(report, width, dark):
    _, index, body = report
    with chromium(width, dark=dark) as driver:
        for place in ("", *(f"claim/{row['id']}" for row in body["claims"])):
            visit(driver, index, place)
            drawn(driver)
            driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert overflow(driver) <= 0, place
            assert violations(driver) == [], place


def test_the_tests_can_fail(tmp_path):
    """A planted page that asks the network, complains, is too wide and is hard to read is noticed."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<html lang=en data-ready=x><title>t</title><p style='width:3000px;color:#ccc;background:#fff'>faint<img src='http://127.0.0.1:9/x.png'>"
        "<script>console.warn('a complaint')</script>"
    )
    with chromium(390) as driver:
        visit(driver, bad)
        assert overflow(driver) > 2000
        assert any("a complaint" in c for c in complaints(driver))
        assert requests(driver) == ["http://127.0.0.1:9/x.png"]
        found = " ".join(violations(driver))
        assert "color-contrast" in found
        assert "image-alt" in found


@pytest.mark.sample(0)
def test_three_thousand_claims_open_within_two_seconds(report, tmp_path):
    folder, _, body = report
    source = folder / "evidence" / body["id"]
    lab.multiplied(source, tmp_path / "big", 3000)
    done = harness(folder, "report", str(tmp_path / "big"), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    index = tmp_path / "out/index.html"
    with chromium() as driver:
        visit(driver, index)  # once to warm the disk
        visit(driver, index)
        opened = driver.execute_script("return performance.getEntriesByName('ready')[0].startTime")
        assert driver.execute_script("return document.querySelector('#found').textContent") == "3000 claims"
        began = time.perf_counter()
        press(driver, "/", *"0042")
        assert len(driver.execute_script(VISIBLE)) == 1
        searched = time.perf_counter() - began
        began = time.perf_counter()
        driver.execute_script("document.querySelector('#list a').click()")
        wait(driver, "return document.documentElement.dataset.ready.startsWith('claim/')")
        shown = time.perf_counter() - began
        visit(driver, index)
        driver.execute_script("document.querySelector('#more').click()")
        assert len(driver.execute_script(VISIBLE)) == 200
        resize(driver, 390, 844)
        assert overflow(driver) <= 0
        print(f"3,000 claims: open {opened:.0f} ms, six keys of search {searched:.2f} s, a claim {shown:.2f} s")
        assert opened < 2000
        assert shown < 2


def test_the_page_carries_all_it_needs(report):
    _, index, _ = report
    text = index.read_text(encoding="utf-8")
    head = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", head)
    assert "default-src 'none'" in head
