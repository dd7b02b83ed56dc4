import sys
import urllib.request
from fnmatch import fnmatch
from pathlib import Path
from urllib.error import URLError

import pytest

from shadowmill.data import DATASETS

ARCHIVES = (".zip", ".tgz", ".tar.gz")
opened = []  # (name of the data set, path below the folder it is looked for in)


def watch(event, arguments):
    """Note each file below its folder that a reader opens."""
    if event != "open" or not isinstance(arguments[0], str):
        return
    frame = sys._getframe()
    while (frame := frame.f_back) and "tests" not in frame.f_code.co_filename:  # no fake download
        name, root = frame.f_code.co_name, frame.f_locals.get("root")
        if name in DATASETS and "readers" in frame.f_code.co_filename and root is not None:
            path = Path(arguments[0])
            if path.is_file() and path.is_relative_to(root) and not path.name.endswith(ARCHIVES):
                opened.append((name, path.relative_to(root)))
            return


sys.addaudithook(watch)


@pytest.fixture(autouse=True)
def what_readers_open_is_listed():
    """A change of any file that a reader opens is seen: the table knows of it."""
    opened.clear()
    yield
    for name, path in opened:
        patterns = [pattern for group in DATASETS[name].found_in for pattern in group]
        places = [str(place) for place in (path, *path.parents)]
        listed = any(fnmatch(place, pattern) for place in places for pattern in patterns)
        assert listed, (name, path)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """What a machine without network answers; tests must not download anyway."""

    def refuse(*arguments, **options):
        raise URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
