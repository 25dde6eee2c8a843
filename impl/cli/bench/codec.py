"""`idiom bench codec`: JSON to wire and back, and envelopes of the stream, next to google's runtime alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from google.protobuf import json_format
from google.protobuf.message import Message
from im.descriptors import registry
from im.logic.v1.message_service_pb2 import ListMessagesResponse
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.codec import JsonCodec, MessageJson
from codegen.runtime.streams.decoding import deliveries
from codegen.runtime.streams.fenced_group import Claim, Entry
from impl.cli.bench.report import Report, Row, slope
from impl.cli.bench.samples import filled, samples
from impl.cli.bench.timing import Pair, Work, paired

ABOUT = """\
JSON to wire: bytes of JSON to checked wire bytes, keys unique, one member of each oneof (ours);
json_format.Parse and SerializeToString (theirs). Wire to JSON: wire bytes to bytes of JSON; theirs FromString
and MessageToJson(indent=None). One run takes one message of every type of the IDL. Envelopes: serialize an
event, and make deliveries of entries as Redis replies them (ours); serialize and parse the same events."""
BATCH = 256
SIZES = (1, 4, 16)
"""Times the work, to see how cost grows."""
ITEMS = 4


@dataclass(frozen=True, slots=True)
class _Sample:
    type: type[Message]
    codec: MessageJson
    wire: bytes
    json: bytes


Make = Callable[[_Sample], tuple[Work, Work]]


def codec(rounds: int, least: float) -> Report:
    """Runs it: `rounds` rounds with `least` seconds for each side."""
    schema = JsonCodec(registry())
    known = [_sample(schema, message) for message in samples("im.")]
    report = Report("codec", ABOUT)
    report.rows += _both_ways(known, _to_wire, "JSON to wire", 6.0, rounds=rounds, least=least)
    report.rows += _both_ways(known, _to_json, "wire to JSON", 4.0, rounds=rounds, least=least)
    report.rows += _growth(schema, rounds, least / 5)
    report.rows += _envelopes(rounds, least)
    return report


def _sample(schema: JsonCodec, message: Message) -> _Sample:
    kind, wire = type(message), message.SerializeToString()
    own = schema.type(kind.DESCRIPTOR.full_name)
    return _Sample(kind, own, wire, own.to_json(wire))


def _both_ways(  # noqa: PLR0913 - what a case is
    known: Sequence[_Sample], make: Make, name: str, target: float, *, rounds: int, least: float
) -> Iterator[Row]:
    pairs = [make(sample) for sample in known]
    whole = paired(_all([our for our, _ in pairs]), _all([t for _, t in pairs]), rounds=rounds, least=least)
    yield _row(f"{name}, all {len(known)} messages", whole, len(known), target)
    each = [paired(*pair, rounds=3, least=least / 100) for pair in pairs]
    for word, choose in (("worst", min), ("best", max)):
        place = choose(range(len(each)), key=lambda i: each[i].ratio)
        yield _row(f"{name}, {word}: {known[place].type.DESCRIPTOR.name}", each[place], 1, None)


def _row(case: str, pair: Pair, count: int, target: float | None) -> Row:
    return Row(case, "µs each", pair.ours / count * 1e6, pair.theirs / count * 1e6, pair.ratio, target)


def _all(works: Sequence[Work]) -> Work:
    def run() -> None:
        for work in works:
            work()

    return run


def _to_wire(sample: _Sample) -> tuple[Work, Work]:
    codec, text, kind = sample.codec, sample.json, sample.type

    def ours() -> None:
        codec.to_binary(codec.parse(text))

    def theirs() -> None:
        json_format.Parse(text, kind()).SerializeToString()

    return ours, theirs


def _to_json(sample: _Sample) -> tuple[Work, Work]:
    codec, wire, kind = sample.codec, sample.wire, sample.type

    def ours() -> None:
        codec.to_json(wire)

    def theirs() -> None:
        json_format.MessageToJson(kind.FromString(wire), indent=None).encode()

    return ours, theirs


def _growth(schema: JsonCodec, rounds: int, least: float) -> Iterator[Row]:
    """One message with 1, 4 and 16 times as many items in it."""
    page = filled(ListMessagesResponse.DESCRIPTOR)
    item = page.messages[0]  # type: ignore[attr-defined]
    for name, make in (("JSON to wire", _to_wire), ("wire to JSON", _to_json)):
        costs = [
            paired(
                *make(_sample(schema, ListMessagesResponse(messages=[item] * (ITEMS * size)))),
                rounds=rounds,
                least=least,
            )
            for size in SIZES
        ]
        power = slope(SIZES, [cost.ours for cost in costs])
        yield _row(f"{name}, {ITEMS * SIZES[-1]} items; grows as n^{power:.2f}", costs[-1], 1, None)


def _envelopes(rounds: int, least: float) -> Iterator[Row]:
    event = _sent(filled(ConversationEvent.DESCRIPTOR))
    for count, target in ((1, 1 / 2), (BATCH, 1 / 1.15)):
        pair = paired(*_envelope([event] * count), rounds=rounds, least=least)
        yield _row(f"envelope, encode and decode {count} at once", pair, count, target)


def _sent(event: Message) -> ConversationEvent:
    """An event of a message of 180 bytes."""
    made = ConversationEvent.FromString(event.SerializeToString())
    made.message.client_message_id = "0123456789abcdef0123"
    made.message.text = "hello there, how are you today? " * 2
    return made


def _envelope(events: Sequence[Message]) -> tuple[Work, Work]:
    claim, parse = Claim(3, 7, "0-0"), ConversationEvent.FromString
    wire = [event.SerializeToString() for event in events]
    reply: list[Entry] = [
        (b"1700000000000-%d" % i, [b"payload", data, b"ordinal", b"%d" % i]) for i, data in enumerate(wire)
    ]

    def ours() -> None:
        for event in events:
            event.SerializeToString()
        deliveries(reply, ConversationEvent, claim, redelivered=False)

    def theirs() -> None:
        for event in events:
            event.SerializeToString()
        for data in wire:
            parse(data)

    return ours, theirs
