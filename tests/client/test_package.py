"""The modules that a program loads when it imports the client."""

import subprocess
import sys


def test_the_client_imports_only_the_errors_of_the_engine():
    asked = "import sys, riskengine.client; print(*sorted(name for name in sys.modules if name.startswith('riskengine')))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    others = [name for name in done.stdout.split() if not name.startswith("riskengine.client")]
    assert others == ["riskengine", "riskengine.errors"]
