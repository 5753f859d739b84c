"""What to do about an error, in terms of command-line options: by the error's code, with its values in braces.

An error without an entry here keeps the library's own remedy.
"""

HINTS: dict[str, str] = {
    "against": "give --against one of {known}",
    "batch-workers": "give fewer --workers; --resume goes on from the last checkpoint",
    "cluster-insecure": "give a tls:// address (certificates go into Dask's configuration); --insecure allows it, but "
    "anyone on the network can then read along",
    "dataset-name": "add --dataset NAME",
    "encoder-sha256": "add --encoder-sha256 HEX",
    "exists": "add --overwrite, or choose another name",
    "exists-other": "choose another --out folder, or add --overwrite to replace it",
    "folds": "give other --folds",
    "folds-li": "give --folds li",
    "group": "give --group {known}",
    "group-setting-1": "leave out --group, or give --setting 2",
    "image-as-labels": "give the label map of the scan; --support takes IMAGE LABEL in this order",
    "incomplete": "complete the data set, or give --dataset folder",
    "inside-out": "choose an --out folder elsewhere",
    "institution": "give --institution, one of {known}",
    "jobs": "run again with --jobs 1",
    "jobs-memory": "run again with --jobs 1, or on a larger machine",
    "label-grid": "is this the label map of this scan? if so, correct its header; --trust-support-grid of psmnet "
    "segment ignores the header, but then nothing notices a label map of another scan",
    "legacy": "give --legacy all, or any of {known}",
    "mirror": "give another source with --mirror URL",
    "mirror-again": "run the command again, or give another source with --mirror URL",
    "one-file-support": "give --support IMAGE LABEL, two files",
    "out": "choose another --out folder",
    "out-move": "move it away, or choose another --out folder",
    "preset-paper": "use them with --preset paper",
    "pseudolabels": "make it with psmnet pseudolabel, or leave out --pseudolabels",
    "registration-precision": "leave out --precision",
    "registration-save": "leave out --save",
    "report-folds": "leave it out of --folds",
    "run-exists": "add --resume to go on with it, or choose another --out folder",
    "seen": "use weights of this fold, or add --allow-seen (the scores are then too high)",
    "seen-group": "train with --group {group}, or add --allow-seen (the scores are then too high)",
    "seen-setting-1": "train with --setting 2 --group {group}, or add --allow-seen (the scores are then too high)",
    "setting-1": "give --setting 1",
    "timeout": "allow more minutes with --timeout, or leave it out",
    "unfinished-run": "let its training finish: run the same command again with --resume",
    "untrained-weights": "leave out --weights",
    "weights-method": "train with --method {method}",
    "workers": "try again with fewer --workers",
}
