"""Activity, Home and the looks in a browser: filters, export, zones, light and dark, charts; by keyboard, without
JavaScript, and at 320 px."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.scene import scene
from tests.browser.visitor import Visitor
from tests.house import House
from webapp.services import audit, retention
from webapp.services.audit import COMMAND, Row
from webapp.services.retention import Retention
from webapp.store.database import writing
from webapp.store.fields import now
from webapp.store.models import Entry

LOOKS = ["light", "dark", "narrow"]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with scene(tmp_path_factory.mktemp("scene") / "data") as (house, _):
        yield house


def rows(page: Page) -> int:
    return page.locator("#entries tbody tr").count()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_technician_finds_what_an_agent_did_wrong(
    full: House, visit: Callable[..., Visitor], javascript: bool
) -> None:
    visitor = visit(full.url, java_script_enabled=javascript)
    visitor.sign_in("tom@example.com")
    page = visitor.go("/activity")
    page.locator("select[name=outcome]").select_option(label="any error")
    page.get_by_text("More filters").click()
    page.locator("select[name=agent]").select_option("Claude for the helpdesk")
    page.get_by_role("button", name="Filter").click()
    assert "outcome=error" in page.url and "agent=Claude" in page.url
    assert rows(page) == 50
    page.get_by_role("link", name="Older").click()
    assert "outcome=error" in page.url
    page.go_back()
    expect(page.locator("select[name=outcome]")).to_have_value("error")
    page.locator("#entries a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Entry")
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    page.get_by_role("link", name="their activity").click()
    assert "agent=Claude" in page.url


def test_the_export_is_a_file_of_what_is_filtered(
    full: House, visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    visitor = visit(full.url)
    visitor.sign_in("tom@example.com")
    page = visitor.go("/activity?outcome=denied")
    shown = rows(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    with file.open(encoding="utf-8-sig", newline="") as text:
        found = list(csv.DictReader(text))
    assert len(found) == shown
    assert {row["outcome"] for row in found} == {"denied"}


# --- zones


def zone_of(page: Page) -> str:
    return page.locator("body > footer p").inner_text().partition("times are in ")[2]


def test_the_first_page_after_signing_in_is_in_the_browsers_zone(
    full: House, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(full.url, timezone_id="Asia/Tokyo")
    page = visitor.sign_in()
    assert zone_of(page) == "Asia/Tokyo"
    page = visitor.go("/activity")
    title = page.locator("#entries time").first.get_attribute("title") or ""
    stamp = page.locator("#entries time").first.get_attribute("datetime") or ""
    assert title.endswith(" JST")
    assert stamp.endswith("+00:00")


def test_without_javascript_times_are_in_utc_until_a_zone_is_chosen(
    full: House, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(full.url, java_script_enabled=False, timezone_id="Asia/Tokyo")
    page = visitor.sign_in("tom@example.com")
    assert zone_of(page) == "UTC"
    page.locator("body > footer").get_by_role("link", name="UTC").click()
    page.get_by_label("Times are shown in").select_option("Europe/Amsterdam")
    page.get_by_role("button", name="Save the time zone").click()
    assert zone_of(page) == "Europe/Amsterdam"
    page.get_by_label("Times are shown in").select_option("")
    page.get_by_role("button", name="Save the time zone").click()
    assert zone_of(page) == "UTC"


# --- light and dark


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


LIGHT, DARK = "rgb(246, 247, 249)", "rgb(17, 22, 29)"


@pytest.mark.parametrize("javascript", [True, False])
def test_a_chosen_theme_is_there_with_the_first_paint(
    full: House, visit: Callable[..., Visitor], javascript: bool
) -> None:
    visitor = visit(full.url, "light", java_script_enabled=javascript)
    page = visitor.sign_in()
    page = visitor.go("/activity?kind=call")
    assert page.evaluate("document.documentElement.dataset.theme") is None if javascript else True
    footer = page.locator("body > footer")
    footer.get_by_role("button", name="Dark").click()
    assert page.url.endswith("/activity?kind=call")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(footer.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    if javascript:
        assert background(page) == DARK
        assert visitor.violations() == []
    footer.get_by_role("button", name="System").click()
    expect(page.locator("html")).not_to_have_attribute("data-theme", re.compile("."))


@pytest.mark.parametrize(("system", "chosen", "seen"), [("dark", "Light", LIGHT), ("light", "Dark", DARK)])
def test_the_choice_outweighs_the_system_on_every_kind_of_page(
    full: House, visit: Callable[..., Visitor], system: str, chosen: str, seen: str
) -> None:
    visitor = visit(full.url, system)
    page = visitor.sign_in()
    page = visitor.go("/account")
    page.get_by_role("radio", name=chosen).check()
    page.get_by_role("button", name="Save the look").click()
    for path in ("/", "/activity", "/approvals", "/tools", "/settings/integrations", "/account"):
        page = visitor.go(path)
        assert background(page) == seen, path
        assert visitor.violations() == [], path
    page.locator("body > footer").get_by_role("button", name="System").click()
    assert background(page) == (DARK if system == "dark" else LIGHT)


# --- home


def test_the_chart_says_in_words_what_it_shows(full: House, visit: Callable[..., Visitor]) -> None:
    visitor = visit(full.url)
    visitor.sign_in()
    page = visitor.go("/")
    chart = page.get_by_role("img", name=re.compile("Calls per day over 30 days"))
    told = re.search(
        r"([\d,]+) calls, ([\d,]+) of them errors", chart.locator("title").first.text_content() or ""
    )
    assert told
    page.get_by_text("The numbers", exact=True).click()
    cells = page.locator("#days tbody tr").all()
    assert len(cells) == 30
    sums = [
        sum(int((row.locator("td").nth(column).inner_text()).replace(",", "")) for row in cells)
        for column in (0, 1)
    ]
    assert [int(text.replace(",", "")) for text in told.groups()] == sums
    assert chart.locator("rect.calls").count() == 30


def test_a_number_leads_to_the_entries_it_counts(full: House, visit: Callable[..., Visitor]) -> None:
    visitor = visit(full.url, timezone_id="America/New_York")
    visitor.sign_in()
    page = visitor.go("/")
    page.get_by_text("The numbers", exact=True).click()
    links = page.locator("#days tbody tr td:nth-of-type(2) a")
    count, address = int(links.last.inner_text()), links.last.get_attribute("href") or ""
    page = visitor.go(address)
    assert rows(page) == count


def test_every_mark_of_the_chart_is_seen_in_grey(full: House, visit: Callable[..., Visitor]) -> None:
    """Errors are hatched, so that they differ by more than their colour."""
    visitor = visit(full.url)
    visitor.sign_in()
    page = visitor.go("/")
    bad = page.locator('#days svg rect[fill^="url("]')
    assert bad.count() > 5
    assert bad.first.evaluate("one => one.getBBox().height") > 0


# --- states that the scene has not


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_a_shortened_log_is_accessible_and_fits(
    full: House, visit: Callable[..., Visitor], look: str
) -> None:
    full.do(shorten)
    visitor = visit(full.url, look)
    visitor.sign_in()
    problems = {}
    for name, path in {"general": "/settings/general", "removed": "/activity?until=1999-01-01"}.items():
        page = visitor.go(path)
        problems[name] = visitor.faults_in_sight()
    page = visitor.go("/settings/general")
    page.get_by_label("Days").fill("36")
    page.get_by_role("button", name="Save the number of days").click()
    expect(page.get_by_role("link", name="Leave it as it is")).to_be_visible()
    problems["asked"] = visitor.faults_in_sight()
    visitor.go("/")
    page.get_by_text("The numbers", exact=True).click()
    problems["numbers"] = visitor.faults_in_sight()
    assert not any(problems.values()), problems


def shorten() -> None:
    """A seal over the first ten rows, as if they were old; and one row that is."""
    from webapp.services import segments

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "MOST_ROWS", 10)
        segments.seal_before(now() - timedelta(days=1), COMMAND, retention._settings.data / "log")
    while segments.remove_sealed():
        pass
    with writing():
        audit.record("log.kept", COMMAND, details={"days": 0}, agents_notice=False)
        audit.append([Row("call", COMMAND, "call", "desk", outcome="ok", at=now() - timedelta(days=40))])
    assert Entry.select().exists() and Retention().days == 0
