"""`idiom bench transcoding`: the dispatcher next to routes by hand, and next to Envoy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import orjson
import uvloop
from fastapi import FastAPI
from im.descriptors import registry
from im.logic.v1.message_service_http import MESSAGE_SERVICE_HTTP

from codegen.runtime.grpc_client import CallOptions
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.method import Method
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from codegen.runtime.transcoding.route import Route
from impl.cli.bench import by_hand
from impl.cli.bench.envoy import beside_envoy
from impl.cli.bench.in_process import Asked, medians, ratio
from impl.cli.bench.report import Report, Row, slope

ABOUT = """\
In process, by processor time: JSON to an upstream and back to JSON. Ours in a FastAPI app with all of the
pipeline: identity, policy, size, strict JSON, validation, deadline, typed errors. (a) by hand, FastAPI and
pydantic, with token and checks; (b) Starlette and orjson with neither. (c) over loopback: our gateway and
Envoy's transcoder in front of the same service, each in its process, verified answers per second."""
SIZES = (1, 4, 16)
"""Times the work, to see how cost grows."""
SEND = orjson.dumps({"clientMessageId": "a1b2c3", "toUserId": "12345", "text": by_hand.TEXT})
PAGE = "/v1/conversations/dm.1.2/messages?after_seq=5&page_size=3"


class Upstream:
    """The upstream, as a channel."""

    async def unary_bytes(self, method: Method, request: bytes, _options: CallOptions) -> bytes:
        """One call."""
        answered = await by_hand.answer(method.request.FromString(request))
        return answered.SerializeToString()


def transcoding(rounds: int, least: float, *, envoy: bool) -> Report:
    """Runs it: `rounds` rounds with `least` seconds for each side; Envoy only if asked for and installed."""
    report = Report("transcoding", ABOUT)
    report.rows += uvloop.run(_in_process(rounds, least))
    if envoy:
        report.rows += uvloop.run(beside_envoy(SEND, rounds, 4 * least))
    return report


async def _in_process(rounds: int, least: float) -> list[Row]:
    token, _ = UserTokens(by_hand.KEY, 3600).issue("5", "7")
    cases = {
        "POST a message": Asked("POST", "/v1/messages", SEND, token),
        "GET three messages": Asked("GET", PAGE, b"", token),
    }
    apps = [ours(MESSAGE_SERVICE_HTTP), by_hand.with_fastapi(), by_hand.with_starlette()]
    rows: list[Row] = []
    for name, asked in cases.items():
        found = await medians(apps, asked, rounds=rounds, least=least)
        rows += _rows(name, found)
    return [
        *rows,
        await _longer_bodies(token, rounds, least / 4),
        await _more_routes(token, rounds, least / 4),
    ]


def _rows(name: str, found: list[list[float]]) -> Iterator[Row]:
    own, *others = found
    for label, other, target in (("(a) FastAPI", others[0], 4.0), ("(b) Starlette", others[1], 1.0)):
        cpu = f"{median(own) * 1e6:.0f} and {median(other) * 1e6:.0f} µs"
        rates = 1 / median(own), 1 / median(other)
        yield Row(f"{name}, {label}", "requests/s", *rates, ratio(own, other), target, cpu)


async def _longer_bodies(token: str, rounds: int, least: float) -> Row:
    costs = []
    for size in SIZES:
        body = orjson.dumps({"clientMessageId": "a", "toUserId": "12345", "text": by_hand.TEXT * 8 * size})
        asked = Asked("POST", "/v1/messages", body, token)
        costs.append(
            median((await medians([ours(MESSAGE_SERVICE_HTTP)], asked, rounds=rounds, least=least))[0])
        )
    case = f"POST, texts of 250 B to 4 KB: cost grows as n^{slope(SIZES, costs):.2f}"
    return Row(case, "µs", costs[-1] * 1e6)


async def _more_routes(token: str, rounds: int, least: float) -> Row:
    costs = []
    for size in SIZES:
        app = ours([*MESSAGE_SERVICE_HTTP, *_others(128 * size)])
        asked = Asked("GET", PAGE, b"", token)
        costs.append(median((await medians([app], asked, rounds=rounds, least=least))[0]))
    case = f"GET, among 128 to 2,048 routes: cost grows as n^{slope(SIZES, costs):.2f}"
    return Row(case, "µs", costs[-1] * 1e6)


def _others(count: int) -> Iterator[Route]:
    like = MESSAGE_SERVICE_HTTP[0]
    for number in range(count):
        segments = ("v1", f"things{number}", "*", "parts")
        yield Route(like.method, "POST", f"/v1/things{number}/*/parts", segments, body="*")


def ours(routes: Sequence[Route]) -> FastAPI:
    """Our app, its upstream in process."""
    app = FastAPI(redirect_slashes=False, telemetry=by_hand.QUIET)
    pipeline = Pipeline(Authenticator(UserTokens(by_hand.KEY, 3600), None))
    channel: Any = Upstream()
    mount(app, Dispatch(routes, registry=registry(), pipeline=pipeline, channel=channel), {})
    return app
