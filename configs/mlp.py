r"""The baseline of DCASE 2017 task 4: a small MLP on single frames, 13,467 parameters.

Source: Heittola et al., DCASE2017-baseline-system, `task4.defaults.yaml`: 40 mels of
44.1 kHz, context of 5 frames, 200-50-50-17, dropout 0.2, every frame taught the tags of
its clip, a median filter over 0.54 s of decisions, tags where there are events. Its
floor of 2.2e-16 is divided by the scale of the spectrum here.
Chosen: its batches are 256 frames of anywhere, ours 8 whole clips; it stops when the
training accuracy does, ours takes 200 epochs of 100 batches.
On weak ESC-10, on 2 cores, the last command reached tag F1 38.9 %, 1-s F1 29.1 %, error
rate 1.359.

    python -m gcrnn_jax.main --config=configs/mlp.py --config.data.root=FOLDER
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows mlp
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import sed


def get_config() -> ConfigDict:
    config = sed.get_config()
    config.front_end.sample_rate_hz = 44100
    config.front_end.window = "periodic_hamming"
    config.front_end.window_length = 1764
    config.front_end.fft_length = 2048
    config.front_end.hop_length = 882
    config.front_end.centered = True
    config.front_end.num_mels = 40
    config.front_end.max_hz = 22050.0
    config.front_end.floor = 8.4e-18
    config.model = ConfigDict()
    config.model.kind = "mlp"
    config.model.hidden = (50, 50)
    config.model.context_frames = 5
    config.model.dropout = 0.2
    config.model.median_frames = 27
    config.sampling.batch_size = 8
    config.sampling.balanced = False
    config.loss.clip_weight = 0.0
    config.loss.frame_weight = 1.0
    config.training.num_epochs = 200
    config.postprocessing.tag_threshold = 0.5
    config.postprocessing.event_threshold = 0.5
    config.postprocessing.gap_s = 0.0
    config.postprocessing.min_event_s = 0.0
    config.postprocessing.median_s = 0.54
    config.postprocessing.require_clip_tag = False
    config.postprocessing.at_least_one_tag = False
    config.fusion.first_fraction = 1.0  # the last epoch alone
    return config
