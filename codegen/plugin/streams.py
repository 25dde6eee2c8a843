"""Streams and their consumers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from protobuf import DescField, DescMessage, ScalarType

from codegen.plugin import vocabulary
from codegen.plugin.ir import Consumer, Group, Method, Service, Stream
from codegen.plugin.scope import Scope, choices, field_named, scalar_of
from codegen.plugin.vocabulary import ConsumerOptions, StreamOptions

_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]*")
_NAME_RULE: Final = "is not a lower-case letter followed by lower-case letters, digits, '_', '.' or '-'"
_HANDLED: Final = "idiom.v1.Handled"
_VARINTS: Final = (ScalarType.INT64, ScalarType.UINT64, ScalarType.INT32, ScalarType.UINT32)
_KEYS: Final = (ScalarType.STRING, *_VARINTS)
_BACKOFF_MS: Final = 100
_MAX_BACKOFF_MS: Final = 5000
_VERSIONS: Final = (ScalarType.UINT32, ScalarType.INT32)


def streams(scope: Scope, messages: Iterable[DescMessage]) -> dict[str, Stream]:
    """The streams among messages, by full name of the message; groups are added by `with_groups`."""
    found: dict[str, Stream] = {}
    taken: dict[str, str] = {}
    for message in messages:
        stream = _stream(scope, message)
        if stream is None:
            continue
        found[message.type_name] = stream
        other = taken.setdefault(stream.name, message.type_name)
        if other != message.type_name:
            scope.mistake(
                message, f"stream '{stream.name}' is {other} already; names are unique.", vocabulary.STREAM, 1
            )
    return found


def consumers(
    scope: Scope, services: Iterable[Service], streams: Mapping[str, Stream]
) -> dict[str, Consumer]:
    """The consumers among services, by full name."""
    found: dict[str, Consumer] = {}
    taken: dict[tuple[str, str], Group] = {}
    for service in services:
        if service.wire != "CONSUMER":
            continue
        consumer = _consumer(scope, service, streams)
        if consumer is None:
            continue
        found[service.full_name] = consumer
        for group in consumer.groups:
            _check_group_once(scope, consumer, group, taken)
    return found


def with_groups(stream: Stream, consumers: Iterable[Consumer]) -> Stream:
    """The stream with the groups of all its consumers."""
    mine = [consumer for consumer in consumers if consumer.stream.message is stream.message]
    return replace(stream, groups=tuple(group.name for consumer in mine for group in consumer.groups))


def _stream(scope: Scope, message: DescMessage) -> Stream | None:
    options = scope.vocabulary.read(message, "idiom.v1.stream", StreamOptions)
    if options is None:
        return None
    if not _NAME.fullmatch(options.name):
        scope.mistake(
            message,
            f"stream name '{options.name}' {_NAME_RULE}.",
            vocabulary.STREAM,
            1,
        )
    if options.partitions == 0:
        scope.mistake(message, f"stream '{options.name}' has no partitions.", vocabulary.STREAM, 3)
    if not options.order_by:
        scope.mistake(message, f"stream '{options.name}' has no order_by field.", vocabulary.STREAM)
    order_by = _field(scope, message, "order_by", options.order_by, _KEYS)
    sequence = _field(scope, message, "sequence", options.sequence, _VARINTS)
    epoch = _field(scope, message, "epoch", options.epoch, _VARINTS)
    version = _field(scope, message, "min_reader_version", options.min_reader_version, _VERSIONS)
    _check_distinct(scope, message, options)
    if order_by is None:
        return None
    return Stream(
        message=message,
        name=options.name,
        order_by=order_by,
        partitions=options.partitions,
        sequence=sequence,
        epoch=epoch,
        retain=options.retain,
        max_lag=options.max_lag,
        min_reader_version=version,
        groups=(),
    )


_STREAM_FIELDS: Final = {"order_by": 2, "sequence": 4, "epoch": 5, "min_reader_version": 8}


def _field(
    scope: Scope, message: DescMessage, option: str, name: str, allowed: Sequence[ScalarType]
) -> DescField | None:
    """The field that an option of a stream names; None if there is none or it is of a wrong type."""
    if not name:
        return None
    where = (vocabulary.STREAM, _STREAM_FIELDS[option])
    field = field_named(message, name)
    if field is None:
        scope.mistake(message, f"{option} names '{name}', which {message.name} does not have.", *where)
        return None
    if scalar_of(field) not in allowed:
        types = choices([scalar.name.lower() for scalar in allowed])
        scope.mistake(message, f"{option} names '{name}', which is not a singular {types}.", *where)
        return None
    return field


def _check_distinct(scope: Scope, message: DescMessage, options: StreamOptions) -> None:
    named = [name for name in (options.order_by, options.sequence, options.epoch) if name]
    if len(set(named)) < len(named):
        scope.mistake(
            message, "order_by, sequence and epoch are not three different fields.", vocabulary.STREAM
        )
    if options.epoch and not options.sequence:
        scope.mistake(message, "there is an epoch without a sequence.", vocabulary.STREAM, 5)


def _consumer(scope: Scope, service: Service, streams: Mapping[str, Stream]) -> Consumer | None:
    groups = [group for method in service.methods if (group := _group(scope, method)) is not None]
    payloads = {method.input.type_name: method for method in service.methods}
    if len(payloads) > 1:
        scope.mistake(service.desc, f"the methods of {service.name} consume different messages.")
        return None
    known = [streams[name] for name in payloads if name in streams]
    return Consumer(service, known[0], tuple(groups)) if known else None


def _group(scope: Scope, method: Method) -> Group | None:
    options = scope.vocabulary.read(method.desc, "idiom.v1.consumer", ConsumerOptions)
    if options is None:
        return None
    _check_payload(scope, method)
    if not _NAME.fullmatch(options.group):
        scope.mistake(
            method.desc,
            f"group name '{options.group}' {_NAME_RULE}.",
            vocabulary.CONSUMER,
            1,
        )
    if (options.max_backoff_ms or _MAX_BACKOFF_MS) < (options.backoff_ms or _BACKOFF_MS):
        scope.mistake(method.desc, "max_backoff_ms is less than backoff_ms.", vocabulary.CONSUMER, 5)
    return Group(
        method=method,
        name=options.group,
        batch=options.batch,
        max_attempts=options.max_attempts,
        backoff_ms=options.backoff_ms,
        max_backoff_ms=options.max_backoff_ms,
        park_ms=options.park_ms,
        park_entries=options.park_entries,
    )


def _check_payload(scope: Scope, method: Method) -> None:
    if scope.vocabulary.read(method.input, "idiom.v1.stream", StreamOptions) is None:
        scope.mistake(
            method.desc,
            f"method {method.name} consumes {method.input.type_name}, which has no stream option.",
        )
    if method.output.type_name != _HANDLED:
        scope.mistake(method.desc, f"method {method.name} of a consumer does not return {_HANDLED}.")
    if method.desc.method_kind != "unary":
        scope.mistake(
            method.desc,
            f"method {method.name} of a consumer is streaming; batches are handed over by themselves.",
        )


def _check_group_once(
    scope: Scope, consumer: Consumer, group: Group, taken: dict[tuple[str, str], Group]
) -> None:
    other = taken.setdefault((consumer.stream.name, group.name), group)
    if other is not group:
        scope.mistake(
            group.method.desc,
            f"group '{group.name}' of stream '{consumer.stream.name}' is {other.method.full_name} already.",
            vocabulary.CONSUMER,
            1,
        )
