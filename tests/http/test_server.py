"""How answers leave the process: each in one write, whole before the connection ends."""

import asyncio
import socket

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from api.server import HttpProtocol
from tests.http.server import serving

ASKED = b"GET / HTTP/1.1\r\nhost: mts\r\n\r\n"


async def _answer(request: Request) -> JSONResponse:
    return JSONResponse({"is": "whole"})


APP = Starlette(routes=[Route("/", _answer)])


class Line(asyncio.Transport):
    """The server's end of a connection, which keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def _written(protocol: type[HttpToolsProtocol], asked: bytes) -> Line:
    """What is written to whoever sent this."""
    config = uvicorn.Config(APP, access_log=False)
    config.load()
    line, state = Line(), ServerState()
    connection = protocol(config, state, {})
    connection.connection_made(line)
    connection.data_received(asked)
    await asyncio.gather(*state.tasks)
    await asyncio.sleep(0)
    connection.connection_lost(None)
    return line


async def test_an_answer_is_one_write() -> None:
    line = await _written(HttpProtocol, ASKED)
    assert len(line.writes) == 1
    head, _, body = line.writes[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b'{"is":"whole"}'


async def test_without_our_protocol_it_would_be_two() -> None:
    assert len((await _written(HttpToolsProtocol, ASKED)).writes) == 2


async def test_what_is_no_http_is_told_so_before_the_connection_ends() -> None:
    line = await _written(HttpProtocol, b"\x00\x01 nonsense\r\n\r\n")
    assert line.is_closed
    assert line.writes[0].startswith(b"HTTP/1.1 400 ")


def test_requests_in_a_row_on_one_connection_are_answered_in_order() -> None:
    with serving(APP) as client, socket.create_connection((client.base_url.host, client.base_url.port or 0)) as line:
        line.sendall(ASKED * 3 + ASKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        received = b""
        while part := line.recv(65536):
            received += part
    assert received.count(b'{"is":"whole"}') == 4
    assert received.count(b"HTTP/1.1 200 OK") == 4
