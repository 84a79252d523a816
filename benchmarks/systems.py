"""The rows of the paper's two tables: which runs each is made of, and how."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Run:
    """One training: a file of configs/, and fields that differ from it."""

    config: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class System:
    """A row: one run, or several whose posteriors are fused."""

    name: str  # in the tables
    runs: tuple[str, ...]  # names in RUNS
    detects: bool  # a row of the detection table too, or of that alone
    tags: bool = True
    is_fused: bool = True  # over each run's epochs; False: the last epoch alone
    choose: str | None = None  # a split to weight the runs by; None: all alike
    paper: dict[str, str] = field(default_factory=dict)  # its own figures, own data


RUNS = {
    "mlp": Run("mlp"),
    "cnn_10s": Run("window_cnn", ("model.window_frames=240",)),
    "cnn_5s": Run("window_cnn", ("model.window_frames=120",)),
    "cnn_2s": Run("window_cnn", ("model.window_frames=48",)),
    "cnn_1s": Run("window_cnn", ("model.window_frames=24",)),
    "frame_cnn": Run("frame_cnn"),
    "crnn_unbalanced": Run("crnn_unbalanced"),
    "crnn_linear": Run("crnn_linear"),
    "crnn": Run("crnn"),
    "at": Run("at"),
    "at_mfcc": Run("at_mfcc"),
    "at_authors": Run("at_authors"),
    "sed": Run("sed"),
    "sed_mfcc": Run("sed_mfcc"),
    "sed_authors": Run("sed_authors"),
}

_WINDOWS = ("cnn_10s", "cnn_5s", "cnn_2s", "cnn_1s")

# The paper's figures: F1 (precision, recall) in %, and F1, error rate; on the
# development set and, after the slash, on the evaluation set of DCASE 2017 task 4.
SYSTEMS = {
    "mlp": System(
        "DCASE 2017 baseline",
        ("mlp",),
        detects=True,
        paper={"tagging": "10.9 (7.8, 17.5) / 18.2 (15.0, 23.1)"},
    ),
    "cnn_ensemble": System(
        "CNN ensemble (our reading)",
        _WINDOWS,
        detects=True,
        choose="held_out",
        paper={
            "tagging": "- / 52.6 (69.7, 42.3)",
            "detection": "- / 55.5, 0.66",
        },
    ),
    "frame_cnn": System(
        "Frame-CNN",
        ("frame_cnn",),
        detects=True,
        paper={"tagging": "- / 49.0 (53.8, 45.0)"},
    ),
    "crnn_unbalanced": System(
        "CRNN log-mel, ReLU, unbalanced", ("crnn_unbalanced",), detects=False
    ),
    "crnn_linear": System(
        "CRNN log-mel, no activation",
        ("crnn_linear",),
        detects=False,
        paper={"tagging": "52.8 / -"},
    ),
    "crnn": System("CRNN log-mel, ReLU", ("crnn",), detects=False),
    "at_one_epoch": System(
        "gated CRNN log-mel, last epoch", ("at",), detects=False, is_fused=False
    ),
    "at": System(
        "gated CRNN log-mel",
        ("at",),
        detects=False,
        paper={"tagging": "56.7 / -"},
    ),
    "at_authors": System(
        "gated CRNN log-mel, two GRUs", ("at_authors",), detects=False
    ),
    "at_mfcc": System(
        "gated CRNN MFCC", ("at_mfcc",), detects=False, paper={"tagging": "52.1 / -"}
    ),
    "at_fusion": System(
        "fusion of log-mel and MFCC",
        ("at", "at_mfcc"),
        detects=False,
        paper={"tagging": "57.7 / 55.6"},
    ),
    "sed_one_epoch": System(
        "gated CRNN log-mel, last epoch",
        ("sed",),
        detects=True,
        tags=False,
        is_fused=False,
    ),
    "sed": System(
        "gated CRNN log-mel",
        ("sed",),
        detects=True,
        tags=False,
        paper={"detection": "47.2, 0.76 / -"},
    ),
    "sed_authors": System(
        "gated CRNN log-mel, two GRUs, attention over classes",
        ("sed_authors",),
        detects=True,
        tags=False,
    ),
    "sed_mfcc": System("gated CRNN MFCC", ("sed_mfcc",), detects=True, tags=False),
    "sed_fusion": System(
        "fusion of log-mel and MFCC",
        ("sed", "sed_mfcc"),
        detects=True,
        tags=False,
        paper={"detection": "49.7, 0.72 / 51.8, 0.73"},
    ),
}

# Pairs whose difference is a claim of the paper, or a choice of its authors.
PAIRS = {
    "tagging": (
        ("mlp", "crnn"),
        ("crnn_unbalanced", "crnn"),
        ("crnn_linear", "crnn"),
        ("crnn", "at"),
        ("at_one_epoch", "at"),
        ("at", "at_fusion"),
        ("at", "at_authors"),
    ),
    "detection": (
        ("mlp", "sed"),
        ("sed_one_epoch", "sed"),
        ("sed", "sed_fusion"),
        ("sed", "sed_authors"),
    ),
}

# A quarter of the width of every network but the MLP, and 1,200 steps: what two cores
# train in a few hours.
_GATED = ("model.filters=16", "model.last_filters=64", "model.rnn_units=32")
SMALL = {
    "mlp": ("training.steps_per_epoch=6",),
    "window_cnn": ("model.filters=(16,32,64,128)", "training.steps_per_epoch=15"),
    "frame_cnn": (
        "model.filters=(32,64,96,96)",
        "model.tagging_units=(256,256)",
        "training.steps_per_epoch=12",
    ),
}
SMALL_GATED = (*_GATED, "training.steps_per_epoch=15")
