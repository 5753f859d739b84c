from psmnet.system.words import counted


def test_plurals():
    assert [counted(number, "scan") for number in (0, 1, 2)] == ["0 scans", "1 scan", "2 scans"]
