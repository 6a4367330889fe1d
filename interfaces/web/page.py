"""What every page of a signed-in person goes through: who is looking, and what a refusal looks like."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, cast

from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_cache_control
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from core.access import Actor
from core.errors import DomainError
from interfaces.credentials import BadCredentials, actor_of_user
from interfaces.web import errors

P = ParamSpec("P")


class PageRequest(HttpRequest):
    """A request of a signed-in person."""

    actor: Actor
    request_id: str
    htmx: HtmxDetails


class Page(Protocol[P]):
    """A view that Django may call."""

    def __call__(self, http: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse: ...


def page(view: Callable[Concatenate[PageRequest, P], HttpResponse]) -> Page[P]:
    """Require a session, give the view its actor, and answer a refusal with a page that says why."""

    @wraps(view)
    def signed_in(http: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        request = cast(PageRequest, http)
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        try:
            request.actor = actor_of_user(request.user, request.request_id)
        except BadCredentials:
            logout(request)
            return _to_sign_in(request)
        try:
            answer = view(request, *args, **kwargs)
        except DomainError as error:
            answer = errors.answer(request, error)
        # What one person may see must not come out of a cache for the next.
        patch_cache_control(answer, private=True, no_cache=True)
        return answer

    return cast(Page[P], signed_in)


def _to_sign_in(request: PageRequest) -> HttpResponse:
    # A fragment must not receive the sign-in page, and a form that was sent cannot be sent again by a link.
    back = request.get_full_path() if request.method == "GET" and not request.htmx else "/"
    to_login = redirect_to_login(back)
    return HttpResponseClientRedirect(to_login.url) if request.htmx else to_login
