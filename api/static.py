"""Files of the front end: vendored ones carry their version in the path and never change, the rest is re-checked."""

from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope


class Static(StaticFiles):
    """Starlette's static files with our caching."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or a 404."""
        response = await super().get_response(path, scope)
        forever = path.startswith("vendor/") and response.status_code < 400
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if forever else "no-cache"
        return response
