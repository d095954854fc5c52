"""Parts of an SMS agree with an independent count that packs the text as 3GPP TS 23.038 and 23.040 say."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.segments import segments

GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = "\f^{}\\[~]|€"
PLAIN = GSM.replace("\x1b", "")


def _counted(text: str) -> int:
    """The text as septets (escaped ones as two) or UTF-16 units, cut greedily without tearing a character."""
    if set(text) <= set(PLAIN + EXTENDED):
        pieces, alone, joined = [["\x1b", c] if c in EXTENDED else [c] for c in text], 160, 153
    else:
        pieces = [[*c.encode("utf-16-be").hex(" ", 2).split()] for c in text]
        alone, joined = 70, 67
    if sum(map(len, pieces)) <= alone:
        return 1
    parts: list[list[str]] = [[]]
    for piece in pieces:
        if len(parts[-1]) + len(piece) > joined:
            parts.append([])
        parts[-1] += piece
    assert all(len(part) <= joined for part in parts)
    return len(parts)


@given(st.one_of(
    st.text(st.sampled_from(PLAIN + EXTENDED), max_size=700),
    st.text(st.sampled_from("aé€{Ж日😀"), max_size=500),
    st.text(max_size=300).filter(lambda text: text.isprintable()),
))  # fmt: skip
@example("a" * 152 + "€" + "a" * 10)
@example("Ж" * 66 + "😀" + "Ж" * 3)
def test_it_agrees_with_an_independent_count(text: str) -> None:
    assert segments(text) == _counted(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("€" * 80, 1), ("€" * 81, 2),
        ("ж" * 70, 1), ("ж" * 71, 2), ("ж" * 134, 2), ("ж" * 135, 3), ("😀" * 35, 1), ("😀" * 36, 2),
        ("a" * 69 + "’", 1), ("a" * 70 + "’", 2), ("`", 1), ("a" * 159 + "`", 3),
    ],
)  # fmt: skip
def test_the_edges_are_those_of_the_standard(text: str, parts: int) -> None:
    assert segments(text) == parts
