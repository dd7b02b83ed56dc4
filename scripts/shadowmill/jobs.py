"""What every rule script does around its one call: a log, and errors that help."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shadowmill.errors import ShadowmillError


@contextmanager
def job(log_path: str) -> Iterator[None]:
    """Run the body of a rule script.

    What is logged goes to `log_path`. A user's mistake ends the job with its message alone, on the
    terminal and in the log; anything else with a traceback in both.
    """
    Path(log_path).parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=log_path,
        filemode="w",
        level=logging.INFO,
        force=True,  # some libraries install handlers of their own when they are imported
        format="%(asctime)s %(levelname)s %(message)s",
    )
    logging.captureWarnings(True)
    try:
        yield
    except ShadowmillError as error:
        logging.error("%s", error)
        print(f"\nshadowmill: {error}\n", file=sys.stderr)
        sys.exit(1)
    except Exception:
        logging.exception("unexpected error")
        raise
