import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { InferenceSession } from 'onnxruntime-node';
import { type ImportedBundle, importBundle } from '../../../../clients/import/import-bundle.ts';
import { openZipSource } from '../../../../clients/import/sources/zip-source.ts';
import { hexOf } from '../../../../proto/wire/digest.ts';
import { CHECK_MEDIA_TYPE } from '../../../../proto/wire/golden-check.ts';
import { rejectsBundle } from '../../../support/bundle-errors.ts';
import { writeFiles } from '../../../support/bundle-files.ts';
import { MemorySource } from '../../../support/bundle-memory-source.ts';
import { commandPickle, op, pickleOf } from '../../../support/bundle-pickle.ts';
import { writePthAround } from '../../../support/bundle-torch.ts';
import { writeZip } from '../../../support/bundle-zip.ts';
import type { CheckpointWriter, LazyTensor } from '../../../support/m2f/checkpoint.ts';
import { configText, type M2fModel, m2fFiles, randomImage, randomM2f, TINY } from '../../../support/m2f/random-model.ts';
import { M2F_SESSION_OPTIONS, runM2f, runSession } from '../../../support/m2f/run-m2f.ts';
import { runCommand } from '../../../support/run-command.ts';

const { signal } = new AbortController();
const MODEL = randomM2f({ ...TINY, queries: 5 });
const WEIGHTS = 'model_final.pth';
const importFiles = (files: Readonly<Record<string, Uint8Array>>, name?: string): Promise<ImportedBundle> =>
  importBundle(new MemorySource(files, name), { signal });
const digestsOf = ({ files }: ImportedBundle): string[] => files.map(({ ref }) => ref.digest);

/** The model with other tensors: what `change` gives in place of each, nothing leaves it out. */
const changed = (change: (tensor: LazyTensor) => LazyTensor | undefined, model: M2fModel = MODEL): M2fModel => ({
  ...model,
  tensors: model.tensors.flatMap((tensor) => change(tensor) ?? []),
});

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'import-m2f-'));
});
after(() => rmSync(folder, { recursive: true }));

describe('a Mask2Former bundle', () => {
  it('becomes a graph, two files of weights and a check, described by the manifest', async () => {
    const { manifest, kind, family, files, suggestedName } = await importFiles(m2fFiles(MODEL), 'SEG_M2F_Tiny');
    assert.deepEqual([kind, family, suggestedName], ['segmentation', 'M2F', 'SEG_M2F_Tiny']);
    assert.equal(manifest.contract, 'mask2former-segmenter.v1');
    assert.deepEqual(manifest.graph.inputs, [{ name: 'image', type: 'uint8', shape: ['H', 'W', 3] }]);
    assert.deepEqual(manifest.graph.outputs, [
      { name: 'class_logits', type: 'float32', shape: [5, 2] },
      { name: 'mask_logits', type: 'float32', shape: [5, 'h', 'w'] },
    ]);
    assert.deepEqual(manifest.classes, [{ index: 1, name: 'flake' }]);
    assert.deepEqual(
      manifest.artifacts.map(({ path, role, mediaType }) => [path, role, mediaType]),
      [
        ['model.onnx', 'serving', 'application/vnd.onnx'],
        ...files.slice(1, 3).map(({ ref }) => [hexOf(ref.digest), 'serving', 'application/octet-stream']),
        ['check.json', 'serving', CHECK_MEDIA_TYPE],
      ],
    );
    assert.equal(files.length, 4);
    assert.deepEqual(
      manifest.lineage.sourceFiles.map(({ name }) => name),
      ['config.yaml', WEIGHTS],
    );
    const bytes = files.slice(1, 3).reduce((sum, { ref }) => sum + ref.sizeBytes, 0);
    assert.equal(manifest.memory?.sideMultiple, 32);
    assert.ok((manifest.memory?.baseBytes ?? 0) > bytes && (manifest.memory?.bytesPerPixel ?? 0) > 0);
  });

  const expected = importFiles(m2fFiles(MODEL)).then(digestsOf);
  const writers: Readonly<Record<string, CheckpointWriter & { readonly weightsName?: string }>> = {
    'PyTorch 2 on a GPU': { torch: 2, location: 'cuda:0', prefix: 'model_final' },
    'with the state of the optimizer': { optimizerOf: 'sem_seg_head' },
    'with the state of the optimizer, PyTorch 2': { optimizerOf: 'sem_seg_head', torch: 2 },
    'a bare state dict': { isBare: true, prefix: 'model' },
    'the other name': { weightsName: 'model.pth' },
    'no checksums': { hasChecksums: false },
  };
  for (const [name, writer] of Object.entries(writers)) {
    it(`gives the same files whoever wrote it: ${name}`, async () => {
      assert.deepEqual(digestsOf(await importFiles(m2fFiles(MODEL, writer))), await expected);
    });
  }

  it('is found in a folder of its own among other files', async () => {
    const files = Object.entries(m2fFiles(MODEL)).map(([name, bytes]) => [`models/SEG_M2F_Nested/${name}`, bytes] as const);
    const more = { 'models/readme.txt': Buffer.from('x'), 'models/SEG_M2F_Nested/last_checkpoint': Buffer.from(WEIGHTS) };
    const bundle = await importFiles({ ...Object.fromEntries(files), ...more });
    assert.deepEqual([digestsOf(bundle), bundle.suggestedName], [await expected, 'SEG_M2F_Nested']);
  });

  for (const isDeflated of [false, true]) {
    it(`is read from a ${isDeflated ? 'deflated' : 'stored'} zip`, async () => {
      const path = join(folder, `SEG_M2F_${isDeflated}.zip`);
      const files = Object.entries(m2fFiles(MODEL, { optimizerOf: 'sem_seg_head' }));
      writeFileSync(path, writeZip(files.map(([name, bytes]) => ({ name: `x/${name}`, bytes, isDeflated }))));
      const source = await openZipSource(path, signal);
      try {
        assert.deepEqual(digestsOf(await importBundle(source, { signal })), await expected);
      } finally {
        await source.close();
      }
    });
  }

  it('takes model.pth where both names are there, as the reference does', async () => {
    const { manifest } = await importFiles({ ...m2fFiles(MODEL, { weightsName: 'model.pth' }), [WEIGHTS]: Buffer.from('x') });
    assert.equal(manifest.lineage.sourceFiles[1]?.name, 'model.pth');
  });

  it('shares the file of the backbone with every model that was tuned from the same one', async () => {
    const tuned = changed((tensor) =>
      tensor.name.startsWith('backbone.') ? tensor : { ...tensor, values: () => tensor.values().map((value) => value * 1.01) },
    );
    const [first, second] = [await expected, digestsOf(await importFiles(m2fFiles(tuned)))];
    assert.deepEqual(
      first.map((digest, index) => digest === second[index]),
      [false, true, false, false],
    );
  });

  it('is imported without a look at the half of the checkpoint that is the optimizer', async () => {
    const plain = m2fFiles(MODEL);
    const both = m2fFiles(MODEL, { optimizerOf: 'sem_seg_head' });
    const cases = [
      { files: plain, hasSeeks: true },
      { files: both, hasSeeks: true },
      { files: both, hasSeeks: false },
    ];
    const reads = await Promise.all(
      cases.map(async ({ files, hasSeeks }) => {
        const source = new MemorySource(files);
        source.hasSeeks = hasSeeks;
        await importBundle(source, { signal });
        // The whole file is read once for its digest.
        return (source.readBytes.get(WEIGHTS) ?? 0) - (files[WEIGHTS]?.byteLength ?? 0);
      }),
    );
    const [modelBytes = 0, plainBytes = 0, readBytes = 0, heldBytes = 0] = [plain[WEIGHTS]?.byteLength, ...reads];
    assert.ok((both[WEIGHTS]?.byteLength ?? 0) > 2 * modelBytes, 'the optimizer is larger than the model');
    // Its names and sizes are in the directory and in the pickle.
    assert.ok(readBytes - plainBytes < 0.2 * modelBytes, `${readBytes} bytes read, ${plainBytes} without optimizer`);
    // A tensor that becomes several weights is read for each of them, and once for the check; from a compressed file everything is read once, and held.
    assert.ok(plainBytes < 2.5 * modelBytes, `${plainBytes} bytes read of a model of ${modelBytes}`);
    assert.ok(heldBytes < 1.2 * modelBytes, `${heldBytes} bytes read of a model of ${modelBytes}`);
  });

  it('written to a folder, loads from there as it lies', async () => {
    const bundle = join(folder, 'SEG_M2F_Written');
    const out = join(folder, 'out');
    writeFiles(bundle, m2fFiles(MODEL));
    const { code, out: text, err } = await runCommand(['import', bundle, '--out', out]);
    assert.equal(code, 0, err);
    assert.match(text, /M2F segmentation SEG_M2F_Written[\s\S]*classes: 1 flake/);
    const image = randomImage(40, 50);
    const session = await InferenceSession.create(join(out, 'model.onnx'), { ...M2F_SESSION_OPTIONS, intraOpNumThreads: 1 });
    const fromFolder = await runSession(session, image);
    await session.release();
    const [fromMemory] = await runM2f(await importFiles(m2fFiles(MODEL)), [image]);
    assert.deepEqual(fromFolder.classLogits, fromMemory?.classLogits);
    assert.deepEqual(fromFolder.maskLogits, fromMemory?.maskLogits);
  });

  it('is refused with every missing, unexpected and misshapen tensor named', async () => {
    const wrong = changed((tensor) => {
      if (tensor.name.endsWith('level_embed')) return undefined;
      if (tensor.name === 'backbone.stem.conv1.norm.bias') return { ...tensor, name: 'backbone.stem.conv1.norm.beta' };
      return tensor.name.endsWith('class_embed.weight') ? { ...tensor, shape: [32, 2] } : tensor;
    });
    const message = await rejectsBundle(importFiles(m2fFiles(wrong)), WEIGHTS);
    assert.match(message, /missing: backbone\.stem\.conv1\.norm\.bias, sem_seg_head\.pixel_decoder\.transformer\.level_embed;/);
    assert.match(message, /unexpected: "backbone\.stem\.conv1\.norm\.beta";/);
    assert.match(message, /of another shape: sem_seg_head\.predictor\.class_embed\.weight \(32, 2\) instead of \(2, 32\)/);
  });

  const damaged: Readonly<Record<string, readonly [M2fModel, RegExp]>> = {
    'a variance below nothing': [
      changed((tensor) =>
        tensor.name === 'backbone.res3.1.conv2.norm.running_var'
          ? { ...tensor, values: () => tensor.values().map(() => -1) }
          : tensor,
      ),
      /res3\.1\.conv2\.weight.*not finite/,
    ],
    'a value that is not finite': [
      changed((tensor) =>
        tensor.name.endsWith('query_feat.weight') ? { ...tensor, values: () => tensor.values().map(() => Number.NaN) } : tensor,
      ),
      /query_feat\.weight.*not finite/,
    ],
    'a model of other sizes': [
      { ...MODEL, config: configText({ ...TINY, queries: 5, feedForward: 25 }) },
      /linear1\.weight \(24, 32\)/,
    ],
  };
  for (const [name, [model, message]] of Object.entries(damaged)) {
    it(`is refused: ${name}`, async () => {
      assert.match(await rejectsBundle(importFiles(m2fFiles(model)), WEIGHTS), message);
    });
  }

  it('is refused where its config asks for more weights than any model has, before they are looked for', async () => {
    const config = configText({ ...TINY, convs: 8192, hidden: 8192, feedForward: 8192, maskWidth: 8192 });
    const message = await rejectsBundle(
      importFiles({ ...m2fFiles(MODEL, { config }), [WEIGHTS]: Buffer.alloc(0) }),
      'config.yaml',
    );
    assert.match(message, /weights, at most 100000000/);
  });

  const calls: Readonly<Record<string, Buffer>> = {
    'a call in place of the state dict': pickleOf(
      op.emptyDict,
      op.mark,
      op.text('model'),
      commandPickle('touch /tmp/should-not-exist'),
      op.setItems,
    ),
    'a number in place of the state dict': pickleOf(op.emptyDict, op.mark, op.text('model'), op.int(1), op.setItems),
    'an empty state dict': pickleOf(op.emptyDict, op.mark, op.text('model'), op.emptyDict, op.setItems),
  };
  for (const [name, pickle] of Object.entries(calls)) {
    it(`is refused: ${name}`, async () => {
      await rejectsBundle(importFiles({ ...m2fFiles(MODEL), [WEIGHTS]: writePthAround(pickle, []) }), WEIGHTS);
    });
  }

  it('stops when its signal is aborted', async () => {
    const path = join(folder, 'aborted.zip');
    writeFileSync(path, writeZip(Object.entries(m2fFiles(MODEL)).map(([name, bytes]) => ({ name, bytes }))));
    const source = await openZipSource(path, signal);
    try {
      await assert.rejects(importBundle(source, { signal: AbortSignal.abort() }), { reason: 'CANCELLED' });
    } finally {
      await source.close();
    }
  });
});
