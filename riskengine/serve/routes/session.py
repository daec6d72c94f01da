"""Who asks: what a screen needs to know of its own login."""

from starlette.responses import Response

from riskengine.serve.answers.answers import Question, json_answer


async def answer_session(question: Question) -> Response:
    """The principal of the request, in every state of the engine."""
    principal = question.principal
    return json_answer(
        {
            "name": principal.name,
            "roles": sorted(principal.roles),
            "sees_everything": principal.grants.see_everything,
            "login": bool(question.gateway.config.access.tokens_file),
            "expires_ts": principal.expires_at,
        }
    )
