r"""Attention over the embeddings of an ONNX model, such as BEATs, Perch or YAMNet.

The model takes a waveform or log-mel frames and gives frames of features
(`front_end.path`; `front_end.output` where it has several outputs). `sample_rate_hz`,
and the log-mel fields if it takes such, must be those that it was trained with. Its
features are computed once, by `prepare` or at the first start; what is trained on them
is one hidden layer and the head of the paper: in seconds, on a CPU.
With 1,024 values a frame 135,569 parameters.

    pip install 'gcrnn_jax[export]'
    python -m gcrnn_jax.main --config=configs/embeddings.py \
        --config.front_end.path=MODEL.onnx --config.data.root=FOLDER
"""

from ml_collections import ConfigDict

from gcrnn_jax.configs import sed


def get_config() -> ConfigDict:
    config = sed.get_config()
    config.front_end.kind = "onnx"
    config.model = ConfigDict()
    config.model.kind = "attention_mlp"
    config.model.hidden = (128,)
    config.model.dropout = 0.2
    config.training.num_epochs = 20
    config.training.steps_per_epoch = 50
    config.fusion.first_fraction = 0.5  # 10, 12 ... 20
    return config
