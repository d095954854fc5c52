"""The readable reference."""

from api.http import Router

router = Router("/docs", tag="Documentation", base="")
