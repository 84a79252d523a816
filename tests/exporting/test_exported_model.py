import hashlib
import json

import numpy as np

from gcrnn_jax.exporting import ExportedModel


def test_an_exported_model_has_the_card_and_predicts_as_its_original(
    model, predict, exported, features_for
):
    loaded = ExportedModel.load(exported, batch_size=2)
    assert loaded.class_names == model.class_names
    assert loaded.front_end == model.front_end
    assert loaded.postprocessing == model.postprocessing
    assert (loaded.hop_s, loaded.time_reduction) == (model.hop_s, 1)
    assert loaded.min_input_frames == 1
    card = json.loads((exported / "card.json").read_text())
    content_hash = hashlib.sha256(json.dumps(card, sort_keys=True).encode())
    content_hash.update((exported / "model.stablehlo").read_bytes())
    assert loaded.content_hash == content_hash.hexdigest()

    features = features_for(model, 2, 35)
    clip, frame, attention = loaded.predict_batch(features, np.array([35, 20]))
    assert attention is None
    whole, short = predict(features), predict(features[1:, :20])
    np.testing.assert_allclose(clip[0], whole[0][0], atol=1e-6)
    np.testing.assert_allclose(frame[0], whole[1][0], atol=1e-6)
    np.testing.assert_allclose(clip[1], short[0][0], atol=1e-6)
    np.testing.assert_allclose(frame[1, :20], short[1][0], atol=1e-6)
    assert not frame[1, 20:].any()
