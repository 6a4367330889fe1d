"""Find what a card says of measured numbers: which metric, of which group, and which value.

Only what plainly says a value is taken for a claim: a name and a number joined by words such as *is* or *of*, or side by side. Goals and
limits are no claims, and neither is a number that counts something else.
"""

from __future__ import annotations

from collections.abc import Iterator

from governance.checks.cards import prose, sentences, tables
from governance.checks.cards.claimed import Claim, Vocabulary


def read(section: str, text: str, vocabulary: Vocabulary) -> Iterator[Claim]:
    """Yield the claims of a section's text, in their order, those of tables last."""
    taken = prose.read(text)
    for sentence in taken.sentences:
        yield from sentences.claims(section, sentence, vocabulary)
    for table in taken.tables:
        yield from tables.claims(section, table, vocabulary)
