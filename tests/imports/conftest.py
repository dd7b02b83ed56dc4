import sys
from pathlib import Path

# With import-mode importlib, modules elsewhere among the tests are found through this.
sys.path.append(str(Path(__file__).parents[1] / "training"))
