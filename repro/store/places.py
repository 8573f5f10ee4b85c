"""Where things live: beside the code in a checkout, in the current folder once it is installed.

Nothing is ever written beside an installed package.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent
CHECKOUT = all((ROOT / path).is_file() for path in ("tables/table1.py", "figures/figure2.py"))
SCRIPTS = ROOT if CHECKOUT else PACKAGE  # a wheel has tables/ and figures/ inside the package
HOME = ROOT if CHECKOUT else Path()
NAMED = {name: HOME / name for name in ("runs", "results")}
