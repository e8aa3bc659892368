"""The OpenAPI 3.1 document: what the routes say, the document's own schema, and what the library cannot express."""

from __future__ import annotations

from typing import Any, get_args

from flask_openapi import APIBlueprint, Info, OpenAPI, Tag
from pydantic import BaseModel

from services.api.answers import PROBLEM_TYPE, Problem
from shared.events import Event
from shared.schema import Outcome
from tasks.registry import document_schema

TAG_JOBS = Tag(name="jobs", description="Hand in videos, follow and manage jobs.")
TAG_RESULTS = Tag(name="results", description="What was found.")
TAG_MEDIA = Tag(name="media", description="The video itself.")
TAG_UPLOADS = Tag(name="uploads", description="Resumable uploads, tus 1.0.")
TAG_CATALOGUE = Tag(name="catalogue", description="What there is to look with.")
TAG_OPERATIONS = Tag(name="operations", description="For those who run it.")

VERSION = "3.1.1"
BEARER = "key"
Object = dict[str, Any]  # a piece of JSON Schema or OpenAPI, whose shape those specifications define


def _problem(description: str) -> Object:
    return {
        "description": description,
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _body(description: str, mimetype: str, schema: Object, headers: Object | None = None) -> Object:
    return {"description": description, "content": {mimetype: {"schema": schema}}, "headers": headers or {}}


def _header(description: str, kind: str = "string") -> Object:
    return {"description": description, "schema": {"type": kind}}


PROBLEMS: dict[str | int, Any] = {"default": _problem("What went wrong, with a stable `code` (RFC 9457).")}

ACCEPTED: dict[str | int, Any] = {
    202: _body(
        "The job as it stands now.",
        "application/json",
        {"$ref": "#/components/schemas/JobView"},
        {"Location": _header("path of the job")},
    )
}
DOCUMENT: dict[str | int, Any] = {
    200: _body("The document.", "application/json", {"$ref": "#/components/schemas/Document"}),
    304: {"description": "The caller has it already."},
}
OUTCOME: dict[str | int, Any] = {
    200: _body("The outcome.", "application/json", {"$ref": "#/components/schemas/Outcome"}),
}
EVENTS: dict[str | int, Any] = {
    200: _body(
        "Server-sent events until the job has ended; the schema is that of each.",
        "text/event-stream",
        {"$ref": "#/components/schemas/ServerSentEvent"},
    ),
    204: {"description": "The job has ended and the caller has seen its last event."},
}
VIDEO: dict[str | int, Any] = {
    200: _body("The video.", "video/*", {}),
    206: _body("The bytes of the Range asked for.", "video/*", {}, {"Content-Range": _header("which bytes")}),
    304: {"description": "The caller has it already."},
    307: {
        "description": "It is read from the bucket.",
        "headers": {"Location": _header("signed, and good for a while")},
    },
    416: _problem("No such bytes."),
}
PICTURE: dict[str | int, Any] = {200: _body("The picture.", "image/jpeg", {}), 304: {"description": "Not changed."}}
METRICS: dict[str | int, Any] = {200: _body("Prometheus' text format.", "text/plain", {"type": "string"})}
EXPORT: dict[str | int, Any] = {
    200: {
        "description": "The export.",
        "content": {"*/*": {"schema": {}}},
        "headers": {"Content-Disposition": _header("file name")},
    }
}
_OFFSET = {"Upload-Offset": _header("bytes that are here", "integer"), "Upload-Expires": _header("RFC 9110 date")}
TUS_CREATED: dict[str | int, Any] = {
    201: {"description": "Begun.", "headers": {"Location": _header("path of the upload")}}
}
TUS_WRITTEN: dict[str | int, Any] = {204: {"description": "Written.", "headers": _OFFSET}}

TUS_CHUNK_BODY: Object = {
    "required": True,
    "content": {"application/offset+octet-stream": {"schema": {}}},
}
_WISHES: Object = {
    "analyzers": {"type": "string", "description": "names between commas; none means all"},
    "options": {"type": "string", "description": "JSON: options by analyzer", "contentMediaType": "application/json"},
    "priority": {"type": "integer", "minimum": 0, "maximum": 9, "default": 5, "description": "0 is first"},
    "deadline_seconds": {"type": "number", "minimum": 1, "maximum": 604_800},
    "webhook_url": {"type": "string", "maxLength": 8192, "description": "http(s) address that is told of the end"},
}
EVENT_ID = "[0-9]{1,16}-[0-9]{1,16}"


def _sent(names: tuple[str, ...], model: str, *, has_id: bool) -> Object:
    """One kind of server-sent event, as OpenAPI 3.2 writes them: `data` is JSON of a model."""
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": f"#/components/schemas/{model}"},
    }
    return {
        "type": "object",
        "required": ["id", "event", "data"] if has_id else ["event", "data"],
        "properties": {"id": {"type": "string"}, "event": {"enum": list(names)}, "data": data},
    }


SERVER_SENT_EVENT: Object = {
    "description": "One event of a job. A `snapshot` has no id of its own.",
    "oneOf": [
        _sent(get_args(Event.model_fields["type"].annotation), "JobEvent", has_id=True),
        _sent(("snapshot",), "Snapshot", has_id=False),
    ],
}
JOB_REQUEST_BODY: Object = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["video"],
                "additionalProperties": False,
                "properties": {
                    "video": {"type": "string", "contentMediaType": "application/octet-stream"},
                    **_WISHES,
                },
            }
        },
        "application/json": {"schema": {"$ref": "#/components/schemas/NewJob"}},
    },
}
IDEMPOTENCY_KEY: Object = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "the same key with the same request is the same job",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
TUS_HEADERS: tuple[tuple[str, bool, Object], ...] = (("Tus-Resumable", True, {"const": "1.0.0"}),)
TUS_CREATE_HEADERS: tuple[tuple[str, bool, Object], ...] = (
    ("Upload-Length", True, {"type": "integer", "minimum": 0}),
    ("Upload-Metadata", False, {"type": "string", "description": "`filename BASE64`"}),
)
TUS_WRITE_HEADERS: tuple[tuple[str, bool, Object], ...] = (
    ("Upload-Offset", True, {"type": "integer", "minimum": 0}),
    ("Upload-Checksum", False, {"type": "string", "description": "`sha256 BASE64`, sha1 or md5"}),
)

BEARER_SCHEME: Object = {"type": "http", "scheme": "bearer", "description": "a token of `reelgraph keys create`"}

INFO = Info(
    title="Reelgraph",
    version="1.0",
    summary="Videos in, one time-aligned document out.",
    description="Errors are problem documents (RFC 9457) with a stable `code`.",
)


def operation_id(*, name: str, path: str, method: str, bp_name: str) -> str:  # noqa: ARG001  (the library's call)
    """`cancel_job` for the function `cancel` of the blueprint `jobs`; names with an underscore stay as they are."""
    return name if "_" in name or bp_name == "operations" else f"{name}_{bp_name.removesuffix('s')}"


def blueprint(name: str, import_name: str, tag: Tag, *, url_prefix: str | None = None) -> APIBlueprint:
    """Routes that belong together, each with an id of its own in the document, and errors as problem documents."""
    return APIBlueprint(
        name,
        import_name,
        url_prefix=url_prefix,
        abp_tags=[tag],
        abp_responses=PROBLEMS,
        operation_id_callback=operation_id,
    )


def register(app: OpenAPI, models: tuple[type[BaseModel], ...]) -> None:
    """Serve `/openapi.json`; `models` are those that only hand-written parts of the document name."""
    document = _document(app, models)

    def openapi() -> Object:
        return document

    app.add_url_rule("/openapi.json", view_func=openapi)


def _document(app: OpenAPI, models: tuple[type[BaseModel], ...]) -> Object:
    app.openapi_version = VERSION
    document: Object = app.api_doc
    schemas = document["components"]["schemas"]
    schemas.pop(app.validation_error_model.__name__)
    named: tuple[type[BaseModel], ...] = (Problem, Outcome, *models)
    everything = {model.__name__: model for model in named} | {"JobEvent": Event}  # `Event` is one of the document's
    for name, model in everything.items():
        schema = model.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[name] = {**schema, "title": name}
    schemas["ServerSentEvent"] = SERVER_SENT_EVENT
    _add_document_schema(schemas)
    for schema in schemas.values():
        schema.pop("$defs", None)
    for path, item in document["paths"].items():
        for operation in item.values():
            operation["responses"].pop(app.validation_error_status, None)
            _complete(path, operation)
    _add_tus(document["paths"])
    document["security"] = [{}, {BEARER: []}]
    return document


def _add_document_schema(schemas: Object) -> None:
    """The published schema of the document, its definitions beside the API's own."""
    schema = _moved(document_schema())
    definitions = schema.pop("$defs", {})
    schema.pop("$schema", None)
    schemas.update(definitions)
    schemas["Document"] = schema
    schemas["Track"] = schema["properties"]["tracks"]["items"]
    track = {"$ref": "#/components/schemas/Track"}
    schema["properties"]["tracks"]["items"] = schemas["Outcome"]["properties"]["tracks"]["items"] = track
    schemas.pop("BaseTrack")


def _moved(schema: Any) -> Any:
    """A schema whose references lead to the OpenAPI document's components."""
    if isinstance(schema, dict):
        return {key: _moved(value) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_moved(value) for value in schema]
    if isinstance(schema, str) and schema.startswith("#/$defs/"):
        return schema.replace("#/$defs/", "#/components/schemas/", 1)
    return schema


def _complete(path: str, operation: Object) -> None:
    """Headers, and a body that the library cannot express."""
    if operation["operationId"] == "create_job":
        operation["requestBody"] = JOB_REQUEST_BODY  # the library would drop `contentMediaType`
    if operation["operationId"] in ("create_job", "rerun_job"):
        operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
    if operation["operationId"] == "follow_job":
        pattern = f"^({EVENT_ID})?$"
        last = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string", "pattern": pattern}}
        operation.setdefault("parameters", []).append(last)
    if path.startswith("/v1/uploads"):
        more = {"create_upload": TUS_CREATE_HEADERS, "write_upload": TUS_WRITE_HEADERS}
        headers = (*TUS_HEADERS, *more.get(operation["operationId"], ()))
        operation.setdefault("parameters", []).extend(
            {"name": name, "in": "header", "required": required, "schema": schema} for name, required, schema in headers
        )


def _add_tus(paths: Object) -> None:
    """HEAD and OPTIONS, which the library does not know."""
    which = next(one for one in paths["/v1/uploads/{upload_id}"]["patch"]["parameters"] if one["in"] == "path")
    resumable = {"name": "Tus-Resumable", "in": "header", "required": True, "schema": {"const": "1.0.0"}}
    paths["/v1/uploads/{upload_id}"]["head"] = {
        "tags": [TAG_UPLOADS.name],
        "operationId": "show_upload",
        "summary": "How many bytes are here.",
        "parameters": [which, resumable],
        "responses": {"200": {"description": "Here.", "headers": _OFFSET}, "default": {"description": "See the code."}},
    }
    paths["/v1/uploads"]["options"] = {
        "tags": [TAG_UPLOADS.name],
        "operationId": "upload_options",
        "summary": "What this server can do of tus.",
        "responses": {"204": {"description": "In the headers."}},
    }
