"""What a browser brings beside an address and a form: the key it signed in with, its token against forgery, its
language; and the cookies that keep them.

The key stands in a cookie that no script reads and that no page of another site sends. It reads /v1, too, so that the
same as JSON is one click away, and changes nothing there. A form of ours carries the token
of the browser's other cookie, which another site can neither read nor guess; and where the browser says from which
origin a form comes, it must be this one, port included: cookies do not tell ports of one host apart.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from starlette.requests import cookie_parser
from starlette.types import Scope

from service.web.words import LANGUAGES, accepted, spoken

KEY, TOKEN, LANGUAGE = "tsuika_key", "tsuika_token", "tsuika_language"
"""Names of cookies."""
YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True)
class Browser:
    """The browser of one request. `is_new`: whether its token has just been made; `chooses`: whether the request names
    a language."""

    key: str | None
    token: str
    is_new: bool
    language: str
    chooses: bool
    secure: bool

    @classmethod
    def of(cls, scope: Scope) -> Browser:
        """The browser that sent a request."""
        headers = headers_of(scope)
        cookies = cookie_parser(headers.get("cookie", ""))
        chosen = query_of(scope).get("lang")
        token = cookies.get(TOKEN, "")
        known = re.fullmatch(r"[\w-]{32}", token) is not None
        return cls(
            key=unquote(cookies[KEY]) if cookies.get(KEY) else None,
            token=token if known else secrets.token_urlsafe(24),
            is_new=not known,
            language=spoken([chosen, cookies.get(LANGUAGE), *accepted(headers.get("accept-language", ""))]),
            chooses=chosen in LANGUAGES,
            secure=headers.get("origin", "").startswith("https:"),
        )

    def cookies(self, key: str | None = None) -> list[str]:
        """Cookies that the answer sets. `key`: what to sign in with; "": sign out."""
        made = [_cookie(TOKEN, self.token)] if self.is_new else []
        if self.chooses:
            made.append(_cookie(LANGUAGE, self.language) + f"; Max-Age={YEAR_SECONDS}")
        if key is not None:
            secure = "; Secure" if self.secure else ""
            made.append(_cookie(KEY, quote(key, safe="")) + ("" if key else "; Max-Age=0") + secure)
        return made

    def wrote(self, form: Mapping[str, str], scope: Scope) -> bool:
        """Whether a form that was sent is one of our pages in this browser."""
        headers = headers_of(scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
            return False
        if site != "same-origin":
            return False
        return not self.is_new and hmac.compare_digest(form.get("token", "").encode(), self.token.encode())


def key_to_read_by(scope: Scope) -> str | None:
    """The key that a browser signed in with, where it reads /v1: a safe method, asked from no page of another origin as
    far as the browser says, and no key in its header. None for any other request."""
    if scope["method"] not in ("GET", "HEAD") or not scope["path"].startswith("/v1/"):
        return None
    headers = headers_of(scope)
    if "authorization" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return None
    page = headers.get("origin") or headers.get("referer")  # browsers that say no site of plain HTTP say these
    if page and urlsplit(page).netloc != headers.get("host"):
        return None
    return unquote(cookie_parser(headers.get("cookie", "")).get(KEY, "")) or None


def headers_of(scope: Scope) -> dict[str, str]:
    """Headers by their lower-case name, the first of each."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def query_of(scope: Scope) -> dict[str, str]:
    """The query of an address, the last of each name; what is not UTF-8 is shown as such."""
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="replace"))


def _cookie(name: str, value: str) -> str:
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict"
