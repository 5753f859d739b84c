"""The API's description: whatever it allows or forbids is asked, and no answer may be a server error."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings


@pytest.fixture(scope="module")
def described(room):
    return schemathesis.openapi.from_dict(room.client.get("/openapi.json").json())


def test_nothing_that_is_sent_breaks_the_server(room, described):
    url = str(room.client.base_url).removesuffix("/api/")
    headers = {"Authorization": room.client.headers["authorization"]}
    asked = set()
    for result in described.get_all_operations():
        operation = result.ok()
        if operation.path == "/api/events":  # it never ends
            continue

        @settings(
            max_examples=10,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def test(case):
            answer = case.call(base_url=url, headers=headers)
            assert answer.status_code < 500, (case.method, case.path, answer.text)
            if answer.status_code >= 400 and answer.status_code != 405:
                assert isinstance(answer.json()["detail"], str)

        given(case=operation.as_strategy())(test)()
        asked.add((operation.method, operation.path))
    assert len(asked) >= 20
    assert room.client.get("/health").status_code == 200


def test_every_operation_is_described(room):
    description = room.client.get("/openapi.json").json()
    for path, operations in description["paths"].items():
        assert path.startswith("/api/")
        for operation in operations.values():
            assert operation["summary"]
            assert operation["description"]
            assert "401" in operation["responses"]
