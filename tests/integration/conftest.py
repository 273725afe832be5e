"""Fixtures: servers that end with their test, and what they logged when the test fails. What a sanitizer reports fails it,
too."""

import itertools
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
pytest.register_assert_rewrite("support.client", "support.server", "support.websocket")
from support import contract, websocket  # noqa: E402
from support.sanitizers import Reports  # noqa: E402
from support.server import GREENROOMD, Server  # noqa: E402

websocket.contract = contract  # everything that a test says and hears is held against net/api/


@pytest.fixture(scope="session")
def sanitizers():
    """What the programs that tests start report; they inherit where to write it."""
    reports = Reports()
    os.environ.update(reports.environment())
    yield reports
    reports.remove()


# Set up before and looked at after all other fixtures of its scope, so that servers have ended by then.
@pytest.fixture(autouse=True)
def no_report_of_this_test(sanitizers):
    yield
    sanitizers.check()


@pytest.fixture(scope="module", autouse=True)
def no_report_at_the_end_of_this_file(sanitizers):
    yield
    sanitizers.check()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for server in getattr(item, "greenroom_servers", ()):
            report.sections.append((f"log of greenroomd on {server.port}", server.log_tail(80)))


@pytest.fixture
def make_server(request, tmp_path):
    """make_server(**settings): a started server on its own data; ended with the test, which fails if that goes wrong."""
    if not GREENROOMD.exists():
        pytest.fail(f"{GREENROOMD} is not there: build it, or set GREENROOM_BIN to the build directory")
    servers = request.node.greenroom_servers = []
    counter = itertools.count(1)

    def make(start=True, **how):
        server = Server(how.pop("directory", tmp_path / f"node{next(counter)}"), **how)
        servers.append(server)
        return server.start() if start else server

    yield make
    for server in servers:
        server.end()


@pytest.fixture(scope="module")
def shared(request, tmp_path_factory):
    """One server, plain and TLS, for all tests of a file that do not disturb each other: each uses rooms and users of
    its own (the fixture `own`)."""
    server = Server(tmp_path_factory.mktemp("shared"), tls=True)
    server.start()
    yield server
    server.end()


@pytest.fixture(params=["plain", "tls"])
def tls(request):
    """False, then True: for what has to be the same over both."""
    return request.param == "tls"


_names = itertools.count(1)


@pytest.fixture
def own(request):
    """own("alice") is a name that no other test uses."""
    if "shared" in request.fixturenames:
        request.node.greenroom_servers = [request.getfixturevalue("shared")]
    n = next(_names)
    return lambda name: f"{name}-{n}"
