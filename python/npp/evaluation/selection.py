"""What the selection photos decide: the better settings of the codec, and the sigmas of blurs."""

from __future__ import annotations

from collections.abc import Mapping

from npp.evaluation.arms import BEST, Arm, ArmConfig
from npp.evaluation.bd_rate import bd_rate, monotone
from npp.evaluation.blur_search import search_blur, searched_cells
from npp.evaluation.config import EvaluateConfig
from npp.evaluation.measuring import Measurer
from npp.evaluation.networks import Axis
from npp.evaluation.prefilters import Blur, Prefilter, Unfiltered
from npp.evaluation.progress import Stage
from npp.options import CodecOptions


class Selector:
    """Fills in what a configuration leaves to the selection photos.

    They are judged by the first seen network, over its primary quality.

    Args:
        config: the configuration.
        measurer: of the selection photos.
        stage: told about the work.
    """

    def __init__(self, config: EvaluateConfig, measurer: Measurer, stage: Stage) -> None:
        self._config, self._measurer, self._stage = config, measurer, stage

    @property
    def _axis(self) -> Axis:
        label = self._config.networks[0].label
        return next(axis for axis in self._measurer.axes() if axis.network == label and axis.primary)

    def best_codec(self) -> CodecOptions:
        """Options of the unfiltered arm with the lowest BD-rate against the first of them."""
        plain = [
            Arm(arm.name, arm.options, Unfiltered())
            for arm in self._config.arms
            if arm.kind == "none" and arm.codec_of is None
        ]
        if len(plain) == 1:
            return plain[0].options
        qps, axis = self._config.qps, self._axis
        total = len(plain) * len(qps) * len(self._measurer.pictures)
        measured = self._measurer.measure(plain, qps, self._stage("comparing codec settings", total))
        curves = {
            name: monotone(arm.bpp.mean(axis=1), axis.heights(arm.points(axis)))
            for name, arm in measured.arms.items()
        }
        anchor = curves[plain[0].name]
        return min(plain, key=lambda arm: bd_rate(*anchor, *curves[arm.name])).options

    def best_blur(self, name: str, options: CodecOptions) -> Blur:
        """The blur of an arm with these options of the codec."""
        config = self._config
        total = searched_cells(config.qps, config.blur_sigmas) * len(self._measurer.pictures)
        progress = self._stage(f"choosing sigmas of {name}", total)
        return Blur(
            search_blur(self._measurer, options, config.blur_sigmas, config.qps, self._axis, progress)
        )


def resolve_arms(
    config: EvaluateConfig, prefilters: Mapping[str, Prefilter], selector: Selector | None
) -> list[Arm]:
    """All arms ready to run.

    Args:
        config: the configuration.
        prefilters: of all arms but blurs that are to be found, by the arm's name.
        selector: needed where something is to be found.
    """
    options: dict[str, CodecOptions] = {arm.name: arm.options for arm in config.arms}

    def codec(arm: ArmConfig) -> CodecOptions:
        source = arm.codec_of or arm.name
        if source == BEST and BEST not in options:
            assert selector is not None
            options[BEST] = selector.best_codec()
        return options[source]

    def prefilter(arm: ArmConfig) -> Prefilter:
        if arm.name in prefilters:
            return prefilters[arm.name]
        assert selector is not None
        return selector.best_blur(arm.name, codec(arm))

    return [Arm(arm.name, codec(arm), prefilter(arm)) for arm in config.arms]
