"""Which studies there are, and which recipes make them."""

COMMIT = "f916018"  # the last one with the raw results files
STUDIES = {
    "final": "adapted from the bundled weights, Setting 1 and Setting 2",
    "final_again": "Setting 1 of it made again from nothing, each fold's own support",
    "parts": "PSMNet from scratch with and without each of its parts",
    "benchmark": "from scratch, 700 steps; registration; the first bundled weights",
    "scratch_long": "from scratch, 2,800 steps",
    "bundled": "the bundled weights as they are",
    "recipe": "the recipe before the final one",
    "early": "the first preset",
}
TREES = {  # `git rev-parse f916018:results/STUDY`; later studies have none
    "final": "4b397319aab6e9acb42062f4e02223e4b8328c28",
    "benchmark": "5988b7425437b5cb8b50190dcc84e8eac2a1201f",
    "scratch_long": "7cb6855b1f75c250126e664d7aabb6bd46a93a9b",
    "bundled": "7aa46ab5de24a48d7198e0b841021d3b3351f476",
    "recipe": "a1646664efed8ecdac3cb0a6e87a745bfb4a944f",
    "early": "62191b58f162663b749934fca826390ed9d5461c",
}
RECIPES = {
    "bundled": ("bundled", "The bundled weights as they are: EP1, EP2, whole scans"),
    "final": ("final", "All methods adapted from the bundled weights: EP1, whole scans"),
    "final_setting2": ("final", "PSMNet adapted in Setting 2: EP1"),
    "registration": ("benchmark", "Affine and B-spline registration: EP1, EP2, whole scans"),
    "parts": ("parts", "PSMNet from scratch with and without windows, splitting, cross attention"),
    "scratch_long": ("scratch_long", "PSMNet from scratch, 2,800 steps: EP1"),
    "setting1": ("benchmark", "All methods from scratch on superpixels: EP1, EP2, whole scans"),
    "supervoxels": ("benchmark", "The same on supervoxels"),
    "setting2": ("benchmark", "PSMNet and ALPNet from scratch in Setting 2: EP1"),
    "supports": ("benchmark", "Five supports, three and five shots, on the trainings of setting1"),
    "supervoxels_supports": ("benchmark", "The same on the trainings of supervoxels"),
    "extras": ("benchmark", "What can be changed after training, on the trainings of setting1"),
    "seeds": ("benchmark", "PSMNet and ALPNet with a second seed, five supports"),
    "seeds_fold0": ("benchmark", "The same with a third seed, fold 0"),
}
COHORT_STUDY = "learned"  # its records are still to be made
COHORT_RECIPES = {
    "cohort": "Learning from one labelled scan and all others: five supports of each fold, every stage",
    "labelled_scans": "One to ten labelled scans, the same network on labels alone, and on all labels",
    "left_out": "Each fold's queries in the cohort, and left out",
}
