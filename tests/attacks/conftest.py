import sys
from pathlib import Path

import pytest

import shadowmill
import shadowmill.data.store  # imports are no part of what a call runs
from shadowmill.attacks import ATTACKS
from shadowmill.sources import Definition, definitions

# With import-mode importlib, modules beside the tests are found through this.
sys.path.append(str(Path(__file__).parent))

PACKAGE = Path(shadowmill.__file__).parent


@pytest.fixture
def executed():
    """The definitions of the package whose code a call runs."""

    def trace(call):
        ran = set()

        def note(frame, *_):
            code = frame.f_code
            is_import = frame.f_back.f_code.co_name == "<module>"
            if code.co_filename.startswith(str(PACKAGE)) and not is_import:
                ran.add(Definition(Path(code.co_filename), code.co_qualname.partition(".")[0]))

        sys.settrace(note)
        try:
            call()
        finally:
            sys.settrace(None)
        return {place for place in ran if not place.name.startswith("<")}

    return trace


@pytest.fixture
def hangs_on():
    """The definitions that the digest of an attack's file is about."""

    def found(attack):
        tables = {"shadowmill.attacks.ATTACKS": {attack: ATTACKS[attack]}}
        return definitions(PACKAGE.parent / "run_attack.py", tables)

    return found
