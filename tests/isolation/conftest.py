"""Isolation is also tested against the whole running product."""

from tests.stack import stack, visitor

__all__ = ["stack", "visitor"]
