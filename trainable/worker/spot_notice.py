"""Notice that AWS is about to take this machine away.

A spot instance is told two minutes before: its metadata service answers 404 to a question until
then. A worker on such a machine finds the address in `MTBERT_SPOT_METADATA`, which cluster.yaml
exports; where that is not set, nothing is asked.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

from __future__ import annotations

import json
import logging
import os
import threading
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError

from trainable.errors import InputError

log = logging.getLogger(__name__)

ADDRESS_VARIABLE: Final = "MTBERT_SPOT_METADATA"
_ASK_SECONDS = 5.0  # as AWS recommends
_TIMEOUT_SECONDS = 2.0
_TOKEN_SECONDS = 60  # a new one for each question
_MOST_BYTES = 10_000
_TOKEN, _NOTICE = "/latest/api/token", "/latest/meta-data/spot/instance-action"


@dataclass(frozen=True)
class SpotNotice:
    """What the metadata service said.

    Attributes:
        action: `terminate`, `stop` or `hibernate`.
        deadline: When it is taken away, in seconds since 1970.
    """

    action: str
    deadline: float

    def __str__(self) -> str:
        moment = datetime.fromtimestamp(self.deadline).astimezone()
        return f"spot notice: {self.action} at {moment.isoformat(timespec='seconds')}"


class SpotWatcher:
    """Asks for a notice every few seconds, in a thread of its own, until there is one.

    Attributes:
        notice: What was said; None before.

    Args:
        address: Of the metadata service, as `http://169.254.169.254`.
        seconds: Between two questions.
        timeout: Seconds until an answer is given up.
    """

    def __init__(self, address: str, seconds: float, timeout: float) -> None:
        self.notice: SpotNotice | None = None
        self._address, self._seconds, self._timeout = address, seconds, timeout
        # No proxy: the address is that of this machine alone.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._over = threading.Event()
        self._complained = False
        self._thread = threading.Thread(target=self._watch, name="spot notice", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more, once the present question is answered."""
        self._over.set()

    def _watch(self) -> None:
        while self.notice is None:
            try:
                self.notice = self._ask()
            except (OSError, HTTPException, ValueError) as error:
                # A service that does not answer says nothing about the machine.
                if not self._complained:
                    log.warning("no answer about spot from %s: %r", self._address, error)
                self._complained = True
            if self.notice is None and self._over.wait(self._seconds):
                return
        log.warning("%s", self.notice)

    def _ask(self) -> SpotNotice | None:
        """Ask once.

        Raises:
            OSError: No answer, or a refusal.
            HTTPException: An answer that is not HTTP.
            ValueError: An answer that is no notice.
        """
        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)}
        token = self._request("PUT", _TOKEN, lifetime)
        try:
            return parse_notice(self._request("GET", _NOTICE, {"X-aws-ec2-metadata-token": token}))
        except HTTPError as error:
            if error.code == 404:
                return None
            raise

    def _request(self, method: str, path: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(f"{self._address}{path}", method=method, headers=headers)
        with self._opener.open(request, timeout=self._timeout) as answer:
            return str(answer.read(_MOST_BYTES).decode("ascii"))


def parse_notice(text: str) -> SpotNotice:
    """Read `{"action": "terminate", "time": "2026-09-18T08:22:00Z"}`.

    Raises:
        ValueError: It is something else.
    """
    try:
        fields = json.loads(text)
        moment = datetime.fromisoformat(fields["time"])
        action = fields["action"]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{text[:100]!r} is no notice: {error!r}") from error
    if not isinstance(action, str) or moment.tzinfo is None:
        raise ValueError(f"{text[:100]!r} is no notice: it needs an action, and a time with a zone")
    return SpotNotice(action, moment.timestamp())


def watch_spot() -> SpotWatcher | None:
    """Start to watch, where an address is set.

    Raises:
        InputError: It is no address.
    """
    address = os.environ.get(ADDRESS_VARIABLE, "")
    if not address:
        return None
    if not address.startswith("http://"):
        raise InputError(
            f"{ADDRESS_VARIABLE}={address!r}: should be the address of the metadata service, "
            f"http://169.254.169.254 on AWS; set it so, or not at all"
        )
    return SpotWatcher(address.rstrip("/"), _ASK_SECONDS, _TIMEOUT_SECONDS)
