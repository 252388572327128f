import pytest
import torch
from torch import Tensor, nn

from personsearch.models.config import BackboneConfig
from personsearch.models.fast.fuse import optimize_for_inference
from personsearch.models.fast.region_stage import MIN_SAVING, LastStageCPU, use_cpu_stages
from personsearch.models.fast.winograd import WinogradConv
from personsearch.models.folder import make_fast
from personsearch.models.parts.region_pool import LazyRegions, RegionPool, RegionPoolCPU
from personsearch.models.parts.resnet import LastStage
from personsearch.models.seqnet import SeqNet, SeqNetConfig

CONFIG = BackboneConfig(name="resnet50", width=0.125, norm="batch")


def stage(config: BackboneConfig = CONFIG) -> LastStage:
    torch.manual_seed(0)
    made = LastStage(config)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):  # biases that a wrong order would lose
            module.bias.data.uniform_(-0.5, 0.5)
    return optimize_for_inference(made.eval())


def boxes(count: int) -> Tensor:
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([200.0, 160.0])
    low, high = corners.amin(dim=1), corners.amax(dim=1)
    some = torch.cat([low, high], dim=1)
    some[0] = torch.tensor([205.0, 150.0, 207.0, 160.0])  # thin and at the edge: samples outside the map, which are 0
    return some


@pytest.mark.parametrize("style", ["pytorch", "caffe"])
@pytest.mark.parametrize("pool", [RegionPool(), RegionPoolCPU(), RegionPoolCPU(24, 8)])
@pytest.mark.parametrize("count", [1, 60])
def test_convolving_before_pooling_changes_nothing(style, pool, count) -> None:
    made = stage(CONFIG.model_copy(update={"style": style}))
    c4 = torch.randn(1, made.layer4[0].conv1.in_channels, 10, 13, generator=torch.Generator().manual_seed(2))
    regions = LazyRegions(pool, c4, [boxes(count)])
    assert (regions.saving(2) > MIN_SAVING) == (count == 60)  # otherwise the plain form would run
    with torch.no_grad():
        plain = made(pool(c4, [boxes(count)]))
        torch.testing.assert_close(LastStageCPU(made)(regions), plain, atol=1e-4 * plain.abs().max().item(), rtol=0)


def test_the_bias_is_added_after_pooling() -> None:
    """A sample outside the map is 0 before the convolution, so only the bias remains."""
    conv = nn.Conv2d(2, 3, 1)
    outside = torch.tensor([[300.0, 300.0, 301.0, 301.0]])
    regions = LazyRegions(RegionPoolCPU(), torch.ones(1, 2, 10, 13), [outside])
    with torch.no_grad():
        assert torch.equal(regions.after(conv), conv.bias[:, None, None].expand(1, 3, 14, 14))


def test_no_regions_give_no_output() -> None:
    made = stage()
    regions = LazyRegions(RegionPoolCPU(), torch.randn(1, made.layer4[0].conv1.in_channels, 10, 13), [torch.zeros(0, 4)])
    with torch.no_grad():
        assert LastStageCPU(made)(regions).shape == (0, made.channels, 7, 7)


def test_only_bottlenecks_with_merged_norms_are_replaced() -> None:
    network = nn.ModuleList([stage(), LastStage(CONFIG), stage(BackboneConfig(name="resnet18", width=0.25, norm="batch"))])
    use_cpu_stages(network)
    assert [isinstance(stage, LastStageCPU) for stage in network] == [True, False, False]


def test_make_fast_uses_these_forms_on_a_cpu_only() -> None:
    made = {}
    for device in ("cpu", "cuda"):  # make_fast does not move the network
        network = SeqNet(SeqNetConfig(backbone=CONFIG.model_copy(update={"width": 0.25}))).eval()
        make_fast(network, device)
        made[device] = {type(module) for module in network.modules()} & {LastStageCPU, RegionPoolCPU, WinogradConv}
    assert made == {"cpu": {LastStageCPU, RegionPoolCPU, WinogradConv}, "cuda": set()}
