"""DAGAN, its ablation and its ancestors: who learns from which loss, and with which sign."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from adlib import losses
from adlib.detectors import make_detector
from adlib.models.unet import skip_count

SHAPE = (3, 32, 32)
GANS = {
    "dagan": ("generator", "discriminator"),
    "skip_ganomaly": ("generator", "discriminator"),
    "anogan": ("generator", "discriminator"),
    "began": ("generator", "discriminator"),
}


def _make(name: str, **changes):
    return make_detector(name, SHAPE, "smoke", device="cpu", **changes)


@pytest.fixture
def batch(random_images):
    return random_images(8).double() / 127.5 - 1


def _gradients(detector, images, only: str | None = None) -> dict[str, list[torch.Tensor]]:
    """The gradients of one training step, by network; `only` that network's optimiser is left to step."""
    for name, optimiser in detector.optimisers.items():
        if name != only:
            optimiser.step = lambda: None
    detector.networks.train()
    detector.training_step(images)
    return {
        name: [p.grad.clone() for p in network.parameters()]
        for name, network in detector.networks.items()
        if any(p.grad is not None for p in network.parameters())
    }


def _by_hand(loss: torch.Tensor, network: torch.nn.Module) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters())))


def _assert_same(ours, theirs) -> None:
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs):
        assert_close(one, other, rtol=1e-8, atol=1e-12)


# ---------------------------------------------------------------------- each player's own loss
@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("opposed", [True, False])
def test_dagan_gradients_are_those_of_two_losses_written_out(opposed, squared, batch):
    detector = _make("dagan", opposed=opposed, squared=squared)
    ours = _gradients(detector, batch)
    generator, discriminator = detector.networks["generator"], detector.networks["discriminator"]

    def norm(x, y):
        squares = (x - y).pow(2).mean((1, 2, 3))
        return squares.mean() if squared else squares.sqrt().mean()

    again = generator(batch)
    adversarial = norm(discriminator(batch).detach(), discriminator(again))
    _assert_same(ours["generator"], _by_hand(adversarial + 40 * norm(batch, again), generator))
    again = again.detach()
    sign = -1 if opposed else 1
    loss = norm(batch, discriminator(batch)) + sign * norm(discriminator(batch), discriminator(again))
    _assert_same(ours["discriminator"], _by_hand(loss, discriminator))


def test_skip_ganomaly_gradients_are_those_of_two_losses_written_out(batch):
    detector = _make("skip_ganomaly")
    ours = _gradients(detector, batch)
    generator, discriminator = detector.networks["generator"], detector.networks["discriminator"]
    bce = torch.nn.functional.binary_cross_entropy
    one, zero = torch.ones(8, dtype=batch.dtype), torch.zeros(8, dtype=batch.dtype)

    again = generator(batch)
    features = discriminator(batch)[1].detach()
    logits, features_again = discriminator(again)
    loss = bce(logits.sigmoid(), one) + 40 * (batch - again).abs().mean()
    _assert_same(ours["generator"], _by_hand(loss + (features - features_again).pow(2).mean(), generator))
    real, fake = discriminator(batch)[0].sigmoid(), discriminator(again.detach())[0].sigmoid()
    _assert_same(ours["discriminator"], _by_hand((bce(real, one) + bce(fake, zero)) / 2, discriminator))


def test_began_trains_each_player_on_its_own_loss(batch):
    """The re-implementation that most read lets the generator's loss reach the discriminator too."""
    detector = _make("began")
    detector.networks["balance"].k.fill_(0.3)
    state = detector.generator.get_state()
    ours = _gradients(detector, batch)
    generator, discriminator = detector.networks["generator"], detector.networks["discriminator"]
    draws = torch.rand((8, 16), generator=torch.Generator().set_state(state), dtype=batch.dtype)
    codes = 2 * draws - 1

    generated = generator(codes)
    _assert_same(ours["generator"], _by_hand((generated - discriminator(generated)).abs().mean(), generator))
    generated = generated.detach()
    real = (batch - discriminator(batch)).abs().mean()
    fake = (generated - discriminator(generated)).abs().mean()
    _assert_same(ours["discriminator"], _by_hand(real - 0.3 * fake, discriminator))
    gain = 0.001 * (0.5 * real - fake)
    assert_close(detector.networks["balance"].k, (0.3 + gain).detach())


def test_critic_gradients_are_those_of_the_penalised_distance_written_out(batch):
    detector = _make("f_anogan")
    state = detector.generator.get_state()
    ours = _gradients(detector, batch)
    critic, draws = detector.networks["critic"], torch.Generator().set_state(state)
    codes = torch.randn((8, 16), generator=draws, dtype=batch.dtype)
    generated = detector.networks["generator"](codes).detach()
    mix = torch.rand((8, 1, 1, 1), generator=draws, dtype=batch.dtype)
    between = ((1 - mix) * batch + mix * generated).requires_grad_()
    (slopes,) = torch.autograd.grad(critic(between)[0].sum(), between, create_graph=True)
    penalty = (slopes.pow(2).sum((1, 2, 3)).sqrt() - 1).pow(2).mean()
    loss = critic(generated)[0].mean() - critic(batch)[0].mean() + 10 * penalty
    assert set(ours) == {"critic"}
    _assert_same(ours["critic"], _by_hand(loss, critic))


# ---------------------------------------------------------------------- signs
def _adversarial(detector, images) -> float:
    with torch.no_grad():
        redrawn = detector.networks["discriminator"](images)
        again = detector.networks["discriminator"](detector.networks["generator"](images))
        return float((redrawn - again).pow(2).mean())


@pytest.mark.parametrize(
    ("player", "opposed", "rises"),
    [("discriminator", True, True), ("discriminator", False, False), ("generator", True, False)],
)
def test_a_step_of_one_player_moves_the_adversarial_distance_its_way(player, opposed, rises, batch):
    """With only L_adv in play: D's step raises it, G's lowers it; with the printed sum, D lowers it too."""
    detector = _make(
        "dagan", opposed=opposed, generator=0.0, discriminator=0.0, learning_rate=1e-4, betas=(0.0, 0.999)
    )
    detector.networks.train()
    before = _adversarial(detector, batch)
    _gradients(detector, batch, only=player)
    assert (_adversarial(detector, batch) > before) == rises


@pytest.mark.slow
def test_an_unbounded_discriminator_pushes_beyond_what_a_bounded_one_can(batch):
    """L_adv of a bounded D cannot exceed 4; without tanh and unopposed by reconstruction it runs away."""
    highest = {}
    for bounded in (True, False):
        detector = _make("dagan", bounded=bounded, discriminator=0.0, learning_rate=0.01)
        detector.networks.train()
        highest[bounded] = max(float(detector.training_step(batch)["adversarial"]) for _ in range(25))
    assert highest[True] <= 4
    assert highest[False] > 10


def test_began_control_turns_the_discriminator_against_the_generator(batch):
    """With k = 1 a step of D worsens its redrawing of generated images; with k = 0 they do not matter to it."""

    def fake_error_gradient(k: float) -> torch.Tensor:
        detector = _make("began")
        detector.networks["balance"].k.fill_(k)
        return torch.cat([g.flatten() for g in _gradients(detector, batch)["discriminator"]])

    assert not torch.allclose(fake_error_gradient(0.0), fake_error_gradient(1.0), rtol=1e-2)


@pytest.mark.parametrize("name", GANS)
def test_a_step_moves_both_players_and_the_optimisers_own_one_network_each(name, batch):
    """A public DAGAN builds one optimiser over both players' parameters (P23)."""
    detector = _make(name)
    for player in GANS[name]:
        owned = {id(p) for group in detector.optimisers[player].param_groups for p in group["params"]}
        assert owned == {id(p) for p in detector.networks[player].parameters()}
    before = {name: p.detach().clone() for name, p in detector.networks.named_parameters()}
    detector.networks.train()
    detector.training_step(batch)
    for player in GANS[name]:
        moved = [
            not torch.equal(p, before[f"{player}.{key}"])
            for key, p in detector.networks[player].named_parameters()
        ]
        assert any(moved)


# ---------------------------------------------------------------------- DAGAN and its ablation
@pytest.mark.slow
def test_the_ablation_differs_from_dagan_by_the_adversarial_term_only(tiny_split):
    """Same seed, same first weights, same batches: with weight 0 for L_adv DAGAN's generator is the U-Net."""
    changes = {"steps": 4, "checkpoints": 1, "width": 8, "batch_size": 16}
    unet, dagan = (
        _make("unet", **changes),
        _make("dagan", adversarial=0.0, discriminator_width=8, **changes),
    )
    for one, other in zip(*(d.networks["generator"].parameters() for d in (unet, dagan))):
        assert torch.equal(one, other)
    for detector in (unet, dagan):
        detector.fit(tiny_split.train, progress="quiet")
    errors = [detector.history.losses["generator_error"] for detector in (unet, dagan)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-4)
    played = _make("dagan", adversarial=1e4, discriminator_width=8, **changes).fit(
        tiny_split.train, progress="quiet"
    )
    assert played.history.losses["generator_error"] != pytest.approx(errors[0], rel=1e-3)


def test_both_residuals_are_norms_through_g_and_through_d_of_g(random_images):
    detector, images = _make("dagan"), random_images(3)
    seen, x = detector.examine(images), detector.normalise(images)
    with torch.no_grad():
        again = detector.networks["generator"](x)
        redrawn = detector.networks["discriminator"](again)
    assert_close(seen.scores["G"], (x - again).pow(2).sum((1, 2, 3)).sqrt())
    assert_close(seen.scores["DG"], (x - redrawn).pow(2).sum((1, 2, 3)).sqrt())
    assert_close(seen.reconstructions, again)


@pytest.mark.parametrize("name", ["dagan", "unet", "skip_ganomaly"])
def test_skips_can_be_dropped_down_to_the_bottleneck(name, batch):
    full = sum(p.numel() for p in _make(name).networks["generator"].parameters())
    bare = _make(name, dropped_skips=skip_count(32))
    assert sum(p.numel() for p in bare.networks["generator"].parameters()) < full
    bare.networks.train()
    assert all(loss.isfinite() for loss in bare.training_step(batch).values())
    with pytest.raises(ValueError, match="has 4 skip connections"):
        _make(name, dropped_skips=5)


# ---------------------------------------------------------------------- AnoGAN's search
@pytest.mark.slow
def test_search_lowers_the_distance_and_a_longer_one_lowers_it_more(tiny_split):
    detector = _make("anogan").fit(tiny_split.train, progress="quiet")
    images = tiny_split.test.images[:6]

    def score(steps: int) -> torch.Tensor:
        again = _make("anogan", search_steps=steps)
        again.networks.load_state_dict(detector.networks.state_dict())
        return again.anomaly_score(images)

    start, short, long = score(0), score(8), score(60)
    assert short.mean() < start.mean()
    assert long.mean() < short.mean()


@pytest.mark.slow
def test_search_of_many_images_equals_the_search_of_each(random_images):
    """Longer than in the contract: Adam's moments and the starts are an image's own, whatever else is in the batch."""
    detector, images = _make("anogan", search_steps=40), random_images(6)
    together = detector.examine(images).scores["A"]
    others = torch.cat([images.flip(0), torch.zeros_like(images)])
    assert_close(detector.examine(others).scores["A"][:6].flip(0), together)
    assert_close(detector.examine(images, batch_size=1).scores["A"], together)


def test_one_more_restart_never_worsens_the_score(random_images):
    images = random_images(5)
    one, three = _make("anogan", restarts=1), _make("anogan", restarts=3)
    state = {k: v for k, v in one.networks.state_dict().items() if "starts" not in k}
    three.networks.load_state_dict(state, strict=False)
    three.networks["starts"].codes[0] = one.networks["starts"].codes[0]
    assert (three.anomaly_score(images) <= one.anomaly_score(images) + 1e-5).all()


def test_search_leaves_the_networks_alone(random_images):
    detector = _make("anogan")
    before = {k: v.clone() for k, v in detector.networks.state_dict().items()}
    detector.examine(random_images(3))
    assert all(torch.equal(v, before[k]) for k, v in detector.networks.state_dict().items())
    assert all(p.grad is None for p in detector.networks.parameters())


# ---------------------------------------------------------------------- f-AnoGAN's two phases
def _moved(detector, images) -> set[str]:
    before = {k: v.detach().clone() for k, v in detector.networks.named_parameters()}
    detector.networks.train()
    detector.training_step(images)
    return {k.split(".")[0] for k, v in detector.networks.named_parameters() if not torch.equal(v, before[k])}


def test_critic_generator_and_encoder_take_their_turns(batch):
    detector = _make("f_anogan", steps=9, encoder_share=1 / 3, critic_steps=3)
    turns = [_moved(detector, batch) for _ in range(9)]
    critic, both, encoder = {"critic"}, {"critic", "generator"}, {"encoder"}
    assert turns == [critic, critic, both, critic, critic, both, encoder, encoder, encoder]


def test_the_encoder_phase_leaves_the_generator_s_statistics_alone(batch):
    detector = _make("f_anogan", encoder_share=1.0)
    before = {k: v.clone() for k, v in detector.networks["generator"].state_dict().items()}
    detector.networks.train()
    detector.training_step(batch)
    assert all(torch.equal(v, before[k]) for k, v in detector.networks["generator"].state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("residual", [False, True])
def test_f_anogan_trains_with_either_network_in_either_precision(residual, precision, tiny_split):
    detector = _make("f_anogan", residual=residual, precision=precision, width=4, steps=6, checkpoints=1)
    detector.fit(tiny_split.train, progress="quiet")
    assert set(detector.history.losses) == {"critic", "gradient_penalty", "generator", "encoder"}
    assert detector.anomaly_score(tiny_split.test.images[:2]).isfinite().all()


# ---------------------------------------------------------------------- learning, and input refused
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "steps"),
    [("dagan", 40), ("unet", 40), ("skip_ganomaly", 60), ("began", 40), ("f_anogan", 150)],
)
def test_training_brings_the_reconstruction_nearer(name, steps, tiny_split):
    detector = _make(name, steps=steps, width=8, batch_size=16)
    images = tiny_split.validation.images

    def error():
        return float((detector.reconstruct(images).float() - images.float()).abs().mean())

    before = error()
    detector.fit(tiny_split.train, progress="quiet")
    assert error() < 0.9 * before


@pytest.mark.parametrize("name", ["dagan", "unet", "skip_ganomaly", "anogan", "f_anogan", "began"])
def test_odd_sizes_are_refused_with_a_remedy(name):
    with pytest.raises(ValueError, match=r"square ones: load\(\.\.\., size=32\)"):
        make_detector(name, (3, 32, 64), "smoke")
    with pytest.raises(ValueError, match=r"side 48 .* size=32"):
        make_detector(name, (3, 48, 48), "smoke")


@pytest.mark.parametrize("name", ["dagan", "unet", "skip_ganomaly", "anogan", "f_anogan", "began"])
def test_grey_images_and_a_single_training_image_will_do(name, random_images):
    detector = make_detector(name, (1, 16, 16), "smoke", device="cpu", steps=3, checkpoints=1)
    images = random_images(1, channels=1, size=16)
    assert detector.fit(images, progress="quiet").anomaly_score(images).isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dagan", "unet", "skip_ganomaly", "anogan", "f_anogan", "began"])
def test_published_settings_build_at_the_published_width(name):
    detector = make_detector(name, (3, 64, 64), "paper", device="meta")
    detector.training_step(torch.empty((4, 3, 64, 64), device="meta"))
    expected = {"dagan": 29_244_035 + 1_315_587, "unet": 29_244_035}
    if name in expected:
        assert sum(p.numel() for p in detector.networks.parameters()) == expected[name]


def test_the_balance_restrains_the_discriminator_while_it_wins(tiny_split):
    balanced = _make("dagan_balanced", k_rate=0.5)
    images = balanced.normalise(tiny_split.train.images[:8])
    first = balanced.training_step(images)
    k = losses.equilibrium(torch.zeros(()), first["discriminator_error"], first["adversarial"], 0.5, 0.5)
    assert float(first["k"]) == pytest.approx(float(k))
    plain, restrained = _make("dagan"), _make("dagan_balanced")
    for detector in (plain, restrained):  # k starts at 0: the first step of D knows nothing of L_adv
        detector.training_step(images)
    expected = _make("dagan", adversarial=0.0)
    expected.training_step(images)
    for name, parameter in expected.networks["discriminator"].named_parameters():
        assert_close(restrained.networks["discriminator"].get_parameter(name), parameter)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(
            plain.networks["discriminator"].parameters(), restrained.networks["discriminator"].parameters()
        )
    )
