"""The public keys by which others verify our session tokens, where OpenID Connect and OAuth look for them."""

from starlette.responses import JSONResponse, Response

from api.http import PUBLIC, PublicCall, Router
from api.signing_keys import signing_keys

router = Router("/.well-known", tag="Accounts", base="")


@router.get("/jwks.json", access=PUBLIC)
async def key_set(call: PublicCall) -> Response:
    """The public keys of session tokens, as a JWK set.

    Empty while sessions are signed with a secret. An unknown `kid` is a reason to read it again.
    """
    return JSONResponse(
        {"keys": signing_keys(call.settings).published()},
        headers={"Cache-Control": "public, max-age=300"},
        media_type="application/jwk-set+json",
    )
