"""psmnet evaluate with a learned network."""

import json

from helpers.learned import save_learned_from
from psmnet.data.store import find_cases


def test_a_learned_network_is_scored_by_its_own_protocol_only(cli, phantoms, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    save_learned_from([find_cases(phantoms)[1].image()], run / "weights.safetensors")
    arguments = ["evaluate", phantoms, "--dataset", "phantom", "--fold", "0", "--weights", run]
    refused = cli(*arguments, "--out", tmp_path / "x.json")
    assert refused.code == 2
    assert "a learned network is evaluated by the protocol cohort, not ep1; give --protocol cohort" in refused.err
    refused = cli(*arguments, "--protocol", "cohort", "--shots", "2", "--out", tmp_path / "x.json")
    assert "leave out --support-case and --shots" in refused.err
    done = cli(*arguments, "--protocol", "cohort", "--out", tmp_path / "learned.json")
    assert done.code == 0
    assert "transductive" in done.out  # the note on the protocol
    results = json.loads((tmp_path / "learned.json").read_text())
    assert (results["protocol"], results["variant"]) == ("cohort", "final,inductive")
