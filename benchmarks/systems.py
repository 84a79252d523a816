"""The rows of the paper's two tables and of ours, and the runs each is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TAGGING, DETECTION = TASKS = "tagging", "detection"


@dataclass(frozen=True)
class Figures:
    """What the paper reports of a system on one subset of DCASE 2017 task 4.

    In %, but for the error rate; None: nothing. Of tags, then of 1-s segments.
    """

    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    segment_f1: float | None = None
    error_rate: float | None = None

    def text(self, task: str) -> str:
        """Those of a task, as "56.7 (53.8, 60.1)" or "47.2, 0.76"; "-" for none."""
        if task == TAGGING and self.f1 is not None:
            return f"{self.f1:.1f} ({self.precision:.1f}, {self.recall:.1f})"
        if task == DETECTION and self.segment_f1 is not None:
            return f"{self.segment_f1:.1f}, {self.error_rate:.2f}"
        return "-"


@dataclass(frozen=True)
class Paper:
    """What the paper reports of a system."""

    development: Figures = Figures()
    evaluation: Figures = Figures()

    @classmethod
    def from_dict(cls, subsets: Mapping[str, Any]) -> "Paper":
        """Reads it back from JSON."""
        return cls(**{name: Figures(**values) for name, values in subsets.items()})

    def text(self, task: str) -> str:
        """Of both subsets, or "" without any."""
        texts = [self.development.text(task), self.evaluation.text(task)]
        return "" if texts == ["-", "-"] else " / ".join(texts)


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
    tasks: tuple[str, ...]  # whose tables it is in
    is_fused: bool = True  # over each run's epochs; False: the last epoch alone
    choose: str | None = None  # a split to weight the runs by; None: all alike
    postprocessing: Mapping[str, Any] = field(default_factory=dict)  # that differs
    per_class: bool = True  # thresholds that are found; False: one for all classes
    paper: Paper = Paper()


# What two cores train in a few hours: a quarter of the width and 1,200 steps; for the
# MLP, which is small, and whose batches have 8 clips instead of 44, 6,600 steps.
_SHORT = ("training.steps_per_epoch=15",)
SMALL = {
    "mlp": ("training.steps_per_epoch=33",),
    "window_cnn": ("model.filters=(16,32,64,128)", *_SHORT),
    "frame_cnn": (
        "model.filters=(32,64,96,96)",
        "model.tagging_units=(256,256)",
        "training.steps_per_epoch=12",
    ),
    "vgg_cnn": (  # and of a quarter of the frames as many posteriors
        "model.filters=(16,32,64,128)",
        "model.time_pooling=(2,1,1,1)",
        "front_end.window_length=2048",
        "front_end.hop_length=1280",
        "augmentation.max_time_mask_frames=16",
        "training.num_epochs=20",
        "training.steps_per_epoch=60",
    ),
    "best": (),  # is small
}
SMALL_GATED = (
    "model.filters=16",
    "model.last_filters=64",
    "model.rnn_units=32",
    *_SHORT,
)

# as long as configs/best.py takes, with as many channels in every block
_UNIFORM = (
    "model.filters=24",
    "model.filter_multiples=()",
    "model.time_pooling=(2,1,1,1)",
    "model.last_filters=64",
)
_CHANGES = {
    "without_attention": ("model.clip_pooling=mean",),
    "without_gates": ("model.gated_convolution=False",),
    "without_more_channels_in_later_blocks": _UNIFORM,
    "without_start": ("training.soundscape_epochs=0",),
    "without_copies_at_other_speeds": ("data.speeds=()",),
    "without_speeds_and_pitches": (
        "augmentation.max_speed=0.0",
        "augmentation.max_pitch=0.0",
    ),
    "without_shifts_in_time": ("augmentation.max_shift_frames=0",),
    "without_shifts_in_frequency": ("augmentation.max_shift_bins=0",),
    "without_random_filters": ("augmentation.filter_db=0.0",),
    "without_added_clips": ("augmentation.added_fraction=0.0",),
    "with_mixup": ("augmentation.mixup_alpha=0.5",),
    "with_masks": (
        "augmentation.time_masks=2",
        "augmentation.max_time_mask_frames=16",
        "augmentation.frequency_masks=2",
    ),
}

RUNS = {
    "mlp": Run("mlp"),
    "cnn_10s": Run("window_cnn", ("model.window_frames=240",)),
    "cnn_5s": Run("window_cnn", ("model.window_frames=120",)),
    "cnn_2s": Run("window_cnn", ("model.window_frames=48",)),
    "cnn_1s": Run("window_cnn", ("model.window_frames=24",)),
    "frame_cnn": Run("frame_cnn"),
    "vgg_cnn": Run("vgg_cnn"),
    "crnn_unbalanced": Run("crnn_unbalanced"),
    "crnn_linear": Run("crnn_linear"),
    "crnn": Run("crnn"),
    "at": Run("at"),
    "at_mfcc": Run("at_mfcc"),
    "at_authors": Run("at_authors"),
    "sed": Run("sed"),
    "sed_mfcc": Run("sed_mfcc"),
    "sed_authors": Run("sed_authors"),
    "sed_over_classes": Run(
        "sed", ("model.attention_over=classes", "model.attention_reads=detection")
    ),
    "best": Run("best"),
    "best_narrow": Run("best", (*SMALL_GATED[:3], "model.filter_multiples=()")),
    **{f"best_{name}": Run("best", fields) for name, fields in _CHANGES.items()},
}

# Both readings of the paper's ungated CRNN stand beside its one row.
_UNGATED = Paper(Figures(52.8, 49.9, 56.1))

SYSTEMS = {
    "mlp": System(
        "DCASE 2017 baseline",
        ("mlp",),
        (TAGGING, DETECTION),
        paper=Paper(
            Figures(10.9, 7.8, 17.5, 13.8, 1.02), Figures(18.2, 15.0, 23.1, 28.4, 0.93)
        ),
    ),
    "cnn_ensemble": System(
        "CNN ensemble (our reading)",
        ("cnn_10s", "cnn_5s", "cnn_2s", "cnn_1s"),
        (TAGGING, DETECTION),
        choose="held_out",
        paper=Paper(evaluation=Figures(52.6, 69.7, 42.3, 55.5, 0.66)),
    ),
    "frame_cnn": System(
        "Frame-CNN",
        ("frame_cnn",),
        (TAGGING, DETECTION),
        paper=Paper(evaluation=Figures(49.0, 53.8, 45.0)),
    ),
    "vgg_cnn": System("VGG CNN (Kong et al.)", ("vgg_cnn",), (TAGGING, DETECTION)),
    "crnn_unbalanced": System(
        "CRNN log-mel, ReLU, unbalanced",
        ("crnn_unbalanced",),
        (TAGGING,),
        paper=Paper(Figures(42.0, 47.1, 38.0)),
    ),
    "crnn_linear": System(
        "CRNN log-mel, ungated as in the authors' code",
        ("crnn_linear",),
        (TAGGING,),
        paper=_UNGATED,
    ),
    "crnn": System("CRNN log-mel, ReLU", ("crnn",), (TAGGING,), paper=_UNGATED),
    "at_one_epoch": System(
        "gated CRNN log-mel, last epoch", ("at",), (TAGGING,), is_fused=False
    ),
    "at": System(
        "gated CRNN log-mel",
        ("at",),
        (TAGGING,),
        paper=Paper(Figures(56.7, 53.8, 60.1), Figures(54.2, 58.9, 50.2)),
    ),
    "at_authors": System("gated CRNN log-mel, two GRUs", ("at_authors",), (TAGGING,)),
    "at_mfcc": System(
        "gated CRNN MFCC",
        ("at_mfcc",),
        (TAGGING,),
        paper=Paper(Figures(52.1, 51.7, 52.5)),
    ),
    "at_fusion": System(
        "fusion of log-mel and MFCC",
        ("at", "at_mfcc"),
        (TAGGING,),
        paper=Paper(Figures(57.7, 56.5, 58.9), Figures(55.6, 61.4, 50.8)),
    ),
    "sed_one_epoch": System(
        "gated CRNN log-mel, last epoch", ("sed",), (DETECTION,), is_fused=False
    ),
    "sed": System(
        "gated CRNN log-mel",
        ("sed",),
        (DETECTION,),
        paper=Paper(
            Figures(segment_f1=47.2, error_rate=0.76),
            Figures(segment_f1=47.5, error_rate=0.78),
        ),
    ),
    "sed_authors": System(
        "gated CRNN log-mel, two GRUs, attention over classes",
        ("sed_authors",),
        (DETECTION,),
    ),
    "sed_over_classes": System(
        "gated CRNN log-mel, attention over classes",
        ("sed_over_classes",),
        (DETECTION,),
    ),
    "sed_mfcc": System("gated CRNN MFCC", ("sed_mfcc",), (DETECTION,)),
    "sed_fusion": System(
        "fusion of log-mel and MFCC",
        ("sed", "sed_mfcc"),
        (DETECTION,),
        paper=Paper(
            Figures(segment_f1=49.7, error_rate=0.72),
            Figures(segment_f1=51.8, error_rate=0.73),
        ),
    ),
    "best_narrow": System(
        "configs/best.py, as narrow as the others",
        ("best_narrow",),
        (TAGGING, DETECTION),
    ),
    "best": System("configs/best.py", ("best",), (TAGGING, DETECTION)),
}

# What each ingredient of configs/best.py adds, and some that it has not.
ABLATIONS = {
    **{
        f"best_{name}": System(
            name.replace("_", " "), (f"best_{name}",), (TAGGING, DETECTION)
        )
        for name in _CHANGES
    },
    "best_without_fusion": System(
        "without fusion over epochs", ("best",), (TAGGING, DETECTION), is_fused=False
    ),
    "best_with_hysteresis": System(
        "with hysteresis of 0.4",
        ("best",),
        (DETECTION,),
        postprocessing={"hysteresis": 0.4},
    ),
    "best_without_gate": System(
        "without tags as a gate",
        ("best",),
        (DETECTION,),
        postprocessing={"require_clip_tag": False},
    ),
    "best_without_class_thresholds": System(
        "without thresholds of each class's own",
        ("best",),
        (TAGGING, DETECTION),
        per_class=False,
    ),
    "best_narrow": SYSTEMS["best_narrow"],
    "best": SYSTEMS["best"],
}

# Pairs whose difference is a claim of the paper, a choice of its authors, or ours.
PAIRS = {
    TAGGING: (
        ("mlp", "crnn"),
        ("crnn_unbalanced", "crnn"),
        ("crnn_linear", "crnn"),
        ("crnn", "at"),
        ("at_one_epoch", "at"),
        ("at", "at_fusion"),
        ("at", "at_authors"),
        ("at_fusion", "best"),
        ("at_fusion", "best_narrow"),
        *((name, "best") for name in ABLATIONS if name != "best"),
    ),
    DETECTION: (
        ("mlp", "sed"),
        ("sed_one_epoch", "sed"),
        ("sed", "sed_fusion"),
        ("sed", "sed_authors"),
        ("sed", "sed_over_classes"),
        ("sed_fusion", "best"),
        ("sed_fusion", "best_narrow"),
        *((name, "best") for name in ABLATIONS if name != "best"),
    ),
}
