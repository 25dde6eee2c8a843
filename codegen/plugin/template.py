"""Path templates of `google.api.http`, as the grammar in google/api/http.proto has them.

    Template = "/" Segments [ Verb ] ;
    Segments = Segment { "/" Segment } ;
    Segment  = "*" | "**" | LITERAL | Variable ;
    Variable = "{" FieldPath [ "=" Segments ] "}" ;
    FieldPath = IDENT { "." IDENT } ;
    Verb     = ":" LITERAL ;

Extension, as in grpc-gateway and Envoy: literal segments may follow `**`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes

_IDENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_SEGMENTS = 100
"""Most segments of a template: matching descends by one for each."""

_LITERAL = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()+,;@]|%[0-9A-Fa-f]{2}|[^\x00-\x7f])+")


class TemplateError(ValueError):
    """A template that does not follow the grammar; the text is half a sentence."""


@dataclass(frozen=True, slots=True)
class TemplateVariable:
    """A variable and the segments that it covers."""

    field_path: tuple[str, ...]
    start: int
    end: int
    """Index after the last segment. Behind `**` it counts from the end: -1 is the end of the path."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    source: str
    segments: tuple[str, ...]
    """Percent-decoded literals, `*` and `**`, with variables replaced by what they match."""
    verb: str
    """Percent-decoded custom verb without its colon, or empty."""
    variables: tuple[TemplateVariable, ...]


def parse(source: str) -> Template:
    """Parses a template.

    Raises:
        TemplateError: it does not follow the grammar.
    """
    return _Parser(source).template()


class _Parser:
    """Recursive descent; `at` is the index of the next character."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.segments: list[str] = []
        self.variables: list[TemplateVariable] = []

    def template(self) -> Template:
        if not self.source.startswith("/"):
            raise TemplateError("it does not start with '/'")
        self.at = 1
        self.segment_list(in_variable=False)
        verb = self.custom_verb()
        if self.at != len(self.source):
            raise self.unexpected("'/', ':' or the end")
        if len(self.segments) > MAX_SEGMENTS:
            raise TemplateError(f"it has more than {MAX_SEGMENTS} segments")
        self.check_wildcards()
        self.check_names()
        variables = tuple(self.counted_from_end(variable) for variable in self.variables)
        return Template(self.source, tuple(self.segments), verb, variables)

    def segment_list(self, *, in_variable: bool) -> None:
        self.segment(in_variable=in_variable)
        while self.peek("/"):
            self.at += 1
            self.segment(in_variable=in_variable)

    def segment(self, *, in_variable: bool) -> None:
        if self.peek("**"):
            self.at += 2
            self.segments.append("**")
        elif self.peek("*"):
            self.at += 1
            self.segments.append("*")
        elif self.peek("{"):
            if in_variable:
                raise TemplateError(f"there is a variable within a variable at character {self.at + 1}")
            self.variable()
        else:
            self.segments.append(self.literal())

    def variable(self) -> None:
        self.at += 1
        field_path = [self.identifier()]
        while self.peek("."):
            self.at += 1
            field_path.append(self.identifier())
        start = len(self.segments)
        if self.peek("="):
            self.at += 1
            self.segment_list(in_variable=True)
        else:
            self.segments.append("*")
        if not self.peek("}"):
            raise self.unexpected("'}'")
        self.at += 1
        self.variables.append(TemplateVariable(tuple(field_path), start, len(self.segments)))

    def custom_verb(self) -> str:
        if not self.peek(":"):
            return ""
        self.at += 1
        return self.literal()

    def identifier(self) -> str:
        match = _IDENT.match(self.source, self.at)
        if match is None:
            raise self.unexpected("a field name")
        self.at = match.end()
        return match.group()

    def literal(self) -> str:
        match = _LITERAL.match(self.source, self.at)
        if match is None:
            raise self.unexpected("a segment")
        self.at = match.end()
        try:
            text = unquote_to_bytes(match.group()).decode()
        except UnicodeDecodeError:
            raise TemplateError(f"'{match.group()}' is not percent-encoded UTF-8") from None
        if text in {"*", "**"}:
            raise TemplateError(f"the literal '{match.group()}' cannot be told from a wildcard")
        if text in {".", ".."}:  # RFC 3986, section 5.2.4
            raise TemplateError(f"the segment '{match.group()}' is no part of a URL that somebody sends")
        return text

    def counted_from_end(self, variable: TemplateVariable) -> TemplateVariable:
        if "**" not in self.segments[: variable.end]:
            return variable
        if "**" in self.segments[: variable.start]:
            raise TemplateError("only literal segments may follow '**'")
        return replace(variable, end=variable.end - len(self.segments) - 1)

    def check_wildcards(self) -> None:
        if self.segments.count("**") > 1:
            raise TemplateError("there is more than one '**'")
        if "**" in self.segments and "*" in self.segments[self.segments.index("**") :]:
            raise TemplateError("only literal segments may follow '**'")

    def check_names(self) -> None:
        seen: set[tuple[str, ...]] = set()
        for variable in self.variables:
            if variable.field_path in seen:
                raise TemplateError(f"variable '{'.'.join(variable.field_path)}' is there twice")
            seen.add(variable.field_path)

    def peek(self, text: str) -> bool:
        return self.source.startswith(text, self.at)

    def unexpected(self, wanted: str) -> TemplateError:
        found = f"'{self.source[self.at]}'" if self.at < len(self.source) else "the end"
        return TemplateError(f"{wanted} is expected at character {self.at + 1}, not {found}")
