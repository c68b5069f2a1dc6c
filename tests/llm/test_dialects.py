"""What servers say, held to answers that their documentation, their code or their users' reports show."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from aotd.llm.dialects import (
    OPTIONAL,
    Cause,
    ReplyEnd,
    ServerError,
    Wording,
    asked_wait_s,
    chat_message,
    clean,
    learned,
    page_words,
    read_error,
    reply_end,
)

ENDS = {
    # OpenAI, vLLM, llama.cpp, SGLang, LM Studio; TGI, watsonx; Anthropic, Bedrock; Gemini; Cohere; Mistral; together
    ReplyEnd.stop: "stop eos eos_token stop_sequence end_turn tool_calls tool_use function_call STOP COMPLETE "
    "STOP_SEQUENCE eosFound stopStringFound pause_turn done repetition FINISH_REASON_UNSPECIFIED",
    ReplyEnd.length: "length max_tokens MAX_TOKENS model_length max_length token_limit ERROR_LIMIT "
    "model_context_window_exceeded maxPredictedTokensReached contextLengthReached time_limit",
    ReplyEnd.content_filter: "content_filter content_filtered SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII "
    "refusal sensitive guardrail_intervened ERROR_TOXIC",
    ReplyEnd.broken_off: "abort error ERROR cancelled USER_CANCEL insufficient_system_resource network_error "
    "modelUnloaded userStopped",
}


@pytest.mark.parametrize(("end", "word"), [(end, word) for end, words in ENDS.items() for word in words.split()])
def test_word_that_ends_a_reply(end: ReplyEnd, word: str) -> None:
    assert reply_end(word) is end


@pytest.mark.parametrize("word", [None, "", "null", 0, "content_filter: RECITATION", "content-filter", "Max Tokens"])
def test_odd_word_that_ends_a_reply(word: object) -> None:
    found = {"content_filter: RECITATION": "content_filter", "content-filter": "content_filter", "Max Tokens": "length"}
    assert reply_end(word).value == found.get(str(word), "stop")


def completion(message: Any, finish: Any = "stop", **beside: Any) -> dict[str, Any]:
    return {"object": "chat.completion", "choices": [{"message": message, "finish_reason": finish, **beside}]}


@pytest.mark.parametrize(
    ("data", "text", "reasoning"),
    [
        (completion({"content": "red"}), "red", ""),
        (completion({"content": None}), "", ""),
        (completion({}), "", ""),
        (completion({"content": [{"type": "text", "text": "re"}, {"type": "text", "text": "d"}]}), "red", ""),
        (completion({"content": [{"type": "output_text", "text": {"value": "red"}}]}), "red", ""),
        (completion({"content": ["re", "d"]}), "red", ""),
        (completion({"content": {"type": "text", "text": "red"}}), "red", ""),
        (completion({"content": []}), "", ""),
        (completion({"content": 5}), "", ""),
        (completion({"content": "half \ud83d"}), "half ?", ""),
        ({"choices": [{"text": "red", "finish_reason": "stop"}]}, "red", ""),
        ({"choices": [{"delta": {"content": "red"}, "finish_reason": "stop"}]}, "red", ""),
        # Mistral's Magistral, Anthropic through proxies; vLLM before and after 0.12; OpenRouter
        (
            completion(
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"text": "red"}]}
            ),
            "red",
            "hm",
        ),
        (
            completion({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "red"}]}),
            "red",
            "hm",
        ),
        (completion({"content": "red", "reasoning_content": "hm"}), "red", "hm"),
        (completion({"content": None, "reasoning": "hm"}), "", "hm"),
        (completion({"content": "red", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}), "red", "hm"),
        (completion({"content": "red", "reasoning": None, "reasoning_details": []}), "red", ""),
    ],
)
def test_text_of_a_message(data: Any, text: str, reasoning: str) -> None:
    message = chat_message(data)
    assert message is not None
    assert (message.text, message.reasoning, message.end) == (text, reasoning, ReplyEnd.stop)


@pytest.mark.parametrize(
    ("finish", "usage", "text", "reasoning"),
    [
        (
            "stop",
            {"completion_tokens_details": {"reasoning_tokens": 64}},
            "red",
            "(64 tokens that the server does not show)",
        ),
        (
            "stop",
            {"output_tokens_details": {"reasoning_tokens": 64}},
            "red",
            "(64 tokens that the server does not show)",
        ),
        ("stop", {"reasoning_tokens": 64}, "red", "(64 tokens that the server does not show)"),
        ("length", {"completion_tokens": 16}, "", "(tokens that the server does not show)"),
        ("length", {"completion_tokens": 16}, "red", ""),
        ("length", {}, "", ""),
        ("stop", {"completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 0}}, "red", ""),
        ("stop", {"completion_tokens_details": None}, "red", ""),
        ("stop", {"completion_tokens_details": {"reasoning_tokens": "many"}}, "red", ""),
        ("stop", None, "red", ""),
    ],
)
def test_reasoning_that_is_counted_and_not_shown(finish: str, usage: Any, text: str, reasoning: str) -> None:
    message = chat_message(completion({"content": text}, finish) | {"usage": usage})
    assert message is not None
    assert (message.text, message.reasoning) == (text, reasoning)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (completion({"content": None, "refusal": "I'm sorry, I can't help."}), "I'm sorry, I can't help."),
        (completion({"content": "half a"}, "content_filter"), ""),
        ({"candidates": [], "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "PROHIBITED_CONTENT"),
        ({"object": "chat.completion", "choices": []}, "no choice"),
        ({"object": "chat.completion", "choices": None, "usage": {"prompt_tokens": 9}}, "no choice"),
    ],
)
def test_message_that_was_held_back(data: Any, words: str) -> None:
    message = chat_message(data)
    assert message is not None
    assert message.end is ReplyEnd.content_filter
    assert words in message.words


def test_refusal_beside_a_text_is_no_refusal() -> None:
    message = chat_message(completion({"content": "red", "refusal": ""}))
    assert message is not None
    assert message.end is ReplyEnd.stop


@pytest.mark.parametrize(
    "data", [None, [], 5, "red", {}, {"object": "list"}, {"choices": [5]}, {"choices": [{}]}, {"choices": "red"}]
)
def test_what_is_no_completion(data: Any) -> None:
    assert chat_message(data) is None


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 5}, (9, 5)),
        ({"input_tokens": 9, "output_tokens": 5}, (9, 5)),
        (None, (0, 0)),
        ([], (0, 0)),
        ({"prompt_tokens": "nine", "completion_tokens": None}, (0, 0)),
    ],
)
def test_tokens(usage: Any, tokens: tuple[int, int]) -> None:
    message = chat_message(completion({"content": "red"}) | {"usage": usage})
    assert message is not None
    assert (message.prompt_tokens, message.reply_tokens) == tokens


def openai(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


TOO_LONG = [
    # OpenAI and Azure
    (
        400,
        openai(
            "This model's maximum context length is 4097 tokens. However, your messages resulted in 5000 tokens.",
            code="context_length_exceeded",
        ),
    ),
    (
        400,
        openai("Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens."),
    ),
    (
        429,
        openai(
            "Request too large for gpt-4 on tokens per min (TPM): Limit 10000, Requested 20000. The input or output "
            "tokens must be reduced in order to run successfully.",
            code="rate_limit_exceeded",
        ),
    ),
    # vLLM
    (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 2048 tokens. However, you requested 3120 tokens "
            "(2608 in the messages, 512 in the completion). Please reduce the length of the messages or completion.",
            "type": "BadRequestError",
            "code": 400,
        },
    ),
    (
        400,
        openai(
            "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum context length is 2048 "
            "tokens and your request has 2608 input tokens (512 > 2048 - 2608).",
            param="max_tokens",
        ),
    ),
    (400, openai("The decoder prompt (length 5000) is longer than the maximum model length of 4096.")),
    (
        400,
        openai(
            "The prompt (total length 2608) is too long to fit into the model (context length 2048). Make sure that "
            "`max_model_len` is no smaller than the number of text tokens plus multimodal tokens."
        ),
    ),
    # llama.cpp, now and before, and llama-cpp-python
    (
        400,
        openai(
            "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it",
            type="exceed_context_size_error",
            code=400,
            n_prompt_tokens=4390,
        ),
    ),
    (
        500,
        openai(
            "the request exceeds the available context size. try increasing the context size or enable context shift",
            code=500,
        ),
    ),
    (500, openai("Context size has been exceeded.", type="server_error", code=500)),
    (400, openai("This model's maximum context length is 2048 tokens, however you requested 2285 tokens")),
    (500, openai("Requested tokens (2285) exceed context window of 2048")),
    # Ollama
    (400, openai("input length exceeds maximum context length", type="api_error")),
    (500, openai("the input length exceeds the context length", type="api_error")),
    (400, {"error": "prompt too long; exceeded max context length by 560 tokens"}),
    # LM Studio
    (
        400,
        {
            "error": "Trying to keep the first 10136 tokens when context the overflows. However, the model is "
            "loaded with context length of only 7866 tokens, which is not enough. Try to load the model with a larger "
            "context length, or provide a shorter input"
        },
    ),
    (
        400,
        {
            "error": "The number of tokens to keep from the initial prompt is greater than the context length. Try to "
            "load the model with a larger context length, or provide a shorter input"
        },
    ),
    # TGI
    (
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` "
            "tokens and 512 `max_new_tokens`",
            "error_type": "validation",
        },
    ),
    (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2608"}),
    # SGLang
    (
        400,
        {
            "object": "error",
            "message": "The input (2608 tokens) is longer than the model's context length (2048 tokens).",
        },
    ),
    (
        400,
        {
            "object": "error",
            "message": "Requested token count exceeds the model's maximum context length of 2048 tokens. You requested "
            "a total of 3120 tokens: 2608 tokens from the input messages and 512 tokens for the completion.",
        },
    ),
    # OpenRouter, with the upstream's words in its metadata
    (
        400,
        openai(
            "This endpoint's maximum context length is 2048 tokens. However, you requested about 3120 tokens (2608 of "
            "text input, 512 in the output). Please reduce the length of either one.",
            code=400,
        ),
    ),
    (
        400,
        openai(
            "Provider returned error",
            code=400,
            metadata={"raw": json.dumps(openai("prompt is too long: 210000 tokens > 200000 maximum"))},
        ),
    ),
    # Anthropic, Gemini, Mistral, Groq, xAI, Bedrock, Cohere, Moonshot, Zhipu, DashScope, GitHub Models, a proxy
    (
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"},
        },
    ),
    (
        400,
        [openai("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", code=400)],
    ),
    (
        400,
        {
            "object": "error",
            "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum "
            "context length",
            "type": "invalid_request_prompt",
        },
    ),
    (
        413,
        openai("Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 7000", type="tokens"),
    ),
    (400, openai("This model's maximum prompt length is 131072 but the request contains 537812 tokens.")),
    (400, {"message": "Input is too long for requested model."}),
    (400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292."}),
    (400, openai("Invalid request: Your request exceeded model token limit: 8192", type="invalid_request_error")),
    (400, openai("Prompt exceeds max length", code="1261")),
    (400, openai("Range of input length should be [1, 30720]", code="invalid_parameter_error")),
    (413, openai("Request body too large for gpt-4o model. Max size: 8000 tokens.", code="tokens_limit_reached")),
    (413, b"<html><head><title>413 Request Entity Too Large</title></head></html>"),
]
FILTERED = [
    # Azure, OpenAI
    (
        400,
        openai(
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
            code="content_filter",
            param="prompt",
            innererror={"code": "ResponsibleAIPolicyViolation"},
        ),
    ),
    (400, openai("The request was rejected.", innererror={"code": "ResponsibleAIPolicyViolation"})),
    (400, openai("Your request was rejected as a result of our safety system.", code="content_policy_violation")),
    (
        400,
        openai(
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.", code="invalid_prompt"
        ),
    ),
    # OpenRouter: with the status of a refused key
    (
        403,
        openai(
            'openai/gpt-4 requires moderation on OpenAI. Your input was flagged for "violence".',
            code=403,
            metadata={"reasons": ["violence"], "flagged_input": "…"},
        ),
    ),
    (403, openai("Content violates usage guidelines.", code="permission_denied")),
    # DeepSeek, DashScope, Zhipu, Moonshot, Ark, MiniMax, Bedrock, Anthropic, LiteLLM
    (400, openai("Content Exists Risk", type="invalid_request_error")),
    (400, openai("Input data may contain inappropriate content.", code="data_inspection_failed")),
    (400, openai("系统检测到输入或生成内容可能包含不安全或敏感内容", code="1301")),
    (400, openai("The request was rejected because it was considered high risk", type="content_filter")),
    (400, openai("The request failed.", code="InputTextSensitiveContentDetected")),
    (200, {"choices": None, "base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}),
    (400, {"message": "The request was blocked by guardrails"}),
    (
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"},
        },
    ),
    (400, openai("litellm.ContentPolicyViolationError: the response was filtered")),
    (200, openai("PROHIBITED_CONTENT", code=400)),
]
OTHER = {
    Cause.key: [
        (401, openai("Incorrect API key provided", code="invalid_api_key")),
        (401, {"detail": "Unauthorized"}),
        (403, openai("Country, region, or territory not supported", code="unsupported_country_region_territory")),
        (400, [openai("API key not valid. Please pass a valid API key.", code=400, status="INVALID_ARGUMENT")]),
        (200, openai("No auth credentials found", code=401)),
        (200, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}),
    ],
    Cause.quota: [
        (
            429,
            openai(
                "You exceeded your current quota, please check your plan and billing details.",
                code="insufficient_quota",
            ),
        ),
        (402, openai("Insufficient credits. Add more using https://openrouter.ai/settings/credits", code=402)),
        (402, openai("Insufficient Balance", type="unknown_error")),
        (400, {"type": "error", "error": {"message": "Your credit balance is too low to access the Anthropic API."}}),
        (400, openai("Billing hard limit has been reached", code="billing_hard_limit_reached")),
        (429, openai("余额不足或无可用资源包,请充值。", code="1113")),
        (200, openai("Insufficient credits", code="402")),
    ],
    Cause.model: [
        (404, openai("The model `tiny` does not exist.", code="model_not_found")),
        (404, {"detail": "Not Found"}),
        (404, b"404 page not found"),
        (400, openai("tiny is not a valid model ID", code=400)),
        (400, openai("Invalid model name passed in model=tiny. Call `/v1/models` to view available models")),
        (404, openai("The API deployment for this resource does not exist.", code="DeploymentNotFound")),
        (200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}),
        (400, openai("No models loaded. Please load a model in the developer page", type="invalid_request_error")),
    ],
    Cause.loading: [
        (503, openai("Loading model", type="unavailable_error", code=503)),
        (503, {"error": "Model org/model is currently loading", "estimated_time": 20.0}),
        (500, {"error": "llm server loading model"}),
        (503, {"detail": "Service in not ready. The model is starting up"}),
        (429, {"message": "Model is not ready for inference. Wait and try your request again."}),
        (200, openai("The model is warming up", code=503)),
    ],
    Cause.busy: [
        (429, {}),
        (429, openai("Rate limit reached for gpt-4. Please try again in 20s.", code="rate_limit_exceeded")),
        (
            429,
            [
                {
                    "error": {
                        "code": 429,
                        "message": "You exceeded your current quota, please check your plan and billing details.",
                        "status": "RESOURCE_EXHAUSTED",
                        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "23s"}],
                    }
                }
            ],
        ),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}),
        (503, openai("That model is currently overloaded with other requests.")),
        (200, openai("Rate limit exceeded: free-models-per-min.", code=429)),
        (200, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ],
    Cause.failing: [
        (500, openai("The server had an error while processing your request", type="server_error")),
        (500, b""),
        (502, b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"),
        (504, b"upstream request timeout"),
        (503, openai("There is no available model provider that meets your routing requirements", code=503)),
        (500, openai("error loading model: unable to allocate CUDA0 buffer")),
        (500, openai("model failed to load, this may be due to resource limitations")),
        (408, openai("Request timed out")),
        (409, openai("lock timeout")),
        (200, openai("Provider returned error: upstream", code=502)),
        (200, openai("Internal Server Error", code="500")),
        (200, {"error": "something odd"}),
        (200, {"choices": [{"error": {"code": 502, "message": "upstream"}, "finish_reason": "error"}]}),
    ],
    Cause.request: [
        (400, openai("max_tokens must be positive")),
        (
            400,
            openai("max_tokens is too large: 4. This model supports at most 2 completion tokens", param="max_tokens"),
        ),
        (
            422,
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
        ),
        (400, {"object": "error", "message": "At most 1 image(s) may be provided in one prompt.", "code": 400}),
        (405, {"detail": "Method Not Allowed"}),
        (400, openai("Unsupported parameter: 'stop' is not supported with this model.", param="stop")),
        (400, openai("the field 'case_sensitive' is unknown")),
        (400, b"The plain HTTP request was sent to HTTPS port"),
    ],
}
DOCUMENTED = [
    *((Cause.prompt_too_long, *answer) for answer in TOO_LONG),
    *((Cause.content_filter, *answer) for answer in FILTERED),
    *((cause, *answer) for cause, answers in OTHER.items() for answer in answers),
]


def error_of(status: int, body: Any, **headers: str) -> ServerError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = read_error(status, headers, raw)
    assert error is not None
    return error


@pytest.mark.parametrize(("cause", "status", "body"), DOCUMENTED, ids=lambda value: str(value)[:60])
def test_cause_of_an_error(cause: Cause, status: int, body: Any) -> None:
    error = error_of(status, body)
    assert error.cause is cause, error
    assert len(error.words) <= 300
    assert error.words.isprintable()


@pytest.mark.parametrize(
    "body", [completion({"content": "red"}), {"object": "list"}, [], "red", completion({}, error=None)]
)
def test_answer_without_an_error(body: Any) -> None:
    assert read_error(200, {}, json.dumps(body).encode()) is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[" * 100_000])
def test_answer_that_is_no_json_is_an_error_by_its_status_only(body: bytes) -> None:
    assert read_error(200, {}, body) is None
    assert error_of(502, body).cause is Cause.failing


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (openai("a\nb\t c"), "a b c"),
        ({"error": "plain"}, "plain"),
        ({"message": "plain"}, "plain"),
        ({"detail": [{"loc": ["body", "seed"], "msg": "Extra"}]}, "body.seed: Extra"),
        (openai("Provider returned error", metadata={"raw": '{"error": {"message": "inner"}}'}), "inner"),
        (openai("\x1b[31mred\u202e <|im_end|> [INST]"), "[31mred ‹|im_end|> (INST)"),
        ({"error": {"odd": 1}}, '{"odd": 1}'),
        ({}, ""),
        (b"<html><head><title>502 &amp; Gateway</title><style>x</style></head></html>", "502 & Gateway"),
        (b"<p>Bad</p> <b>gateway</b>", "Bad gateway"),
        (b"\xff\xfe plain", "plain"),
    ],
)
def test_words_of_an_error(body: Any, words: str) -> None:
    assert words in error_of(500, body).words


def test_words_are_bounded() -> None:
    assert len(error_of(500, openai("ab " * 100_000)).words) == 300
    assert len(page_words("<" * 100_000)) <= 300
    assert clean("abcdef", 4) == "abc…"


NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "7"}, {}, 7.0),
        ({"retry-after": "1.5"}, {}, 1.5),
        ({"Retry-After": "Mon, 30 Nov 2026 12:00:20 GMT"}, {}, 20.0),
        ({"Retry-After": "Mon, 30 Nov 2026 11:00:00 GMT"}, {}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, {}, 0.25),
        ({"Retry-After": "soon"}, {}, None),
        ({"Retry-After": "-3"}, {}, 0.0),
        ({"Retry-After": "nan"}, {}, None),
        ({"Retry-After": "inf"}, {}, None),
        ({}, {"error": {"details": [{"retryDelay": "23.5s"}]}}, 23.5),
        ({}, {"error": "loading", "estimated_time": 20.0}, 20.0),
        ({}, openai("Please try again in 1m30.5s."), 90.5),
        ({}, openai("Please try again in 6ms."), 0.006),
        ({}, openai("Please retry after 5 seconds."), 5.0),
        ({}, openai("Please try again later."), None),
        ({}, {}, None),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], body: Any, seconds: float | None) -> None:
    assert asked_wait_s(headers, json.dumps(body), NOW) == (None if seconds is None else pytest.approx(seconds))


WITHOUT = {name: Wording(without=frozenset({name})) for name in OPTIONAL}
BODY = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9, "temperature": 0.0, "seed": 1, "stop": ["\n"]}


@pytest.mark.parametrize(
    ("status", "body", "wording"),
    [
        (
            400,
            openai(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
                "instead.",
                param="max_tokens",
                code="unsupported_parameter",
            ),
            Wording("max_completion_tokens"),
        ),
        (
            400,
            openai(
                "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is "
                "supported.",
                param="temperature",
                code="unsupported_value",
            ),
            WITHOUT["temperature"],
        ),
        (400, openai("`temperature` is deprecated for this model."), WITHOUT["temperature"]),
        (422, {"error": "Input validation error: `temperature` must be strictly positive"}, WITHOUT["temperature"]),
        (
            422,
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
            WITHOUT["seed"],
        ),
        (400, [openai('Invalid JSON payload received. Unknown name "seed": Cannot find field.')], WITHOUT["seed"]),
        (400, openai("Unsupported parameter: 'stop' is not supported with this model."), WITHOUT["stop"]),
        (400, openai("Argument not supported on this model: stop"), WITHOUT["stop"]),
        (400, openai("Model grok-4 does not support parameter stop."), WITHOUT["stop"]),
        (400, openai("Please stop: this is not supported"), None),
        (400, openai("max_tokens must be positive"), None),
        (400, openai("max_tokens is too large: 4. This model supports at most 2", param="max_tokens"), None),
        (400, openai("Unsupported parameter: 'logprobs' is not supported with this model.", param="logprobs"), None),
        (401, openai("Unsupported parameter: 'seed'"), None),
        (400, TOO_LONG[4][1], None),
    ],
)  # fmt: skip
def test_how_a_server_wants_to_be_asked(status: int, body: Any, wording: Wording | None) -> None:
    assert learned(error_of(status, body), BODY, Wording()) == wording


def test_what_was_learned_is_not_learned_again() -> None:
    known = Wording("max_completion_tokens", frozenset({"temperature"}))
    error = error_of(400, openai("Unsupported parameter: 'max_tokens' is not supported with this model."))
    assert learned(error, known.put(BODY), known) is None


def test_request_in_a_servers_words() -> None:
    said = Wording("max_completion_tokens", frozenset({"temperature", "seed"})).put(BODY)
    assert said == {"messages": BODY["messages"], "max_completion_tokens": 9, "stop": ["\n"]}
    assert Wording().put(BODY) == BODY


def test_system_message_becomes_the_users_where_a_server_takes_none() -> None:
    system, user = {"role": "system", "content": "s"}, {"role": "user", "content": "u"}
    body = {"messages": [system, user], "max_tokens": 9}
    wording = learned(error_of(400, openai("System role not supported")), body, Wording())
    assert wording is not None
    assert wording.put(body)["messages"] == [{"role": "user", "content": "s\n\nu"}]
    parts = {"messages": [system, {"role": "user", "content": [{"type": "text", "text": "u"}]}], "max_tokens": 9}
    assert [part["text"] for part in wording.put(parts)["messages"][0]["content"]] == ["s", "u"]
