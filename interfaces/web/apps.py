from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "interfaces.web"
    label = "web"
