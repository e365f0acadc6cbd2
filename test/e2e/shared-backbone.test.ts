import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openPublishable } from '../../clients/cli/open-publishable.ts';
import { ModelKind } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { writeFiles } from '../support/bundle-files.ts';
import { m2fFiles, randomM2f, TINY } from '../support/m2f/random-model.ts';
import { TestSystem } from '../support/system.ts';

test('of two Mask2Former models tuned from the same backbone the second sends only the rest', async () => {
  await using system = await TestSystem.start({ inference: false });
  const start = randomM2f(TINY);
  const tuned = {
    ...start,
    tensors: start.tensors.map((tensor) =>
      tensor.name.startsWith('backbone.') ? tensor : { ...tensor, values: () => tensor.values().map((value) => value * 1.01) },
    ),
  };
  const sent: { readonly uploadedBytes: number; readonly sizes: readonly number[] }[] = [];
  for (const [name, model] of [
    ['SEG_M2F_First', start],
    ['SEG_M2F_Second', tuned],
  ] as const) {
    const folder = join(system.folder, name);
    writeFiles(folder, m2fFiles(model, { optimizerOf: 'sem_seg_head' }));
    const publishable = await openPublishable(folder, new AbortController().signal);
    await system.registry.ensureModel({ name, kind: ModelKind.MODEL_KIND_SEGMENTATION });
    const { manifestBytes, files } = publishable;
    const { uploadedBytes, version } = await system.registry.publishVersion({ model: name, manifestBytes, files });
    assert.equal(version.version, 1);
    sent.push({ uploadedBytes, sizes: files.map(({ ref }) => ref.sizeBytes) });
    await publishable.close();
  }
  const [first, second] = sent;
  const total = (sizes: readonly number[] = []): number => sizes.reduce((sum, size) => sum + size, 0);
  assert.equal(first?.uploadedBytes, total(first?.sizes));
  assert.equal(second?.uploadedBytes, total(second?.sizes) - (second?.sizes[1] ?? 0));
});
