"""What a program costs, counted in two ways: read off its plans, and by walking through them step by step."""

from collections import Counter

import numpy as np

from heclstm.backend.clear import ClearEvaluator, ClearValue
from heclstm.circuit.operations import LinearTransform, MultiplyPlain, Rescale, Rotate, SumOfProducts


def totals(program):
    """Rotations: babies (but zero) for each input, chain steps and folds for each output, and single ones."""
    transforms = [op.plan for op in program.operations if isinstance(op, LinearTransform)]
    babies = sum((len(plan.babies) - (0 in plan.babies)) * plan.n_inputs for plan in transforms)
    giants = sum(len(plan.giant_steps) * plan.n_outputs for plan in transforms)
    single = sum(isinstance(op, Rotate) for op in program.operations)
    sums = [op for op in program.operations if isinstance(op, SumOfProducts)]
    return {
        "input_ciphertexts": program.input_layout.ciphertexts,
        "levels": program.input_level - program.result_level,
        "linear_transforms": len(transforms),
        "diagonals": sum(len(plan.vectors) for plan in transforms),
        "rotations": babies + giants + single,
        "baby_steps": babies,
        "giant_steps": giants,
        "single_rotations": single,
        "rotation_keys": len(program.needed_keys.rotations),
        "products": sum(len(op.pairs) for op in sums),
        "relinearizations": len(sums),
        "plain_products": sum(isinstance(op, MultiplyPlain) for op in program.operations),
        "rescales": sum(isinstance(op, Rescale) for op in program.operations),
    }


class CountingBackend(ClearEvaluator):
    """Walks every plan by single rotations of values that are not empty, and writes down what each needs.

    rotations: (step mod slots, level) → how often. relinearizations: level → how often.
    """

    def __init__(self, parameters):
        super().__init__(parameters.slots, parameters.moduli)
        self.rotations, self.relinearizations = Counter(), Counter()

    def rotate(self, a, step):
        if step % self.slots:
            self.rotations[step % self.slots, a.level] += 1
        return super().rotate(a, step)

    def sum_of_products(self, pairs):
        self.relinearizations[pairs[0][0].level] += 1
        return super().sum_of_products(pairs)

    def linear_transform(self, inputs, transform):
        plan = transform
        turned = {}  # (baby, input) → value
        sums = {}  # (output, chain, position) → value
        for (i, chain, position, b, j), vector in zip(plan.index.tolist(), plan.vectors, strict=True):
            if (b, j) not in turned:
                turned[b, j] = self.rotate(inputs[j], plan.babies[b])
            product = turned[b, j].values * np.tile(vector, self.slots // plan.period)
            sums[i, chain, position] = sums.get((i, chain, position), 0.0) + product
        outputs = []
        for i in range(plan.n_outputs):
            total = None
            heads = [0, *(chain[0] for chain in plan.chains)]
            for c, chain in reversed(list(enumerate(plan.chains))):
                running = None
                for position in reversed(range(len(chain))):
                    if running is not None:
                        running = self._walk(plan, running, chain[position + 1] - chain[position])
                    if (i, c, position) in sums:
                        before = 0.0 if running is None else running.values
                        running = ClearValue(before + sums[i, c, position], plan.level, plan.output_scale)
                if running is not None and not plan.nested:
                    running = self._walk(plan, running, chain[0])
                if running is not None:
                    total = running if total is None else self.add(total, running)
                if total is not None and plan.nested:
                    total = self._walk(plan, total, heads[c + 1] - heads[c])
            output = total or ClearValue(np.zeros(inputs[0].values.shape), plan.level, plan.output_scale)
            for step in plan.folds:
                output = self.add(output, self._walk(plan, output, step))
            outputs.append(output)
        return outputs

    def _walk(self, plan, value, step):
        for part in plan.walk(step):
            value = self.rotate(value, part)
        return value
