"""Weights drawn with Gumbel noise, at a temperature that falls: one operation an edge as in GDAS, or all of them as in NNI's GumbelDARTS.

GDAS (Dong and Yang 2019, arXiv 1910.04465, equations 3 to 5) draws one operation an edge by the Gumbel-max trick. The drawn operation alone
is computed, and its weight alone has a gradient, as in ``MixedOp.forward_gdas`` of the authors' code
(``xautodl/models/cell_searchs/search_cells.py``). For NAS-Bench-201 they add the weights that were not drawn as plain numbers
(``NAS201SearchCell.forward_gdas``), as if those operations put out ones: that is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from strategies.one_shot.temperature import Tempered


class GumbelSoftmax(Tempered):
    """Weighs all operations by softmax((log softmax(alpha) + o) / temperature), with Gumbel noise o (Jang et al. 2017, arXiv 1611.01144).

    That is ``torch.nn.functional.gumbel_softmax``, and NNI's GumbelDARTS, whose temperatures are the default.
    """

    usual = (1.0, 0.33)

    def noise(self, label: str, alpha: Tensor) -> Tensor:
        return -torch.empty_like(alpha).exponential_(generator=self.generator).log()

    def weigh(self, alpha: Tensor, noise: Tensor) -> Tensor:
        return ((alpha.log_softmax(-1) + noise) / self.temperature).softmax(-1)


class GumbelHard(GumbelSoftmax):
    """Draws one operation with the probability that the softmax gives it; its weight has the gradient of its Gumbel softmax.

    With Gumbel noise o, the operation is argmax(alpha + o). The weights that were not drawn are 0 and have no gradient, whether their
    operations are computed or not.
    """

    single_path = True
    usual = (10.0, 0.1)
    _needs_drawn_alone = True

    def weigh(self, alpha: Tensor, noise: Tensor) -> Tensor:
        chosen = (alpha.log_softmax(-1) + noise).argmax(-1)
        relaxed = super().weigh(alpha, noise)
        return one_hot(chosen, relaxed) * (1 + (relaxed - relaxed.detach()))


def one_hot(chosen: Tensor, like: Tensor) -> Tensor:
    """Return the one-hot vector of the operation ``chosen``, of the size and the type of ``like`` [operations]."""
    return torch.nn.functional.one_hot(chosen, len(like)).to(like)
