"""Signing in and out, and the theme."""

from __future__ import annotations

from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from interfaces import throttle
from interfaces.web import errors, forms
from interfaces.web.context import THEME_COOKIE

_YEAR = 365 * 24 * 3600


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Show the form, or open a session for whoever proves their name."""
    onwards = _onwards(request)
    if request.user.is_authenticated:
        return redirect(onwards)
    form = forms.SignIn(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            given, address = form.cleaned_data, throttle.address_of(request)
            user = throttle.tried(given["username"], address, lambda: authenticate(request, **given))
        except throttle.TooManyAttempts as error:
            errors.record(request, error)
            form.add_error(None, error.message)
            answer = _form(request, form, status=429)
            answer["Retry-After"] = error.headers["Retry-After"]
            return answer
        if user is not None:
            login(request, user)
            return redirect(onwards)
        form.add_error(None, "Unknown name or wrong password.")
    return _form(request, form, status=422 if request.method == "POST" else 200)


def _form(request: HttpRequest, form: forms.SignIn, *, status: int) -> HttpResponse:
    return render(request, "session/sign_in.html", {"form": form, "next": request.GET.get("next", "")}, status=status)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("web:sign-in")


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember the theme in a cookie, for this browser."""
    form = forms.Theme(request.POST)
    if not form.is_valid():
        return HttpResponseBadRequest("Choose system, light or dark.")
    answer = (
        HttpResponse(status=204)
        if getattr(request, "htmx", False)
        else redirect(_local(request, request.META.get("HTTP_REFERER", "")))
    )
    answer.set_cookie(THEME_COOKIE, form.cleaned_data["theme"], max_age=_YEAR, samesite="Lax", secure=request.is_secure())
    return answer


def _onwards(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    return _local(request, wanted)


def _local(request: HttpRequest, wanted: str) -> str:
    """Return an address on this server, so that a link cannot send a person who just signed in elsewhere."""
    if wanted and url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return resolve_url(wanted)
    return reverse("web:home")
