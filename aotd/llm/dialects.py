"""What servers of the chat protocol say, each in words of its own: how a reply ended, and why there is none.

Servers agree on the request, and on little of the answer. Everything that is known of their ways stands in the tables
here: pure functions over a status, headers and a body, held to documented answers by `tests/llm/test_dialects.py`.
`aotd.llm.chat_client` does what they decide.

Source: the error pages of OpenAI, Azure OpenAI, OpenRouter, Anthropic, Gemini and Mistral; the servers of
vllm-project/vllm, ggml-org/llama.cpp, ollama/ollama, huggingface/text-generation-inference, sgl-project/sglang; and
what their users report. `docs/llm.md` lists what was checked.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from html import unescape
from typing import Any

from aotd.prompts import inert

# ── how a reply ended ─────────────────────────────────────────────────────────────────────────────


class ReplyEnd(Enum):
    """What ended a reply."""

    stop = "stop"
    """The model, or a stop string."""
    length = "length"
    """The limit of tokens, or the end of the context."""
    content_filter = "content_filter"
    """The server's filter, or the model's own refusal."""
    broken_off = "broken_off"
    """Trouble at the server, which may pass."""


_ENDS = {
    ReplyEnd.length: (
        "length max_tokens max_length max_output_tokens max_completion_tokens max_new_tokens model_length token_limit "
        "error_limit time_limit limit stopped_limit model_context_window_exceeded context_window_exceeded "
        "context_length_exceeded contextlengthreached maxpredictedtokensreached incomplete"
    ),
    ReplyEnd.content_filter: (
        "content_filter content_filtered content_policy content_policy_violation safety image_safety recitation "
        "blocklist prohibited_content spii refusal sensitive guardrail_intervened guardrails error_toxic moderation"
    ),
    ReplyEnd.broken_off: (
        "abort aborted error failed cancelled canceled user_cancel userstopped modelunloaded unload network_error "
        "insufficient_system_resource server_error timeout error_timeout"
    ),
}
_END_OF = {word: end for end, words in _ENDS.items() for word in words.split()}


def reply_end(word: object) -> ReplyEnd:
    """What a server's `finish_reason` means.

    A word that no table holds is the end of a whole reply: servers have many for that, and few for a cut.

    >>> reply_end("eos_token"), reply_end("MAX_TOKENS"), reply_end("content_filter: RECITATION")
    (<ReplyEnd.stop: 'stop'>, <ReplyEnd.length: 'length'>, <ReplyEnd.content_filter: 'content_filter'>)
    """
    plain = str(word or "").split(":")[0].strip().casefold()
    return _END_OF.get(re.sub(r"[\s-]+", "_", plain), ReplyEnd.stop)


@dataclass(frozen=True)
class ChatMessage:
    """What a server's answer holds of a model's message."""

    text: str
    reasoning: str
    """What the model thought, where the server tells it beside the text."""
    end: ReplyEnd
    words: str
    """Why the model or a filter ended it, in their own words; mostly empty."""
    prompt_tokens: int
    reply_tokens: int


def chat_message(data: Any) -> ChatMessage | None:
    """The first choice of a chat completion; None where the answer is none.

    Text may be a string or a list of parts, and stands in `message.content`, or in `text` with older servers.
    """
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return _without_choice(data)
    choice = choices[0]
    message = next((choice[name] for name in ("message", "delta") if isinstance(choice.get(name), dict)), None)
    if message is None and not isinstance(choice.get("text"), str):
        return None
    message = message if message is not None else {"content": choice["text"]}
    text, thought = _parts(message.get("content"))
    for name in ("reasoning_content", "reasoning", "reasoning_details", "thinking"):
        thought = thought or "".join(_parts(message.get(name)))
    refusal = message.get("refusal")
    end = reply_end(choice.get("finish_reason"))
    thought = thought or _hidden_thought(data, text, end)
    if isinstance(refusal, str) and refusal.strip() and not text.strip():
        end = ReplyEnd.content_filter
    return ChatMessage(text, thought, end, clean(refusal if isinstance(refusal, str) else ""), *_usage(data))


def _hidden_thought(data: dict[str, Any], text: str, end: ReplyEnd) -> str:
    """What stands for reasoning that a server counts and does not show; empty where it tells of none."""
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    count = (details if isinstance(details, dict) else usage).get("reasoning_tokens")
    if isinstance(count, int) and count > 0:
        return f"({count} tokens that the server does not show)"
    # Whoever writes up to the limit, and no text, has been thinking.
    hidden = end is ReplyEnd.length and not text.strip() and _usage(data)[1] > 0
    return "(tokens that the server does not show)" if hidden else ""


def _without_choice(data: Any) -> ChatMessage | None:
    """A completion without a choice, which some servers make of a prompt or a reply that they hold back."""
    if not isinstance(data, dict):
        return None
    feedback = data.get("promptFeedback") or data.get("prompt_feedback") or data.get("prompt_filter_results")
    if feedback:
        return ChatMessage("", "", ReplyEnd.content_filter, clean(_flat(feedback)), *_usage(data))
    if str(data.get("object", "")).startswith("chat.completion") and not data.get("choices"):
        return ChatMessage("", "", ReplyEnd.content_filter, "the answer holds no choice", *_usage(data))
    return None


def _parts(content: Any) -> tuple[str, str]:
    """(text, thoughts) of a message's content: a string, a part, or a list of these."""
    if isinstance(content, str):
        return _whole(content), ""
    if isinstance(content, list):
        both = [_parts(part) for part in content]
        return "".join(text for text, _ in both), "".join(thought for _, thought in both)
    if not isinstance(content, dict):
        return "", ""
    kind = str(content.get("type", ""))
    inner = [content[name] for name in ("text", "value", "content", "thinking", "summary") if content.get(name)]
    said = "".join("".join(_parts(part)) for part in inner[:1])
    return ("", said) if re.search(r"think|reason", kind) else (said, "")


def _whole(text: str) -> str:
    """JSON can hold half a character, which no file can."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _usage(data: dict[str, Any]) -> tuple[int, int]:
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    counts = [usage.get(name) or usage.get(other) for name, other in _COUNTS]
    return tuple(int(count) if isinstance(count, int | float) and count < 2**53 else 0 for count in counts)  # type: ignore[return-value]


_COUNTS = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))

# ── what an error says ────────────────────────────────────────────────────────────────────────────


class Cause(Enum):
    """What an error is about, and so what is done."""

    prompt_too_long = "prompt_too_long"
    """One prompt, which the model has no room for: ends its question."""
    content_filter = "content_filter"
    """One prompt, which the server refuses for what it says: ends its question."""
    key = "key"
    quota = "quota"
    model = "model"
    """The model's name or the address."""
    request = "request"
    """Anything else about the request that the user has to mend: ends the run, like the three above."""
    loading = "loading"
    """The model is loading: waited for."""
    busy = "busy"
    """Too much is asked of the server: waited for."""
    failing = "failing"
    """Trouble of the server's own: asked again, a few times."""


@dataclass(frozen=True)
class ServerError:
    """An error, whichever way the server tells it."""

    status: int
    """Of the answer; that which the body names, where an error comes with status 200."""
    words: str
    """The server's own, on one line, of bounded length."""
    code: str = ""
    """Its codes and types, in small letters."""
    param: str = ""
    """The field of the request that it names."""
    wait_s: float | None = None
    """How long it asks to wait."""

    @property
    def cause(self) -> Cause:
        return next(cause for cause, holds in _CAUSES if holds(self))


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> ServerError | None:
    """The error that an answer tells, also with status 200; None where it tells none."""
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    if 300 <= status < 400:  # somewhere else
        return None
    if data is None:
        if status < 300:
            return None
        page = body[:_LONGEST].decode("utf-8", "replace")
        return ServerError(status, page_words(page), wait_s=asked_wait_s(headers, page))
    found = _error_in(data)
    if found is None and status < 300:
        return None
    error = data if found is None else found
    names = _named(error, ("code", "type", "status", "error_type", "reason"))
    if status < 300:
        status = _status(error, names, clean(_words(error)))
    words = clean(_words(data if found is None else error))
    return ServerError(
        status, words, " ".join(names), " ".join(_named(error, ("param",))), asked_wait_s(headers, _flat(data))
    )


def _error_in(data: Any) -> Any:
    """The part of an answer that is an error."""
    if isinstance(data, list):  # Gemini wraps its errors in a list
        return _error_in(data[0]) if data else None
    if not isinstance(data, dict):
        return None
    if data.get("error"):
        return data["error"]
    if data.get("object") == "error" or data.get("type") == "error":
        return data
    base = data.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return {"message": base.get("status_msg"), "code": base["status_code"]}
    choices = data.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict) and choices[0].get("error"):
        return choices[0]["error"]
    if choices is None and isinstance(data.get("detail"), str | list):
        return data
    return None


def _status(error: Any, names: list[str], words: str) -> int:
    """The status that an error within an answer of status 200 stands for."""
    for name in names:
        if name.isdigit() and 400 <= int(name) < 600:
            return int(name)
    for pattern, status in _STATUSES:
        if any(re.search(pattern, name) for name in names) or re.search(pattern, words):
            return status
    # Without a status: what a refusal would say is one, and all else may pass.
    return 502 if ServerError(400, words, " ".join(names)).cause is Cause.request else 400


_STATUSES = (
    (r"(?i)rate_?limit|too_many_requests|resource_exhausted", 429),
    (r"(?i)overloaded", 529),
    (r"(?i)authentication|invalid_api_key|unauthorized", 401),
    (r"(?i)not_found|[Uu]nexpected endpoint or method", 404),
    (r"(?i)invalid_request|invalid_argument|unsupported_|bad_?request|validation|content_filter|exceed_context", 400),
)

_LONGEST = 20_000
"""Characters of a body that are looked at for its words."""
WORDS = 300
"""Characters of a server's words that are told."""


def clean(text: str, most: int = WORDS) -> str:
    """A server's words on one line, without what cannot be seen or could be read as a token, cut to `most`."""
    line = " ".join(inert(" ".join(_whole(text[:_LONGEST]).split())).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def page_words(page: str) -> str:
    """What a web page or a plain text says: its title, or its words."""
    title = re.search(r"<title[^>]*>([^<]{1,500})", page, re.IGNORECASE)
    return clean(unescape(title[1] if title else re.sub(r"<[^<>]{0,2000}>", " ", page)))


def _words(error: Any) -> str:
    """The message of an error, with that of the server behind a server, and the fields that it names."""
    if isinstance(error, str):
        nested = _loaded(error)
        return error if nested is None else _words(nested)
    if isinstance(error, list):
        return "; ".join(_words(one) for one in error[:5])
    if not isinstance(error, dict):
        return str(error)
    if not error:
        return ""
    found = next((error[name] for name in _MESSAGES if error.get(name)), None)
    said = json.dumps(error, ensure_ascii=False) if found is None else _words(found)
    if isinstance(error.get("loc"), list):
        said = f"{'.'.join(map(str, error['loc'][:5]))}: {said}"
    behind = error.get("metadata")
    if isinstance(behind, dict):
        more = [_words(behind[name]) for name in ("raw", "reasons") if behind.get(name)]
        said = ": ".join([said, *more])
    return said


_MESSAGES = ("message", "msg", "detail", "error", "error_message", "errors", "error_description", "title")


def _loaded(text: str) -> Any:
    """The object that a text is, where it is one: errors of a server behind a server come as text."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text[:_LONGEST])
    except (ValueError, RecursionError):
        return None


def _named(error: Any, fields: tuple[str, ...]) -> list[str]:
    """The values of some fields of an error, and of errors within it, in small letters."""
    if isinstance(error, str):
        error = _loaded(error)
    if isinstance(error, list):
        return [name for one in error[:5] for name in _named(one, fields)]
    if not isinstance(error, dict):
        return []
    found = [str(error[name])[:100].casefold() for name in fields if isinstance(error.get(name), str | int)]
    for name in ("error", "innererror", "inner_error", "detail", "details", "metadata", "raw"):
        found += _named(error.get(name), fields)
    return found


def _flat(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)[:_LONGEST]


# ── what an error is about ────────────────────────────────────────────────────────────────────────

_TOO_LONG = re.compile(
    r"""(?ix)
    context[_ ]length[_ ]exceeded | exceed_context_size | context_?window_?exceeded | tokens_limit_reached
    | string_above_max_length | request_too_large | request\ (?:body\ )?(?:entity\ )?too\ large | payload\ too\ large
    | maximum\ (?:context|prompt|model|sequence|input)\ length | max(?:imum)?_model_len | max_(?:total|input)_tokens
    | (?:context|prompt|input|request|sequence|messages?|conversation|tokens?)\b .{0,160}?
      (?: exceed | too\ (?:long|large|big|many) | longer\ than | greater\ than\ the\ (?:context|max)
        | larger\ than\ (?:the\ )?(?:context|max) | (?:must|should)\ (?:have\ less|be\ <=|not\ exceed)
        | is\ not\ enough | does(?:\ not|n't)\ fit | over\ the\ limit )
    | (?:exceed\w*|longer\ than|too\ (?:long|large)\ for|overflow\w*) .{0,120}?
      (?: context | max(?:imum)?\ (?:prompt|input|sequence|number\ of\ tokens) | token\ limit )
    | too\ many\ (?:input\ )?tokens | context\ (?:size|length|window|the)\b .{0,40}? overflow
    | range\ of\ input\ length | n_ctx\b | request\ too\ large | reduce\ the\ length\ of\ the\ (?:messages|input|prompt)
    """
)
"""What servers say of a prompt that leaves no room in the context."""
_OUR_LIMIT = re.compile(
    r"(?i)max_(?:completion_|new_|output_)?tokens\W{0,3}(?:is |value )?(?:too large|must be|should be|cannot|exceeds?\b"
    r"(?! context))[^`]*$"
)
"""What they say of a limit of a reply that no model of theirs can reach: a setting, and not a prompt."""
_CONTEXT = re.compile(r"(?i)context|input|prompt")
_FILTER = re.compile(
    r"""(?ix)
    content[_\ ]?(?:filter|policy|management|moderation|violat|safety|exists\ risk) | contentfilter | responsible\ ?ai
    | moderation | \bflagged\b | safety\ (?:system|filter|settings?|polic|reasons?|guidelines?)
    | blocked\ (?:due|because|by|for) | prohibited_?\ ?content | inappropriate\ content | data_?\ ?inspection
    | sensitive\ (?:content|words?|information|material) | sensitive_?content | new_sensitive | guardrail
    | usage\ (?:polic(?:y|ies)|guidelines) | high\ risk | harmful\ content | 敏感 | 不安全 | 违规
    """
)
"""What servers say of a prompt that they refuse for what it says."""
_FILTER_CODES = re.compile(
    r"content_?filter|content_policy|responsibleai|moderation|data_?inspection|sensitive|prohibited|^1301$|invalid_prompt"
)
_QUOTA = re.compile(
    r"(?i)insufficient[_ ](?:quota|balance|credits?|funds)|exceeded[_ ](?:your[_ ])?current[_ ]quota"
    r"|credit balance|billing[_ ](?:hard[_ ])?(?:limit|not)|out of credits|more credits|arrearage|余额不足|欠费"
    r"|used all available credits|payment required"
)
_KEY = re.compile(
    r"(?i)api[_ ]key(?: is)? (?:not valid|invalid|expired)|invalid[_ ]api[_ ]key|incorrect api key|authentication_error"
)
_LOADING = re.compile(
    r"(?i)\bload(?:ing|s)\b|not (?:yet )?ready|not_ready|warm(?:ing|s)?[ -]?up|start(?:ing|s) up|is starting"
    r"|initiali[sz]ing|estimated_time|cold start|being loaded|still loading"
)
_LOST = re.compile(r"(?i)fail|unable|could not|cannot|error (?:while )?loading|error: |not enough|insufficient memory")
"""What is said of a model that will not come."""
_BUSY = re.compile(
    r"(?i)overload|\bbusy\b|too many requests|rate[ _-]?limit|at capacity|throttl|try again (?:in|later|shortly)|retry"
)
_NO_MODEL = re.compile(
    r"(?i)model[_ ]not[_ ]found|deployment_?not_?found|invalid model|not a valid model|no (?:such )?models?\b.{0,20}"
    r"(?:found|loaded)|model\b.{0,80}?(?:does not exist|not exist|not found|is not available|not supported by)"
    r"|unknown model|unexpected endpoint"
)


def over_our_limit(error: ServerError) -> bool:
    """Whether it is about a limit of a reply that is higher than the server's own."""
    return bool(_OUR_LIMIT.search(error.words)) and not _CONTEXT.search(error.words)


def _too_long(error: ServerError) -> bool:
    if error.status in (401, 402, 403, 404) or error.status < 400:
        return False
    if error.status == 413:
        return True
    said = f"{error.code} {error.words}"
    if over_our_limit(error):
        return False
    if error.status == 429:
        return "too large" in error.words.casefold() and _TOO_LONG.search(said) is not None
    return _TOO_LONG.search(said) is not None


def _filtered(error: ServerError) -> bool:
    if error.status in (401, 402, 404) or error.status < 400:
        return False
    return bool(
        any(_FILTER_CODES.search(code) for code in error.code.split())
        or (error.status not in (429, 502, 503, 504) and _FILTER.search(error.words))
    )


def _without_quota(error: ServerError) -> bool:
    if error.status == 402 or "insufficient_quota" in error.code:
        return True
    # Gemini says this of each minute's share, and how long to wait.
    return error.status < 500 and error.wait_s is None and bool(_QUOTA.search(f"{error.code} {error.words}"))


def _loads(error: ServerError) -> bool:
    waits = error.status in (425, 429, 500, 502, 503, 504)
    return waits and bool(_LOADING.search(error.words)) and not _LOST.search(error.words)


def _is_busy(error: ServerError) -> bool:
    if error.status in (429, 529):
        return True
    return error.status >= 500 and (error.wait_s is not None or bool(_BUSY.search(error.words)))


_CAUSES = (
    (Cause.prompt_too_long, _too_long),
    (Cause.content_filter, _filtered),
    (Cause.quota, _without_quota),
    (Cause.key, lambda error: error.status in (401, 403) or (error.status < 500 and bool(_KEY.search(error.words)))),
    (Cause.loading, _loads),
    (Cause.busy, _is_busy),
    (Cause.failing, lambda error: error.status >= 500 or error.status in (408, 409, 425)),
    (Cause.model, lambda error: error.status == 404 or bool(_NO_MODEL.search(f"{error.code} {error.words}"))),
    (Cause.request, lambda error: True),
)
"""What is looked at in turn; the first that holds is the cause."""

# ── how long to wait ──────────────────────────────────────────────────────────────────────────────

_DELAYS = (
    re.compile(r'"retry_?[dD]elay"\s*:\s*"?(?P<s>\d+(?:\.\d+)?)s?"?'),
    re.compile(r'"estimated_time"\s*:\s*(?P<s>\d+(?:\.\d+)?)'),
    re.compile(
        r"(?i)(?:try again|retry|wait)\s+(?:in|after|for|at least)?\s*(?:(?P<m>\d+)\s*m(?:in(?:ute)?s?)?(?![a-z])\s*)?"
        r"(?:(?P<s>\d+(?:\.\d+)?)\s*s(?:ec(?:ond)?s?)?\b|(?P<ms>\d+(?:\.\d+)?)\s*ms\b)"
    ),
)
"""How long to wait, in a body."""


def asked_wait_s(headers: Mapping[str, str], body: str, now: datetime | None = None) -> float | None:
    """Seconds that a server asks to wait: in headers (`Retry-After` as seconds or a date), or in its words.

    Args:
        now: for dates; None is the present.
    """
    low = {name.casefold(): value for name, value in headers.items()}
    if (ms := _number(low.get("retry-after-ms"))) is not None:
        return ms / 1000
    after = low.get("retry-after")
    if (seconds := _number(after)) is not None:
        return seconds
    if after:
        try:
            moment = parsedate_to_datetime(after)
        except (ValueError, TypeError, IndexError):
            moment = None
        if moment is not None:
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0)
    for pattern in _DELAYS:
        if found := pattern.search(body):
            told = {"m": 60.0, "s": 1.0, "ms": 0.001}
            return sum(float(part) * told[name] for name, part in found.groupdict().items() if part)
    return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(number, 0.0) if math.isfinite(number) else None


# ── how to ask ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Wording:
    """How a server wants to be asked."""

    limit: str = "max_tokens"
    """Its name for the longest reply."""
    without: frozenset[str] = frozenset()
    """Fields that it does not take."""
    folds_system: bool = False
    """Whether it takes no system message: that becomes the beginning of the user's."""

    def put(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A request in these words."""
        said = {self.limit if name == "max_tokens" else name: value for name, value in body.items()}
        said = {name: value for name, value in said.items() if name not in self.without}
        messages = body.get("messages") or []
        if self.folds_system and len(messages) > 1 and messages[0]["role"] == "system":
            first = messages[1]["content"]
            text = {"type": "text", "text": messages[0]["content"]}
            content = f"{messages[0]['content']}\n\n{first}" if isinstance(first, str) else [text, *first]
            said["messages"] = [{**messages[1], "content": content}, *messages[2:]]
        return said


_REFUSES = re.compile(
    r"(?i)unsupported|not (?:be )?(?:currently )?(?:supported|permitted|allowed|accepted|available)"
    r"|n[o']t support|unrecogni[sz]ed|unknown (?:name|field|param|arg)|unexpected|extra|deprecated"
    r"|not a valid (?:field|param|arg)|cannot find field|only the default|incompatible|invalid (?:field|param|arg)"
)
_NO_SYSTEM = re.compile(r"(?i)system (?:role|messages?|prompts?)\b.{0,40}not|not support (?:the )?['\"`]?system\b")
OPTIONAL = ("temperature", "seed", "stop")
"""Fields of a request without which a reply is still one."""


def learned(error: ServerError, asked: Mapping[str, Any], wording: Wording) -> Wording | None:
    """How a server that refuses a request wants to be asked, by its own words; None where these do not say.

    Args:
        asked: the request as it was sent.
        wording: how it was put.
    """
    if error.status not in (400, 422, 500) or error.cause not in (Cause.request, Cause.failing):
        return None
    better = wording
    refuses = bool(_REFUSES.search(f"{error.code} {error.words}"))
    if refuses and wording.limit == "max_tokens" and _names(error, "max_tokens"):
        better = replace(better, limit="max_completion_tokens")
    for name in OPTIONAL:
        # A complaint about the temperature is always one about its value: some take the default only, some no 0.
        if name in asked and (refuses or name == "temperature") and _names(error, name):
            better = replace(better, without=better.without | {name})
    roles = [message.get("role") for message in asked.get("messages") or []]
    if "system" in roles and _NO_SYSTEM.search(error.words):
        better = replace(better, folds_system=True)
    return better if better != wording else None


def _names(error: ServerError, name: str) -> bool:
    """Whether an error names a field of the request."""
    if error.param:
        return error.param == name
    if name == "stop":  # a word that may stand anywhere
        return bool(
            re.search(
                r"(?i)['\"`.]stop['\"`:]|(?:param(?:eter)?|argument|field|name|model):?\s+stop\b|stop (?:param|arg)",
                error.words,
            )
        )
    return bool(re.search(rf"(?<![\w-]){name}(?![\w-])", error.words))
