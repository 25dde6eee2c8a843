"""Enums of error reasons and of close codes."""

from __future__ import annotations

from typing import Final

from protobuf import DescEnum

from codegen.plugin import names, vocabulary
from codegen.plugin.ir import CloseCode, CloseEnum, ErrorEnum, ErrorReason
from codegen.plugin.scope import Scope
from codegen.plugin.vocabulary import CODES, CloseOptions, ErrorDomainOptions, ErrorOptions

# RFC 6455 section 7.4: codes that an endpoint may send; 1004, 1005, 1006 and 1015 are reserved.
_SENDABLE: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})


def error_enum(scope: Scope, enum: DescEnum) -> ErrorEnum | None:
    """The enum as a table of reasons, or None if it has no domain."""
    domain = scope.vocabulary.read(enum, "idiom.v1.error_domain", ErrorDomainOptions)
    codes = [scope.vocabulary.read(value, "idiom.v1.error", ErrorOptions) for value in enum.values]
    if domain is None:
        for value, code in zip(enum.values, codes, strict=True):
            if code is not None:
                scope.mistake(
                    value,
                    f"{value.name} has an error option, but {enum.name} has no error_domain.",
                    vocabulary.ERROR,
                )
        return None
    if not domain.domain:
        scope.mistake(enum, f"the error_domain of {enum.name} is empty.", vocabulary.ERROR_DOMAIN)
    reasons = []
    for value, name, code in zip(enum.values, names.without_prefix(enum), codes, strict=True):
        if code is None or code.code == "OK":
            scope.mistake(value, f"error reason {value.name} has no code.")
        elif code.code not in CODES:
            scope.mistake(
                value, f"error reason {value.name} has a code outside google.rpc.Code.", vocabulary.ERROR
            )
        else:
            reasons.append(ErrorReason(value, name, CODES.index(code.code)))
    return ErrorEnum(enum, domain.domain, tuple(reasons))


def close_enum(scope: Scope, enum: DescEnum) -> CloseEnum | None:
    """The enum as a table of close codes, or None if no value has one."""
    options = [scope.vocabulary.read(value, "idiom.v1.close", CloseOptions) for value in enum.values]
    if not any(options):
        return None
    codes: list[CloseCode] = []
    for value, name, option in zip(enum.values, names.without_prefix(enum), options, strict=True):
        if option is None:
            scope.mistake(value, f"{value.name} has no close code, unlike other values of {enum.name}.")
            continue
        code = CloseCode(value, name, option.code, option.reconnect)
        _check_close(scope, code, codes)
        codes.append(code)
    return CloseEnum(enum, tuple(codes))


def _check_close(scope: Scope, code: CloseCode, before: list[CloseCode]) -> None:
    value = code.desc
    if code.code not in _SENDABLE:
        scope.mistake(
            value,
            f"{value.name} has close code {code.code}; "
            "an endpoint may send 1000 to 1003, 1007 to 1014 and 3000 to 4999.",
            vocabulary.CLOSE,
            1,
        )
    for other in before:
        if other.code == code.code:
            scope.mistake(
                value,
                f"{value.name} has close code {code.code}, which is {other.desc.name} already.",
                vocabulary.CLOSE,
                1,
            )
    if code.reconnect == "UNSPECIFIED":
        scope.mistake(value, f"{value.name} does not say whether clients reconnect.", vocabulary.CLOSE)
