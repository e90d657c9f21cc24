"""One site over HTTP: who asks, what is asked again, and which error an answer is."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx

from neurocaas import __version__
from neurocaas.errors import NeurocaasError, NotFound, Refused, StorageFailed, Unavailable

API = "/api/v1/"
GROUP_HEADER = "X-NeuroCAAS-Group"
TRIES = 6
LONGEST_PAUSE_SECONDS = 60.0
TIMEOUT = httpx.Timeout(60.0, connect=15.0)
LATER = frozenset({429, 503})  # the site says that it did nothing, so asking again is safe whatever was asked
READS = frozenset({"GET", "HEAD"})
NEVER_ARRIVED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

T = TypeVar("T")
Pause = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who asks, and for which group; the token stays out of every text that is made of this."""

    token: str = field(repr=False)
    group: str | None = None


class Connection:
    """Requests to one site. Problems become errors; what can be asked again without harm is asked again."""

    def __init__(self, url: str, identity: Identity, *, pause: Pause = time.sleep) -> None:
        self.url = site_url(url)
        self._identity = identity
        self.pause = pause
        # The machine's certificates, so that an institution's own authority counts.
        self._http = httpx.Client(timeout=TIMEOUT, verify=ssl.create_default_context())
        self._http.headers = httpx.Headers({"User-Agent": f"neurocaas/{__version__}", "Accept-Encoding": "identity"})

    def __repr__(self) -> str:
        return f"Connection({self.url!r})"

    def close(self) -> None:
        self._http.close()

    def json(
        self,
        method: str,
        place: str,
        /,
        *,
        body: Any = None,
        key: str = "",
        harmless: bool = False,
        **parameters: str | int | None,
    ) -> Any:
        """The JSON that the API answers. key, harmless: it may be asked twice. Raises the error that the answer is."""
        asked = {name: value for name, value in parameters.items() if value is not None}
        headers = {"Idempotency-Key": key} if key else {}
        may = harmless or bool(key)
        answer = self.request(method, self.api(place), harmless=may, headers=headers, json=body, params=asked or None)
        if answer.status_code == httpx.codes.NO_CONTENT:
            return None
        try:
            return answer.json()
        except ValueError:
            raise self._not_a_site() from None

    def request(self, method: str, url: str, *, harmless: bool = False, **more: Any) -> httpx.Response:
        """One whole answer that is no error. Asked again after a broken connection if it is a read, or harmless."""

        def once() -> httpx.Response:
            with self.opened(method, url, **more) as answer:
                answer.read()
            return answer

        return self.insist(once, harmless=harmless or method in READS)

    def insist(self, action: Callable[[], T], *, harmless: bool = True, done: Callable[[], int] = lambda: 0) -> T:
        """What the action returns, tried again after `Later` and `Broken` until it is hopeless; then raises the error.

        harmless: whether it may be done again when nobody knows how far it came. done: grows with every bit of
        progress, which makes patience as fresh as it was.
        """
        number, before = 1, done()
        while True:
            try:
                return action()
            except (Later, Broken) as fault:
                if done() > before:
                    number, before = 1, done()
                sure = isinstance(fault, Later) or isinstance(fault.cause, NEVER_ARRIVED)
                if number == TRIES or not (harmless or sure):
                    raise fault.error from None
                seconds = fault.seconds if isinstance(fault, Later) else None
                self.pause(min(backoff(number) if seconds is None else seconds, LONGEST_PAUSE_SECONDS))
                number += 1

    @contextlib.contextmanager
    def opened(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Iterator[httpx.Response]:
        """An answer that is no error, to be read as it comes, asked for once. Raises also `Later` and `Broken`."""
        url = self.absolute(url)
        sent = dict(headers or {}) | (self._credentials() if self._is_ours(url) else {})
        try:
            # A redirect away from the site goes without the token, as httpx sees to.
            with self._http.stream(method, url, headers=sent, follow_redirects=method in READS, **more) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._fault(answer)
                yield answer
        except httpx.HTTPError as cause:
            raise Broken(cause, self._unreachable(url, cause)) from None

    def api(self, path: str) -> str:
        return f"{self.url}{API}{path}"

    def absolute(self, url: str) -> str:
        return urljoin(f"{self.url}/", url)

    def _is_ours(self, url: str) -> bool:
        """The token goes to the site itself and nowhere else, such as a store that the site refers to."""
        return _origin(url) == _origin(self.url)

    def _credentials(self) -> dict[str, str]:
        group = {GROUP_HEADER: self._identity.group} if self._identity.group else {}
        return {"Authorization": f"Bearer {self._identity.token}"} | group

    def _fault(self, answer: httpx.Response) -> Exception:
        error = problem(answer) or self._not_a_site()
        return Later(error, _retry_after(answer)) if answer.status_code in LATER else error

    def _not_a_site(self) -> NeurocaasError:
        return Unavailable(f"{self.url} did not answer as a NeuroCAAS site does; the site's own address is right.")

    def _unreachable(self, url: str, cause: httpx.HTTPError) -> NeurocaasError:
        where = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        why = "it took too long to answer" if isinstance(cause, httpx.TimeoutException) else str(cause) or "it hung up"
        return Unavailable(f"{where} can't be reached: {why}.", remedy="Is the address right, and the network there?")


class Later(Exception):
    """The site asks to be asked again, after so many seconds if it says so."""

    def __init__(self, error: NeurocaasError, seconds: float | None) -> None:
        super().__init__(error.message)
        self.error, self.seconds = error, seconds


class Broken(Exception):
    """The connection failed or broke off."""

    def __init__(self, cause: httpx.HTTPError, error: NeurocaasError) -> None:
        super().__init__(error.message)
        self.cause, self.error = cause, error


def site_url(text: str) -> str:
    """A site's address as it is kept. Raises Refused if it is none."""
    parts = urlsplit(text.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise Refused(f"site: found {text!r}; an address such as https://neurocaas.example.org is right.")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def problem(answer: httpx.Response) -> NeurocaasError | None:
    """The error that a problem document (RFC 9457) tells of, by its type or else its status; None if it is none."""
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict) or "detail" not in told:
        return _plain(answer.status_code)
    name = str(told.get("type", "")).replace("#", "/").replace(":", "/").rpartition("/")[2]
    kind = _kinds().get(_letters(name)) or _kind_of(answer.status_code)
    return kind(str(told["detail"]), remedy=str(told.get("remedy") or ""))


def _plain(status: int) -> NeurocaasError | None:
    if status == httpx.codes.UNAUTHORIZED:
        return Refused("The site does not accept the token.", remedy="Sign in again: neurocaas login URL")
    if status == httpx.codes.FORBIDDEN:
        return Refused("The site does not allow this.")
    if status in LATER:
        return Unavailable("The site is too busy to answer.", remedy="Try again in a while.")
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return Refused("The site does not take that much in one request.")
    if status == httpx.codes.INSUFFICIENT_STORAGE:
        return StorageFailed("The site has no room left.")
    if status in {httpx.codes.NOT_FOUND, httpx.codes.GONE}:
        return NotFound("The site has no such thing.")
    return None


def _kind_of(status: int) -> type[NeurocaasError]:
    if plain := _plain(status):
        return type(plain)
    fitting = [kind for kind in _kinds().values() if kind.http_status == status]
    return fitting[0] if fitting else Refused if status < httpx.codes.INTERNAL_SERVER_ERROR else NeurocaasError


def _kinds() -> dict[str, type[NeurocaasError]]:
    kinds: list[type[NeurocaasError]] = [NeurocaasError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    return {_letters(kind.__name__): kind for kind in kinds}


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def backoff(number: int) -> float:
    """Seconds before try `number` + 1."""
    return float(min(0.25 * 2**number, LONGEST_PAUSE_SECONDS))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    with contextlib.suppress(ValueError):
        at = parsedate_to_datetime(text)
        return max(0.0, float(at.timestamp()) - time.time())
    return None
