r"""The paper's sound event detection system: gated CRNN, log-mel, attention over time.

Source: Xu, Kong, Wang, Plumbley, ICASSP 2018; 80 epochs of 100 batches of 44 clips.
897,425 parameters (one GRU, as in the text; the authors' code multiplies two).
Without `data.root` it trains on built-in soundscapes.
On weak ESC-10 at a quarter of the width, on 2 cores, the last command reached 1-s F1
43.3 %, error rate 0.943.

    python -m gcrnn_jax.main --config=configs/sed.py --config.data.root=FOLDER
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows sed
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0  # of the weights, the batches and the augmentation

    config.data = ConfigDict()
    config.data.root = ""  # of recordings and labels; "": soundscapes
    config.data.layout = ""  # of the folder; "": the one that is found there
    # folders or labels that mean none of the classes, such as ("background",)
    config.data.negatives = ()
    # from clip to clip of a recording longer than front_end.clip_s; 0: no overlap
    config.data.clip_hop_s = 0.0
    # of recordings to train, validate and test on, where the folder does not say
    config.data.split_fractions = (0.7, 0.15, 0.15)
    config.data.split_seed = 0
    # training clips are there once more, played so fast, such as (0.8, 1.25)
    config.data.speeds = ()
    config.data.store = ""  # where the features go; "": a folder in the user's cache
    config.data.soundscapes = (4000, 400, 400)  # clips to train, validate, test on
    config.data.held_out_fraction = 0.0  # of training clips, a split "held_out"
    config.data.held_out_part = 0  # which part of that size, counted from 0
    config.data.num_workers = -1  # to compute features; 0: this process, -1: one a core
    config.data.max_bad_fraction = 0.01  # more unreadable recordings stop the run

    config.front_end = ConfigDict()
    config.front_end.kind = "log_mel"  # or "mfcc", or "onnx": embeddings.py
    config.front_end.sample_rate_hz = 16000
    config.front_end.window = "hamming"  # or "periodic_hamming" or "periodic_hann"
    config.front_end.window_length = 1024  # samples
    config.front_end.fft_length = 0  # samples, with the window's zeros; 0: the window's
    config.front_end.hop_length = 664  # samples; 240 frames in 10 s
    config.front_end.centered = False  # frames reach over the ends, mirrored there
    config.front_end.power = 1.0  # of the magnitude
    config.front_end.num_mels = 64
    config.front_end.min_hz = 0.0
    config.front_end.max_hz = 8000.0
    config.front_end.floor = 1e-8  # added before the log
    config.front_end.num_coefficients = 40  # MFCC only, with two derivatives each
    config.front_end.delta_width = 9  # MFCC only, frames
    config.front_end.path = ""  # ONNX only, the model's file
    config.front_end.output = ""  # ONNX only, its output with frames; "": the only one
    config.front_end.mean_over_s = 0.0  # ONNX only: over so long frames are averaged
    config.front_end.clip_s = 10.0  # longer recordings are cut, shorter ones padded

    config.model = ConfigDict()
    config.model.kind = "gated_crnn"  # others have other fields: mlp.py ...
    config.model.blocks = (2, 2, 2, 1)  # gated units a block
    config.model.filters = 64
    # of them in each block, such as (1, 2, 4, 8); (): as many in all
    config.model.filter_multiples = ()
    config.model.time_pooling = (1, 1, 1, 1)  # frames that a block merges
    config.model.frequency_pooling = (2, 2, 2, 2)
    config.model.last_filters = 256
    config.model.last_frequency_pooling = 4
    config.model.gated_convolution = True
    config.model.ungated_activation = "relu"  # or "linear", as in the authors' code
    # of a frequency dynamic convolution, such as 4; 0: a plain one
    config.model.frequency_kernels = 0
    # each bin over the frames of a clip: "none", "mean" (taken off), "mean_and_std"
    config.model.clip_normalization = "none"
    config.model.batch_norm_momentum = 0.99
    config.model.rnn_units = 128
    config.model.gru_gate = "sigmoid"  # or "hard_sigmoid"
    config.model.gru_candidates = ("tanh",)  # the authors' code: ("linear", "sigmoid")
    config.model.gru_reset_after = False
    config.model.gru_unroll = 1
    config.model.block_dropout = 0.0  # of whole channels, after each block
    config.model.dropout = 0.0  # of what detection and attention read
    # of frames in a clip; or "mean", "linear_softmax" (by their own posteriors), "auto"
    config.model.clip_pooling = "attention"
    config.model.attention_over = "time"  # or "classes"
    config.model.attention_reads = "features"  # or "detection"
    config.model.attention_temperature = 1.0  # over 1: frames count more alike
    config.model.dtype = "float32"  # or "bfloat16"; parameters stay float32

    config.sampling = ConfigDict()
    config.sampling.batch_size = 44  # clips, over all devices
    config.sampling.balanced = True
    # a class of at least the i-th number of clips is drawn 1 + i times in a cycle
    config.sampling.class_size_thresholds = (1000, 2000, 3000, 4000)
    # the most that balancing shows a clip of one class, by the mean clip; 0: any
    config.sampling.max_repeats = 0.0
    config.sampling.negative_fraction = 0.1  # of a balanced batch: clips of no class
    config.sampling.unlabelled_fraction = 0.5  # of a batch, with consistency_weight

    config.augmentation = ConfigDict()  # the paper has none; 0 switches one off
    config.augmentation.max_speed = 0.0  # parts of a clip, so much faster or slower
    config.augmentation.max_shift_frames = 0
    config.augmentation.max_pitch = 0.0  # bins moved by up to 1 + this, up or down
    config.augmentation.max_shift_bins = 0
    config.augmentation.filter_db = 0.0  # a random filter's gains, up and down
    config.augmentation.filter_points = 6  # of a filter, lines between them
    config.augmentation.added_fraction = 0.0  # of clips get another added, labels too
    config.augmentation.max_added_db = 6.0  # louder or softer than it is
    config.augmentation.noise_fraction = 0.0  # of clips, of a random spectrum
    config.augmentation.background_fraction = 0.0  # get the quiet parts of another's
    config.augmentation.min_snr_db = 5.0  # of a clip over either
    config.augmentation.max_snr_db = 25.0
    config.augmentation.max_cut_bins = 0  # damped, at the lower and at the upper end
    config.augmentation.max_gain_db = 0.0  # of a whole clip, louder or softer
    config.augmentation.mixup_alpha = 0.0
    config.augmentation.time_masks = 0
    config.augmentation.max_time_mask_frames = 0
    config.augmentation.frequency_masks = 0
    config.augmentation.max_frequency_mask_bins = 0

    config.loss = ConfigDict()
    config.loss.clip_weight = 1.0  # weight of the cross-entropy of clips
    config.loss.frame_weight = 0.0  # of frames, held to the labels of the clip
    config.loss.frame_attention = False  # present classes: by attention
    config.loss.class_balance_power = 0.0  # of the frame term: weights rare classes
    config.loss.strong_weight = 1.0  # of frames of clips with strong labels; 0: as weak
    # of agreement with the mean of the weights (training.weight_average), unlabelled
    # clips included, and the steps until it counts in full
    config.loss.consistency_weight = 0.0
    config.loss.consistency_ramp_steps = 2000

    config.optimizer = ConfigDict()
    config.optimizer.kind = "adam"  # or "sgd"; of large batches "lamb" or "lars"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.schedule = "constant"  # "cosine", to 0 at the end, or "staircase"
    config.optimizer.warmup_steps = 0
    config.optimizer.weight_decay = 0.0
    config.optimizer.eps = 1e-8  # Adam and LAMB only
    config.optimizer.momentum = 0.9  # SGD and LARS only
    config.optimizer.clip_norm = 0.0  # greatest norm of the gradient; 0: any
    # of the batch that learning_rate is meant for, others' in proportion; 0: any
    config.optimizer.reference_batch_size = 0
    config.optimizer.accumulate_steps = 1  # parts of a batch, one after the other

    config.training = ConfigDict()
    config.training.num_epochs = 80
    config.training.steps_per_epoch = 100
    config.training.clips_per_epoch = 0  # in place of steps; 0: steps_per_epoch counts
    config.training.evaluate_every = 1  # epochs; the fused ones and the last always
    config.training.weight_average = 0.0  # share a step keeps of a mean; 0: none
    # a run or a model whose weights, front end and scaler it begins with; "": none
    config.training.start_from = ""
    config.training.seed_offset = 0  # to seed, but for the data: members of an ensemble
    # of the network on built-in soundscapes before; it begins with their weights
    config.training.soundscape_epochs = 0
    config.training.frozen = ()  # groups of them that stay, as ("block_0", "gru")
    # systems trained before, each without a part of the training clips, of which it
    # then says when the sounds are; 0: none
    config.training.teachers = 0
    config.training.teacher_epochs = 18
    config.training.tensorboard = False  # curves for it; needs gcrnn_jax[tensorboard]

    config.parallel = ConfigDict()
    config.parallel.cpu_devices = 0  # without an accelerator; 0: one a core
    config.parallel.sync_batch_norm = True  # statistics of the whole batch
    config.parallel.device_cache_fraction = 0.5  # of a GPU's memory, for training clips

    config.prediction = ConfigDict()
    # posteriors are means over inputs shifted by up to so many bins, up and down
    config.prediction.shift_bins = 0

    config.postprocessing = ConfigDict()
    config.postprocessing.tag_threshold = 0.3
    config.postprocessing.event_threshold = 0.3
    config.postprocessing.hysteresis = 1.0  # share of it that events go on at; 1: none
    config.postprocessing.median_s = 0.0  # of a running median of frames; 0: none
    # candidate events from where posteriors rise and fall; 0: from thresholds alone
    config.postprocessing.box_filter_s = 0.0  # compared on both sides of a border
    config.postprocessing.box_merge = 0.5  # softer gaps than this part neighbours
    config.postprocessing.gap_s = 0.4  # shorter silences are filled
    config.postprocessing.min_event_s = 0.45  # shorter events are removed
    config.postprocessing.require_clip_tag = True  # or no event of a class
    config.postprocessing.at_least_one_tag = True

    config.thresholds = ConfigDict()  # found on validation clips, beside the fixed ones
    config.thresholds.per_class = True  # or one for all classes
    # clips that one for all counts as, in a mean with that of each class; 0: none
    config.thresholds.shrinkage = 10.0
    config.thresholds.calibrated = True  # one for all: a probability, or a posterior
    # seconds: the best is each class's postprocessing.median_s; (): it is not sought
    config.thresholds.medians_s = ()
    # a file of clips and what they share: a group is in one of the halves that choose
    # thresholds for each other, and drawn as a whole for intervals; "": by recording
    config.thresholds.groups = ""

    config.fusion = ConfigDict()
    # epochs whose posteriors are averaged; 0 follows num_epochs: 20, 30 ... 80 of 80
    config.fusion.first_epoch = 0  # from 1; 0: the last one's number by first_fraction
    config.fusion.last_epoch = 0  # itself one of them; 0: the last of the run
    config.fusion.every = 0  # from one to the next; 0: about seven in all
    config.fusion.first_fraction = 0.25

    config.ensemble = ConfigDict()
    config.ensemble.members = 1  # systems that are trained and fused; 1: one alone
    # fields that they take values of in turn, as (("loss.clip_weight", (1.0, 0.5)),),
    # or whole sections "model", as pairs of names and values
    config.ensemble.differing = ()
    return config
