"""The OpenAPI document, made from the tables that the server itself reads."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from hqmd_cli import __version__
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.serving.wishes import MEDIA_TYPES, PARAMETERS, answers

DEPTH_PROBLEMS = (400, 401, 403, 406, 408, 413, 415, 422, 429, 500, 503)
GUARDED_PROBLEMS = (400, 401, 403)
BINARY = {"type": "string", "format": "binary"}
HEADERS = {
    "Hqmd-Model": "The model.",
    "Hqmd-Unit": "metre, disparity or relative.",
    "Hqmd-Size": "WIDTHxHEIGHT of photo and depth, in pixels.",
    "Hqmd-Near": "The nearest value.",
    "Hqmd-Far": "The farthest value.",
    "Hqmd-Scale-Uncertainty": "Relative error of all metres together, 0.1 is 10 %.",
    "Hqmd-Camera": "fx, fy, cx and cy, in pixels.",
    "Hqmd-Camera-Origin": "Where the focal length is from.",
    "Hqmd-Remarks": "What a reader of the answer must know.",
    "Hqmd-Version": "The version of hqmd.",
}


def document(models: Mapping[str, OpenModel]) -> dict[str, Any]:
    """Return the document of a server with these models."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "hqmd", "version": __version__, "summary": "Metric depth from a single photo."},
        "paths": {
            "/v1/depth": {"post": depth_operation(models)},
            "/v1/models": {"get": plain("The models that are served, the default one first.", "application/json")},
            "/metrics": {"get": plain("Counts for Prometheus.", "text/plain")},
            "/openapi.json": {"get": plain("This document.", "application/json")},
            "/healthz": {"get": plain("200 while the process answers.", "text/plain", ())},
            "/readyz": {"get": plain("200 while photos are taken, else 503.", "text/plain", (503,))},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["title", "status", "detail"],
                    "properties": {
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                    },
                }
            },
        },
        "security": [{}, {"token": []}],  # the token is asked for where the server was started with one
    }


def depth_operation(models: Mapping[str, OpenModel]) -> dict[str, Any]:
    """Describe POST /v1/depth."""
    schemas: dict[str, dict[str, Any]] = {name: {"type": "string"} for name in PARAMETERS}
    schemas |= {name: {"type": "number"} for name in ("fov", "fx")}
    schemas["model"]["enum"] = list(models)
    schemas["format"]["enum"] = answers()
    media = dict.fromkeys(MEDIA_TYPES.values())
    form = {"type": "object", "required": ["photo"], "properties": {"photo": BINARY}}
    return {
        "operationId": "depth",
        "summary": "The depth of a photo.",
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": about.about, "schema": schemas[name]}
            for name, about in PARAMETERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form}, "*/*": {"schema": BINARY}},
        },
        "responses": {
            "200": {
                "description": "The depth, by default a 16-bit PNG in millimetres.",
                "headers": {
                    name: {"description": about, "schema": {"type": "string"}} for name, about in HEADERS.items()
                },
                "content": {
                    kind: {"schema": {"type": "object"} if kind == "application/json" else BINARY} for kind in media
                },
            },
            **problems(DEPTH_PROBLEMS),
        },
    }


def plain(about: str, media_type: str, statuses: tuple[int, ...] = GUARDED_PROBLEMS) -> dict[str, Any]:
    """Describe an operation without parameters."""
    return {
        "summary": about,
        "responses": {"200": {"description": about, "content": {media_type: {}}}, **problems(statuses)},
    }


def problems(statuses: tuple[int, ...]) -> dict[str, Any]:
    """Describe the errors of an operation."""
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": HTTPStatus(status).phrase, "content": schema} for status in statuses}
