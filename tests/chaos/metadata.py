"""A stand-in for the metadata service of AWS instances."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from typing import Any, Self

PATH = "/latest/meta-data/spot/instance-action"
_PATIENCE_SECONDS = 30.0
Answer = tuple[int, str]  # status and text


class Metadata(ThreadingHTTPServer):
    """Stands for the metadata service of instances, version 2.

    Args:
        ip: To listen on.
        port: To listen on; by default any.

    Attributes:
        answers: Status and text of answers to come, the last one for ever; None: no answer at all.
        next: Returns the next answer to who asks from this address.
        asked: Method and path of each question.
        tokens: How many questions a token is good for.
    """

    daemon_threads = True

    def __init__(self, ip: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((ip, port), Handler)
        self._ip = ip
        self.answers: list[Answer | None] = [(404, "")]
        self.asked: list[str] = []
        self.tokens = 1000
        self.left: dict[str, int] = {}
        self.next: Callable[[str], Answer | None] = self._next
        self.hung_up = Event()  # the end of the test, for questions without an answer
        self.seen = Condition()

        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.hung_up.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def _next(self, asker: str) -> Answer | None:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def address(self) -> str:
        return f"http://{self._ip}:{self.server_port}"

    def wait_for(self, n: int) -> None:
        """Wait until the notice was asked for so often."""
        with self.seen:
            assert self.seen.wait_for(
                lambda: sum("instance-action" in a for a in self.asked) >= n, _PATIENCE_SECONDS
            )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A watcher that gave up has closed the connection."""


class Handler(BaseHTTPRequestHandler):
    server: Metadata

    def do_PUT(self) -> None:
        self._note()
        lifetime = self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        if self.path != "/latest/api/token" or not 1 <= int(lifetime) <= 21600:
            return self._answer(400, "")
        token = f"token{len(self.server.left)}"
        self.server.left[token] = self.server.tokens
        return self._answer(200, token)

    def do_GET(self) -> None:
        token = self.headers.get("X-aws-ec2-metadata-token", "")
        self.server.left[token] = self.server.left.get(token, 0) - 1
        if self.server.left[token] < 0:
            self._answer(401, "")
        elif self.path != PATH:
            self._answer(400, "")
        else:
            answer = self.server.next(self.client_address[0])
            if answer is None:
                self.server.hung_up.wait(_PATIENCE_SECONDS)
            else:
                self._answer(*answer)
        self._note()

    def _note(self) -> None:
        with self.server.seen:
            self.server.asked.append(f"{self.command} {self.path}")
            self.server.seen.notify_all()

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""
