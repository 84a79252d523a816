"""The command on the 30 cases that the field's tools have scored."""

import json

import pytest

from gcrnn_jax.evaluate import main

NUM_CASES = 30
COLLARS = "onset 0.2 s, offset max(0.2 s, 20 %)"
PSDS = {
    "PSDS1, exact": "psds1[dtc 0.7, gtc 0.7, alpha_st 1, 100 per hour]",
    "PSDS2, exact": "psds2[dtc 0.1, gtc 0.1, cttc 0.3, alpha_ct 0.5, alpha_st 1, 100 "
    "per hour]",
}


def of_sed_eval(golden):
    """Figures of segments and events by quantity and average."""
    events = "onset and offset, 0.2 s, 20 %, "
    settings = {
        ("segment", "1 s"): golden["sed_eval segment-based of estimated.tsv"]["1 s"],
        ("segment", "0.1 s"): golden["sed_eval segment-based of estimated.tsv"][
            "0.1 s"
        ],
    }
    for matching, more in (("optimal", ""), ("greedy", ", greedy")):
        found = golden["sed_eval event-based of estimated.tsv"][events + matching]
        settings["event", COLLARS + more] = found
    for (kind, setting), figures in settings.items():
        overall = figures["overall"]
        f1, error_rate = f"{kind}_f1[{setting}]", f"{kind}_error_rate[{setting}]"
        yield (f1, "micro"), overall["f_measure"]["f_measure"]
        yield (error_rate, "micro"), overall["error_rate"]["error_rate"]
        mean = figures["class_wise_average"]["f_measure"]["f_measure"]
        yield (f1, "macro, sed_eval"), mean


def of_other_tools(golden):
    """PSDS, the best F1, shares, rankings and calibration."""
    by_scores = golden.get("sed_scores_eval of scores/", {})
    for key, quantity in PSDS.items() if by_scores else ():
        yield (quantity, "classes"), by_scores[key]["value"]
    if by_scores:
        best = by_scores["collar, best threshold"]["f"]
        for average in ("macro", "micro"):
            value = best[f"{average}_average"]
            yield (f"event_f1_best[{COLLARS}]", average), value
    shares = golden.get("psds_eval intersection F1 of estimated.tsv", {})
    for share in ("0.7", "0.5") if shares else ():
        quantity = f"intersection_f1[dtc {share}, gtc {share}]"
        value = shares[f"dtc {share} gtc {share}"]["macro"]
        yield (quantity, "macro, psds_eval"), value
    ranks = golden["scikit-learn, clips (score = max over frames)"]
    yield ("average_precision", "macro"), ranks["map"]
    yield ("average_precision", "micro"), ranks["micro_ap"]
    yield ("calibration_error[15 bins]", "micro"), ranks["ece_15_equal_bins"]
    for quantity in ("lwlrap", "brier", "log_loss"):
        yield (quantity, "micro"), ranks[quantity]


def test_the_command_prints_what_the_fields_tools_print(shared, tmp_path, capsys):
    folders = sorted(p.parent for p in (shared / "goldens/field").glob("*/*.json"))
    if len(folders) < NUM_CASES:
        pytest.skip(f"needs the figures of the field's tools in {shared}")
    output = tmp_path / "scores.json"
    for folder in folders:
        flags = ["--draws", "0", "--segment_s", "0.1", "--output", str(output)]
        for flag, file in {
            "reference": "reference.tsv",
            "estimated": "estimated.tsv",
            "scores": "scores",
            "durations": "durations.tsv",
            "classes": "classes.txt",
        }.items():
            flags += [f"--{flag}", str(folder / file)]
        main(flags)
        written = json.loads(output.read_text())["figures"]
        ours = {(f["quantity"], f["average"]): f["value"] for f in written}
        golden = json.loads((folder / "expected.json").read_text())
        for key, value in (*of_sed_eval(golden), *of_other_tools(golden)):
            expected = value if value is None else pytest.approx(value, abs=1e-9)
            assert ours[key] == expected, (folder.name, key)
    capsys.readouterr()
