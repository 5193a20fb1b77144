"""Which labelled anomalies a supervised detector learns from: four ways to choose them from a pool.

    "natural"       at random, so every kind is as frequent as it happens to be
    "random"        equally many of every kind, at random inside a kind
    "proportional"  equally many of every kind; inside a kind every k-means cluster in proportion to its size
    "equal"         equally many of every kind; inside a kind equally many from every k-means cluster

The last two are the data sampling of Kim et al. 2020, which one passage of the paper describes in the third way
and another in the fourth. Neither k nor the features are printed; here k = 10 and the features are the 50 leading
principal components of the pixels of that kind.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
from torch import Tensor

from adlib.errors import unknown_name

SAMPLINGS = ("proportional", "equal", "random", "natural")
CLUSTERS = 10
COMPONENTS = 50
_COMPUTED: OrderedDict[str, np.ndarray] = OrderedDict()  # clusters, by a hash of the pixels and the seed


def choose_anomalies(
    images: Tensor, kinds: np.ndarray, number: int, sampling: str, rng: np.random.Generator, seed: int = 0
) -> np.ndarray:
    """Indices of the chosen images, in a seeded order.

    Args:
        images: the pool, uint8 (N, C, H, W).
        kinds: kind of each image, str (N,).
        number: how many; fewer are chosen where the smallest kind cannot fill its equal share ("each class is
            sampled down to the smallest").
        sampling: one of SAMPLINGS.
        rng: every draw comes from it.
        seed: of the clustering.

    Raises:
        ValueError: an unknown sampling, or a pool smaller than `number`.
    """
    if sampling not in SAMPLINGS:
        raise unknown_name("sampling", sampling, SAMPLINGS)
    if number > len(kinds):
        raise ValueError(f"{number} anomalies are asked for, of a pool of {len(kinds)}; ask for fewer.")
    if sampling == "natural":
        return rng.permutation(len(kinds))[:number]
    names, counts = np.unique(kinds, return_counts=True)
    chosen = []
    for name, quota in zip(names, equal_quotas(counts, number, rng)):
        members = np.flatnonzero(kinds == name)
        if sampling == "random":
            chosen.append(rng.permutation(members)[:quota])
        else:
            clusters = kmeans_clusters(images[members], seed)
            chosen.append(members[draw_from_clusters(clusters, int(quota), sampling, rng)])
    return rng.permutation(np.concatenate(chosen))


def equal_quotas(counts: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """How many of each kind: equal shares that differ by one at most, none above the smallest kind's count.

    Args:
        counts: images there are of each kind, (K,).
        number: their sum, if every kind has so many.
        rng: decides which kinds get one more where the division leaves a rest.

    Returns:
        int (K,).
    """
    share, rest = divmod(number, len(counts))
    quotas = np.full(len(counts), share)
    quotas[rng.permutation(len(counts))[:rest]] += 1
    return np.minimum(quotas, counts.min())


def draw_from_clusters(
    clusters: np.ndarray, number: int, sampling: str, rng: np.random.Generator
) -> np.ndarray:
    """Indices of `number` members, cluster by cluster.

    Args:
        clusters: cluster number of each member, int (N,).
        number: at most N.
        sampling: "proportional" (largest remainders decide the last ones) or "equal" (a cluster smaller than its
            share gives all it has, and the others give more).
        rng: draws inside each cluster.

    Returns:
        int (number,), each index once.
    """
    sizes = np.bincount(clusters)
    if sampling == "proportional":
        exact = number * sizes / sizes.sum()
        quotas = np.floor(exact).astype(int)
        rest = number - quotas.sum()
        quotas[np.argsort(quotas - exact, kind="stable")[:rest]] += 1
    else:
        quotas = np.zeros_like(sizes)
        while (missing := number - quotas.sum()) > 0:
            open_ = np.flatnonzero(quotas < sizes)
            share = max(1, missing // len(open_))
            for cluster in open_[:missing]:
                quotas[cluster] = min(sizes[cluster], quotas[cluster] + share)
    drawn = [rng.permutation(np.flatnonzero(clusters == k))[:quota] for k, quota in enumerate(quotas)]
    return np.concatenate(drawn)


def kmeans_clusters(images: Tensor, seed: int = 0, clusters: int = CLUSTERS) -> np.ndarray:
    """Cluster number of each image: k-means on the leading principal components of the pixels.

    Args:
        images: of one kind, uint8 (N, C, H, W).
        seed: of the decomposition and of k-means.
        clusters: k; fewer where there are fewer images.

    Returns:
        int (N,), 0 to k - 1; clusters that are empty do not occur.
    """
    key = hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest() + f"-{seed}-{clusters}"
    if key not in _COMPUTED:
        _COMPUTED[key] = _kmeans(images.flatten(1).numpy(), seed, min(clusters, len(images)))
        while len(_COMPUTED) > 64:  # a sweep clusters the same nine classes in each of its ten problems
            _COMPUTED.popitem(last=False)
    return _COMPUTED[key].copy()


def _kmeans(pixels: np.ndarray, seed: int, clusters: int) -> np.ndarray:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    # In float32 an image's cluster would depend on how a processor rounds.
    features = pixels.astype(np.float64) / 255
    if (features == features[0]).all():
        return np.zeros(len(features), int)
    components = min(COMPONENTS, *features.shape, len(features) - 1)
    if components >= 1:
        pca = PCA(components, svd_solver="randomized", iterated_power=2, random_state=seed)
        features = pca.fit_transform(features)
    labels = KMeans(clusters, n_init=1, random_state=seed).fit_predict(features)
    return np.unique(labels, return_inverse=True)[1]  # duplicates can leave a cluster without members


__all__ = [
    "CLUSTERS",
    "COMPONENTS",
    "SAMPLINGS",
    "choose_anomalies",
    "draw_from_clusters",
    "equal_quotas",
    "kmeans_clusters",
]
