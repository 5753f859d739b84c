"""psmnet check."""

import pytest


@pytest.mark.usefixtures("one_process")
def test_what_to_do_about_a_finding_is_worded_with_options(cli, phantoms, monkeypatch):
    def too_large(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("psmnet.data.check.case_check.read_volume", too_large)
    outcome = cli("check", phantoms)
    assert (outcome.code, outcome.err) == (2, "")
    found, counts = outcome.out.splitlines()
    assert found == "error: all 6 cases: out of memory; run again with --jobs 1, or on a larger machine"
    assert counts == "folder: 6 cases, 6 labelled, 0 slices; 1 error, 0 warnings"
