"""Running a Hugging Face model as it is: read hooks, replace what passes at one, stop early, start late, make logits.

Plain forward hooks are set on the untouched model for one run and taken away after it. On first use of a hook the
model runs 16 tokens on its own, with the plainest attention, and what is read here must agree with it.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import DoesNotFitError
from core.models.architecture import Architecture
from core.models.embeddings import no_unembedding
from core.models.gradients import Gradient, Leaf, Target, check_in_memory, check_slopes, detached, go_back, losses
from core.models.module_hooks import Norm, attach
from core.models.places import Place, Places
from core.models.proof import Proof, plainest_attention, stream_names, tokens_to_try

if TYPE_CHECKING:
    from torch import Tensor

LAST = "unembed.hook_in"
"""What the unembedding reads: after the final norm, and after a projection where there is one."""
Start = tuple[int, "Tensor"]
"""A layer to start at, and the stream that enters it."""


class _Enough(BaseException):
    """All is read: the rest of the model need not run. No library takes it for an error of its own."""


def _noting(name: str, call: Callable[["Tensor"], "Tensor"], fired: set[str]) -> Callable[["Tensor"], "Tensor"]:
    """Note that a hook was reached."""

    def noted(value: "Tensor") -> "Tensor":
        fired.add(name)
        return call(value)

    return noted


class HfRunner:
    """A model of transformers in memory, with the places of its hooks.

    All sessions share the module, and hooks are state of it; hence the lock, held for one run.
    """

    version = 1
    """Part of a model's hash: bump it when models give other numbers than they did."""

    def __init__(
        self,
        module: Any,
        architecture: Architecture,
        name: str,
        *,
        n_ctx: int,
        lock: threading.RLock,
        has_unembedding: bool = True,
    ):
        """Take a module; one whose files hold no unembedding has one drawn at random, which is never used."""
        self._has_unembedding = has_unembedding
        self.module, self.places, self.name, self._lock = module, Places(architecture), name, lock
        self._architecture, self._n_ctx = architecture, n_ctx
        self._norms: dict[str, Norm] = {}
        self._gives_tuples: dict[int, bool] = {}
        self._proven: set[str] = set()
        self._differentiated: set[str] = set()

    @property
    def can_start_late(self) -> bool:
        """Whether the stream at a block is all that its later blocks need."""
        return not hasattr(self.places.parts["blocks"], "altup_active_idx")

    @property
    def device(self) -> "torch.device":
        """Where tokens go; weights that are partly on disk come to the CPU."""
        import torch

        first = next(self.module.parameters())
        return torch.device("cpu") if first.is_meta else first.device

    def layer_of(self, hook_name: str) -> int | None:
        """Return the block that a hook lies in; None for one before or after all blocks."""
        return self.places.find(hook_name, self.name).layer

    def read(self, tokens: "Tensor", names: Sequence[str], **how: Any) -> dict[str, "Tensor"]:
        """Return what passes at hooks, (batch, pos, width) in the model's dtype. Blocks above them do not run.

        Options are those of `run`. Raises DoesNotFitError for a hook that the model lacks or that does not fire, and
        WrongNumbersError where the first use of one shows that it is not what it should be.
        """
        self._prove([*names, *([how["replace"][0]] if how.get("replace") else [])])
        return self.run(tokens, self._places(names), **how)

    def gradient(
        self,
        tokens: "Tensor",
        hook_name: str,
        target: Target,
        *,
        names: Sequence[str] = (),
        start: Start | None = None,
        module: Any = None,
    ) -> Gradient:
        """Return how the sum of a target's numbers changes with what passes at a hook, and what passes at other hooks.

        Weights get no gradient. The lock is held while the model runs, not on the way back. A token needs about
        34 * d_model floats for each block above the hook. Raises what `read` raises, and DoesNotFitError for a model
        that is partly on disk, or a gradient that is not finite.
        """
        check_in_memory(module if module is not None else self.module, self.name)
        self._prove([*names, hook_name])
        self._prove_gradient(hook_name)
        return self._gradient(tokens, hook_name, target, names, start, module)

    def _prove_gradient(self, hook_name: str) -> None:
        """Compare the gradient at a hook that is used for the first time with runs; not in models of short numbers."""
        import torch

        if hook_name in self._differentiated or str(next(self.module.parameters()).dtype) != "torch.float32":
            return
        ids = self._tokens_to_try()
        tokens, rows = torch.tensor([ids], device=self.device), np.array([ids])
        target, place = losses(rows, np.ones(rows.shape, bool)), self._places([LAST])

        def values(new: "Tensor") -> "Tensor":
            stacked = tokens.expand(len(new), -1)
            put = (hook_name, lambda old: new.reshape(old.shape) if old.numel() == new.numel() else new)
            last = self.run(stacked, place, replace=put)[LAST].flatten(0, 1)
            every = losses(np.repeat(rows, len(new), axis=0), np.ones(tuple(stacked.shape), bool))
            return every.of(self.logits(last[every.tokens]), slice(None)).double().reshape(len(new), -1).sum(dim=1)

        check_slopes(self.name, hook_name, self._gradient(tokens, hook_name, target, (), None, None), values)
        self._differentiated.add(hook_name)

    def _gradient(
        self,
        tokens: "Tensor",
        hook_name: str,
        target: Target,
        names: Sequence[str],
        start: Start | None,
        module: Any,
    ) -> Gradient:
        leaf, replaced = Leaf(tokens), [LAST, *names]
        how = {"replace": (hook_name, leaf.put), "start": start, "module": module, "keep_graph": True}
        seen = self.run(tokens, self._places(replaced), **how)
        d_vocab = self._architecture.meta.get_submodule(self.places.parts["unembed"].name).weight.shape[0]
        gradient, values = go_back(leaf, seen[LAST], target, self._unembed(module), d_vocab=d_vocab)
        return Gradient(leaf.value.detach(), gradient, values, detached(seen, names))

    def _places(self, names: Iterable[str]) -> dict[str, Place]:
        return {name: self.places.find(name, self.name) for name in names}

    def _prove(self, names: Sequence[str]) -> None:
        """Compare hooks that are used for the first time with the model as it runs on its own."""
        import torch

        new = [name for name in dict.fromkeys((*names, LAST)) if name not in self._proven]
        if not new:
            return
        tokens = torch.tensor([self._tokens_to_try()], device=self.device)
        beside = (other for name in new for other in stream_names(name) if self.places.get(other))
        with self._lock:
            self._note_tuples(tokens)
            with plainest_attention(self.module):
                theirs = self.run(tokens, self._places((*new, *beside)), whole=True)
            output = theirs.pop("output")
            ours = self.run(tokens, self._places((*new, LAST)))
        if self._has_unembedding:
            ours["logits"], theirs["logits"] = self.logits(ours[LAST][0]), output.logits[0]
        dtype = str(output.logits.dtype).removeprefix("torch.")
        Proof(self.name, new, ours, theirs, getattr(output, "hidden_states", None) or (), dtype).check()
        self._proven.update(new)

    def _tokens_to_try(self) -> list[int]:
        embed = self._architecture.meta.get_submodule(self.places.parts["embed"].name)
        return tokens_to_try(embed.num_embeddings, self._n_ctx, self._architecture.config)

    def run(
        self,
        tokens: "Tensor",
        places: Mapping[str, Place],
        *,
        replace: tuple[str, Callable[["Tensor"], "Tensor"]] | None = None,
        start: Start | None = None,
        module: Any = None,
        whole: bool = False,
        keep_graph: bool = False,
    ) -> dict[str, "Tensor"]:
        """Run until all places are read. `module` is a copy of the model on another device, where one is meant.

        `whole` lets the model run to its end all the same, and adds what it returns as 'output'. `keep_graph` lets what
        is read be differentiated.
        """
        import torch

        module, seen, fired = module if module is not None else self.module, {}, set()
        with self._lock, torch.set_grad_enabled(keep_graph), ExitStack() as undo:
            if start is not None:
                undo.enter_context(self._starting_at(module, *start))
            if replace is not None:  # before reading, so that a replaced value is read as replaced
                self._hook(undo, module, self.places.find(replace[0], self.name), _noting(*replace, fired))
            for name, place in places.items():
                self._hook(undo, module, place, self._reader(name, place, tokens, seen, None if whole else len(places)))
            try:
                output = module(input_ids=tokens, use_cache=False, **({"output_hidden_states": True} if whole else {}))
                seen |= {"output": output} if whole else {}
            except _Enough:
                pass
        for name in (*places, *([replace[0]] if replace else [])):
            if name not in seen and name not in fired:
                raise DoesNotFitError(
                    f"Nothing passes at {name[:100]} of {self.name} when the model runs, though it has such a module. "
                    f"Expected another hook: nearest are {', '.join(self.places.nearest(name))}."
                )
        return seen

    def logits(self, last: "Tensor", *, module: Any = None) -> "Tensor":
        """Return logits of what `LAST` read, (token, width) to (token, d_vocab).

        Raises DoesNotFitError for a model without an unembedding.
        """
        import torch

        with torch.no_grad():
            return self._unembed(module)(last)

    def _unembed(self, module: Any) -> Callable[["Tensor"], "Tensor"]:
        if not self._has_unembedding:
            raise no_unembedding(self.name)
        unembed = (module if module is not None else self.module).get_submodule(self.places.parts["unembed"].name)

        def logits(last: "Tensor") -> "Tensor":
            with self._lock:
                return self._architecture.adapter.apply_output_logits_transform(unembed(last))

        return logits

    def _hook(self, undo: ExitStack, module: Any, place: Place, call: Callable) -> None:
        for handle in attach(module, place, call, self.norm(place.path) if place.before_weights else None):
            undo.callback(handle.remove)

    def norm(self, path: str) -> Norm:
        if path not in self._norms:
            self._norms[path] = Norm(self._architecture.meta.get_submodule(path))
        return self._norms[path]

    def _reader(
        self, name: str, place: Place, tokens: "Tensor", seen: dict[str, "Tensor"], enough: int | None
    ) -> Callable[["Tensor"], None]:
        def read(value: "Tensor") -> None:
            shape = (*tokens.shape, place.width)
            if value.numel() == tokens.shape[1] * place.width:  # positions: the same for all rows
                value = value.reshape(1, *shape[1:]).expand(shape)
            if value.numel() != tokens.numel() * place.width:
                raise DoesNotFitError(
                    f"{name[:100]} of {self.name} passes {tuple(value.shape)} for {tuple(tokens.shape)} tokens, "
                    f"expected one vector of width {place.width} for each. Choose another hook: nearest are "
                    f"{', '.join(self.places.nearest(name))}."
                )
            # Cloned, as some blocks (Falcon's) add to what their parts gave in place.
            seen[name] = value.reshape(shape).clone()
            if len(seen) == enough:
                raise _Enough

        return read

    @contextmanager
    def _starting_at(self, module: Any, layer: int, stream: "Tensor") -> Iterator[None]:
        """Skip the blocks before a layer and hand it `stream`. Masks and positions are still made from the tokens."""
        blocks = list(module.get_submodule(self.places.blocks))[:layer]
        before = {block: block.__dict__.get("forward") for block in blocks}
        try:
            for i, block in enumerate(blocks):
                given = (stream,) if self._gives_tuples.get(i) else stream
                block.forward = lambda *args, given=given, **kwargs: given
            yield
        finally:
            for block, forward in before.items():
                if forward is None:
                    block.__dict__.pop("forward", None)
                else:
                    block.forward = forward  # a library that moves weights as they are needed has wrapped it

    def _note_tuples(self, tokens: "Tensor") -> None:
        """Note which blocks return tuples: the loop over them knows, by family and version."""

        def note(i: int) -> Callable:
            return lambda block, args, out: self._gives_tuples.__setitem__(i, isinstance(out, tuple))

        if self._gives_tuples:
            return
        with ExitStack() as undo:
            for i, block in enumerate(self.module.get_submodule(self.places.blocks)):
                undo.callback(block.register_forward_hook(note(i)).remove)
            self.run(tokens, self._places([LAST]))
