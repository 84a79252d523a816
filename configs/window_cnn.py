r"""A member of the CNN ensemble: a CNN on windows of one length, here of 10 s.

Source: Lee, Lee, Nam, Kim, Park, DCASE 2017, of which only the idea is known: CNNs on
windows of several lengths, each window taught the tags of its clip, put together.
Chosen, as our reading: the size of the network, windows of 10, 5, 2 and 1 s (240, 120,
48 and 24 frames), a clip's posterior the greatest of its windows', one front end for
all, and members weighted greedily by what they say of clips held out of training.
4,694,865 parameters each.
On weak ESC-10 at a quarter of the width, on 2 cores, the last command reached tag F1
51.4 %, 1-s F1 36.2 %, error rate 1.163, all four together.

    python -m gcrnn_jax.main --config=configs/window_cnn.py \
        --config.data.root=FOLDER --config.model.window_frames=48 --workdir=runs/cnn_2s
    python -m gcrnn_jax.fuse runs/cnn_10s runs/cnn_5s runs/cnn_2s runs/cnn_1s \
        --choose held_out --output cnn_ensemble.npz
    python -m benchmarks.tables --root weak_esc10 --output FOLDER --small \
        --rows cnn_ensemble
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import sed


def get_config() -> ConfigDict:
    config = sed.get_config()
    config.data.held_out_fraction = 0.1
    config.model = ConfigDict()
    config.model.kind = "window_cnn"
    config.model.window_frames = 240
    config.model.filters = (64, 128, 256, 512)
    config.model.units = 2
    config.model.clip_pooling = "max"
    config.model.batch_norm_momentum = 0.99
    config.loss.clip_weight = 0.0
    config.loss.frame_weight = 1.0
    return config
