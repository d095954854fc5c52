"""How many parts a text needs: 160 GSM-7 or 70 UCS-2 characters alone, 153 or 67 when joined (3GPP TS 23.038)."""

GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")


def segments(text: str) -> int:
    """The number of parts, at least one."""
    if all(letter in GSM or letter in EXTENSION for letter in text):
        length, alone, joined = sum(2 if letter in EXTENSION else 1 for letter in text), 160, 153
    else:
        length, alone, joined = len(text.encode("utf-16-be")) // 2, 70, 67
    return 1 if length <= alone else -(-length // joined)
