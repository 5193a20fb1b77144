"""Faults to be put in on purpose: each is one replacement in one file, and a name that says what is wrong.

Written from the papers' equations and from the pitfalls of the field, not from the tests. `tests/faults/put_in.py` puts
them in one at a time. A replacement whose text no longer stands in the file is an error (`test_faults.py`), so the
catalogue keeps up with the code.
"""

from __future__ import annotations

from dataclasses import dataclass

LOSSES = ("tests/test_losses_and_scores.py", "tests/test_dual_losses.py", "tests/test_ssim.py")
GAN = ("tests/detectors/test_ganomaly.py", "tests/detectors/test_dagan_family.py")
DUAL = ("tests/test_dual_losses.py", "tests/detectors/test_dual_discriminator.py")
STYLE = ("tests/detectors/test_auto_encoder_family.py", "tests/test_ssim.py")
ONE_CLASS = ("tests/detectors/test_one_class.py",)
CONTRACT = ("tests/detectors/test_contract.py",)
LOOP = ("tests/test_training.py", "tests/detectors/test_contract.py")
SPLITS = ("tests/data/test_splits.py", "tests/data/test_labelled_anomalies.py")
IMAGES = ("tests/data/test_images.py", "tests/data/test_ranges.py", "tests/data/test_folder.py")
METRICS = ("tests/test_metrics.py",)
PROTOCOL = ("tests/test_experiment.py",)


@dataclass(frozen=True)
class Fault:
    """One fault.

    Args:
        name: what is wrong, in words.
        touches: "training" (the trajectories should notice), "scoring", "evaluation", "data" or "files".
        file: where. old: the text that stands there once. new: what takes its place.
        tests: unit tests of the room, asked in this order.
        chapters: chapters that use the code.
    """

    name: str
    touches: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    chapters: tuple[str, ...] = ()


def _training(name: str, file: str, old: str, new: str, tests: tuple[str, ...], *chapters: str) -> Fault:
    return Fault(name, "training", file, old, new, tests, chapters)


_LOSSES, _SCORES, _DETECTORS = "adlib/losses.py", "adlib/scores.py", "adlib/detectors"

FAULTS = (
    # ------------------------------------------------------------ chapter 1: GANomaly
    _training(
        "GANomaly: the feature-matching loss with its sign turned",
        f"{_DETECTORS}/ganomaly.py",
        "weight.adversarial * adversarial + weight.contextual",
        "-weight.adversarial * adversarial + weight.contextual",
        GAN,
        "01",
    ),
    _training(
        "GANomaly: the latent loss dropped",
        f"{_DETECTORS}/ganomaly.py",
        "+ weight.latent * latent",
        "+ 0 * latent",
        GAN,
        "01",
    ),
    _training(
        "GANomaly: the discriminator's labels swapped",
        f"{_DETECTORS}/ganomaly.py",
        "losses.real_fake_loss(real_logits, fake_logits)",
        "losses.real_fake_loss(fake_logits, real_logits)",
        GAN,
        "01",
    ),
    _training(
        "GANomaly: the target of feature matching is not held fixed",
        f"{_DETECTORS}/ganomaly.py",
        "losses.feature_matching_loss(real_features.detach(), fake_features)",
        "losses.feature_matching_loss(real_features, fake_features)",
        GAN,
        "01",
    ),
    _training(
        "GANomaly: the discriminator is started afresh at every step",
        f"{_DETECTORS}/ganomaly.py",
        'if losses["discriminator"] < COLLAPSED:',
        'if losses["discriminator"] > COLLAPSED:',
        GAN,
        "01",
    ),
    Fault(
        "GANomaly: D1 and D3 change places",
        "scoring",
        f"{_DETECTORS}/ganomaly.py",
        '"D1": scores.feature_distance_l1(features, features_again),',
        '"D1": scores.pixel_distance(images, generated.image),',
        GAN,
        ("01",),
    ),
    _training(
        "contextual loss: a sum instead of a mean",
        _LOSSES,
        "F.l1_loss(at_least_float32(reconstructions), at_least_float32(images))",
        'F.l1_loss(at_least_float32(reconstructions), at_least_float32(images), reduction="sum")',
        LOSSES,
        "01",
    ),
    _training(
        "real or fake: only the reconstructions count",
        _LOSSES,
        "return (real + fake) / 2",
        "return fake / 2",
        LOSSES,
        "01",
    ),
    Fault(
        "D1: differences are not made positive",
        "scoring",
        _SCORES,
        "return _difference(features, features_again).abs().flatten(1).sum(1)",
        "return _difference(features, features_again).flatten(1).sum(1)",
        LOSSES,
        ("01",),
    ),
    # ------------------------------------------------------------ chapter 2: DAGAN and its family
    _training(
        "DAGAN: both players minimise",
        f"{_DETECTORS}/dagan.py",
        "opposed: bool = True",
        "opposed: bool = False",
        GAN,
        "02",
    ),
    _training(
        "DAGAN: the weight 40 is 4",
        f"{_DETECTORS}/dagan.py",
        "generator: float = 40.0",
        "generator: float = 4.0",
        GAN,
        "02",
    ),
    _training(
        "DAGAN: no adversarial term at all",
        f"{_DETECTORS}/dagan.py",
        "pull = weight.adversarial * adversarial",
        "pull = 0 * adversarial",
        GAN,
        "02",
    ),
    _training(
        "DAGAN: the discriminator redraws reconstructions only",
        f"{_DETECTORS}/dagan.py",
        "images_redrawn = discriminator(images)",
        "images_redrawn = discriminator(reconstructions)",
        GAN,
        "02",
    ),
    _training(
        "squared norm: means become roots",
        _LOSSES,
        "return squares.mean() if squared else",
        "return squares.mean() if not squared else",
        LOSSES,
        "02",
    ),
    _training(
        "Skip-GANomaly: the target of the latent loss is not held fixed",
        f"{_DETECTORS}/skip_ganomaly.py",
        "losses.latent_loss(features.detach(), features_again)",
        "losses.latent_loss(features, features_again)",
        GAN,
        "02",
    ),
    _training(
        "non-saturating loss: the generator is told to look fake",
        _LOSSES,
        "return F.softplus(-at_least_float32(fake_logits)).mean()",
        "return F.softplus(at_least_float32(fake_logits)).mean()",
        LOSSES,
        "02",
    ),
    _training(
        "BEGAN: k moves the wrong way",
        _LOSSES,
        "(k + rate * (gamma * real_error - fake_error))",
        "(k - rate * (gamma * real_error - fake_error))",
        (*LOSSES, *GAN),
        "02",
    ),
    _training(
        "BEGAN: the discriminator also draws generated images well",
        f"{_DETECTORS}/began.py",
        "discriminator=real_error - k * fake_error",
        "discriminator=real_error + k * fake_error",
        GAN,
        "02",
    ),
    _training(
        "f-AnoGAN: the penalty pulls slopes to zero",
        _LOSSES,
        ".norm(dim=1) - 1).square().mean()",
        ".norm(dim=1)).square().mean()",
        (*LOSSES, *GAN),
        "02",
    ),
    _training(
        "f-AnoGAN: the critic's sides change places",
        _LOSSES,
        "return at_least_float32(fake_values).mean() - at_least_float32(real_values).mean()",
        "return at_least_float32(real_values).mean() - at_least_float32(fake_values).mean()",
        (*LOSSES, *GAN),
        "02",
    ),
    Fault(
        "AnoGAN: the search takes the worst start",
        "scoring",
        f"{_DETECTORS}/anogan.py",
        "best = ends.argmin(0)",
        "best = ends.argmax(0)",
        GAN,
        ("02",),
    ),
    Fault(
        "Skip-GANomaly: the shares of pixels and features change places",
        "scoring",
        _SCORES,
        "return share * _mean_squares(images, reconstructions) + (1 - share) * _mean_squares(",
        "return (1 - share) * _mean_squares(images, reconstructions) + share * _mean_squares(",
        LOSSES,
        ("02",),
    ),
    # ------------------------------------------------------------ chapter 3: the dual discriminator
    _training(
        "patch loss: the best patches instead of the worst",
        _LOSSES,
        "patches.topk(worst, dim=1).values.mean()",
        "patches.topk(worst, dim=1, largest=False).values.mean()",
        DUAL,
        "03",
    ),
    _training(
        "ABC loss: anomalies are to be drawn well",
        _LOSSES,
        "return -torch.log(-torch.expm1(-bounded)).mean()",
        "return torch.log(-torch.expm1(-bounded)).mean()",
        DUAL,
        "03",
    ),
    _training(
        "ABC loss: of a sum instead of a mean",
        f"{_DETECTORS}/dual_discriminator.py",
        "losses.abc_loss(losses.reconstruction_errors(real, redrawn))",
        "losses.abc_loss(losses.reconstruction_errors(real, redrawn) * real[0].numel())",
        DUAL,
        "03",
    ),
    _training(
        "anomaly adversarial loss: anomalies are to look real",
        _LOSSES,
        "    return at_least_float32(redrawn_maps).square().mean()\n",
        "    return (at_least_float32(redrawn_maps) - 1).square().mean()\n",
        DUAL,
        "03",
    ),
    _training(
        "LSGAN: real images are taken for fake",
        _LOSSES,
        "return (at_least_float32(real_maps) - 1).square().mean() + at_least_float32(redrawn_maps).square().mean()",
        "return at_least_float32(real_maps).square().mean() + (at_least_float32(redrawn_maps) - 1).square().mean()",
        DUAL,
        "03",
    ),
    _training(
        "dual discriminator: normal images are judged by the anomalies' discriminator",
        f"{_DETECTORS}/dual_discriminator.py",
        "name = self._judges[next(iter(judged))]",
        'name = "anomaly_discriminator"',
        DUAL,
        "03",
    ),
    _training(
        "dual discriminator: normal images come as anomalies too",
        f"{_DETECTORS}/dual_discriminator.py",
        '"anomaly": self.draw_anomalies(len(images))',
        '"anomaly": images',
        DUAL,
        "03",
    ),
    # ------------------------------------------------------------ chapter 4: auto-encoders and style
    _training(
        "SSIM: constants as printed, not squared",
        _LOSSES,
        "(2 * mean_p * mean_q + 0.01**2) * (2 * covariance + 0.03**2)",
        "(2 * mean_p * mean_q + 0.01) * (2 * covariance + 0.03)",
        STYLE,
        "04",
    ),
    _training(
        "DSSIM: similarity instead of dissimilarity",
        _LOSSES,
        "return (1 - ssim_map(images, others, window)) / 2",
        "return (1 + ssim_map(images, others, window)) / 2",
        STYLE,
        "04",
    ),
    _training(
        "VAE: the divergence with its sign turned",
        f"{_DETECTORS}/vae.py",
        "squares + self.config.kl_weight * divergence",
        "squares - self.config.kl_weight * divergence",
        STYLE,
        "04",
    ),
    _training(
        "VAE: the logarithm of the variance is taken for that of the deviation",
        f"{_DETECTORS}/vae.py",
        "network.decode(mean + noise * (log_variance / 2).exp())",
        "network.decode(mean + noise * log_variance.exp())",
        STYLE,
        "04",
    ),
    _training(
        "KL divergence: one is not taken away",
        _LOSSES,
        "log_variance.exp() - log_variance - 1)",
        "log_variance.exp() - log_variance)",
        (*LOSSES, *STYLE),
        "04",
    ),
    _training(
        "SDN: the student imitates the images, not the teacher",
        f"{_DETECTORS}/sdn.py",
        "self._distance(student(images), target)",
        "self._distance(student(images), images)",
        STYLE,
        "04",
    ),
    _training(
        "OE-SDN: the outliers' term has the wrong weight",
        f"{_DETECTORS}/sdn.py",
        "loss, outlier_loss = (1 - exposure) * style + exposure * identity",
        "loss, outlier_loss = (1 - exposure) * style - exposure * identity",
        STYLE,
        "04",
    ),
    _training(
        "RNAN: queries and keys change places",
        "adlib/models/rnan.py",
        "F.scaled_dot_product_attention(query, key, value, scale=1.0)",
        "F.scaled_dot_product_attention(key, query, value, scale=1.0)",
        ("tests/models/test_auto_encoders.py", *STYLE),
        "04",
    ),
    # ------------------------------------------------------------ chapter 5: one class
    _training(
        "Deep SVDD: the centre is zero",
        f"{_DETECTORS}/deep_svdd.py",
        "centre = features.mean(0)",
        "centre = 0 * features.mean(0)",
        ONE_CLASS,
        "05",
    ),
    _training(
        "soft boundary: points inside are penalised",
        _LOSSES,
        "F.relu(at_least_float32(distances) - boundary)",
        "F.relu(boundary - at_least_float32(distances))",
        (*LOSSES, *ONE_CLASS),
        "05",
    ),
    # ------------------------------------------------------------ the loop, modes, initialisation, optimisers
    _training(
        "the generator's loss moves the discriminator too",
        f"{_DETECTORS}/base.py",
        "loss.backward(inputs=own, retain_graph=number < len(losses))",
        "loss.backward(retain_graph=number < len(losses))",
        (*LOOP, *GAN),
        "01",
    ),
    _training(
        "gradients are not set to zero",
        f"{_DETECTORS}/base.py",
        "            optimiser.zero_grad()\n",
        "",
        (*LOOP, *GAN),
        "01",
    ),
    _training(
        "Adam: the two betas change places",
        f"{_DETECTORS}/base.py",
        "lr=learning_rate, betas=betas, fused=fused",
        "lr=learning_rate, betas=betas[::-1], fused=fused",
        (*LOOP, *GAN),
        "01",
    ),
    _training(
        "weights begin ten times as large",
        "adlib/models/ganomaly.py",
        "0.0, 0.02)",
        "0.0, 0.2)",
        ("tests/models/test_ganomaly_networks.py", *GAN),
        "01",
    ),
    Fault(
        "BatchNorm is left in training mode when images are scored",
        "scoring",
        f"{_DETECTORS}/base.py",
        "id(self): self._folded.of(self.networks)",
        "id(self): self.networks.train()",
        CONTRACT,
        ("01",),
    ),
    _training(
        "networks train in evaluation mode",
        "adlib/training.py",
        "    detector.networks.train()\n",
        "    detector.networks.eval()\n",
        LOOP,
        "01",
    ),
    _training(
        "the average of the weights is not used",
        "adlib/training.py",
        "        average.copy_into_networks()\n",
        "",
        LOOP,
        "01",
    ),
    _training(
        "the average forgets BatchNorm's statistics",
        "adlib/averaging.py",
        "if isinstance(module, _BatchNorm):",
        "if False:",
        LOOP,
        "01",
    ),
    _training(
        "the average begins without a warm-up",
        "adlib/averaging.py",
        "min(self.decay, (1 + step) / (10 + step))",
        "self.decay",
        LOOP,
        "01",
    ),
    # ------------------------------------------------------------ ranges, images, order
    _training(
        "networks see images in [0, 2]",
        "adlib/data/ranges.py",
        "div_(127.5).sub_(1.0)",
        "div_(127.5)",
        IMAGES,
        "01",
    ),
    _training(
        "batches are not shuffled",
        "adlib/data/batches.py",
        "torch.randperm(",
        "torch.arange(",
        ("tests/data/test_batches.py",),
        "01",
    ),
    # ------------------------------------------------------------ thresholds and verdicts
    Fault(
        "the threshold lies at the median of the normal scores",
        "evaluation",
        f"{_DETECTORS}/base.py",
        "THRESHOLD_QUANTILE = 0.95",
        "THRESHOLD_QUANTILE = 0.5",
        CONTRACT,
        ("01",),
    ),
    Fault(
        "verdicts are turned round",
        "evaluation",
        f"{_DETECTORS}/base.py",
        "return scores > self.thresholds",
        "return scores < self.thresholds",
        CONTRACT,
        ("01",),
    ),
    # ------------------------------------------------------------ leaks
    Fault(
        "few-shot: larger subsets do not hold the smaller ones",
        "data",
        "adlib/data/cutting.py",
        'settings.stream("few-shot").permutation(train)[:count]',
        'settings.stream(f"few-shot {count}").permutation(train)[:count]',
        SPLITS,
        ("02",),
    ),
    Fault(
        "validation images stay in training",
        "data",
        "adlib/data/cutting.py",
        "return np.sort(order[number:]), np.sort(order[:number])",
        "return np.sort(order), np.sort(order[:number])",
        SPLITS,
        ("01",),
    ),
    Fault(
        "reserved anomalies are tested all the same",
        "data",
        "adlib/data/cutting.py",
        "return pool, np.setdiff1d(test, pool)",
        "return pool, test",
        SPLITS,
        ("01",),
    ),
    # ------------------------------------------------------------ metrics
    Fault(
        "AUPRO is integrated over all false-positive rates",
        "evaluation",
        "adlib/metrics.py",
        "max_fpr: float = 0.3",
        "max_fpr: float = 1.0",
        METRICS,
        ("f4",),
    ),
    Fault(
        "true positives at a rate: the threshold may be looser",
        "evaluation",
        "adlib/metrics.py",
        "curve.tpr[curve.fpr <= fpr].max()",
        "curve.tpr[curve.fpr >= fpr].min()",
        METRICS,
        ("f4",),
    ),
    Fault(
        "the checkpoint is chosen by the largest error",
        "evaluation",
        "adlib/training.py",
        "return min(errors, key=errors.__getitem__) if errors else None",
        "return max(errors, key=errors.__getitem__) if errors else None",
        LOOP,
        ("01",),
    ),
    # ------------------------------------------------------------ files
    Fault(
        "a loaded detector has lost its thresholds",
        "files",
        f"{_DETECTORS}/base.py",
        '"thresholds": self.thresholds,',
        '"thresholds": {},',
        CONTRACT,
        ("00",),
    ),
    Fault(
        "a resumed run begins its average anew",
        "files",
        "adlib/resume.py",
        '        average.load(part("average."))\n',
        "        pass\n",
        LOOP,
        (),
    ),
    Fault(
        "a resumed run repeats its random draws",
        "files",
        "adlib/resume.py",
        '    detector.generator.set_state(tensors["generator"])\n',
        "",
        (*LOOP, *GAN, *STYLE),
        (),
    ),
)
