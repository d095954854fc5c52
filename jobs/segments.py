"""How many parts an SMS has: GSM 03.38 with 7 bits a character where it suffices, else UCS-2."""

_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED = frozenset("\f^{}\\[~]|€")


def segments(text: str) -> int:
    """Parts of a message: 160 septets in one or 153 each, 70 UCS-2 units in one or 67 each (3GPP TS 23.038, 23.040)."""
    if all(character in _GSM or character in _GSM_EXTENDED for character in text):
        return _parts([2 if character in _GSM_EXTENDED else 1 for character in text], 160, 153)
    return _parts([len(character.encode("utf-16-le")) // 2 for character in text], 70, 67)


def _parts(widths: list[int], alone: int, joined: int) -> int:
    """Parts of characters of these widths; none is torn between two parts."""
    if sum(widths) <= alone:
        return 1
    parts, room = 1, joined
    for width in widths:
        if width > room:
            parts, room = parts + 1, joined
        room -= width
    return parts
