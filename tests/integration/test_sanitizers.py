"""What a sanitizer reports fails the test that started the program, whatever that test looks at. Seen by a program with
mistakes, which only builds with a sanitizer have."""

import os
import subprocess
import sys

import pytest
from support.server import BIN
from support.waiting import LIMIT_S

PROBE = BIN / "tests" / "sanitizer_probe"
FINDINGS = {
    "address": [("use-after-free", "AddressSanitizer: heap-use-after-free"), ("leak", "LeakSanitizer: detected memory leaks"),
                ("overflow", "__ubsan_handle_add_overflow")],
    "thread": [("race", "ThreadSanitizer: data race")],
    "": [],
}
SANITIZER = os.environ.get("GREENROOM_SANITIZE", "").split(",")[0]  # ctest says what was built in


def test_that_starts_the_probe():
    """Passes whatever the program does; what its report does to it, the next test sees."""
    if not PROBE.exists():
        pytest.skip("built without a sanitizer")
    subprocess.run([str(PROBE), os.environ.get("GREENROOM_PROBE", "")], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=LIMIT_S)


@pytest.mark.parametrize("mistake, words", FINDINGS[SANITIZER])
def test_a_report_fails_its_test(mistake, words):
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                           f"{__file__}::test_that_starts_the_probe"], env={**os.environ, "GREENROOM_PROBE": mistake},
                          capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 1 and "1 passed, 1 error" in done.stdout and words in done.stdout, done.stdout
