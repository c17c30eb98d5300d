"""Ways to log in, and that no secret is shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from conftest import Source

KEEPER = """
import pathlib, sys
path = pathlib.Path(sys.argv[1])
if sys.argv[2] == "save":
    path.write_text(sys.stdin.read())
elif path.exists():
    print(path.read_text())
"""


def refreshing(source: Source, **store: str) -> dict[str, Any]:
    """Settings with a refresh token that the account has just given out; the file is made."""
    token = source.tenant.access.issue("read", 3600, refreshable=True)
    if "token_file" in store:
        Path(store["token_file"]).touch()
    return {"refresh_token": token.refresh, **store}


def test_an_api_token_works_with_a_dated_warning(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    access = source.tenant.access

    result = source.sync("tags", email=access.email, api_token=access.api_token)

    assert len(result.records("tags")) == 3
    assert "Zendesk accepts API tokens until 2027-04-30" in caplog.text


def test_two_accounts_have_their_own_logins_and_data(source: Source) -> None:
    community = type(source)(source.zendesk, source.url, source.naps, "tributary-community")
    other = community.tenant.access

    assert community.sync("tickets").records("tickets")[0]["id"] == 100_000_001
    with pytest.raises(TapError, match=r"gave no OAuth token|401"):
        source.sync("tags", client_id=other.client_id, client_secret=other.client_secret)


def test_a_token_that_does_not_expire_needs_no_client(source: Source) -> None:
    token = source.tenant.access.issue("read", None, refreshable=False)

    assert len(source.sync("tags", access_token=token.access).records("tags")) == 3


@pytest.mark.parametrize("kind", ["token_file", "token_command"])
def test_a_new_pair_is_kept_for_the_next_run(source: Source, tmp_path: Path, kind: str) -> None:
    """The old pair dies at a refresh; a second run uses the kept one, without another refresh."""
    keeper, kept = tmp_path / "keeper.py", tmp_path / "tokens.json"
    keeper.write_text(KEEPER)
    store = str(kept) if kind == "token_file" else f"{sys.executable} {keeper} {kept}"
    settings = refreshing(source, **{kind: store})

    source.sync("tags", **settings)
    source.sync("tags", **settings)

    (token,) = source.tenant.access.tokens
    assert json.loads(kept.read_text())["refresh_token"] == token.refresh
    assert len(source.zendesk.seen("oauth/tokens")) == 1
    if kind == "token_file":
        assert kept.stat().st_mode & 0o077 == 0


def test_nothing_is_refreshed_that_cannot_be_kept(source: Source, tmp_path: Path) -> None:
    """Else the next run would be locked out: a pod's own disk has no such file, nor the folder."""
    token = refreshing(source)

    for name, doing in (("tokens.json", "Reading"), ("no/tokens.json", "Locking")):
        with pytest.raises(TapError, match=f"{doing} token_file .* failed.* a pod's own disk"):
            source.sync("tags", **token, token_file=str(tmp_path / name))
    assert source.zendesk.seen("oauth/tokens") == []


def test_a_dead_pair_makes_way_for_a_new_token_when_its_file_is_emptied(
    source: Source, tmp_path: Path
) -> None:
    """What is kept goes before the setting, and the error says how to replace it."""
    kept = tmp_path / "tokens.json"
    settings = refreshing(source, token_file=str(kept))
    kept.write_text('{"access_token": "dead", "refresh_token": "dead"}')

    with pytest.raises(TapError, match="empty what token_file or token_command keeps"):
        source.sync("tags", **settings)
    kept.write_text("")

    assert len(source.sync("tags", **settings).records("tags")) == 3


def test_a_token_that_dies_during_a_run_is_renewed_once(source: Source, tmp_path: Path) -> None:
    settings = refreshing(source, token_file=str(tmp_path / "tokens.json"))
    pages = iter(range(9))

    def revoke_before_the_second() -> None:
        if next(pages) == 0:
            source.tenant.access.tokens[-1].access = "revoked"

    source.zendesk.before_export = revoke_before_the_second

    result = source.sync("tickets", page_size=10, **settings)

    assert len(result.records("tickets")) == 12
    assert len(source.zendesk.seen("oauth/tokens")) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"client_secret": "wrong"},
        {"api_token": "revoked-token", "email": "somebody@example.com"},
        {"access_token": "dead-token"},
        {"refresh_token": "used-token", "token_file": "{folder}/tokens.json"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_refused_login_names_the_setting_and_hides_it(
    source: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, str]
) -> None:
    settings = {k: v.replace("{folder}", str(tmp_path)) for k, v in settings.items()}
    (tmp_path / "tokens.json").touch()
    name = next(iter(settings))

    with pytest.raises(TapError, match=name) as caught:
        source.sync("tags", **settings)

    shown = caplog.text + str(caught.value)
    secrets = {settings[name], source.tenant.access.client_secret}
    assert not any(secret in shown for secret in secrets if secret != "wrong")
    assert len(source.zendesk.seen("tags")) <= 1


@pytest.mark.parametrize(
    "settings",
    [
        {"client_id": None, "client_secret": None},
        {"client_secret": None},
        {"access_token": "a", "client_id": "b"},
        {"access_token": "a", "email": "b", "api_token": "c"},
        {"refresh_token": "r"},
    ],
)
def test_settings_give_exactly_one_way_to_log_in(source: Source, settings: dict[str, Any]) -> None:
    config = {k: v for k, v in source.config(**settings).items() if v is not None}
    source.zendesk.requests.clear()

    with pytest.raises(TapError, match=r"exactly one way|must be kept"):
        type(source).sync(_With(source, config), "tags")  # type: ignore[arg-type]
    assert source.zendesk.requests == []


class _With:
    """A source whose settings are exactly these."""

    def __init__(self, source: Source, config: dict[str, Any]) -> None:
        self._config = config
        self.zendesk = source.zendesk

    def config(self, **_: Any) -> dict[str, Any]:
        return self._config


def test_a_login_that_is_no_admin_fails_at_once(source: Source) -> None:
    source.tenant.account.is_admin = False

    with pytest.raises(TapError, match=r"403 Forbidden: Forbidden: You do not have .* an admin"):
        source.sync("tickets")


def test_audits_need_the_whole_scope(source: Source) -> None:
    with pytest.raises(TapError, match="missing the following required scopes: read"):
        source.sync("ticket_audits", oauth_scope="tickets:read")
