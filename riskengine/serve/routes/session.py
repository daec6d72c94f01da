"""Who asks: what a screen needs to know of its own login."""

from starlette.responses import Response

from riskengine.serve.answers.answers import Question, json_answer


async def answer_session(question: Question) -> Response:
    """The principal of the request, in every state of the engine."""
    principal = question.principal
    grants = principal.grants
    return json_answer(
        {
            "name": principal.name,
            "roles": sorted(principal.roles),
            "sees_everything": grants.see_everything,
            "may_book": principal.may_book,
            "nodes": None if grants.nodes is None else sorted(grants.nodes),
            "dealers": None if grants.dealers is None else sorted(grants.dealers),
            "login": bool(question.gateway.config.access.tokens_file),
            "expires_ts": principal.expires_at,
        }
    )
