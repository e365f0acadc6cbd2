import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { digestOf } from '../../proto/wire/digest.ts';
import { openEmbedded } from '../support/registry/embedded-registry.ts';
import { collect, never, publish } from '../support/registry/publish.ts';
import { sampleVersion, seededBytes } from '../support/registry/sample-version.ts';
import { temporaryFolder } from '../support/registry/temporary-folder.ts';

const PROGRAM = fileURLToPath(new URL('../support/registry/publishing-process.js', import.meta.url));

/** After the line that announces a version, how long the publisher lives: spread over staging, chunks, publication and finalizing. */
const MOMENTS_MS = [0, 15, 30, 50, 80];

/** Starts the publisher and kills it `afterMs` into its first version; gives the versions that it had published by then. */
async function publishAndKill(folder: string, afterMs: number): Promise<number[]> {
  const child = spawn(process.execPath, [PROGRAM, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const published: number[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const [event, version] = line.split(' ');
    if (event === 'end') {
      published.push(Number(version));
    } else if (published.length === 0) {
      setTimeout(() => child.kill('SIGKILL'), afterMs);
    }
  }
  const [, signal] = await exited;
  assert.equal(signal, 'SIGKILL');
  return published;
}

it('shows nothing partial however early its process is killed, and takes the same version again', async () => {
  await using folder = await temporaryFolder();
  for (const afterMs of MOMENTS_MS) {
    const published = await publishAndKill(folder.path, afterMs);
    using embedded = await openEmbedded(folder.path);
    const { registry } = embedded;
    const { latestVersion } = await registry.getModel('m', never);
    // What it said it had published is there; one more may have been finalized just before the kill.
    assert.ok(latestVersion >= Math.max(0, ...published), `${latestVersion} of ${published.join()}`);
    for (let version = 1; version <= latestVersion; version++) {
      const { artifacts, manifest } = await registry.getVersion({ model: 'm', version }, never);
      for (const blob of [manifest, ...artifacts]) {
        await collect(registry.readBlob({ blob, offsetBytes: 0, lengthBytes: undefined }, never));
      }
    }
    const stored = await readdir(join(folder.path, 'blobs'), { recursive: true });
    for (const path of stored.filter((name) => basename(name).length === 64)) {
      assert.equal(digestOf(await readFile(join(folder.path, 'blobs', path))), `sha256:${basename(path)}`);
    }
    const next = latestVersion + 1;
    const again = sampleVersion([seededBytes(`killed ${next}`, 9_000_000), seededBytes(`small ${next}`, 100)]);
    assert.equal((await publish(registry, 'm', again)).version.version, next);
  }
});
