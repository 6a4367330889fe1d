"""Data sets that checks measure on: register a file as a version, and read what there is."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiRequest
from rest_framework import serializers
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from interfaces.rest.authentication import actor_of
from interfaces.rest.base import Endpoint, Input, address_of, describe, read, read_query
from interfaces.rest.idempotency import idempotent
from interfaces.rest.rendering import Listing
from interfaces.rest.views.policies import ANY_OBJECT, DOCUMENT_BODY, Document, DocumentSchema, YamlText
from registry import dataset_contracts, datasets
from registry.conformance import Report
from registry.contracts import CONTRACT_SCHEMA
from registry.dataset_contracts import ContractDraft, ContractRevision
from registry.datasets import DatasetSummary, DatasetVersionSummary
from registry.tables import FORMATS

_FORMATS = [(name, name) for name in FORMATS]


class _Content(Input):
    name = serializers.CharField(max_length=200)
    format = serializers.ChoiceField(_FORMATS)
    target = serializers.CharField(max_length=200, help_text="The column that holds the true outcome.")
    description = serializers.CharField(required=False, allow_blank=True, max_length=20_000)
    closed = serializers.BooleanField(default=False, help_text="Only checks may read it, so that nobody tunes a model to it.")
    contract = serializers.ChoiceField(
        [("enforce", "enforce"), ("warn", "warn")],
        default="enforce",
        help_text="Refuse a file that breaks the data set's contract, or keep it with the report.",
    )


class RawUpload(_Content):
    """The file is the body; what it is stands in the query."""


class FormUpload(_Content):
    """A form with the file among its fields."""

    file = serializers.FileField()


class FileElsewhere(_Content):
    """A file that lies on the server or in a bucket."""

    # What a serializer calls `source` is where a field's value comes from; here it is the file's address.
    source = serializers.CharField(  # type: ignore[assignment]
        max_length=2000, help_text="`s3://bucket/key` or an absolute path, below what the server's DATASET_SOURCES names."
    )
    format = serializers.ChoiceField(_FORMATS, required=False, help_text="What the file's name ends in, unless given.")


class Version(Input):
    version = serializers.IntegerField(required=False, min_value=1, max_value=999_999_999, help_text="The newest unless given.")


class Datasets(Endpoint):
    parser_classes = [MultiPartParser, JSONParser]

    @property
    def streams(self) -> bool:  # type: ignore[override]
        """Whether the body is a file; JSON says where one lies, and is short."""
        return not _is_json(self.request)

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
            "application/json": FileElsewhere,
        },
        response=DatasetVersionSummary,
        status=201,
    )
    def post(self, request: Request) -> Response:
        """Store a file as the next version of a data set: the file as body with the rest in the query, all of it as a form, or
        JSON that names a file on the server or in a bucket. A file that breaks the data set's contract is refused with the report."""
        actor = actor_of(request)
        if _is_json(request):
            asked = read(FileElsewhere, request)
            made = datasets.register_source(actor=actor, **asked)
        elif (request.content_type or "").startswith("multipart/"):
            asked = read(FormUpload, request)
            made = datasets.register_dataset(actor=actor, stream=asked.pop("file"), **asked)
        else:
            # Read from the connection in blocks; the file is never in memory as a whole.
            asked = read_query(RawUpload, request)
            body: Any = request._request
            made = datasets.register_dataset(actor=actor, stream=body, **asked)
        row = datasets.dataset_version(actor, f"{asked['name']}@v{made.number}")
        return Response(row, status=201, headers={"Location": address_of(request, asked["name"])})


def _is_json(request: Request) -> bool:
    return (request.content_type or "").startswith("application/json")


class OneDataset(Endpoint):
    @describe("read_dataset", response=DatasetSummary)
    def get(self, request: Request, name: str) -> Response:
        """Read a data set with its versions, newest first."""
        return Response(datasets.dataset(actor_of(request), name))


class DatasetContract(Endpoint):
    parser_classes = [JSONParser, YamlText]

    @describe("list_dataset_contracts", response=Listing[ContractRevision])
    def get(self, request: Request, name: str) -> Response:
        """List the revisions of a data set's contract, newest first; the newest holds for versions to come."""
        return Response(Listing(dataset_contracts.contract_revisions(actor_of(request), name)))

    @describe("publish_dataset_contract", body=DOCUMENT_BODY, response=ContractRevision, status=201, once=True)
    @idempotent
    def post(self, request: Request, name: str) -> Response:
        """Publish a text as the next revision of a data set's contract; the same text again gives the revision it has already."""
        actor = actor_of(request)
        made = dataset_contracts.publish_contract(actor=actor, name=name, **read(Document, request))
        row = next(row for row in dataset_contracts.contract_revisions(actor, name) if row.number == made.number)
        return Response(row, status=201)


class DatasetContractDraft(Endpoint):
    @describe("draft_dataset_contract", query=Version, response=ContractDraft)
    def get(self, request: Request, name: str) -> Response:
        """Read a contract that a version keeps, to correct and publish; of a closed data set one that tells no values."""
        asked = read_query(Version, request)
        reference = f"{name}@v{asked['version']}" if "version" in asked else name
        return Response(dataset_contracts.contract_draft(actor_of(request), reference))


class DatasetContractReport(Endpoint):
    @describe("read_dataset_contract_report", response=Report)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read how a version kept the contract that held when it was registered; of a closed data set without values."""
        return Response(dataset_contracts.contract_report(actor_of(request), f"{name}@v{number}"))


class DataContractSchema(DocumentSchema):
    name, schema_of = "data-contract-schema.json", staticmethod(lambda: CONTRACT_SCHEMA)

    @describe("read_data_contract_schema", response=ANY_OBJECT)
    def get(self, request: Request) -> HttpResponseBase:
        """Read the JSON Schema of data contracts, for editors."""
        return self.answer(request)
