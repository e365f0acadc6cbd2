import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { InferenceSession } from 'onnxruntime-node';
import { processEnvironment } from '../../infra/process/env.ts';
import { CHECK_MEDIA_TYPE } from '../../proto/wire/golden-check.ts';
import { parseManifest } from '../../proto/wire/manifest.ts';
import { checkGolden } from '../support/m2f/check-golden.ts';
import { writeCheckpoint } from '../support/m2f/checkpoint.ts';
import { type GoldenName, readGolden } from '../support/m2f/goldens.ts';
import { M2F_SESSION_OPTIONS, runSession } from '../support/m2f/run-m2f.ts';
import { synthFullPath, synthFullTensors } from '../support/m2f/synth-full.ts';
import { needsReferenceData, repositoryRoot } from '../support/reference-data.ts';

const MIB = 1024 * 1024;
/** For a checkpoint of 340 MB. */
const MAX_IMPORT_BYTES = 700_000_000;
const MAX_RUN_BYTES = 1_700_000_000;
/** Prints the most memory that a process had resident, in KiB, as its last word. */
const PEAK = 'data:text/javascript,process.on("exit",()=>process.stderr.write(`peak ${process.resourceUsage().maxRSS}`))';

describe('a Mask2Former model of the published size', needsReferenceData, () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'm2f-full-size-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('with the state of its optimizer is imported in little memory', async () => {
    const bundle = join(folder, 'SEG_M2F_SynthFull');
    mkdirSync(bundle);
    copyFileSync(synthFullPath('config.yaml'), join(bundle, 'config.yaml'));
    const writer = { optimizerOf: 'sem_seg_head', location: 'cuda:0', torch: 2 } as const;
    writeCheckpoint(join(bundle, 'model_final.pth'), synthFullTensors(), writer);
    const cli = join(repositoryRoot, 'dist', 'clients', 'cli', 'main.js');
    const { stderr } = await promisify(execFile)(
      process.execPath,
      ['--import', PEAK, cli, 'import', bundle, '--out', join(folder, 'imported')],
      { env: processEnvironment() },
    );
    rmSync(bundle, { recursive: true });
    const peakBytes = Number(/peak (\d+)$/.exec(stderr)?.[1]) * 1024;
    assert.ok(peakBytes > 50 * MIB && peakBytes < MAX_IMPORT_BYTES, `${peakBytes} bytes at the peak; ${stderr}`);
  });

  it('carries the check that earlier imports of it carry, byte by byte', () => {
    const { artifacts } = parseManifest(readFileSync(join(folder, 'imported', 'manifest.json')));
    const check = artifacts.find(({ mediaType }) => mediaType === CHECK_MEDIA_TYPE);
    assert.equal(check?.digest, 'sha256:5e15ba045cb7037e6dd67dd20b9334efde3c332bf910e4b28bc34980ff34fb8e');
  });

  it("gives the reference's answers on a crop and on a whole image, in the memory that its manifest says", async () => {
    const session = await InferenceSession.create(join(folder, 'imported', 'model.onnx'), M2F_SESSION_OPTIONS);
    let pixels = 0;
    for (const name of ['SynthFull_crop', 'SynthFull_full'] as const satisfies readonly GoldenName[]) {
      const golden = await readGolden(name);
      checkGolden(golden, await runSession(session, golden.image));
      pixels = golden.image.height * golden.image.width;
    }
    await session.release();
    const { memory } = parseManifest(readFileSync(join(folder, 'imported', 'manifest.json')));
    assert.ok(memory !== undefined);
    const saidBytes = memory.baseBytes + memory.bytesPerPixel * pixels;
    const peakBytes = process.resourceUsage().maxRSS * 1024;
    assert.ok(peakBytes < MAX_RUN_BYTES, `${peakBytes} bytes at the peak`);
    // This process holds a golden and the tests beside the model.
    assert.ok(peakBytes > 0.75 * saidBytes && peakBytes < 1.25 * saidBytes, `${peakBytes} at the peak, ${saidBytes} were said`);
  });
});
