import urllib.request
from urllib.error import URLError

import pytest


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """What a machine without network answers; tests must not download anyway."""

    def refuse(*arguments, **options):
        raise URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
