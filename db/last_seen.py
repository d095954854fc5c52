"""When sessions were last seen: a process that wrote it five minutes ago does not ask Postgres to write it again."""

from collections import OrderedDict
from datetime import datetime, timedelta

from db import sessions
from db.pool import Tenant
from db.types import SessionId

PAUSE = timedelta(minutes=5)
CAPACITY = 20_000


class SeenSessions:
    """What this process has written; the least recently written forgotten first."""

    def __init__(self) -> None:
        self._written: OrderedDict[SessionId, datetime] = OrderedDict()

    def is_due(self, session_id: SessionId, now: datetime) -> bool:
        """Whether this process has not written within the last minutes that the session was seen."""
        before = self._written.get(session_id)
        return before is None or not timedelta() <= now - before < PAUSE

    async def touch(self, tenant: Tenant, session_id: SessionId, now: datetime) -> None:
        """Note in the caller's transaction that the session was seen, if it is due."""
        if not self.is_due(session_id, now):
            return
        await sessions.touch(tenant, session_id, now)
        self._written[session_id] = now
        self._written.move_to_end(session_id)
        if len(self._written) > CAPACITY:
            self._written.popitem(last=False)
