"""Real PostgreSQL and Valkey servers from packaged binaries, started and ended by our own launcher."""

from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.server import ServerError
from cli.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedValkey", "ServerError"]
