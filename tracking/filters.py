"""The search language of the protocol: clauses joined by AND, read by a grammar that says what may be asked of what.

Pure: text in, clauses out, and conditions as text with their parameters. Each search gives its own ``Grammar``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import Invalid

TEXT = frozenset({"=", "!=", "LIKE", "ILIKE"})
LISTED = frozenset({"IN", "NOT IN"})
NULL = frozenset({"IS NULL", "IS NOT NULL"})
NUMERIC = frozenset({"=", "!=", "<", "<=", ">", ">="})

MAX_FILTER = 100_000
MAX_TERMS = 40  # each may be a join, and what PostgreSQL needs to plan them grows without measure: a hundred take it minutes
MAX_PATTERN = 5000  # beyond some size engines refuse a pattern, each in its own way
_LONGEST_NUMBER = 100  # digits; Python refuses to read thousands of them

Value = str | int | float | tuple[str, ...] | None


@dataclass(frozen=True)
class Clause:
    """One comparison. ``value`` is None for IS NULL and IS NOT NULL, and a tuple of texts for IN and NOT IN."""

    entity: str
    key: str
    comparator: str
    value: Value


@dataclass(frozen=True)
class Order:
    """One key to sort by."""

    entity: str
    key: str
    ascending: bool


@dataclass(frozen=True)
class Key:
    """What may be asked of a key.

    whole: its number has no fraction. quoted_number: nor that, and may be written as a quoted text. double: its number may be
    beyond what an integer can be.
    """

    comparators: frozenset[str]
    number: bool = False
    whole: bool = False
    quoted_number: bool = False
    double: bool = False


@dataclass(frozen=True)
class Entity:
    """A group of keys: fixed ones, or any if ``any_key`` is given. aliases: other words for it; key_aliases: for its keys."""

    name: str
    aliases: tuple[str, ...] = ()
    keys: Mapping[str, Key] = field(default_factory=dict)
    any_key: Key | None = None
    key_aliases: Mapping[str, str] = field(default_factory=dict)

    def key(self, written: str) -> tuple[str, Key]:
        """Return the key's own name and what may be asked of it. Raises Invalid for an unknown one."""
        name = self.key_aliases.get(written, written)
        if found := self.keys.get(name, self.any_key):
            return name, found
        raise Invalid(f"Cannot search by {self.name} {written!r}; there are {', '.join(sorted(self.keys))}.")


@dataclass(frozen=True)
class Grammar:
    """What one search understands. default: the entity meant when a key stands alone, or "" to refuse that.

    sortable: the entities that may be sorted by, and for each the keys (None: any key it has). repeats: whether a key may be
    sorted by twice, which changes nothing. capitals: whether LIKE and IN are understood in capitals only. bare: whether a
    filter may quote keys of other entities than the default one only.
    """

    entities: tuple[Entity, ...]
    default: str = ""
    sortable: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    repeats: bool = False
    capitals: bool = False
    bare: bool = False

    def clauses(self, text: str | None) -> list[Clause]:
        """Return the clauses of a filter, all of which must hold. Raises Invalid, saying what was not understood."""
        if len(text or "") > MAX_FILTER:
            raise Invalid(f"The filter is longer than {MAX_FILTER} characters.")
        tokens = _tokens(text or "")
        if text and not tokens:
            raise Invalid("The filter is blank; leave it out to ask for everything.")
        out: list[Clause] = []
        while tokens:
            if out and not _take_word(tokens, "AND"):
                raise Invalid(f"Expected AND before {tokens[0].text!r}; clauses are joined by AND only.")
            if len(out) == MAX_TERMS:
                raise Invalid(f"The filter has more than {MAX_TERMS} clauses.")
            out.append(self._clause(tokens))
        return out

    def orders(self, items: Iterable[str] | None) -> list[Order]:
        """Return what ``[entity.]key [ASC|DESC]`` items ask for. Raises Invalid, also for a key named twice."""
        given = list(items or ())
        if len(given) > MAX_TERMS:
            raise Invalid(f"There are more than {MAX_TERMS} keys to sort by.")
        out = [self._order(item) for item in given]
        if not self.repeats and len({(order.entity, order.key) for order in out}) < len(out):
            raise Invalid("A key to sort by is named twice.")
        return out

    def order(self, written: str, ascending: bool) -> Order:
        """Return the order by one key. Raises Invalid for a key that cannot be sorted by."""
        tokens = _tokens(written)
        if len(tokens) != 1:
            raise Invalid(f"Cannot sort by {written!r}.")
        return self._sortable(tokens[0], ascending)

    def _order(self, item: str) -> Order:
        if item != item.strip():
            raise Invalid(f"Cannot sort by {item!r}: it begins or ends with a space.")
        words = item.rsplit(maxsplit=1)
        ascending = True
        if len(words) == 2 and words[1].upper() in ("ASC", "DESC"):
            item, ascending = words[0], words[1].upper() == "ASC"
        elif len(words) == 2 and not item.endswith(("`", '"')):
            raise Invalid(f"Cannot sort by {item!r}: after the key only ASC or DESC may follow.")
        return self.order(item, ascending)

    def _sortable(self, token: _Token, ascending: bool) -> Order:
        entity, written = self._entity(token)
        if entity.name not in self.sortable:
            raise Invalid(f"Cannot sort by {token.text!r}.")
        name, _ = entity.key(written)
        if " " in written and written in entity.key_aliases:
            raise Invalid(f"Cannot sort by {token.text!r}; it is {name!r}.")
        allowed = self.sortable[entity.name]
        if allowed is not None and name not in allowed:
            raise Invalid(f"Cannot sort by {token.text!r}; there are {', '.join(sorted(allowed))}.")
        return Order(entity.name, name, ascending)

    def _clause(self, tokens: list[_Token]) -> Clause:
        if not tokens:
            raise Invalid("Expected a clause after AND.")
        token = tokens.pop(0)
        entity, written = self._entity(token)
        if self.bare and (token.parts[0][0] or (entity.name == self.default and len(token.parts) > 1)):
            raise Invalid(f"{token.text} is not understood in quotes here: write it without them.")
        name, key = entity.key(written)
        comparator = _comparator(tokens, token, capitals=self.capitals)
        if comparator not in key.comparators:
            raise Invalid(f"{token.text} cannot be compared with {comparator}; use one of {', '.join(sorted(key.comparators))}.")
        return Clause(entity.name, name, comparator, _value(tokens, key, comparator, token.text))

    def _entity(self, token: _Token) -> tuple[Entity, str]:
        if token.is_literal or not token.parts:
            raise Invalid(f"Expected a key, not {token.text!r}.")
        head, key = token.split()
        if not token.is_name:
            raise Invalid(f"{token.text!r} is no name as it stands: write a key with other signs than letters in backticks.")
        if head is None and self.default:
            head = self.default
        for entity in self.entities:
            if head == entity.name or head in entity.aliases:
                if not key:
                    raise Invalid(f"{token.text!r} names no key.")
                return entity, key
        names = ", ".join(entity.name for entity in self.entities)
        raise Invalid(f"{token.text!r} begins with none of the entities that can be searched: {names}.")


def compare(column: str, comparator: str, value: Value, *, vendor: str) -> tuple[str, list[Any]]:
    """Return ``column comparator value`` as a condition with its parameters, for this engine.

    LIKE minds case and ILIKE does not, on both engines; % and _ are the only wildcards.
    """
    if comparator in NULL:
        return f"{column} {comparator}", []
    if comparator in LISTED:
        assert isinstance(value, tuple)
        return f"{column} {comparator} ({', '.join(['%s'] * len(value))})", list(value)
    if comparator == "LIKE":
        if vendor == "sqlite":
            return f"{column} GLOB %s", [_glob(str(value))]
        return f"{column} LIKE %s ESCAPE ''", [value]
    if comparator == "ILIKE":
        if vendor == "sqlite":
            return f"{column} LIKE %s", [value]
        return f"{column} ILIKE %s ESCAPE ''", [value]
    return f"{column} {comparator} %s", [value]


def _glob(pattern: str) -> str:
    """Return a LIKE pattern as GLOB's, which minds case in SQLite."""
    return "".join({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}.get(letter, letter) for letter in pattern)


@dataclass(frozen=True)
class _Token:
    """A piece of the text. parts: what a word is made of, as (quote sign or "", text); empty for a sign."""

    text: str
    parts: tuple[tuple[str, str], ...] = ()

    @property
    def is_literal(self) -> bool:
        return len(self.parts) == 1 and self.parts[0][0] == "'"

    @property
    def is_name(self) -> bool:
        """Return whether what is not quoted consists of words around dots, none of them a number."""
        bare = ".".join(text.strip(".") for quote, text in self.parts if not quote and text.strip("."))
        return all(_NAME.match(step) for step in bare.split(".")) if bare else True

    @property
    def quoted(self) -> str | None:
        """Return the text of a quoted value, or None."""
        if len(self.parts) == 1 and self.parts[0][0] in ("'", '"'):
            return self.parts[0][1]
        return None

    @property
    def bare(self) -> str:
        """Return the text of an unquoted word, else ""."""
        return self.parts[0][1] if len(self.parts) == 1 and self.parts[0][0] == "" else ""

    def split(self) -> tuple[str | None, str]:
        """Return entity and key around the first dot outside the quotes; no entity if there is no such dot."""
        head = ""
        for at, (quote, text) in enumerate(self.parts):
            if not quote and "." in text:
                before, _, after = text.partition(".")
                return head + before, after + "".join(part for _, part in self.parts[at + 1 :])
            head += text
        return None, head


_PIECE = re.compile(
    r"""\s+
      | (?P<sign>!=|<=|>=|=|<|>|\(|\)|,)
      | (?P<literal>'(?:[^']|'')*')
      | (?P<word>(?:`[^`]*`|"(?:[^"]|"")*"|(?<=\.)'[^']*'|[^\s'"`=!<>(),;])+)""",
    re.VERBOSE,
)
_PART = re.compile(r"""`[^`]*`|"(?:[^"]|"")*"|'[^']*'|[^`"']+""")
_NAME = re.compile(r"(?!\d+\Z)\w+\Z")
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE]-?\d+)?\Z", re.ASCII)


def _tokens(text: str) -> list[_Token]:
    out: list[_Token] = []
    at = 0
    while at < len(text):
        found = _PIECE.match(text, at)
        if found is None:
            raise Invalid(f"Did not understand {text[at : at + 20]!r} at character {at + 1} of the filter.")
        piece = found[0]
        if found["sign"]:
            out.append(_Token(piece))
        elif found["literal"]:
            out.append(_Token(piece, (("'", piece[1:-1]),)))  # as MLflow has it, two quotes in a row are two
        elif found["word"]:
            out.append(_Token(piece, tuple(_part(part[0]) for part in _PART.finditer(piece))))
        at = found.end()
    return out


def _part(text: str) -> tuple[str, str]:
    return (text[0], text[1:-1]) if text[0] in "`\"'" else ("", text)


def _take_word(tokens: list[_Token], word: str) -> bool:
    if tokens and tokens[0].bare.upper() == word:
        tokens.pop(0)
        return True
    return False


def _comparator(tokens: list[_Token], after: _Token, *, capitals: bool) -> str:
    if not tokens:
        raise Invalid(f"Expected a comparison after {after.text!r}.")
    token = tokens.pop(0)
    if token.text in NUMERIC:
        return token.text
    word = token.bare.upper()
    if word in ("LIKE", "ILIKE", "IN"):
        if capitals and token.bare != word:
            raise Invalid(f"{token.text!r} after {after.text!r} is no comparison; write {word}.")
        return word
    if word == "NOT" and _take_word(tokens, "IN"):
        return "NOT IN"
    if word == "IS":
        negated = _take_word(tokens, "NOT")
        if _take_word(tokens, "NULL"):
            return "IS NOT NULL" if negated else "IS NULL"
    raise Invalid(f"{token.text!r} after {after.text!r} is no comparison.")


def _value(tokens: list[_Token], key: Key, comparator: str, name: str) -> Value:
    if comparator in NULL:
        return None
    if comparator in LISTED:
        return _list(tokens, name)
    if not tokens:
        raise Invalid(f"Expected a value after {name} {comparator}.")
    token = tokens.pop(0)
    if key.number:
        return _number(token, key, name)
    text = token.quoted
    if text is None:
        raise Invalid(f"{name} is compared with a quoted text, not with {token.text!r}.")
    if comparator in ("LIKE", "ILIKE") and len(text) > MAX_PATTERN:
        raise Invalid(f"The pattern for {name} is longer than {MAX_PATTERN} characters.")
    return text


def _number(token: _Token, key: Key, name: str) -> int | float:
    text = token.bare or (token.quoted or "" if key.quoted_number else "")
    if not _NUMBER.match(text):
        raise Invalid(f"{name} is compared with a number, not with {token.text!r}.")
    if text.lstrip("-").isdigit():
        if len(text) <= _LONGEST_NUMBER and abs(int(text)) < 1 << 63:
            return int(text)
        if not key.double or len(text) > _LONGEST_NUMBER:
            raise Invalid(f"{text[:_LONGEST_NUMBER]} is beyond what {name} can be.")
        return float(text)
    if key.quoted_number or key.whole:
        raise Invalid(f"{name} is compared with a whole number, not with {token.text!r}.")
    return float(text)


def _list(tokens: list[_Token], name: str) -> tuple[str, ...]:
    values: list[str] = []
    if not tokens or tokens.pop(0).text != "(":
        raise Invalid(f"Expected a list in parentheses after {name}.")
    while tokens:
        text = tokens.pop(0).quoted
        if text is None:
            break
        values.append(text)
        if not tokens:
            break
        sign = tokens.pop(0).text
        if sign == ")":
            return tuple(values)
        if sign != ",":
            break
    raise Invalid(f"The list for {name} must hold quoted texts, separated by commas, and not be empty.")
