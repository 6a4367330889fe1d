"""Placeholder until the dialect stands."""

from django.http import HttpRequest, HttpResponseBase


def speaks(path: str) -> bool:
    return False


def answer(request: HttpRequest) -> HttpResponseBase:
    raise AssertionError(request.path)
