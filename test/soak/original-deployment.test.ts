import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memoryOfTree } from '../bench/memory.ts';
import { needsLocalAws, registryEnv, startAwsTestServers } from '../support/aws/aws-test-store.ts';
import { runCliProcess } from '../support/cli-process.ts';
import { writeOriginalDeployment } from '../support/original-deployment.ts';
import { referenceData } from '../support/reference-data.ts';
import { startServeProcess } from '../support/serve-process.ts';
import { type SoakRun, soakTest } from '../support/soak/soak.ts';

const MATERIALS = 4;
const FILES_A_MATERIAL = 6;
const MAX_BYTES = 250_000_000;

soakTest(
  import.meta.url,
  "the original deployment's models with their sources, 1.4 GB, are published twice in little memory",
  async (run, t) => {
    if (referenceData === undefined) {
      t.skip('needs the reference data beside the checkout');
      return;
    }
    const folder = await mkdtemp(join(tmpdir(), 'maskterial-original-'));
    try {
      const materials = run.portion(MATERIALS);
      const names = writeOriginalDeployment(join(folder, 'bundles'), materials);
      await publishTwice(run, folder, names.length, 'embedded', { REGISTRY_DATA: join(folder, 'registry') });
      await rm(join(folder, 'registry'), { recursive: true });
      const { skip } = needsLocalAws();
      if (skip !== false) {
        t.skip(`published to a folder only: ${skip}`);
      } else {
        const servers = await startAwsTestServers();
        try {
          await publishTwice(run, folder, names.length, 'AWS', {
            ...servers.env,
            ...registryEnv(await servers.newStore()),
            REGISTRY_DATA: join(folder, 'unused'),
          });
        } finally {
          await servers.stop();
        }
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

/** The second time nothing is sent; registry and publisher, which imports too, stay small. */
async function publishTwice(
  run: SoakRun,
  folder: string,
  models: number,
  store: string,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const registry = await startServeProcess('registry', { LOG_LEVEL: 'warn', REGISTRY_PORT: '0', ...env });
  try {
    const publishers: number[] = [];
    for (const isFirst of [true, false]) {
      const args = ['publish', join(folder, 'bundles'), '--keep-sources', '--json', '--registry', registry.address];
      const { code, out, err, peakBytes } = await runCliProcess(args);
      assert.equal(code, 0, err);
      const lines = out
        .trimEnd()
        .split('\n')
        .map((line) => Object(JSON.parse(line)) as Record<string, unknown>);
      const { new: created, known, failed, uploaded_files: uploaded } = lines.at(-1) ?? {};
      assert.deepEqual([created, known, failed], isFirst ? [models, 0, 0] : [0, models, 0]);
      assert.equal(uploaded === 0, !isFirst, `${String(uploaded)} files uploaded`);
      const sources = lines.slice(0, -1).flatMap(({ artifacts }) => (artifacts as { role: string }[]).map(({ role }) => role));
      assert.equal(sources.filter((role) => role === 'source').length, (models / 2) * FILES_A_MATERIAL);
      publishers.push(peakBytes);
    }
    const registryBytes = (memoryOfTree(registry.pid)[0]?.peakMib ?? 0) * 2 ** 20;
    const mb = (bytes: number): string => (bytes / 1e6).toFixed(0);
    run.say(`${store}: peak of the publisher ${publishers.map(mb).join(' and ')} MB, of the registry ${mb(registryBytes)} MB`);
    for (const bytes of [...publishers, registryBytes]) {
      assert.ok(bytes > 0 && bytes < MAX_BYTES, `${mb(bytes)} MB at the peak`);
    }
  } finally {
    await registry.end('SIGTERM');
  }
}
