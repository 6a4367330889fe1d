"""Data sets that checks measure on: register a file as a version, and read what there is."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

from drf_spectacular.utils import OpenApiRequest
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import NotFound
from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, address_of, describe, read, read_query
from interfaces.rest.rendering import Listing
from registry import datasets
from registry.datasets import DatasetSummary, DatasetVersionSummary
from registry.tables import FORMATS


class _Content(Input):
    name = serializers.CharField(max_length=200)
    format = serializers.ChoiceField([(name, name) for name in FORMATS])
    target = serializers.CharField(max_length=200, help_text="The column that holds the true outcome.")
    description = serializers.CharField(required=False, allow_blank=True, max_length=20_000)
    closed = serializers.BooleanField(default=False, help_text="Only checks may read it, so that nobody tunes a model to it.")


class RawUpload(_Content):
    """The file is the body; what it is stands in the query."""


class FormUpload(_Content):
    """A form with the file among its fields."""

    file = serializers.FileField()


class Datasets(Endpoint):
    parser_classes = [MultiPartParser]
    streams = True

    @describe("list_datasets", response=Listing[DatasetSummary])
    def get(self, request: Request) -> Response:
        """List the data sets with their versions."""
        return Response(Listing(datasets.datasets(actor_of(request))))

    # Takes no Idempotency-Key and needs none: the same content again gives the version it has already.
    @describe(
        "register_dataset",
        query=RawUpload,
        body={
            "text/csv": OpenApiRequest({"type": "string", "format": "binary"}),
            "application/octet-stream": OpenApiRequest({"type": "string", "format": "binary"}),
            "multipart/form-data": FormUpload,
        },
        response=DatasetVersionSummary,
        status=201,
    )
    def post(self, request: Request) -> Response:
        """Store a file as the next version of a data set: the file as body with the rest in the query, or all of it as a form."""
        actor = actor_of(request)
        if (request.content_type or "").startswith("multipart/"):
            asked = read(FormUpload, request)
            stream: Any = asked.pop("file")
        else:
            # Read from the connection in blocks; the file is never in memory as a whole.
            asked, stream = read_query(RawUpload, request), request._request
        made = datasets.register_dataset(actor=actor, stream=cast(BinaryIO, stream), **asked)
        row = datasets.dataset_version(actor, f"{asked['name']}@v{made.number}")
        return Response(row, status=201, headers={"Location": address_of(request, asked["name"])})


class OneDataset(Endpoint):
    @describe("read_dataset", response=DatasetSummary)
    def get(self, request: Request, name: str) -> Response:
        """Read a data set with its versions, newest first."""
        found = next((row for row in datasets.datasets(actor_of(request)) if row.name == name), None)
        if found is None:
            raise NotFound(f"There is no data set {name!r}.")
        return Response(found)
