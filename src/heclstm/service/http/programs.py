"""GET /v1/programs"""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, Router, get
from litestar.params import Parameter

from heclstm.deploy.keys import evaluation_key_blobs, query_blobs, result_blobs
from heclstm.service.http.models import ProgramList, ProgramSummary
from heclstm.service.http.openapi import GUARDED, described
from heclstm.service.http.requests import Asked, app_of, require_identity
from heclstm.service.programs import Served

DigestPath = Annotated[
    str, Parameter(pattern="^[0-9a-f]{64}$", min_length=64, max_length=64, description="Digest of the program")
]


@get("/", **described(*GUARDED, scope="programs"), sync_to_thread=False)
def list_programs(request: Asked) -> ProgramList:
    """All programs that this server offers, the retired ones, too."""
    return ProgramList([_summary(served) for served in app_of(request).programs.all().values()])


@get(
    "/{digest:str}",
    **described(*GUARDED, "unknown-program", "retired-program", scope="programs", headers=("etag",), perhaps=("link",)),
    sync_to_thread=False,
)
def get_program(request: Asked, digest: DigestPath) -> Response[dict[str, Any]]:
    """program.json, as the model owner wrote and signed it: verify its digest and signature before making keys."""
    served = app_of(request).programs.get(digest)
    headers = {"etag": f'"{digest}"'}
    if served.successor:
        headers["link"] = f'</v1/programs/{served.successor}>; rel="successor-version"'
    return Response(served.document, media_type="application/json", headers=headers)  # type: ignore[arg-type]


def _summary(served: Served) -> ProgramSummary:
    card = served.card

    def total(blobs: list[tuple[str, int]]) -> int:
        return sum(size for _, size in blobs)

    return ProgramSummary(
        digest=card.digest,
        name=card.model.name if card.model else "",
        retired=served.retired,
        successor=served.successor,
        frames=card.input_layout.frames,
        key_bytes=total(evaluation_key_blobs(card)),
        query_bytes=total(query_blobs(card)),
        result_bytes=total(result_blobs(card)),
    )


router = Router(
    "/v1/programs", route_handlers=[list_programs, get_program], guards=[require_identity], tags=["programs"]
)
