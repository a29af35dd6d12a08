"""Lists the classifiers of torchvision, timm, pytorchvideo and mmaction2."""

import glob
import os
import re
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

#: Number of labels of each network.
LABELS = 10


# fmt: off
#: Modules of timm whose networks consist of convolutions, without attention.
TIMM_CNNS = {
    "byobnet", "convmixer", "convnext", "cspnet", "cspnext", "densenet", "dla", "dpn",
    "efficientnet", "fasternet", "ghostnet", "hardcorenas", "hgnet", "hrnet", "inception_next",
    "inception_resnet_v2", "inception_v3", "inception_v4", "lcnetv2", "mambaout", "mobilenetv3",
    "nasnet", "nfnet", "pnasnet", "rdnet", "regnet", "repghost", "repvit", "res2net", "resnest",
    "resnet", "resnetv2", "rexnet", "selecsls", "senet", "sknet", "starnet", "tresnet", "vgg",
    "vovnet", "xception", "xception_aligned",
}
# fmt: on
#: Parts of the names of other networks that have attention.
ATTENTION = ("maxvit", "mvit", "nl", "swin", "timesformer", "transformer", "uniformer", "vit")


def is_cnn(name: str) -> bool:
    """Returns whether a network has convolutions and no attention."""
    package, network = name.split("/")
    if package == "timm":
        from timm.models import _registry

        return _registry._model_to_module.get(network) in TIMM_CNNS
    return not any(
        part in re.split("[-_]", network) or network.startswith(part) for part in ATTENTION
    )


class Network(NamedTuple):
    """A network of a public package."""

    name: str
    create: Callable[[], torch.nn.Module]
    #: Shapes of the inputs, of which the first that the network accepts is taken.
    shapes: tuple[tuple[int, ...], ...]


def images(*sides: int) -> tuple[tuple[int, ...], ...]:
    return tuple((1, 3, side, side) for side in sides)


def clips(*sides: int) -> tuple[tuple[int, ...], ...]:
    return tuple((1, 3, 16, side, side) for side in sides)


def torchvision_networks() -> Iterator[Network]:
    import torchvision

    for module, shapes in (
        (torchvision.models, images(64, 128, 224, 299)),
        (torchvision.models.video, clips(64, 112, 224)),
    ):
        for name in torchvision.models.list_models(module=module):

            def create(name: str = name) -> torch.nn.Module:
                extra = {"num_classes": LABELS}
                if name in ("googlenet", "inception_v3"):
                    extra |= {"init_weights": False, "aux_logits": False}
                return torchvision.models.get_model(name, weights=None, **extra)

            yield Network(f"torchvision/{name}", create, shapes)


def timm_networks() -> Iterator[Network]:
    import timm

    for name in timm.list_models():

        def create(name: str = name) -> torch.nn.Module:
            return timm.create_model(name, pretrained=False, num_classes=LABELS, exportable=True)

        side = timm.get_pretrained_cfg_value(name, "input_size") or (3, 224, 224)
        yield Network(f"timm/{name}", create, images(64, 128, 224, side[-1]))


class PackedSlowFast(torch.nn.Module):
    """A SlowFast network of pytorchvideo that selects its slow frames, every fourth, itself."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.model([clip[:, :, ::4], clip])


def pytorchvideo_networks() -> Iterator[Network]:
    from pytorchvideo.models import hub

    for name, frames, side in (
        ("c2d_r50", 8, 224),
        ("csn_r101", 32, 224),
        ("efficient_x3d_s", 13, 160),
        ("efficient_x3d_xs", 4, 160),
        ("i3d_r50", 8, 224),
        ("mvit_base_16x4", 16, 224),
        ("mvit_base_32x3", 32, 224),
        ("r2plus1d_r50", 16, 224),
        ("slow_r50", 8, 224),
        ("slowfast_16x8_r101_50_50", 64, 224),
        ("slowfast_r101", 32, 224),
        ("slowfast_r50", 32, 224),
        ("x3d_l", 16, 312),
        ("x3d_m", 16, 224),
        ("x3d_s", 13, 160),
        ("x3d_xs", 4, 160),
    ):

        def create(name: str = name) -> torch.nn.Module:
            labels = "head_num_classes" if "mvit" in name else "model_num_class"
            labels = "num_classes" if "efficient" in name else labels
            model = getattr(hub, name)(pretrained=False, **{labels: LABELS})
            return PackedSlowFast(model) if "slowfast" in name else model

        yield Network(f"pytorchvideo/{name}", create, ((1, 3, frames, side, side),))


class Recognizer(torch.nn.Module):
    """A recognizer of mmaction2 from clips to logits."""

    def __init__(self, model: torch.nn.Module, frame_network: bool) -> None:
        super().__init__()
        self.model: Any = model
        self.frame_network = frame_network

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        # Axis 1 of mmaction2's inputs is that of crops, or that of the frames.
        inputs = clip.transpose(1, 2) if self.frame_network else clip.unsqueeze(1)
        logits = self.model.extract_feat(inputs, stage="head")[0]
        return logits[0] if isinstance(logits, tuple) else logits


def mmaction2_networks() -> Iterator[Network]:
    # Version 1.2.0 of the package lacks this module, which no recognizer needs.
    missing = types.ModuleType("mmaction.models.localizers.drn.drn")
    missing.DRN = torch.nn.Module  # type: ignore[attr-defined]
    sys.modules[missing.__name__] = missing
    sys.modules["mmaction.models.localizers.drn"] = types.ModuleType("drn")
    import mmaction
    from mmaction.registry import MODELS
    from mmaction.utils import register_all_modules
    from mmengine.config import Config

    register_all_modules(init_default_scope=True)
    folder = os.path.join(os.path.dirname(mmaction.__file__), ".mim/configs/recognition")
    known = set()
    for path in sorted(glob.glob(f"{folder}/*/*.py")):
        config = Config.fromfile(path)
        model = config.model
        # The weights are random, so two configurations that differ in their source are one network.
        backbone = model.backbone
        pathways = (backbone.get(f"{name}_pathway") for name in ("slow", "fast"))
        for part in filter(None, (model, backbone, *pathways)):
            part.pop("init_cfg", None)
            if "pretrained" in part:
                part.pretrained = None
        backbone.pop("pretrained2d", None)
        if "num_classes" in model.cls_head:
            model.cls_head.num_classes = LABELS
        pipeline = config.get("val_pipeline") or config.get("test_pipeline") or []
        sampling: dict[str, Any] = next((step for step in pipeline if "Sample" in step.type), {})
        # Frame networks see one frame of each of several clips.
        length = max(sampling.get("clip_len", 1), backbone.get("num_segments") or 1)
        length = length if length > 1 else sampling.get("num_clips", 8)
        key = f"{model} {length}"
        if key in known:
            continue
        known.add(key)

        def create(model: Any = model) -> torch.nn.Module:
            return Recognizer(MODELS.build(model), model.type == "Recognizer2D")

        shapes = tuple((1, 3, length, side, side) for side in (64, 112, 224))
        yield Network(f"mmaction2/{os.path.basename(path)[:-3]}", create, shapes)


PACKAGES = {
    "torchvision": torchvision_networks,
    "timm": timm_networks,
    "pytorchvideo": pytorchvideo_networks,
    "mmaction2": mmaction2_networks,
}
