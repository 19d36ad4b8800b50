"""From a model of arguments to a strict MCP tool: lean schemas, unknown arguments refused by name, our own errors."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.shared.exceptions import MCPError
from mcp.types import InputRequiredResult, TextContent, ToolAnnotations
from pydantic import BaseModel, Field, ValidationError

from ltx_mcp import telemetry
from ltx_mcp.domain.argument_types import MAX_WAIT_S
from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.domain.quoting import list_names, quote
from ltx_mcp.presentation.result_models import JobRef
from ltx_mcp.server.results import ToolResult, error_result

logger = logging.getLogger(__name__)

UNPUBLISHED_KEYS = frozenset(
    {"title", "minLength", "maxLength", "minItems", "maxItems", "exclusiveMinimum", "additionalProperties"}
)
"""Left out of the published schemas to keep the list short; they are still enforced, and explained in errors."""
UNPUBLISHED_VALUES: tuple[tuple[str, Any], ...] = (
    ("default", ""),
    ("default", None),
    ("default", []),
    ("minimum", 0),
    ("minimum", 1),
)
"""Also left out: empty defaults, and that no amount is negative and nothing is ordered no times."""

DESCRIBED_ONCE = ("AdjustmentView", "ErrorView", "TakeRef")
"""Only the first tool's result schema describes these records and the fields of a job."""

Call = Callable[[Any, Context[Any]], Awaitable[ToolResult]]


class StrictTool(Tool):
    """A tool whose arguments are a pydantic model. Here alone an error becomes a result, so that no call crashes."""

    model: type[BaseModel] = Field(exclude=True)

    async def run(self, arguments: dict[str, Any], context: Context[Any], convert_result: bool = False) -> Any:
        """Read the arguments, and call the function."""
        try:
            given, sentence = cut_wait(self.model, arguments)
            result = await self.fn(read_arguments(self.model, self.name, given), context)
            return with_sentence(result, sentence)
        except LtxError as error:
            logger.info("%s: %s", self.name, error.code)
            telemetry.call_refused(error.code)
            return error_result(error.code, str(error))
        except MCPError:
            raise
        except Exception:
            logger.exception("%s broke", self.name)
            telemetry.call_refused(ErrorCode.INTERNAL_ERROR)
            return error_result(
                ErrorCode.INTERNAL_ERROR,
                "Something broke in ltx-mcp; its log on stderr says what. list_jobs shows whether a job was placed.",
            )


def make_tool(
    call: Call,
    arguments: type[BaseModel],
    result: type[BaseModel] | None,
    *,
    title: str,
    annotations: ToolAnnotations,
    choices: Mapping[str, Sequence[str]],
    meta: dict[str, Any] | None = None,
    is_first: bool = False,
) -> StrictTool:
    """A tool of `call`; `choices` are the values the catalog allows for some arguments. Without `result` the tool has
    no output schema. The first tool describes the fields of results."""
    parameters = deepcopy(_schema_of(arguments))
    for name, allowed in choices.items():
        if name in parameters["properties"]:
            parameters["properties"][name]["enum"] = list(allowed)
    schema = None if result is None else lean_result_schema(result, is_first)
    return StrictTool(
        fn=call,
        model=arguments,
        name=call.__name__,
        title=title,
        description=" ".join((call.__doc__ or "").split()),
        parameters=parameters,
        fn_metadata=FuncMetadata(arg_model=ArgModelBase, output_schema=schema, output_model=result),
        is_async=True,
        context_kwarg=None,
        annotations=annotations,
        meta=meta,
    )


@cache
def _schema_of(arguments: type[BaseModel]) -> Any:
    return lean(arguments.model_json_schema()) | {"additionalProperties": False}


def read_arguments(model: type[BaseModel], tool: str, arguments: Mapping[str, Any]) -> Any:
    """The validated arguments. Raises CallerError with each invalid argument and what is allowed."""
    fields = model.model_fields
    stray = [name for name in arguments if name not in fields]
    sentences, problem = [_stray_sentence(stray, tool, fields)] if stray else [], None
    given = {
        name: value
        for name, value in arguments.items()
        if name in fields and (fields[name].is_required() or not _is_left_out(value, model, name))
    }
    try:
        request = model.model_validate(given)
    except ValidationError as error:
        problem = error
        sentences += [_sentence(detail) for detail in _joined(error.errors(include_url=False))]
    if sentences:
        raise CallerError(ErrorCode.INVALID_REQUEST, " ".join(dict.fromkeys(sentences))) from problem
    return request


def _is_left_out(value: Any, model: type[BaseModel], name: str) -> bool:
    """Whether an optional argument was only filled in, as strict modes and many models do: with null, an empty text,
    or 0 where 0 is not allowed."""
    if isinstance(value, str):
        return not value.strip() or (_is_zero(value) and _is_number(model, name) and not _takes_zero(model, name))
    return value is None or (_is_zero(value) and not _takes_zero(model, name))


def _is_zero(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and float(value) == 0
    except (TypeError, ValueError, OverflowError):
        return False


def _is_number(model: type[BaseModel], name: str) -> bool:
    default = model.model_fields[name].default
    return isinstance(default, int | float) and not isinstance(default, bool)


@cache
def _takes_zero(model: type[BaseModel], name: str) -> bool:
    try:
        model.model_validate({name: 0})
    except ValidationError as error:
        return all(detail["loc"][0] != name for detail in error.errors() if detail["loc"])
    return True


def cut_wait(model: type[BaseModel], arguments: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The arguments with wait_seconds limited to MAX_WAIT_S, and the sentence that says so."""
    wait = arguments.get("wait_seconds")
    if "wait_seconds" not in model.model_fields or isinstance(wait, bool) or not isinstance(wait, int | float | str):
        return arguments, ""
    try:
        is_longer = (wait if isinstance(wait, int) else float(wait)) > MAX_WAIT_S
    except ValueError:
        is_longer = False
    if not is_longer:
        return arguments, ""
    return {**arguments, "wait_seconds": MAX_WAIT_S}, f"wait_seconds was cut to {MAX_WAIT_S}, the longest."


def with_sentence(result: ToolResult, sentence: str) -> ToolResult:
    """The result with another sentence at the end of its first text, and of `next` in its structure."""
    if not sentence or isinstance(result, InputRequiredResult):
        return result
    first = next((n for n, block in enumerate(result.content) if isinstance(block, TextContent)), None)
    if first is None:
        return result
    text = result.content[first]
    assert isinstance(text, TextContent)
    longer = text.model_copy(update={"text": f"{text.text}\n{sentence}"})
    content = [*result.content[:first], longer, *result.content[first + 1 :]]
    structure = result.structured_content
    if structure is not None:
        structure = structure | {"next": f"{structure.get('next', '')} {sentence}".strip()}
    return result.model_copy(update={"content": content, "structured_content": structure})


def _joined(errors: list[Any]) -> list[Any]:
    """One error for each argument of a union type: what is wrong with the number, and the allowed choices."""
    choices: dict[Any, Any] = {}
    for error in filter(_is_choice_of_union, errors):
        first = choices.setdefault(error["loc"][0], error | {"loc": error["loc"][:1], "expected": []})
        if error["ctx"]["expected"] not in LEFT_OUT:
            first["expected"].append(error["ctx"]["expected"])
    joined = []
    for error in (error for error in errors if not _is_choice_of_union(error)):
        if error["loc"] and (choice := choices.pop(error["loc"][0], None)):
            expected = choice["expected"]
            message = f"{error['msg']}, or be {' or '.join(expected)}"
            plain = [text.strip("'") for text in expected]
            error = error | {"loc": error["loc"][:1], "msg": message, "choices": plain}
        joined.append(error)
    return [*joined, *(choice | {"msg": f"should be {' or '.join(choice['expected'])}"} for choice in choices.values())]


LEFT_OUT = ("''", "0")
"""Choices that stand for an argument that was left out."""


def _is_choice_of_union(error: Any) -> bool:
    return error["type"] == "literal_error" and len(error["loc"]) > 1


def _stray_sentence(stray: Sequence[str], tool: str, fields: Mapping[str, Any]) -> str:
    are = "is not an argument" if len(stray) == 1 else "are not arguments"
    return f"{list_names(stray)} {are} of {tool}; it takes {', '.join(fields)}."


def _sentence(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"{name} is required."
    if error["type"] in UNREADABLE:
        return f"{name} takes {_kind(name, error)}{_shown(error['input'])}."
    message = error["msg"]
    for beginning in ("Input ", "String ", "List ", "Value error, ", "Value "):
        message = message.removeprefix(beginning)
    message = message.replace(" after validation", "")
    return f"{name} {message}{_shown(error['input'])}.".lstrip()


UNREADABLE = frozenset(
    f"{kind}_{fault}" for kind in ("float", "int", "bool", "string", "decimal") for fault in ("parsing", "type")
)
"""Errors whose pydantic message would describe the parsing."""
SECONDS = {"duration": 6, "wait_seconds": 20, "start_time": 2, "context": 2, "frame_at": 2}


def _kind(name: str, error: Any) -> str:
    """What an argument takes, with an example."""
    if name in SECONDS:
        choices = "".join(f", or {choice}" for choice in error.get("choices", ()))
        return f"seconds, such as {SECONDS[name]}{choices}"
    if name == "max_cost_usd":
        return "an amount in USD, such as 0.50"
    kind = error["type"].partition("_")[0]
    return {"int": "a whole number, such as 2", "bool": "true or false", "string": "text"}.get(kind, "a number")


def _shown(value: Any) -> str:
    """What was given, if it is short; Python refuses to print integers of some thousand digits."""
    if isinstance(value, bool):
        return f" (got {str(value).lower()})"
    short = value.bit_length() < 256 if isinstance(value, int) else isinstance(value, str | float)
    if not short or len(str(value)) > 100:
        return ""
    return f" (got {quote(value, 40) if isinstance(value, str) else str(value)[:40]})"


def lean(node: Any) -> Any:
    """A JSON schema without what no model reads: titles, docstrings of records, and obvious bounds."""
    if isinstance(node, list):
        return [lean(item) for item in node]
    if not isinstance(node, dict):
        return node
    dropped = (
        UNPUBLISHED_KEYS | {"description"}
        if "properties" in node and node.get("type") == "object"
        else UNPUBLISHED_KEYS
    )
    # a property may have one of these names: then its value is a schema
    return {
        name: lean(value)
        for name, value in node.items()
        if isinstance(value, dict) or (name not in dropped and (name, value) not in UNPUBLISHED_VALUES)
    }


@cache
def lean_result_schema(result: type[BaseModel], is_first: bool) -> dict[str, Any]:
    """The schema of a result: also without defaults, null branches (nulls are never sent), types that an enum implies,
    and references, because each record is used once."""
    schema = lean(result.model_json_schema(mode="serialization"))
    is_short = result is JobRef and not is_first
    left_out = () if is_first else DESCRIBED_ONCE
    records = {name: record for name, record in schema.get("$defs", {}).items() if name not in left_out}

    def shorten(node: Any) -> Any:
        if isinstance(node, list):
            return [shorten(item) for item in node]
        if not isinstance(node, dict):
            return node
        if {"type": "null"} in node.get("anyOf", []):
            kept = next(branch for branch in node["anyOf"] if branch != {"type": "null"})
            return shorten({name: value for name, value in node.items() if name != "anyOf"} | kept)
        if "$ref" in node:
            record = shorten(records.get(node["$ref"].rsplit("/", 1)[-1], {"type": "object"}))
            return {name: value for name, value in record.items() if name != "required"}
        if "enum" in node and is_short:
            return {"type": "string"}
        dropped = {"default", "$defs"} | ({"type"} if "enum" in node else set())
        if is_short and "properties" not in node:
            dropped |= {"description", "items"}
        return {name: shorten(value) for name, value in node.items() if name not in dropped}

    short: dict[str, Any] = shorten(schema)
    # every reader needs the id and the state; other fields may be absent
    short["required"] = short["required"][:2]
    return short
