"""What comes with the client when a program imports it."""

import subprocess
import sys


def test_the_client_imports_nothing_of_the_engine_but_its_errors():
    asked = "import sys, riskengine.client; print(*sorted(name for name in sys.modules if name.startswith('riskengine')))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    others = [name for name in done.stdout.split() if not name.startswith("riskengine.client")]
    assert others == ["riskengine", "riskengine.errors"]
