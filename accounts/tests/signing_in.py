"""A browser that signs in: at the gateway's pages, and at the provider's own, whose form takes any login."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
from django.test import Client

SITE = "http://testserver"
CALLBACK = f"{SITE}/signin/callback/"

_FORM = re.compile(r'<form[^>]* action="([^"]+)"')
_PROMPT = re.compile(r'name="prompt" value="(\w+)"')
_CANCEL = re.compile(r'<a href="([^"]+)">\[ Cancel \]')


@contextmanager
def person_at(site: str) -> Iterator["Person"]:
    """Somebody with a browser at the provider, who comes from `site`, the gateway's own address."""
    with httpx.Client(trust_env=False) as http:
        yield Person(site, http)


class Person:
    """Does what a person does; whatever leads to `site` is not followed."""

    def __init__(self, site: str, http: httpx.Client) -> None:
        self._site, self._http = site, http

    def sign_in(self, url: str, *, login: str) -> str:
        """Sign in and consent; the address at which the provider sends the browser back."""
        answer = self._go(url)
        while isinstance(answer, httpx.Response):
            page = answer.text
            form, prompt = _FORM.search(page), _PROMPT.search(page)
            assert form is not None, page
            assert prompt is not None, page
            fields = {"prompt": prompt[1], "login": login, "password": "any"}
            answer = self._follow(self._http.post(urljoin(str(answer.url), form[1]), data=fields))
        return answer

    def cancel(self, url: str) -> str:
        """Think better of it."""
        answer = self._go(url)
        assert isinstance(answer, httpx.Response)
        link = _CANCEL.search(answer.text)
        assert link is not None, answer.text
        back = self._go(urljoin(str(answer.url), link[1]))
        assert isinstance(back, str)
        return back

    def _go(self, url: str) -> httpx.Response | str:
        return self._follow(self._http.get(url))

    def _follow(self, answer: httpx.Response) -> httpx.Response | str:
        while answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers["Location"])
            if target.startswith(self._site):
                return target
            answer = self._http.get(target)
        return answer


def begin(browser: Client, *, next_path: str = "/") -> str:
    """Press the button; where the browser is sent."""
    answer = browser.get("/signin/", {"next": next_path}, follow=False)
    assert answer.status_code == 302
    return str(browser.get(answer["Location"])["Location"])


def come_back(browser: Client, address: str) -> Any:
    """Have the browser follow the provider's redirect; the gateway's answer."""
    return browser.get(address.removeprefix(SITE))


def parameters(address: str) -> dict[str, str]:
    """The query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def who(browser: Client) -> str | None:
    """Who is signed in."""
    answer = browser.get("/who")
    return str(answer.json()["user_id"]) if answer.status_code == 200 else None


def assert_refused(answer: Any, browser: Client, status: int) -> None:
    """A page in words, no session, nothing of the provider's own words."""
    assert answer.status_code == status
    page = answer.content.decode()
    assert "You are not signed in" in page
    assert "Traceback" not in page
    assert who(browser) is None
