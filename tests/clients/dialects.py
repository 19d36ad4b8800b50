"""The four model APIs that clients speak: what a request offers and shows, and how a reply is written, streamed or not.

OpenAI responses and chat completions, Anthropic messages, Gemini generateContent; as their own clients read them.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
Written = tuple[str, str]
"""Content type and text of an HTTP response."""
STREAM, WHOLE = "text/event-stream", "application/json"
SAID = "All done."


@dataclass(frozen=True)
class Offered:
    """A tool as the client described it to its model."""

    name: str
    description: str
    schema: dict[str, Any]
    namespace: str = ""


@dataclass(frozen=True)
class Call:
    """What the scripted model asks for; without a tool it only says that it is done."""

    id: str
    tool: Offered | None = None
    arguments: dict[str, Any] | None = None

    @property
    def json(self) -> str:
        """The arguments as most APIs carry them."""
        return json.dumps(self.arguments)


def read_offered(body: Body) -> Iterator[Offered]:
    """The functions that a request offers, in whatever form its API has for them."""
    for entry in body.get("tools") or ():
        yield from _read_entry(entry)


def _read_entry(entry: Body, namespace: str = "") -> Iterator[Offered]:
    if entry.get("type") == "namespace":
        for inner in entry["tools"]:
            yield from _read_entry(inner, entry["name"])
        return
    declared = entry.get("functionDeclarations") or entry.get("function_declarations")
    for each in declared or [entry.get("function") or entry]:
        if "name" in each:
            keys = ("parameters", "parametersJsonSchema", "parameters_json_schema", "input_schema")
            schema: dict[str, Any] = next((each[key] for key in keys if each.get(key)), {})
            yield Offered(each["name"], each.get("description") or "", schema, namespace)


def turns(body: Body) -> list[Any]:
    """The conversation of a request, the newest last."""
    found = body.get("input") or body.get("messages") or body.get("contents") or []
    return found if isinstance(found, list) else [found]


def is_said_by_model(turn: Any) -> bool:
    """Whether a turn is the model's own, not a person's or a tool's."""
    return isinstance(turn, dict) and (
        turn.get("role") in ("assistant", "model", "tool-call")
        or turn.get("type") in ("function_call", "reasoning", "tool_search_call")
    )


def is_result(node: Any) -> bool:
    """Whether a part of a conversation is a tool's result."""
    return isinstance(node, dict) and (
        node.get("type") in ("tool_result", "function_call_output")
        or node.get("role") == "tool"
        or "functionResponse" in node
        or "function_response" in node
    )


def write_responses(body: Body, call: Call) -> Written:
    """OpenAI's responses."""
    item: Body
    if call.tool:
        item = {"type": "function_call", "id": f"fc_{call.id}", "call_id": call.id, "status": "completed"}
        item |= {"name": call.tool.name, "arguments": call.json}
        item |= {"namespace": call.tool.namespace} if call.tool.namespace else {}
        empty: Body = {"arguments": ""}
        middle = _argument_events(item)
    else:
        part = {"type": "output_text", "text": SAID, "annotations": []}
        item = {
            "type": "message",
            "id": f"msg_{call.id}",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
        empty, middle = {"content": []}, _text_events(item, part)
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    whole = {"id": f"resp_{call.id}", "object": "response", "created_at": 1, "status": "completed", "output": [item]}
    whole |= {"model": body.get("model"), "parallel_tool_calls": False, "tool_choice": "auto", "tools": []}
    whole |= {"error": None, "incomplete_details": None, "instructions": None, "metadata": {}}
    whole |= {"usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2} | details}
    if not body.get("stream"):
        return WHOLE, json.dumps(whole)
    events: list[Body] = [
        {"type": "response.created", "response": whole | {"status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": item | empty},
        *middle,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return STREAM, _events([event | {"sequence_number": at} for at, event in enumerate(events)])


def _argument_events(item: Body) -> list[Body]:
    place = {"item_id": item["id"], "output_index": 0}
    name = "response.function_call_arguments"
    return [
        {"type": f"{name}.delta", "delta": item["arguments"]} | place,
        {"type": f"{name}.done", "arguments": item["arguments"], "name": item["name"]} | place,
    ]


def _text_events(item: Body, part: Body) -> list[Body]:
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    return [
        {"type": "response.content_part.added", "part": part | {"text": ""}} | place,
        {"type": "response.output_text.delta", "delta": part["text"]} | place,
        {"type": "response.output_text.done", "text": part["text"]} | place,
        {"type": "response.content_part.done", "part": part} | place,
    ]


def write_chat(body: Body, call: Call) -> Written:
    """OpenAI's chat completions, which many other services speak too."""
    message: Body = {"role": "assistant", "content": None if call.tool else SAID}
    if call.tool:
        function = {"name": call.tool.name, "arguments": call.json}
        message["tool_calls"] = [{"index": 0, "id": call.id, "type": "function", "function": function}]
    ended = "tool_calls" if call.tool else "stop"
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    frame = {"id": f"chat_{call.id}", "created": 1, "model": body.get("model")}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": ended}
        return WHOLE, json.dumps(frame | {"object": "chat.completion", "choices": [choice], "usage": usage})
    frame["object"] = "chat.completion.chunk"
    chunks = [
        frame | {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        frame | {"choices": [{"index": 0, "delta": {}, "finish_reason": ended}], "usage": usage},
    ]
    return STREAM, _events(chunks) + "data: [DONE]\n\n"


def write_messages(body: Body, call: Call) -> Written:
    """Anthropic's messages."""
    block: Body = {"type": "text", "text": SAID}
    empty: Body = {"text": ""}
    delta: Body = {"type": "text_delta", "text": SAID}
    if call.tool:
        block = {"type": "tool_use", "id": call.id, "name": call.tool.name, "input": call.arguments}
        empty, delta = {"input": {}}, {"type": "input_json_delta", "partial_json": call.json}
    ended = {"stop_reason": "tool_use" if call.tool else "end_turn", "stop_sequence": None}
    whole = {"id": f"msg_{call.id}", "type": "message", "role": "assistant", "model": body.get("model")}
    whole |= {"content": [block], "usage": {"input_tokens": 1, "output_tokens": 1}} | ended
    if not body.get("stream"):
        return WHOLE, json.dumps(whole)
    return STREAM, _events(
        [
            {"type": "message_start", "message": whole | {"content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": block | empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
    )


def write_gemini(body: Body, call: Call, *, stream: bool) -> Written:
    """Gemini's generateContent; whether it streams is said by the path."""
    part: Body = {"text": SAID}
    if call.tool:
        part = {"functionCall": {"name": call.tool.name, "args": call.arguments}}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    whole = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"}
    return (STREAM, _events([whole])) if stream else (WHOLE, json.dumps(whole))


def _events(events: list[Body]) -> str:
    named = (f"event: {event['type']}\n" if "type" in event else "" for event in events)
    return "".join(f"{name}data: {json.dumps(event)}\n\n" for name, event in zip(named, events, strict=True))


def write(path: str, body: Body, call: Call) -> Written:
    """The reply to a request that was posted to `path`, which says in which API."""
    plain: dict[str, Callable[[Body, Call], Written]] = {
        "/responses": write_responses,
        "/chat/completions": write_chat,
        "/messages": write_messages,
    }
    for ending, writer in plain.items():
        if path.endswith(ending):
            return writer(body, call)
    if "enerateContent" in path:
        return write_gemini(body, call, stream="stream" in path)
    return WHOLE, json.dumps({"input_tokens": 1, "totalTokens": 1, "data": []})
