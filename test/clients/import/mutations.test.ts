import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { importBundle } from '../../../clients/import/import-bundle.ts';
import { openZipSource } from '../../../clients/import/sources/zip-source.ts';
import { isBundleError } from '../../support/bundle-errors.ts';
import { PUBLISHED_L2, writeJoblib } from '../../support/bundle-joblib.ts';
import { MemorySource } from '../../support/bundle-memory-source.ts';
import { ammFiles, contrastDict, mlpFiles, randomAmm, randomGmm, randomMlp, seededRandom } from '../../support/bundle-models.ts';
import { writeZip } from '../../support/bundle-zip.ts';
import { m2fFiles, randomM2f, TINY } from '../../support/m2f/random-model.ts';

const { signal } = new AbortController();
const ROUNDS = 300;
/** A Mask2Former takes longer. */
const M2F_ROUNDS = 100;

/** Damages a file in one of five ways, the same for the same seed. */
function mutate(bytes: Uint8Array, seed: number): Buffer {
  const random = seededRandom(seed);
  const below = (limit: number): number => Math.floor((random() + 0.5) * limit);
  const result = Buffer.from(bytes);
  const at = below(result.byteLength);
  switch (seed % 5) {
    case 0:
      return result.subarray(0, at);
    case 1:
      return Buffer.concat([result.subarray(0, at), result.subarray(at + 1 + below(20))]);
    case 2:
      return Buffer.concat([result.subarray(0, at), Buffer.from([below(256), below(256)]), result.subarray(at)]);
    case 3:
      // Lengths and counts stand in four bytes: all ones makes them as large as can be.
      result.fill(0xff, at, Math.min(at + 4, result.byteLength));
      return result;
    default:
      for (let flips = 0; flips <= below(8); flips += 1) {
        result[below(result.byteLength)] = below(256);
      }
      return result;
  }
}

/** Imports; an error other than the two of bundles fails the test. */
async function outcome(action: () => Promise<unknown>, seed: number): Promise<'imported' | 'refused'> {
  try {
    await action();
    return 'imported';
  } catch (error) {
    assert.ok(isBundleError(error), `seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
    return 'refused';
  }
}

describe('damaged files', () => {
  const model = randomAmm({ classCount: 3, embeddingSize: 3, depth: 1, hasSpectralNorm: true });
  const amm: Record<string, Buffer> = { ...ammFiles(model, { hasChecksums: false }) };
  const gmm: Record<string, Buffer> = { 'contrast_dict.json': contrastDict(randomGmm(['1', '2'])) };
  const mlp: Record<string, Buffer> = {
    ...mlpFiles(randomMlp({ classCount: 3, embeddingSize: 3, depth: 1, hasSpectralNorm: false }), { hasChecksums: false }),
  };
  const l2: Record<string, Buffer> = { 'model.joblib': writeJoblib(PUBLISHED_L2) };
  const all = [
    ...Object.keys(amm).map((name) => ['AMM', name, amm] as const),
    ...Object.keys(mlp).map((name) => ['MLP', name, mlp] as const),
  ];
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'mutations-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const [family, name, files] of [
    ...all,
    ['GMM', 'contrast_dict.json', gmm] as const,
    ['L2', 'model.joblib', l2] as const,
  ]) {
    it(`are imported or refused, nothing else: ${name} of ${family}`, async () => {
      const counts = { imported: 0, refused: 0 };
      for (let seed = 0; seed < ROUNDS; seed += 1) {
        const damaged = { ...files, [name]: mutate(files[name] ?? Buffer.alloc(0), seed) };
        counts[await outcome(() => importBundle(new MemorySource(damaged), { signal }), seed)] += 1;
      }
      assert.ok(counts.refused > ROUNDS / 4, `only ${counts.refused} refused: the damage reaches nothing`);
    });
  }

  const m2f = m2fFiles(randomM2f({ ...TINY, encoderLayers: 1, decoderLayers: 3 }), { hasChecksums: false });
  for (const name of Object.keys(m2f)) {
    it(`are imported or refused, nothing else: ${name} of Mask2Former`, async () => {
      let refused = 0;
      for (let seed = 0; seed < M2F_ROUNDS; seed += 1) {
        const damaged = { ...m2f, [name]: mutate(m2f[name] ?? Buffer.alloc(0), seed) };
        refused += (await outcome(() => importBundle(new MemorySource(damaged), { signal }), seed)) === 'refused' ? 1 : 0;
      }
      assert.ok(refused > M2F_ROUNDS / 4, `only ${refused} refused: the damage reaches nothing`);
    });
  }

  for (const isDeflated of [false, true]) {
    it(`are imported or refused, nothing else: a ${isDeflated ? 'deflated' : 'stored'} zip`, async () => {
      const zip = writeZip(Object.entries(amm).map(([name, bytes]) => ({ name: `m/${name}`, bytes, isDeflated })));
      const path = join(folder, 'x.zip');
      let refused = 0;
      for (let seed = 0; seed < ROUNDS; seed += 1) {
        writeFileSync(path, mutate(zip, seed));
        const result = await outcome(async () => {
          const source = await openZipSource(path, signal);
          try {
            await importBundle(source, { signal });
          } finally {
            await source.close();
          }
        }, seed);
        refused += result === 'refused' ? 1 : 0;
      }
      assert.ok(refused > ROUNDS / 4);
    });
  }
});
