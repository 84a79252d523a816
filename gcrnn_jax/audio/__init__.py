"""Files -> waveforms -> log-mel, MFCC, embeddings; built-in soundscapes."""

from gcrnn_jax.audio.decode import read_waveform, resample, stream_waveform
from gcrnn_jax.audio.frames import stream_log_mel
from gcrnn_jax.audio.front_end import FrontEnd, LogMel, Mfcc, make_front_end
from gcrnn_jax.audio.onnx_front_end import OnnxFrontEnd
from gcrnn_jax.audio.rejected import Rejected
from gcrnn_jax.audio.soundscapes import Soundscape, soundscape

__all__ = [
    "FrontEnd",
    "LogMel",
    "Mfcc",
    "OnnxFrontEnd",
    "Rejected",
    "Soundscape",
    "make_front_end",
    "read_waveform",
    "resample",
    "soundscape",
    "stream_log_mel",
    "stream_waveform",
]
