"""Small models with their processors, in folders as the Hub's. They have a few thousand parameters."""

import io
from pathlib import Path

import numpy as np
import soundfile
import transformers as hf
from PIL import Image

import hubtl.backbones.timm  # noqa: F401  (makes torchvision importable before transformers meets it)

WORDS = ["good", "bad", "film", "the", "a", "was", "very", "##ly", "##ing", "boring"]
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TOWER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 20}


def picture(seed: int = 0, size: tuple[int, int] = (50, 40)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3))
    return Image.fromarray(pixels.astype(np.uint8))


def tone(seconds: float, *, rate: int = 16000, hertz: float = 440.0, seed: int = 0) -> np.ndarray:
    """A tone with a little noise, float32 [n]."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return (0.3 * np.sin(2 * np.pi * hertz * time) + 0.02 * noise).astype(np.float32)


def wav(samples: np.ndarray, rate: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def tokenizer(folder: Path) -> None:
    vocabulary = folder / "words.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]), encoding="utf-8")
    hf.BertTokenizer(vocab=str(vocabulary)).save_pretrained(folder)
    vocabulary.unlink()


def text_model(kind: str, folder: Path, *, with_tokenizer: bool = True) -> Path:
    count = len(WORDS) + 5
    configs = {
        "bert": lambda: hf.BertForMaskedLM(hf.BertConfig(**SMALL, vocab_size=count, max_position_embeddings=40)),
        "distilbert": lambda: hf.DistilBertModel(
            hf.DistilBertConfig(vocab_size=count, dim=16, n_layers=2, n_heads=2, hidden_dim=32)
        ),
        "deberta-v2": lambda: hf.DebertaV2Model(
            hf.DebertaV2Config(
                **SMALL,
                vocab_size=count,
                relative_attention=True,
                pos_att_type=["p2c", "c2p"],
                position_biased_input=False,
            )
        ),
        "roberta": lambda: hf.RobertaModel(
            hf.RobertaConfig(**SMALL, vocab_size=count, max_position_embeddings=40, pad_token_id=0)
        ),
        "electra": lambda: hf.ElectraModel(hf.ElectraConfig(**SMALL, vocab_size=count, embedding_size=8)),
    }
    configs[kind]().save_pretrained(folder)
    if with_tokenizer:
        tokenizer(folder)
    return folder


def image_model(kind: str, folder: Path) -> Path:
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    configs = {
        "vit": lambda: hf.ViTForImageClassification(hf.ViTConfig(**vision)),
        "dinov2": lambda: hf.Dinov2Model(hf.Dinov2Config(**vision)),
        "clip": lambda: hf.CLIPModel(hf.CLIPConfig(vision_config=vision, text_config=TOWER)),
        "siglip": lambda: hf.SiglipModel(hf.SiglipConfig(vision_config=vision, text_config=TOWER)),
        "resnet": lambda: hf.ResNetForImageClassification(
            hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
        ),
    }
    configs[kind]().save_pretrained(folder)
    hf.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def audio_model(kind: str, folder: Path) -> Path:
    model, extractor = AUDIO[kind]()
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def _ast() -> tuple[object, object]:
    config = hf.ASTConfig(**SMALL, max_length=64, num_mel_bins=32, patch_size=8, frequency_stride=8, time_stride=6)
    model = hf.ASTForAudioClassification(config)
    model.audio_spectrogram_transformer.embeddings.position_embeddings.data.normal_()
    return model, hf.ASTFeatureExtractor(num_mel_bins=32, max_length=64)


def _waves(model: type, config: type, norm: str) -> tuple[object, object]:
    sizes = {
        "conv_dim": (16, 16, 16),
        "conv_kernel": (10, 3, 2),
        "conv_stride": (5, 4, 4),
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 2,
        "num_feat_extract_layers": 3,
    }
    made = config(**SMALL, **sizes, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer", vocab_size=12)
    return model(made), hf.Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer")


def _whisper() -> tuple[object, object]:
    config = hf.WhisperConfig(
        d_model=16,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_mel_bins=16,
        max_source_positions=50,
        vocab_size=20,
        pad_token_id=1,
        bos_token_id=1,
        eos_token_id=1,
        decoder_start_token_id=2,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    return hf.WhisperForConditionalGeneration(config), hf.WhisperFeatureExtractor(feature_size=16, chunk_length=1)


def _clap(fusion: bool) -> tuple[object, object]:
    audio = {
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "num_mel_bins": 16,
        "spec_size": 64,
        "window_size": 4,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "hidden_size": 16,
        "enable_fusion": fusion,
    }
    extractor = hf.ClapFeatureExtractor(
        feature_size=16,
        max_length_s=1,
        sampling_rate=16000,
        hop_length=80,
        fft_window_size=512,
        frequency_max=8000,
        truncation="fusion" if fusion else "rand_trunc",
    )
    return hf.ClapModel(hf.ClapConfig(audio_config=audio, text_config=TOWER)), extractor


AUDIO = {
    "ast": _ast,
    "wav2vec2-group": lambda: _waves(hf.Wav2Vec2ForCTC, hf.Wav2Vec2Config, "group"),
    "wav2vec2-layer": lambda: _waves(hf.Wav2Vec2Model, hf.Wav2Vec2Config, "layer"),
    "hubert": lambda: _waves(hf.HubertModel, hf.HubertConfig, "layer"),
    "whisper": _whisper,
    "clap": lambda: _clap(False),
    "clap-fusion": lambda: _clap(True),
}
