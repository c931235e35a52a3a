"""The decoder's pass with torch alone, on a GPU and where there is no compiler: always in tiles of as many rows.

What a library sums, and in which order, follows from the shapes of its products. So a tile goes through the whole
network at a time: every product, norm and sum in it has the same shape in every pass, whoever the rows belong to, and a
row's bits are its own. Rows that a pass lacks are copies of its first one. On CUDA a tile's way through the network is
one graph that is replayed: nothing is launched one by one.

Shapes: N rows (of a tile, or of a pass), D dim, H heads, K key-value heads, P head_dim, E experts, R rows by expert.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from kolossos.model.activation import gated
from kolossos.model.attention.kernel import Reach
from kolossos.model.attention.layer import AttentionContext
from kolossos.model.attention.rotary import attention_temperature, rotary_tables
from kolossos.model.decoder import Decoder, Layer
from kolossos.model.experts.biased import BiasedExperts
from kolossos.model.experts.gated import Experts
from kolossos.serve.engine.batch import PAGE, Batch
from kolossos.serve.engine.paged import FlexPaged, How, Paged, RowByRow, Rows

TILE = {"cpu": 16, "cuda": 128}
WARM_UPS = 2
"""Passes before a graph is taken: kernels are compiled and chosen in them."""


class TiledDecoder:
    """A `Network` on the device and in the dtype of the model's weights.

    ``flex``: FlexAttention in place of products row by row. ``compiled``: layers by torch.compile, whose kernels do
    more at a time. None: on CUDA.
    """

    def __init__(self, model: Decoder, pages: int, flex: bool | None = None, compiled: bool | None = None):
        self._decoder, self.spec, self.pages = model.eval(), model.spec, pages
        self.vocab_size, self.context = model.spec.vocab_size, model.spec.max_seq_len
        weight = model.embedding.weight
        self._device, self._dtype = weight.device, weight.dtype
        cuda = self._device.type == "cuda"
        self._tile = TILE.get(self._device.type, 128)
        self.kind = f"{str(weight.dtype).removeprefix('torch.')} by torch on {self._device.type}"
        shape = (model.spec.n_layers, pages + 1, PAGE, model.spec.n_kv_heads, model.spec.head_dim)
        self._keys, self._values = (torch.zeros(shape, device=self._device, dtype=self._dtype) for _ in range(2))
        self._rows = Rows.room(self._tile, -(-self.context // PAGE), pages, self._device)
        flex = cuda if flex is None else flex
        self._paged: Paged = FlexPaged(self._rows, compiled=cuda) if flex else RowByRow(self._rows)
        for number, layer in enumerate(model.layers):
            assert isinstance(layer, Layer)
            layer.attention.attend = _Attend(self, number)  # type: ignore[assignment]
            if layer.moe is not None and not _grouped_as_it_is(layer.moe.experts):
                layer.moe.experts = FixedShapes(layer.moe.experts, self._tile)  # type: ignore[assignment]
            if cuda if compiled is None else compiled:
                layer.compile(dynamic=False)
        self._ids = torch.zeros(self._tile, device=self._device, dtype=torch.int64)
        self._hidden = torch.zeros(self._tile, model.spec.dim, device=self._device, dtype=self._dtype)
        self._wanted = torch.zeros_like(self._hidden)
        self._logits = torch.zeros(self._tile, self.vocab_size, device=self._device)
        self._told = torch.zeros(self._logits.shape, pin_memory=cuda)
        self._graphs: dict[Callable[[], None], torch.cuda.CUDAGraph] = {}

    @torch.inference_mode()
    def forward(self, batch: Batch, hidden: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Network`."""
        owner_N = np.repeat(np.arange(len(batch.firsts) - 1), np.diff(batch.firsts))
        made = []
        for start in range(0, len(owner_N), self._tile):
            rows = slice(start, start + self._tile)
            made.append(self._through(batch.ids[rows], batch.positions[rows], batch.tables[owner_N[rows]]))
        x_ND = torch.cat(made)
        wanted_MD = x_ND[torch.from_numpy(batch.wanted).to(self._device).long()]
        logits = np.empty((len(batch.wanted), self.vocab_size), dtype=np.float32)
        for start in range(0, len(logits), self._tile):
            part = wanted_MD[start : start + self._tile]
            self._wanted[: len(part)] = part
            self._run(self._head)
            self._told[: len(part)].copy_(self._logits[: len(part)])
            logits[start : start + len(part)] = self._told[: len(part)].numpy()
        return logits, x_ND.float().cpu().numpy() if hidden else None

    def forget(self, pages: Sequence[int]) -> None:
        """See `Network`."""
        for pool in (self._keys, self._values):
            pool[:, list(pages)] = 0.0

    def attend(self, number: int, q_NHP: Tensor, k_NKP: Tensor, v_NKP: Tensor, how: How) -> Tensor:
        """Keep a layer's new keys and values, and let each row see those of its sequence."""
        at = (self._rows.page_N, self._rows.position_N % PAGE)
        keys, values = self._keys[number], self._values[number]
        keys[at], values[at] = k_NKP, v_NKP
        return self._paged(q_NHP, keys, values, how)

    def _through(self, ids: np.ndarray, positions: np.ndarray, tables: np.ndarray) -> Tensor:
        """Hidden states of up to a tile of rows, in memory of their own."""
        count, rows = len(ids), self._rows
        whole = [*range(count), *(0,) * (self._tile - count)]
        seen = positions[:, None] // PAGE >= np.arange(tables.shape[1])
        table_NW = np.full(tuple(rows.table_NW.shape), self.pages, dtype=np.int32)
        table_NW[:, : tables.shape[1]] = np.where(seen, tables, self.pages)[whole]
        rows.table_NW.copy_(torch.from_numpy(table_NW))
        rows.position_N.copy_(torch.from_numpy(positions[whole].astype(np.int64)))
        rows.copied_N.copy_(torch.tensor(whole))
        self._ids.copy_(torch.from_numpy(ids[whole].astype(np.int64)))
        rows.real = count
        self._run(self._body)
        return self._hidden[:count].clone()

    def _body(self) -> None:
        """Ids to hidden states: every shape in it is always the same."""
        spec, rows = self.spec, self._rows
        rows.derive()
        positions_N1 = rows.position_N[:, None]
        context = AttentionContext(
            rotary_tables(spec, positions_N1),
            attention_temperature(spec, positions_N1),
            Reach(positions_N1.float()),  # not asked: the pages know
        )
        x_ND = nn.functional.embedding(self._ids, self._decoder.embedding.weight) * spec.embedding_multiplier
        x_N1D = x_ND[:, None]
        for layer in self._decoder.layers:
            x_N1D, _ = layer(x_N1D, context)
        self._hidden.copy_(self._decoder.norm(x_N1D)[:, 0])

    def _head(self) -> None:
        self._logits.copy_(self._decoder.logits(self._wanted))

    def _run(self, part: Callable[[], None]) -> None:
        """``part`` with what its inputs hold now: on CUDA a replay of the graph that was taken of it."""
        if self._device.type != "cuda":
            part()
            return
        if part not in self._graphs:
            for _ in range(WARM_UPS):
                part()
            torch.cuda.synchronize()
            self._graphs[part] = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graphs[part]):
                part()
        self._graphs[part].replay()


class _Attend:
    """What a layer's attention asks in place of training's kernel: [N, 1, H, P] each."""

    def __init__(self, network: TiledDecoder, number: int):
        self._network, self._number = network, number

    @torch.compiler.disable
    def __call__(
        self,
        q_N1HP: Tensor,
        k_N1KP: Tensor,
        v_N1KP: Tensor,
        scale: float,
        softcap: float | None,
        _reach: Reach,
        sinks_H: Tensor | None,
    ) -> Tensor:
        how = How(scale, softcap, self._network.spec.window_of(self._number), sinks_H)
        return self._network.attend(self._number, q_N1HP[:, 0], k_N1KP[:, 0], v_N1KP[:, 0], how)[:, None]


class FixedShapes(nn.Module):
    """Experts whose products have always the same shape: each multiplies a whole tile of rows, its own ones first.

    A library's grouped product, where it is not one kernel with one order of sums, has the shapes of the load.
    """

    def __init__(self, experts: Experts, tile: int):
        super().__init__()
        self.experts, self._tile = experts, tile

    def forward(self, x_RD: Tensor, gates_R: Tensor, ends_E: Tensor) -> Tensor:
        e = self.experts
        row_R = torch.arange(x_RD.shape[0], device=x_RD.device)
        expert_R = (row_R[:, None] >= ends_E).sum(-1)
        begins_E = torch.cat((ends_E.new_zeros(1), ends_E[:-1]))
        at = (expert_R, row_R - begins_E[expert_R])
        x_ETD = x_RD.new_zeros(len(ends_E), self._tile, x_RD.shape[1])
        x_ETD[at] = x_RD
        gate, up = x_ETD @ e.gate, x_ETD @ e.up
        if isinstance(e, BiasedExperts):
            gate, up = gate + e.gate_bias[:, None], up + e.up_bias[:, None]
        y_ETD = gated(e.activation_name, gate, up) @ e.down
        if isinstance(e, BiasedExperts):
            y_ETD = y_ETD + e.down_bias[:, None]
        return (y_ETD[at] * gates_R[:, None]).to(x_RD.dtype)


def _grouped_as_it_is(experts: Experts) -> bool:
    """Whether torch's grouped product is one kernel here: bf16 on CUDA cards from Hopper on, of aligned widths."""
    weight = experts.gate
    if weight.device.type != "cuda" or weight.dtype != torch.bfloat16:
        return False
    return torch.cuda.get_device_capability(weight.device) >= (9, 0) and all(n % 8 == 0 for n in weight.shape[1:])
