from django.apps import AppConfig


class RestConfig(AppConfig):
    name = "interfaces.rest"
    label = "rest"
