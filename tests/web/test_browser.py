"""Cookies, languages, and which forms are ours."""

from __future__ import annotations

from typing import Any

from service.web.browser import Browser, key_to_read_by

TOKEN = "t" * 32


def scope(query: str = "", **headers: str) -> dict[str, Any]:
    named = [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in {"host": "localhost:8000", **headers}.items()
    ]
    return {"headers": named, "query_string": query.encode()}


def test_the_address_then_the_cookie_then_the_browser_choose_the_language() -> None:
    for query, cookie, accepted, language in [
        ("", "", "", "en"),
        ("", "", "ja-JP,ja;q=0.9,en;q=0.8", "ja"),
        ("", "", "en;q=0.3, ja;q=0.8", "ja"),
        ("", "", "fr, de;q=0.9", "en"),
        ("", "", "fr, ja;q=0.1", "ja"),
        ("", "", "ja;q=0, en;q=x", "en"),
        ("", "tsuika_language=ja", "en", "ja"),
        ("lang=en", "tsuika_language=ja", "ja", "en"),
        ("lang=xx", "tsuika_language=xx", "", "en"),
    ]:
        browser = Browser.of(scope(query, cookie=cookie, accept_language=accepted))
        assert browser.language == language, query
        assert any(made.startswith("tsuika_language=") for made in browser.cookies()) == (query == "lang=en"), query


def test_a_key_is_kept_where_no_script_and_no_other_site_reaches_it() -> None:
    [cookie] = Browser.of(scope(cookie=f"tsuika_token={TOKEN}", origin="https://m.example")).cookies("a;b=c ü")
    assert cookie == "tsuika_key=a%3Bb%3Dc%20%C3%BC; Path=/; HttpOnly; SameSite=Strict; Secure"
    [plain] = Browser.of(scope(cookie=f"tsuika_token={TOKEN}", origin="http://localhost:8000")).cookies("k")
    assert "Secure" not in plain
    assert Browser.of(scope(cookie="tsuika_key=a%3Bb%3Dc%20%C3%BC")).key == "a;b=c ü"
    [gone] = Browser.of(scope(cookie=f"tsuika_token={TOKEN}")).cookies("")
    assert gone.startswith("tsuika_key=; ")
    assert "Max-Age=0" in gone


def test_a_form_is_ours_with_the_token_of_the_browser_and_from_this_origin() -> None:
    for headers, token, ours in [
        ({"cookie": f"tsuika_token={TOKEN}"}, TOKEN, True),
        ({"cookie": f"tsuika_token={TOKEN}", "origin": "http://localhost:8000"}, TOKEN, True),
        (
            {"cookie": f"tsuika_token={TOKEN}", "origin": "http://localhost:8000", "sec_fetch_site": "same-origin"},
            TOKEN,
            True,
        ),
        ({"cookie": f"tsuika_token={TOKEN}"}, "u" * 32, False),
        ({"cookie": f"tsuika_token={TOKEN}"}, "", False),
        ({"cookie": f"tsuika_token={TOKEN}"}, "ü", False),
        ({}, "", False),
        ({"cookie": "tsuika_token="}, "", False),
        ({"cookie": f"tsuika_token={TOKEN}", "origin": "http://localhost:3000"}, TOKEN, False),
        ({"cookie": f"tsuika_token={TOKEN}", "origin": "http://evil.example"}, TOKEN, False),
        ({"cookie": f"tsuika_token={TOKEN}", "origin": "null"}, TOKEN, False),
        ({"cookie": f"tsuika_token={TOKEN}", "sec_fetch_site": "same-site"}, TOKEN, False),
    ]:
        request = scope(**headers)
        assert Browser.of(request).wrote({"token": token}, request) is ours, headers


def test_the_key_of_a_browser_reads_the_api_and_nothing_else() -> None:
    signed_in = {"cookie": "tsuika_token=x; tsuika_key=a%3Bb"}
    for method, path, headers, key in [
        ("GET", "/v1/models", {}, "a;b"),
        ("HEAD", "/v1/keys", {"sec_fetch_site": "same-origin"}, "a;b"),
        ("GET", "/v1/models", {"sec_fetch_site": "none"}, "a;b"),
        ("GET", "/v1/models", {"sec_fetch_site": "same-site"}, None),
        ("GET", "/v1/models", {"sec_fetch_site": "cross-site"}, None),
        ("GET", "/v1/models", {"host": "tsuika:80", "referer": "http://tsuika:80/models/x"}, "a;b"),
        ("GET", "/v1/models", {"host": "tsuika:80", "referer": "http://tsuika:81/models/x"}, None),
        ("GET", "/v1/models", {"host": "tsuika:80", "origin": "null"}, None),
        ("GET", "/v1/models", {"authorization": "Bearer other"}, None),
        ("GET", "/v1/models", {"cookie": "tsuika_token=x; tsuika_key="}, None),
        ("GET", "/metrics", {}, None),
        *((method, "/v1/models", {}, None) for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")),
    ]:
        request = scope(**{**signed_in, **headers}) | {"method": method, "path": path}
        assert key_to_read_by(request) == key, (method, path, headers)
