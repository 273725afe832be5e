"""Programs that were built with a sanitizer write what it finds into a folder of ours, one file per process. So no report is
lost, whatever becomes of the process and its output: a node that a test kills on purpose can't hide one."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"

# What each sanitizer is told besides where to write. A finding ends the process, so that the test sees it, too.
# g++'s undefined behaviour sanitizer writes to stderr whatever it is told when the address sanitizer is there, too. So it
# aborts, and that the address sanitizer reports, with the stack; the words stand in the output of the program.
OPTIONS = {
    "ASAN_OPTIONS": "handle_abort=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:abort_on_error=1",
    "LSAN_OPTIONS": f"suppressions={SCRIPTS}/lsan.suppressions:print_suppressions=0",
    "TSAN_OPTIONS": f"suppressions={SCRIPTS}/tsan.suppressions:halt_on_error=1",
}

# Freed memory is given back, not kept to catch who still uses it: for tests that look at how much a process holds.
FREES_AT_ONCE = "quarantine_size_mb=0:thread_local_quarantine_size_kb=0"


class Reports:
    """Collects the reports of all processes that are started with `environment`."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="greenroom-sanitizers-"))

    def environment(self):
        # What the caller set comes later and so has the last word; except for the place of the reports.
        return {name: ":".join([options, os.environ.get(name, ""), f"log_path={self.directory}/report"])
                for name, options in OPTIONS.items()}

    def take(self):
        """The texts of all reports since the last call."""
        texts = []
        for file in sorted(self.directory.iterdir()):
            texts.append(file.read_text(errors="replace"))
            file.unlink()
        return [t for t in texts if t.strip()]

    def check(self):
        found = self.take()
        if found:
            print("\n".join(found))  # where another fixture fails, too, only one of the failures is shown
            pytest.fail("a sanitizer reported:\n" + "\n".join(found), pytrace=False)

    def remove(self):
        shutil.rmtree(self.directory)
