"""Objects: whole lists, in each of the sheet's forms, with types that hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Site

OBJECTS = {
    "users": "users",
    "content": "contentItems",
    "clients": "clients",
    "meetings": "meetings",
    "assessment_attempts": "assessmentAttempts",
    "coupons": "coupons",
}


@pytest.mark.parametrize("form", ["cursor", "pages", "meta", "total"])
@pytest.mark.parametrize("stream", OBJECTS)
def test_every_object_to_the_last_page(site: Site, stream: str, form: Any) -> None:
    site.vendor.object_form, site.vendor.page_size = form, 4

    result = site.sync(stream)

    assert result.records(stream) == site.vendor.objects[OBJECTS[stream]]
    assert len(site.vendor.requests) == 3
    assert len(result.of_type("ACTIVATE_VERSION", stream)) == 2
    assert result.of_type("SCHEMA", stream)[0]["schema"]["x-load-method"] == "overwrite"


def test_a_list_that_breaks_off_is_not_published(site: Site) -> None:
    """Its end is not sent, so the loader leaves the table as it was."""
    site.vendor.page_size = 4
    site.vendor.faults.add(path="cursor=4", status=400)

    result, error = site.run("users")

    assert error
    assert len(result.of_type("ACTIVATE_VERSION")) == 1


@pytest.mark.parametrize("cursor", ["", ', "cursor": "4"'])
def test_more_pages_and_no_way_to_them(site: Site, cursor: str) -> None:
    body = f'{{"users": [], "pageInfo": {{"hasMore": true{cursor}}}}}'
    site.vendor.faults.add(status=200, times=2, body=body)

    assert "users: the answer says that there are more pages" in site.fail("users")


def test_a_list_that_says_nothing_of_pages(site: Site) -> None:
    """Its first page would take the place of the whole table."""
    site.vendor.object_form, site.vendor.page_size = "bare", 4

    assert "does not say whether there are more pages" in site.fail("users")


def test_a_cursor_without_a_word_of_more(site: Site) -> None:
    site.vendor.page_size = 4
    body = '{"users": [], "pageInfo": {"cursor": "8"}}'
    site.vendor.faults.add(path="cursor=4", status=200, body=body)

    assert len(site.sync("users").records("users")) == 6


def test_the_list_under_another_name_is_no_empty_list(site: Site) -> None:
    site.vendor.faults.add(status=200, body='{"content": [], "pageInfo": {"hasMore": false}}')

    assert "without a list called contentItems" in site.fail("content")


def test_loose_types_are_made_to_fit(site: Site) -> None:
    """The sheet knows the types from a warehouse's casts only."""
    site.vendor.objects["coupons"] = [
        {"id": 7, "code": "A", "active": "true", "percentOff": "15", "redeemBy": ""},
        {"id": "8", "code": {"a": 1}, "active": False, "percentOff": 20.0, "timesRedeemed": ""},
    ]

    assert site.sync("coupons").records("coupons") == [
        {"id": "7", "code": "A", "active": True, "percentOff": 15, "redeemBy": None},
        {"id": "8", "code": '{"a": 1}', "active": False, "percentOff": 20, "timesRedeemed": None},
    ]
